//! Writes the files of a report.

use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use private_dir::PrivateDir;

use super::{html, json, junit, log, summary};
use crate::record::Record;

/// Writes the files atomically, so that other programs never read an incomplete one. Returns their paths.
///
/// # Errors
/// If the directory cannot be written to.
pub fn write(record: &Record, dir: &PrivateDir) -> io::Result<Vec<PathBuf>> {
    let files = [
        ("junit.xml", junit::xml(record).map_err(io::Error::other)?),
        ("report.json", json::text(record)?),
        ("report.html", html::page(record, &log::read(record, dir))),
        ("summary.md", summary::markdown(record)),
    ];
    let written = files.into_iter().map(|(name, text)| {
        let new = dir.new_file(&format!(".{name}."))?;
        new.as_file().write_all(text.as_bytes())?;
        // A report contains no secrets, and users share it.
        new.as_file().set_permissions(Permissions::from_mode(0o644))?;
        new.keep(name)?;
        Ok(dir.path().join(name))
    });
    written.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::run::fixture;

    #[test]
    fn all_files_are_written_and_no_others() {
        let parent = tempfile::tempdir().unwrap();
        let dir = PrivateDir::open_shared(parent.path(), "deep/report").unwrap();
        let written = write(&fixture::failed(), &dir).unwrap();
        assert_eq!(write(&fixture::passed(), &dir).unwrap(), written);
        let mut names = dir.names().unwrap();
        names.sort();
        assert_eq!(names, ["junit.xml", "report.html", "report.json", "summary.md"]);
        assert!(std::fs::read_to_string(&written[0]).unwrap().contains("failures=\"0\""));
    }
}
