//! The files of a report.

use std::io;
use std::path::Path;

use crate::record::Record;

/// Writes them.
///
/// # Errors
/// When the folder cannot be written to.
pub fn write(record: &Record, folder: &Path) -> io::Result<()> {
    std::fs::write(folder.join("report.json"), serde_json::to_string_pretty(record).map_err(io::Error::other)? + "\n")
}
