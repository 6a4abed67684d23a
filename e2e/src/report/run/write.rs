//! The files of a report.

use std::io;
use std::path::{Path, PathBuf};

use super::{html, json, junit, summary};
use crate::record::Record;

/// Writes them, each all at once or not at all: who watches the folder never reads half of one. Returns their paths.
///
/// # Errors
/// When the folder cannot be written to.
pub fn write(record: &Record, folder: &Path) -> io::Result<Vec<PathBuf>> {
    std::fs::create_dir_all(folder)?;
    let files = [
        ("junit.xml", junit::xml(record).map_err(io::Error::other)?),
        ("report.json", json::text(record)?),
        ("report.html", html::page(record)),
        ("summary.md", summary::markdown(record)),
    ];
    let written = files.into_iter().map(|(name, text)| {
        let path = folder.join(name);
        let half = folder.join(format!(".{name}.{}", std::process::id()));
        let done = std::fs::write(&half, text).and_then(|()| std::fs::rename(&half, &path));
        if done.is_err() {
            // What is told is why it could not be written.
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
    fn all_files_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("deep/report");
        let written = write(&fixture::failed(), &folder).unwrap();
        assert_eq!(write(&fixture::passed(), &folder).unwrap(), written);
        let mut names: Vec<_> = std::fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["junit.xml", "report.html", "report.json", "summary.md"]);
        assert!(std::fs::read_to_string(&written[0]).unwrap().contains("failures=\"0\""));
    }

    #[test]
    fn a_folder_that_is_none() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(write(&fixture::passed(), file.path()).is_err());
    }
}
