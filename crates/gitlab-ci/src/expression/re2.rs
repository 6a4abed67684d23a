//! Translates RE2 syntax for the `regex` crate where the two differ, so that the meaning stays the same.
//!
//! See `https://github.com/google/re2/wiki/Syntax`. `\C` and octal numbers, which RE2 accepts, are not supported.

use super::error::PatternError;

/// RE2's maximum count in `{...}`.
const MAX_REPETITIONS: u32 = 1000;

/// Rewrites a regular expression in RE2 syntax for the `regex` crate. Mistakes that are errors in both are left for the
/// `regex` crate to report.
pub(super) fn translate(pattern: &str) -> Result<String, PatternError> {
    let mut translation = Translation { rest: pattern, output: String::with_capacity(pattern.len()) };
    let mut quantified = false;
    while let Some(character) = translation.next() {
        quantified = match character {
            '\\' => translation.escape()?,
            '[' => translation.class()?,
            '(' => translation.group()?,
            '*' | '+' | '?' => translation.quantifier(&character.to_string(), quantified)?,
            '{' => match counts(translation.rest)? {
                Some(inner) => {
                    translation.skip(inner.len());
                    translation.quantifier(&format!("{{{inner}"), quantified)?
                }
                None => translation.push(r"\{"),
            },
            other => translation.push(other.encode_utf8(&mut [0; 4])),
        };
    }
    Ok(translation.output)
}

/// Parses `2}`, `2,}` or `2,4}` at the start of the text after a `{`. If anything else follows, the `{` is a literal.
fn counts(text: &str) -> Result<Option<&str>, PatternError> {
    let Some((inner, _)) = text.split_once('}') else { return Ok(None) };
    let (least, most) = inner.split_once(',').unwrap_or((inner, ""));
    let is_count = |count: &str| count.bytes().all(|byte| byte.is_ascii_digit());
    if least.is_empty() || !is_count(least) || !is_count(most) {
        return Ok(None);
    }
    for count in [least, most].into_iter().filter(|count| !count.is_empty()) {
        if count.parse().is_ok_and(|count: u32| count <= MAX_REPETITIONS) {
            continue;
        }
        return Err(PatternError::Syntax(format!("a part cannot be repeated more than {MAX_REPETITIONS} times")));
    }
    Ok(text.get(..=inner.len()))
}

struct Translation<'text> {
    rest: &'text str,
    output: String,
}

