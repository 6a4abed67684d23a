"""Draws lines of a terminal as an SVG, for .ci/picture and .ci/picture-of-a-run."""

import html
import sys

COLUMNS = 112
LINE_HEIGHT, CHARACTER_WIDTH, MARGIN = 19, 8.4, 22
# SVG would draw consecutive spaces as one.
NO_BREAK_SPACE = "\u00a0"
COLOURS = {"command": "#e6edf3", "output": "#7ee787", "log": "#8b949e", "failure": "#ff7b72"}


def draw(target, title, lines):
    """Draws `lines`, pairs of a kind (a key of COLOURS) and a text. A text that is longer than COLUMNS is truncated."""
    width = COLUMNS * CHARACTER_WIDTH + 2 * MARGIN
    height = len(lines) * LINE_HEIGHT + 2 * MARGIN
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" height="{height}" role="img">',
        f"<title>{html.escape(title)}</title>",
        '<rect width="100%" height="100%" rx="10" fill="#0d1117"/>',
        '<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, monospace" font-size="14">',
    ]
    for number, (kind, whole) in enumerate(lines):
        line = whole if len(whole) <= COLUMNS else whole[: COLUMNS - 1] + "…"
        baseline = MARGIN + (number + 0.75) * LINE_HEIGHT
        weight = ' font-weight="bold"' if kind == "command" else ""
        text = html.escape(line).replace(" ", NO_BREAK_SPACE)
        # The length is given, so that the line has the same width in every font.
        length = f' textLength="{len(line) * CHARACTER_WIDTH:.1f}"' if line else ""
        drawn.append(f'<text x="{MARGIN}" y="{baseline:.1f}" fill="{COLOURS[kind]}"{weight}{length}>{text}</text>')
    drawn += ["</g>", "</svg>", ""]
    with open(target, "w", encoding="utf-8") as file:
        file.write("\n".join(drawn))
    sys.stdout.write(f"{target}: {len(lines)} lines of a terminal\n")
