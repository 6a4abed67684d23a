//! A path pattern without braces.

use std::str::Chars;

/// A compiled pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    segments: Vec<Segment>,
}

/// The part of a pattern between two slashes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Segment {
    /// Whether any number of directories may precede the segment: `**/`.
    is_anywhere: bool,
    tokens: Vec<Token>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Literal(char),
    Any,
    Star,
    Class { is_negated: bool, ranges: Vec<(char, char)> },
}

impl Pattern {
    /// Compiles a pattern. Returns `None` for a pattern that matches nothing.
    pub(super) fn compile(pattern: &[char]) -> Option<Self> {
        let mut segments = vec![Segment::default()];
        let mut rest = pattern;
        while let Some(segment) = segments.last_mut() {
            if segment.tokens.is_empty() {
                while let ['*', '*', '/', after @ ..] = rest {
                    segment.is_anywhere = true;
                    rest = after;
                }
            }
            let token = match rest {
                // A backslash escapes the end of the pattern.
                [] | ['\\'] => break,
                ['/', after @ ..] | ['\\', '/', after @ ..] => {
                    rest = after;
                    segments.push(Segment::default());
                    continue;
                }
                ['*', after @ ..] => {
                    rest = after;
                    // Consecutive stars are equivalent to one star.
                    if segment.tokens.last() == Some(&Token::Star) {
                        continue;
                    }
                    Token::Star
                }
                ['?', after @ ..] => {
                    rest = after;
                    Token::Any
                }
                ['[', after @ ..] => {
                    let (class, after) = class(after)?;
                    rest = after;
                    class
                }
                ['\\', character, after @ ..] | [character, after @ ..] => {
                    rest = after;
                    Token::Literal(*character)
                }
            };
            segment.tokens.push(token);
        }
        Some(Self { segments })
    }

    /// Whether the pattern matches the whole path.
    ///
    /// Only the last `**/` segment reached so far needs other attempts: the segments before it have already matched, at
    /// the earliest possible position.
    pub(super) fn matches(&self, path: &str) -> bool {
        let mut parts = path.split('/');
        let mut at = 0;
        let mut retry = None;
        loop {
            let segment = self.segments.get(at);
            if segment.is_some_and(|segment| segment.is_anywhere)
                && retry.as_ref().is_none_or(|(other, _)| *other != at)
            {
                retry = Some((at, parts.clone()));
            }
            let part = parts.next();
            match (segment, part) {
                (None, None) => return true,
                (Some(segment), Some(part)) if segment.matches(part) => {
                    at += 1;
                    continue;
                }
                // Later attempts have even fewer parts left.
                (Some(_), None) => return false,
                _ => {}
            }
            let Some((first, from)) = &mut retry else { return false };
            if from.next().is_none() {
                return false;
            }
            (at, parts) = (*first, from.clone());
        }
    }
}

/// Reads a character class after its `[`. A `]` directly after that closes it: `[]` matches no character and `[!]`
/// every one.
fn class(pattern: &[char]) -> Option<(Token, &[char])> {
    let (is_negated, mut rest) = match pattern {
        ['!' | '^', after @ ..] => (true, after),
        _ => (false, pattern),
    };
    let mut ranges = Vec::new();
    loop {
        if let [']', after @ ..] = rest {
            return Some((Token::Class { is_negated, ranges }, after));
        }
        let (first, after) = escaped(rest)?;
        rest = after;
        ranges.push((first, first));
        if let ['-', after @ ..] = rest
            && after.first() != Some(&']')
        {
            let (last, after) = escaped(after)?;
            rest = after;
            // A reversed range matches its two ends only.
            ranges.extend([(first, last), (last, last)]);
        }
    }
}

fn escaped(pattern: &[char]) -> Option<(char, &[char])> {
    match pattern {
        ['\\', rest @ ..] | rest => rest.split_first().map(|(character, after)| (*character, after)),
    }
}

impl Segment {
    /// The same algorithm within a segment, with `*` in the role of `**/`.
    fn matches(&self, text: &str) -> bool {
        let mut characters = text.chars();
        let mut at = 0;
        let mut retry: Option<(usize, Chars)> = None;
        loop {
            let token = self.tokens.get(at);
            if token == Some(&Token::Star) {
                at += 1;
                retry = Some((at, characters.clone()));
                continue;
            }
            match (token, characters.next()) {
                (None, None) => return true,
                (Some(token), Some(character)) if token.matches(character) => {
                    at += 1;
                    continue;
                }
                (Some(_), None) => return false,
                _ => {}
            }
            let Some((first, from)) = &mut retry else { return false };
            if from.next().is_none() {
                return false;
            }
            (at, characters) = (*first, from.clone());
        }
    }
}

impl Token {
    fn matches(&self, character: char) -> bool {
        match self {
            Self::Literal(literal) => *literal == character,
            Self::Any => true,
            Self::Star => false,
            Self::Class { is_negated, ranges } => {
                ranges.iter().any(|(first, last)| (*first..=*last).contains(&character)) != *is_negated
            }
        }
    }
}
