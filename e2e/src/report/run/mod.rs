//! The reports of a finished run. All are rendered from a [`Record`](crate::record::Record).
//!
//! - [`terminal`]: the output at the end of a run. [`html`]: the page. [`summary`]: a comment for a merge request.
//! - [`log`]: the logs of jobs, for the page.
//! - [`junit`], [`json`]: for programs.
//! - [`mod@write`]: writes all but the first to files.

pub mod html;
pub mod json;
pub mod junit;
pub mod log;
pub mod summary;
pub mod terminal;
pub mod write;

pub(super) mod clean;
#[cfg(test)]
mod fixture;
pub(super) mod words;

use crate::record::Verdict;

/// The symbol for a result in the terminal.
pub(super) fn symbol(verdict: Verdict) -> &'static str {
    words::Kind::from(verdict).symbol()
}
