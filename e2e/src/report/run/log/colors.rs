//! The colors of a line: the control sequences that a terminal would interpret, as styles.

use vte::{Params, Parser, Perform};

/// A part of a line in one style.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::report::run) struct Part {
    pub(in crate::report::run) style: Style,
    pub(in crate::report::run) text: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::report::run) struct Style {
    pub(in crate::report::run) is_bold: bool,
    pub(in crate::report::run) color: Option<Color>,
}

/// The colors that a page tells apart. Black and white are the color of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::report::run) enum Color {
    Red,
    Green,
    Yellow,
    Blue,
    Magenta,
    Cyan,
    Gray,
}

/// The parts of a line. All control characters but tabs are removed.
pub(super) fn parts(line: &str) -> Vec<Part> {
    let mut painter = Painter::default();
    Parser::new().advance(&mut painter, line.as_bytes());
    painter.parts.retain(|part| !part.text.is_empty());
    painter.parts
}

#[derive(Default)]
struct Painter {
    style: Style,
    parts: Vec<Part>,
    /// A line that returns to its start replaces its text, as the progress of a download does.
    returns: bool,
}

impl Painter {
    /// Select Graphic Rendition: ECMA-48, 8.3.117
    fn select(&mut self, params: &Params) {
        let mut codes = params.iter().map(|param| param.first().copied().unwrap_or_default());
        while let Some(code) = codes.next() {
            match code {
                0 => self.style = Style::default(),
                1 => self.style.is_bold = true,
                22 => self.style.is_bold = false,
                30..=37 | 90..=97 => self.style.color = color(code),
                // Another palette: an index, or red, green and blue.
                38 | 48 => match codes.next() {
                    Some(5) => drop(codes.next()),
                    Some(2) => drop(codes.by_ref().take(3).count()),
                    _ => {}
                },
                39 => self.style.color = None,
                _ => {}
            }
        }
    }
}

impl Perform for Painter {
    fn print(&mut self, character: char) {
        if std::mem::take(&mut self.returns) {
            self.parts.clear();
        }
        // XML does not allow these characters.
        if character.is_control() || matches!(character, '\u{fffe}' | '\u{ffff}') {
            return;
        }
        match self.parts.last_mut().filter(|part| part.style == self.style) {
            Some(part) => part.text.push(character),
            None => self.parts.push(Part { style: self.style, text: character.to_string() }),
        }
    }

    fn execute(&mut self, byte: u8) {
        match byte {
            b'\r' => self.returns = true,
            // A tab is a control character, but not one that changes a terminal.
            b'\t' => match self.parts.last_mut() {
                Some(part) => part.text.push('\t'),
                None => self.parts.push(Part { style: self.style, text: "\t".to_owned() }),
            },
            _ => {}
        }
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], ignore: bool, action: char) {
        if action == 'm' && intermediates.is_empty() && !ignore {
            self.select(params);
        }
    }
}

fn color(code: u16) -> Option<Color> {
    Some(match code {
        31 | 91 => Color::Red,
        32 | 92 => Color::Green,
        33 | 93 => Color::Yellow,
        34 | 94 => Color::Blue,
        35 | 95 => Color::Magenta,
        36 | 96 => Color::Cyan,
        90 => Color::Gray,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::plain("plain\ttext", "plain\ttext")]
    #[case::the_runners_own("\x1b[32;1m$ make\x1b[0;m", "[bold Green]$ make")]
    #[case::a_word_in_color("a \x1b[31merror\x1b[39m b", "a [Red]error[] b")]
    #[case::bright_colors("\x1b[90mgray\x1b[m \x1b[97mwhite", "[Gray]gray[] white")]
    #[case::another_palette("\x1b[38;5;196mred\x1b[38;2;1;2;3m\x1b[1mbold", "red[bold]bold")]
    #[case::progress("10 %\r\x1b[K50 %\rdone", "done")]
    #[case::a_return_at_the_end("done\r", "done")]
    #[case::other_sequences("\x1b]0;title\x07\x1b[2J\x1b(Btext\x07\x08\u{9b}31m", "text31m")]
    #[case::an_incomplete_sequence("text\x1b[3", "text")]
    fn a_line_has_its_colors(#[case] line: &str, #[case] expected: &str) {
        let text = |part: &Part| {
            let bold = part.style.is_bold.then(|| "bold".to_owned());
            let style: Vec<_> = bold.into_iter().chain(part.style.color.map(|it| format!("{it:?}"))).collect();
            (style.join(" "), part.text.clone())
        };
        let mut said = String::new();
        let mut last = String::new();
        for (style, text) in parts(line).iter().map(text) {
            if style != last {
                said.extend(["[", &style, "]"]);
            }
            said += &text;
            last = style;
        }
        assert_eq!(said, expected);
    }
}
