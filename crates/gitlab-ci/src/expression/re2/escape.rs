//! What can follow a backslash.

use super::Translation;
use super::error::Mistake;

/// Unicode's general categories as RE2 names them: `unicode_groups.cc`
const CATEGORIES: [&str; 37] = [
    "Any", "C", "Cc", "Cf", "Co", "Cs", "L", "Ll", "Lm", "Lo", "Lt", "Lu", "M", "Mc", "Me", "Mn", "N", "Nd", "Nl",
    "No", "P", "Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "S", "Sc", "Sk", "Sm", "So", "Z", "Zl", "Zp", "Zs",
];

/// What half of a surrogate pair is for a text, which contains none.
pub(super) const NOTHING: &str = r"[^\x00-\x{10FFFF}]";
const ANYTHING: &str = r"[\x00-\x{10FFFF}]";

/// The greatest code point.
const MAX_CODE: u32 = 0x10_FFFF;

impl<'text> Translation<'text> {
    /// Reads an escape outside of classes. Its backslash, with which `start` begins, has already been skipped.
    pub(super) fn escape(&mut self, start: &'text str) -> Result<(), Mistake> {
        if self.take("Q") {
            let (literal, after) = self.rest.split_once(r"\E").unwrap_or((self.rest, ""));
            self.rest = after;
            literal.chars().for_each(|character| self.literal(character));
            return Ok(());
        }
        // Word boundaries are those of ASCII.
        let others = [("b", r"(?-u:\b)"), ("B", r"(?-u:\B)"), ("A", r"\A"), ("z", r"\z"), ("C", "(?s:.)")];
        for (letter, translation) in others {
            if self.take(letter) {
                self.part(translation);
                return Ok(());
            }
        }
        if let Some(class) = self.escaped_class(start)? {
            self.part(&class);
            return Ok(());
        }
        match char::from_u32(self.escaped_code(start)?) {
            Some(character) => self.literal(character),
            None => self.part(NOTHING),
        }
        Ok(())
    }

    /// Reads a class such as `\d` or `\p{Greek}`, and returns it in the syntax of the `regex` crate. Of the letters, digits and spaces, only those of
    /// ASCII match.
    pub(super) fn escaped_class(&mut self, start: &'text str) -> Result<Option<String>, Mistake> {
        let class = match self.rest.chars().next() {
            Some('d') => "[0-9]",
            Some('D') => "[^0-9]",
            Some('s') => r"[\t\n\f\r ]",
            Some('S') => r"[^\t\n\f\r ]",
            Some('w') => "[0-9A-Za-z_]",
            Some('W') => "[^0-9A-Za-z_]",
            Some('p') => return self.unicode_class(start, false).map(Some),
            Some('P') => return self.unicode_class(start, true).map(Some),
            _ => return Ok(None),
        };
        self.next();
        Ok(Some(class.to_owned()))
    }

    /// Reads `pL` or `p{^Greek}`: `ParseUnicodeGroup`
    fn unicode_class(&mut self, start: &'text str, is_negated: bool) -> Result<String, Mistake> {
        self.next();
        let name = if self.take("{") {
            let Some((name, rest)) = self.rest.split_once('}') else { return Err(Mistake::Range(start.into())) };
            self.rest = rest;
            name
        } else {
            let name = self.rest;
            self.next();
            name.strip_suffix(self.rest).unwrap_or(name)
        };
        let (is_negated, name) = match name.strip_prefix('^') {
            Some(name) => (!is_negated, name),
            None => (is_negated, name),
        };
        let letter = if is_negated { 'P' } else { 'p' };
        match name {
            "Cs" => Ok(if is_negated { ANYTHING } else { NOTHING }.to_owned()),
            _ if CATEGORIES.contains(&name) => Ok(format!(r"\{letter}{{{name}}}")),
            _ if is_script(name) => Ok(format!(r"\{letter}{{Script={name}}}")),
            _ => Err(Mistake::Range(self.read_since(start).into())),
        }
    }

    /// Reads any other escape, and returns the code point for which it stands: `ParseEscape`
    pub(super) fn escaped_code(&mut self, start: &'text str) -> Result<u32, Mistake> {
        let Some(character) = self.next() else { return Err(Mistake::TrailingBackslash) };
        let code = match character {
            'a' => Some(0x07),
            'f' => Some(0x0C),
            'n' => Some(0x0A),
            'r' => Some(0x0D),
            't' => Some(0x09),
            'v' => Some(0x0B),
            'x' => self.hexadecimal(),
            // A single digit would be a back reference.
            '1'..='7' if !self.rest.starts_with(|next: char| ('0'..='7').contains(&next)) => None,
            '0'..='7' => Some(self.octal(character)),
            _ if character.is_ascii() && !character.is_ascii_alphanumeric() => Some(character.into()),
            _ => None,
        };
        code.ok_or_else(|| Mistake::Escape(self.read_since(start).into()))
    }

    /// Reads up to two more digits.
    fn octal(&mut self, first: char) -> u32 {
        let mut code = first.to_digit(8).unwrap_or_default();
        for _ in 0..2 {
            let Some(digit) = self.rest.chars().next().and_then(|next| next.to_digit(8)) else { break };
            self.next();
            code = code * 8 + digit;
        }
        code
    }

    /// Reads `40` or `{1F600}`.
    fn hexadecimal(&mut self) -> Option<u32> {
        let digit = |next: Option<char>| next.and_then(|next| next.to_digit(16));
        let first = self.next();
        if first != Some('{') {
            return Some(digit(first)? * 16 + digit(self.next())?);
        }
        let mut code = digit(self.next())?;
        loop {
            match self.next() {
                Some('}') => return Some(code),
                next => code = code * 16 + digit(next)?,
            }
            if code > MAX_CODE {
                return None;
            }
        }
    }
}

/// Whether Unicode has a script of this name. The `regex` crate also finds it in lower case.
fn is_script(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_uppercase())
        && name.chars().all(|character| character.is_ascii_alphabetic() || character == '_')
        && regex::Regex::new(&format!(r"\p{{Script={name}}}")).is_ok()
}
