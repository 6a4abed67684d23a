//! A run of the story when it is over, for each of its readers; all of it is made of a [`Record`](crate::record::Record).
//!
//! - [`terminal`]: who has started it. [`summary`]: who reviews a merge request.
//! - [`junit`], [`json`]: programs.

pub mod json;
pub mod junit;
pub mod summary;
pub mod terminal;

mod clean;
#[cfg(test)]
mod fixture;
mod words;
