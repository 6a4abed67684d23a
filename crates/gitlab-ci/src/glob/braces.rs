//! Braces in patterns: Ruby puts the alternatives in one after the other, before anything else of a pattern is read.

use std::ops::Range;

/// How many characters all alternatives of a pattern may have together: braces multiply each other.
const LARGEST: usize = 1 << 18;

/// Why a pattern cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// Its braces multiply to too much.
    #[error("the braces of a pattern stand for too many alternatives: together they may have {} characters", LARGEST)]
    TooManyAlternatives,
}

/// A pattern for each way to choose from its braces; none when they are not closed, or opened.
pub(super) fn expand(pattern: &str) -> Result<Vec<Vec<char>>, GlobError> {
    let mut expanded = Vec::new();
    let mut waiting: Vec<Vec<char>> = vec![pattern.chars().collect()];
    let mut size = 0;
    while let Some(pattern) = waiting.pop() {
        match first_braces(&pattern) {
            Braces::None => expanded.push(pattern),
            Braces::Unbalanced => {}
            Braces::Found { all, alternatives } => {
                let (before, after) = (pattern.get(..all.start), pattern.get(all.end..));
                for alternative in alternatives {
                    // Also those without a character count.
                    size += 1 + pattern.len() - all.len() + alternative.len();
                    if size > LARGEST {
                        return Err(GlobError::TooManyAlternatives);
                    }
                    let parts = [before, pattern.get(alternative), after];
                    waiting.push(parts.into_iter().flatten().flatten().copied().collect());
                }
            }
        }
    }
    Ok(expanded)
}

/// The first braces of a pattern that are not within others.
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
            '}' => {
                // Ruby takes a `}` without a `{` before it for broken, too.
                let Some(start) = start else { return Braces::Unbalanced };
                alternatives.push(from..at);
                return Braces::Found { all: start..at + 1, alternatives };
            }
            _ => {}
        }
    }
    if start.is_some() { Braces::Unbalanced } else { Braces::None }
}
