//! Patterns of paths, as `rules:changes` and `rules:exists` compare them: Ruby's `File.fnmatch` with `FNM_PATHNAME`,
//! `FNM_DOTMATCH` and `FNM_EXTGLOB`.
//!
//! `*` and `?` never cross a `/`, and `**/` stands for any number of folders; a `**` at the end is a `*`: `src/**` does not
//! fit `src/a/b`. <https://docs.ruby-lang.org/en/master/File.html#method-c-fnmatch>

use regex::{Regex, RegexBuilder};

/// How large a compiled pattern may be.
const LARGEST: usize = 1 << 20;

/// How deep braces may nest.
const DEEPEST: usize = 20;

/// A pattern, compiled. One that cannot be fits nothing.
#[derive(Clone, Debug)]
pub struct Glob(Option<Regex>);

impl Glob {
    /// Compiles a pattern.
    pub fn new(pattern: &str) -> Self {
        let characters: Vec<char> = pattern.chars().collect();
        let mut expression = "^".to_owned();
        let mut translator = Translator { characters: &characters, at: 0, depth: 0, expression: &mut expression };
        if !translator.sequence(true) {
            return Self(None);
        }
        expression.push('$');
        let built = RegexBuilder::new(&expression).size_limit(LARGEST).dot_matches_new_line(true).build();
        Self(built.ok())
    }

    /// Whether it fits all of a path.
    pub fn is_match(&self, path: &str) -> bool {
        self.0.as_ref().is_some_and(|expression| expression.is_match(path))
    }
}

/// Whether one of `patterns` fits one of `paths`.
pub fn any_fits(patterns: &[String], paths: &[String]) -> bool {
    patterns.iter().any(|pattern| {
        let glob = Glob::new(pattern);
        paths.iter().any(|path| glob.is_match(path))
    })
}

/// Whether one of `patterns` fits a file, or is a folder, among `paths`: `rules:exists`.
/// `lib/gitlab/ci/build/rules/rule/clause/exists.rb`
pub fn any_exists(patterns: &[String], paths: &[String]) -> bool {
    patterns.iter().any(|pattern| {
        if let Some(folder) = pattern.strip_suffix('/') {
            let inside = format!("{folder}/");
            return !folder.is_empty() && paths.iter().any(|path| path.starts_with(&inside));
        }
        if !pattern.contains(['*', '?', '[', '{', '\\']) {
            return paths.iter().any(|path| path == pattern);
        }
        let glob = Glob::new(pattern);
        paths.iter().any(|path| glob.is_match(path))
    })
}

struct Translator<'pattern> {
    characters: &'pattern [char],
    at: usize,
    depth: usize,
    expression: &'pattern mut String,
}

