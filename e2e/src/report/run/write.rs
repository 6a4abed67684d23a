//! Writes the files of a report.

use std::io;
use std::path::{Path, PathBuf};

use super::{html, json, junit, summary};
use crate::record::Record;

/// Writes the files atomically, so that other programs never read an incomplete one. Returns their paths.
///
/// # Errors
/// If the directory cannot be written to.
pub fn write(record: &Record, directory: &Path) -> io::Result<Vec<PathBuf>> {
    std::fs::create_dir_all(directory)?;
    let files = [
        ("junit.xml", junit::xml(record).map_err(io::Error::other)?),
        ("report.json", json::text(record)?),
        ("report.html", html::page(record)),
        ("summary.md", summary::markdown(record)),
    ];
    let written = files.into_iter().map(|(name, text)| {
        let path = directory.join(name);
        let half = directory.join(format!(".{name}.{}", std::process::id()));
        let done = std::fs::write(&half, text).and_then(|()| std::fs::rename(&half, &path));
        if done.is_err() {
            // Report the first error, not an error of the cleanup.
            let _ = std::fs::remove_file(&half);
        }
        done.map(|()| path)
    });
    written.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::run::fixture;

    #[test]
    fn all_files_are_written_and_no_others() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path().join("deep/report");
        let written = write(&fixture::failed(), &directory).unwrap();
        assert_eq!(write(&fixture::passed(), &directory).unwrap(), written);
        let mut names: Vec<_> = std::fs::read_dir(&directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["junit.xml", "report.html", "report.json", "summary.md"]);
        assert!(std::fs::read_to_string(&written[0]).unwrap().contains("failures=\"0\""));
    }

    #[test]
    fn a_file_instead_of_the_directory_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(write(&fixture::passed(), file.path()).is_err());
    }
}
