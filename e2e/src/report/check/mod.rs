//! The reports of `e2e check`. All are rendered from a [`CheckReport`](crate::record::check_report::CheckReport).
//!
//! - [`json`]: the report itself. [`yaml`]: statistics in the form of Gateway API's report. [`html`]: a page. [`history`]: a CSV file of
//!   several reports.
//! - [`read`]: reads the JSON report again. [`diff`]: compares two of them.

pub mod diff;
pub mod history;
pub mod html;
pub mod json;
pub mod read;
pub mod yaml;

#[cfg(test)]
pub(super) mod fixture;