impl Translator<'_> {
    fn peek(&self) -> Option<char> {
        self.characters.get(self.at).copied()
    }

    fn starts_with(&self, text: &str) -> bool {
        text.chars().enumerate().all(|(index, character)| self.characters.get(self.at + index) == Some(&character))
    }

    fn literal(&mut self, character: char) {
        self.expression.push_str(&regex::escape(character.encode_utf8(&mut [0; 4])));
    }

    /// Translates up to the end, or within braces up to `,` or `}`. False for what cannot be a pattern.
    fn sequence(&mut self, is_outer: bool) -> bool {
        let mut is_segment_start = self.at == 0 || self.characters.get(self.at - 1) == Some(&'/');
        while let Some(character) = self.peek() {
            if !is_outer && matches!(character, ',' | '}') {
                return true;
            }
            if is_segment_start && self.starts_with("**/") {
                self.expression.push_str("(?:[^/]+/)*");
                self.at += 3;
                continue;
            }
            is_segment_start = character == '/';
            self.at += 1;
            match character {
                '*' => {
                    while self.peek() == Some('*') {
                        self.at += 1;
                    }
                    self.expression.push_str("[^/]*");
                }
                '?' => self.expression.push_str("[^/]"),
                '[' => {
                    if !self.class() {
                        return false;
                    }
                }
                '{' => {
                    if !self.braces() {
                        return false;
                    }
                }
                '\\' => match self.peek() {
                    Some(escaped) => {
                        self.at += 1;
                        self.literal(escaped);
                    }
                    None => self.literal('\\'),
                },
                other => self.literal(other),
            }
        }
        true
    }

    /// False for one that is never closed: nothing fits it.
    fn class(&mut self) -> bool {
        let rest = self.characters.get(self.at..).unwrap_or_default();
        // A `]` right at the beginning is one of the characters.
        let Some(end) = rest.iter().skip(1).position(|character| *character == ']').map(|end| end + 1) else {
            return false;
        };
        let inner = rest.get(..end).unwrap_or_default();
        let (is_negated, inner) = match inner.split_first() {
            Some(('!' | '^', inner)) if !inner.is_empty() => (true, inner),
            _ => (false, inner),
        };
        self.expression.push_str(if is_negated { "[^/" } else { "[" });
        for character in inner {
            if *character != '-' {
                self.expression.push('\\');
            }
            // An escaped letter or digit would be a class of its own.
            if character.is_alphanumeric() {
                self.expression.pop();
            }
            self.expression.push(*character);
        }
        self.expression.push(']');
        self.at += end + 1;
        true
    }

    fn braces(&mut self) -> bool {
        self.depth += 1;
        if self.depth > DEEPEST {
            return false;
        }
        self.expression.push_str("(?:");
        loop {
            if !self.sequence(false) {
                return false;
            }
            match self.peek() {
                Some(',') => self.expression.push('|'),
                Some(_) => break,
                // Never closed.
                None => return false,
            }
            self.at += 1;
        }
        self.at += 1;
        self.depth -= 1;
        self.expression.push(')');
        true
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    // By Ruby 3.1: File.fnmatch(pattern, path, File::FNM_PATHNAME | File::FNM_DOTMATCH | File::FNM_EXTGLOB)
    #[rstest]
    #[case::same("Dockerfile", "Dockerfile", true)]
    #[case::within_a_folder("*.rs", "main.rs", true)]
    #[case::not_across("*.rs", "src/main.rs", false)]
    #[case::folders("**/*.rs", "a/b/main.rs", true)]
    #[case::no_folder("**/*.rs", "main.rs", true)]
    #[case::below("src/**/*", "src/a/b", true)]
    #[case::last_stars_are_one("src/**", "src/a/b", false)]
    #[case::last_stars("src/**", "src/a", true)]
    #[case::hidden("*", ".env", true)]
    #[case::hidden_folder("**/x", ".git/x", true)]
    #[case::braces("*.{rb,py}", "a.py", true)]
    #[case::nested_braces("{a,b{c,d}}/x", "bd/x", true)]
    #[case::question("a?c", "abc", true)]
    #[case::question_is_no_slash("a?c", "a/c", false)]
    #[case::class("[a-c]x", "bx", true)]
    #[case::negated("[!a-c]x", "bx", false)]
    #[case::caret("[^a-c]x", "dx", true)]
    #[case::escaped("\\*", "*", true)]
    #[case::escaped_other("\\*", "a", false)]
    #[case::point_is_a_point("a.b", "axb", false)]
    #[case::open_class("a[b", "a[b", false)]
    fn patterns(#[case] pattern: &str, #[case] path: &str, #[case] expected: bool) {
        assert_eq!(Glob::new(pattern).is_match(path), expected);
    }

    #[rstest]
    #[case::file("Dockerfile", true)]
    #[case::not_deeper("main.rs", false)]
    #[case::folder("src/", true)]
    #[case::no_folder("Dockerfile/", false)]
    #[case::anywhere("**/*.rs", true)]
    fn existing(#[case] pattern: &str, #[case] expected: bool) {
        let paths = ["Dockerfile", "src/main.rs"].map(str::to_owned);
        assert_eq!(any_exists(&[pattern.to_owned()], &paths), expected);
    }

    #[test]
    fn hostile_patterns_end() {
        assert!(!Glob::new(&("*a".repeat(2000) + "b")).is_match(&"a".repeat(5000)));
        assert!(!Glob::new(&"{".repeat(10_000)).is_match("a"));
        assert!(!Glob::new(&"{a,".repeat(15)).is_match("a"));
    }
}
