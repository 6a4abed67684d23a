"""What the scripts that read the Markdown pages share."""

import re


def numbers(name):
    """A key for sorting in the order of the course: page 10 follows page 9."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", str(name))]


def original_of(name):
    """`README.md` for `README.zh-CN.md` and `docs/course/1-service.md` for `docs/course/zh-CN/1-service.md`; any other page itself."""
    return re.sub(r"\.zh-CN(?=\.md$)|(?<=/)zh-CN/", "", str(name))


def without_comment(line):
    """A line of an `sh` block without its comment, which a translation may translate."""
    return re.sub(r"\s+#.*", "", line).rstrip()
