//! A run of the story when it is over, for each of its readers; all of it is made of a [`Record`](crate::record::Record).
//!
//! - [`terminal`]: who has started it. [`html`]: who looks at it later. [`summary`]: who reviews a merge request.
//! - [`junit`], [`json`]: programs.
//! - [`mod@write`]: the files of all but the first.

pub mod html;
pub mod json;
pub mod junit;
pub mod summary;
pub mod terminal;
pub mod write;

mod clean;
#[cfg(test)]
mod fixture;
mod words;

use crate::record::Verdict;

/// A mark for how something ended.
pub(super) fn mark(verdict: Verdict) -> &'static str {
    words::Kind::from(verdict).mark()
}
