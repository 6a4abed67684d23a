//! Braces in path patterns. Ruby expands them into alternatives before it reads anything else in the pattern.

use std::ops::Range;

/// The maximum number of characters in all alternatives of a pattern together. Braces multiply each other.
const MAX_CHARACTERS: usize = 1 << 18;

/// Why a pattern cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// The braces expand to more than 262,144 characters.
    #[error(
        "the braces of the pattern expand to too many alternatives: they may have {} characters in total",
        MAX_CHARACTERS
    )]
    TooManyAlternatives,
}

/// Returns one pattern per combination of alternatives, or no pattern if a brace is not balanced.
pub(super) fn expand(pattern: &str) -> Result<Vec<Vec<char>>, GlobError> {
    let mut expanded = Vec::new();
    let mut pending: Vec<Vec<char>> = vec![pattern.chars().collect()];
    let mut size = 0;
    while let Some(pattern) = pending.pop() {
        match first_braces(&pattern) {
            Braces::None => expanded.push(pattern),
            Braces::Unbalanced => {}
            Braces::Found { all, alternatives } => {
                let (before, after) = (pattern.get(..all.start), pattern.get(all.end..));
                for alternative in alternatives {
                    // Empty alternatives count as well.
                    size += 1 + pattern.len() - all.len() + alternative.len();
                    if size > MAX_CHARACTERS {
                        return Err(GlobError::TooManyAlternatives);
                    }
                    let parts = [before, pattern.get(alternative), after];
                    pending.push(parts.into_iter().flatten().flatten().copied().collect());
                }
            }
        }
    }
    Ok(expanded)
}

/// The first braces of a pattern that are not inside other braces.
enum Braces {
    None,
    Unbalanced,
    Found { all: Range<usize>, alternatives: Vec<Range<usize>> },
}

fn first_braces(pattern: &[char]) -> Braces {
    let mut depth = 0_usize;
    let mut start = None;
    let (mut from, mut alternatives) = (0, Vec::new());
    let mut characters = pattern.iter().enumerate();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => {
                characters.next();
            }
            '{' => {
                depth += 1;
                if start.is_none() {
                    (start, from) = (Some(at), at + 1);
                }
            }
            ',' if depth == 1 => {
                alternatives.push(from..at);
                from = at + 1;
            }
            '}' if depth > 1 => depth -= 1,
            // A `}` without a `{` before it is a character like others.
            '}' => {
                let Some(start) = start else { continue };
                alternatives.push(from..at);
                return Braces::Found { all: start..at + 1, alternatives };
            }
            _ => {}
        }
    }
    if start.is_some() { Braces::Unbalanced } else { Braces::None }
}