/// Methods that write a part return whether that part is a quantifier.
impl Translation<'_> {
    fn next(&mut self) -> Option<char> {
        let mut characters = self.rest.chars();
        let next = characters.next();
        self.rest = characters.as_str();
        next
    }

    /// Removes `prefix` from the rest of the pattern, if it starts with it.
    fn take(&mut self, prefix: &str) -> bool {
        let after = self.rest.strip_prefix(prefix);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    fn skip(&mut self, length: usize) {
        self.rest = self.rest.get(length..).unwrap_or_default();
    }

    fn push(&mut self, text: &str) -> bool {
        self.output.push_str(text);
        false
    }

    /// RE2 refuses `a**` and `a++`, which the `regex` crate reads as a repetition of a repetition.
    fn quantifier(&mut self, text: &str, quantified: bool) -> Result<bool, PatternError> {
        if quantified {
            return Err(PatternError::Syntax(format!("`{text}` follows another repetition")));
        }
        self.push(text);
        if self.take("?") {
            self.push("?");
        }
        Ok(true)
    }

    /// RE2 has only the flags `imsU`. The other flags of the `regex` crate would change how the rest is parsed.
    fn group(&mut self) -> Result<bool, PatternError> {
        self.push("(");
        if !self.take("?") {
            return Ok(false);
        }
        self.push("?");
        if self.rest.starts_with("P<") || self.rest.starts_with('<') {
            return Ok(self.take("P"));
        }
        let flags = self.rest.find([':', ')']).and_then(|end| self.rest.get(..end)).unwrap_or(self.rest);
        if let Some(unknown) = flags.chars().find(|flag| !"imsU-".contains(*flag)) {
            return Err(PatternError::Syntax(format!(
                "RE2 does not support groups with `(?{}`",
                unknown.escape_debug()
            )));
        }
        self.skip(flags.len());
        Ok(self.push(flags))
    }

    fn escape(&mut self) -> Result<bool, PatternError> {
        if self.take("Q") {
            let (literal, after) = self.rest.split_once(r"\E").unwrap_or((self.rest, ""));
            self.rest = after;
            return Ok(self.push(&regex::escape(literal)));
        }
        match self.next() {
            Some('b') => Ok(self.push(r"(?-u:\b)")),
            Some('B') => Ok(self.push(r"(?-u:\B)")),
            Some(anchor @ ('A' | 'z')) => Ok(self.push(if anchor == 'A' { r"\A" } else { r"\z" })),
            other => self.escaped_in_class(other),
        }
    }

    /// `\d`, `\s` and `\w` match ASCII only. `\<` and `\>` are not word boundaries.
    fn escaped_in_class(&mut self, escaped: Option<char>) -> Result<bool, PatternError> {
        let Some(escaped) = escaped else { return Ok(self.push("\\")) };
        Ok(match escaped {
            'd' => self.push("[0-9]"),
            'D' => self.push("[^0-9]"),
            's' => self.push(r"[\t\n\f\r ]"),
            'S' => self.push(r"[^\t\n\f\r ]"),
            'w' => self.push("[0-9A-Za-z_]"),
            'W' => self.push("[^0-9A-Za-z_]"),
            '<' | '>' => self.push(escaped.encode_utf8(&mut [0; 4])),
            'p' | 'P' => self.unicode_class(escaped)?,
            'a' | 'f' | 'n' | 'r' | 't' | 'v' | 'x' => {
                self.push("\\");
                self.push(escaped.encode_utf8(&mut [0; 4]))
            }
            _ if escaped.is_ascii_punctuation() || escaped == ' ' => {
                self.push("\\");
                self.push(escaped.encode_utf8(&mut [0; 4]))
            }
            _ => return Err(PatternError::Syntax(format!("RE2 does not support `\\{}`", escaped.escape_debug()))),
        })
    }

    /// `\pL`, `\p{Greek}`, `\p{^Lu}`: general categories and scripts.
    fn unicode_class(&mut self, escaped: char) -> Result<bool, PatternError> {
        let Some(rest) = self.rest.strip_prefix('{') else {
            self.push("\\");
            return Ok(self.push(escaped.encode_utf8(&mut [0; 4])));
        };
        let name = rest.split_once('}').map_or(rest, |(name, _)| name);
        self.skip(name.len() + 2);
        let (is_negated, bare) = name.strip_prefix('^').map_or((false, name), |bare| (true, bare));
        // The `regex` crate also has names of properties, and ignores case.
        let is_name = bare.starts_with(|first: char| first.is_ascii_uppercase())
            && bare.chars().all(|character| character.is_ascii_alphabetic() || character == '_');
        if !is_name {
            return Err(PatternError::Syntax(format!("RE2 has no Unicode class `{}`", name.escape_debug())));
        }
        let class = if is_negated == (escaped == 'P') { "p" } else { "P" };
        Ok(self.push(&format!("\\{class}{{{bare}}}")))
    }

    /// In a class, `[`, `&&`, `--` and `~~` are literals.
    fn class(&mut self) -> Result<bool, PatternError> {
        self.push("[");
        if self.take("^") {
            self.push("^");
        }
        if self.take("]") {
            self.push(r"\]");
        }
        while let Some(character) = self.next() {
            match character {
                ']' => return Ok(self.push("]")),
                '\\' => {
                    let escaped = self.next();
                    self.escaped_in_class(escaped)?
                }
                '[' if self.rest.starts_with(':') => {
                    let name = self.rest.find(":]").and_then(|end| self.rest.get(..end + 2)).unwrap_or(":");
                    self.skip(name.len());
                    self.push("[");
                    self.push(name)
                }
                '-' if self.take("-") => self.push(r"-\-"),
                '[' | '&' | '~' => {
                    self.push("\\");
                    self.push(character.encode_utf8(&mut [0; 4]))
                }
                other => self.push(other.encode_utf8(&mut [0; 4])),
            };
        }
        Err(PatternError::Syntax("unclosed character class".into()))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    // From RE2's documentation, https://github.com/google/re2/wiki/Syntax.
    #[rstest]
    #[case::digits_are_ascii(r"^\d$", "٣", false)]
    #[case::words_are_ascii(r"^\w+$", "é", false)]
    #[case::word_boundaries_are_ascii(r"\bb", "éb", true)]
    #[case::space_without_vertical_tab(r"\s", "\u{b}", false)]
    #[case::no_digit_in_a_class(r"^[\D]$", "٣", true)]
    #[case::classes_in_a_class(r"^[\w.-]+$", "a-b.c", true)]
    #[case::a_dot_is_a_character("^.$", "é", true)]
    #[case::braces_with_counts("^a{2,3}$", "aaa", true)]
    #[case::literal_braces("^{a}$", "{a}", true)]
    #[case::braces_without_a_minimum("^a{,2}$", "a{,2}", true)]
    #[case::brackets_in_a_class("^[[a]$", "[", true)]
    #[case::closing_bracket_first("^[]a]+$", "]a", true)]
    #[case::not_a_closing_bracket("^[^]a]$", "b", true)]
    #[case::no_intersection("^[a&&b]$", "a", true)]
    #[case::no_difference("^[+--]$", "-", true)]
    #[case::posix_class("^[[:alpha:]-]+$", "a-b", true)]
    #[case::angle_brackets(r"\<a\>", "<a>", true)]
    #[case::quoted(r"^\Qa.b*\E+$", "a.b**", true)]
    #[case::flags_within("^(?i)ab(?-i:C)$", "ABC", true)]
    #[case::named_group("^(?P<a>b)(?<c>d)$", "bd", true)]
    #[case::dollar_matches_only_at_the_end("a$", "a\n", false)]
    #[case::unicode_class(r"^\p{L}+$", "äb", true)]
    #[case::script(r"^\p{Greek}$", "λ", true)]
    #[case::negated_class(r"^\p{^L}\P{L}\P{^L}$", "12λ", true)]
    #[case::unicode_class_in_a_class(r"^[\p{Lu}\d-]+$", "Ä-1", true)]
    #[case::unicode_class_with_a_count(r"^\p{Nd}{2}$", "12", true)]
    #[case::not_at_a_word_boundary(r"a\Bb", "ab", true)]
    fn keeps_the_meaning(#[case] pattern: &str, #[case] text: &str, #[case] expected: bool) {
        let translated = translate(pattern).unwrap();
        assert_eq!(regex::Regex::new(&translated).unwrap().is_match(text), expected, "{translated}");
    }

    #[rstest]
    #[case::repeated_repetition("a**")]
    #[case::possessive("a++")]
    #[case::counted_twice("a{2}{3}")]
    #[case::repeated_too_often("a{1001}")]
    #[case::count_out_of_range("a{99999999999}")]
    #[case::flag_x("(?x) a")]
    #[case::look_ahead("(?=a)")]
    #[case::unknown_letter(r"\u0041")]
    #[case::back_reference(r"(a)\1")]
    #[case::unicode_class_in_lower_case(r"\p{greek}")]
    #[case::unicode_property(r"\p{script=Greek}")]
    #[case::end_of_text(r"a\Z")]
    #[case::unclosed_class("[a")]
    fn rejects_what_re2_does_not_support(#[case] pattern: &str) {
        assert!(translate(pattern).is_err());
    }
}
