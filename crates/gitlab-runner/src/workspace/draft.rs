//! New archives, which appear at their place only when they are complete.

use std::fs::{DirEntry, File};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flate2::Compression;
use flate2::read::DeflateEncoder;
use tempfile::NamedTempFile;

/// The start of a draft's name.
const PREFIX: &str = ".draft-";

/// No job takes so long to write an archive.
const MAX_AGE: Duration = Duration::from_hours(24);

/// A file that only this user can read. Dropping the draft removes the file, and further writes to it fail: an interrupted job does not
/// wait for its archive.
#[derive(Debug)]
pub struct Draft {
    file: NamedTempFile,
    stop: Stop,
}

/// Stops the writers when it is dropped.
#[derive(Debug, Default)]
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Draft {
    /// Creates an empty draft in the directory `dir`, which must be on the file system of its later place.
    ///
    /// # Errors
    /// The file cannot be created, for lack of permission or disk space.
    pub fn new(dir: &Path) -> io::Result<Self> {
        Ok(Self { file: tempfile::Builder::new().prefix(PREFIX).tempfile_in(dir)?, stop: Stop::default() })
    }

    /// A writer for the draft.
    ///
    /// # Errors
    /// Too many files are open.
    pub fn writer(&self) -> io::Result<DraftWriter> {
        Ok(DraftWriter { file: self.file.reopen()?, is_stopped: Arc::clone(&self.stop.0) })
    }

    /// The size that GitLab compares with the limit, in bytes: that of the compressed archive. A draft of at most `limit` bytes is not
    /// compressed, and its own size is returned. Compression stops at `limit + 1` bytes.
    ///
    /// # Errors
    /// The draft cannot be read.
    pub fn upload_size(&self, limit: u64) -> io::Result<u64> {
        let plain = self.file.as_file().metadata()?.len();
        if plain <= limit {
            return Ok(plain);
        }
        let compressed = DeflateEncoder::new(self.file.reopen()?, Compression::fast());
        io::copy(&mut Read::take(compressed, limit + 1), &mut io::sink())
    }

    /// Moves the complete draft to `place`, and replaces a file that exists there.
    ///
    /// # Errors
    /// The file cannot be moved: `place` is on another file system, or a directory.
    pub fn keep(self, place: &Path) -> io::Result<()> {
        self.file.persist(place).map(drop).map_err(|error| error.error)
    }
}

/// Removes drafts that killed processes have left in a directory.
pub fn remove_old(dir: &Path) {
    let is_old = |entry: &DirEntry| {
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        modified.is_ok_and(|modified| modified.elapsed().is_ok_and(|age| age > MAX_AGE))
    };
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let drafts = entries.filter(|entry| entry.file_name().as_bytes().starts_with(PREFIX.as_bytes()));
    for draft in drafts.filter(is_old) {
        // Another process may remove it at the same time.
        let _ = std::fs::remove_file(draft.path());
    }
}

/// Writes a draft.
#[derive(Debug)]
pub struct DraftWriter {
    file: File,
    is_stopped: Arc<AtomicBool>,
}

impl DraftWriter {
    /// Checks that the draft still exists.
    ///
    /// # Errors
    /// The draft was dropped.
    pub fn check(&self) -> io::Result<()> {
        if self.is_stopped.load(Ordering::Relaxed) {
            return Err(io::Error::other("the job has ended"));
        }
        Ok(())
    }
}

impl Write for DraftWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.check()?;
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn a_draft_appears_complete_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("a.tar");
        std::fs::write(&place, "the previous one").unwrap();
        let draft = Draft::new(dir.path()).unwrap();
        draft.writer().unwrap().write_all(b"half").unwrap();
        drop(draft);
        assert_eq!(std::fs::read_to_string(&place).unwrap(), "the previous one");
        let draft = Draft::new(dir.path()).unwrap();
        draft.writer().unwrap().write_all(b"whole").unwrap();
        draft.keep(&place).unwrap();
        assert_eq!(std::fs::read_to_string(&place).unwrap(), "whole");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_compressed_size_counts() {
        let dir = tempfile::tempdir().unwrap();
        let draft = Draft::new(dir.path()).unwrap();
        draft.writer().unwrap().write_all(&vec![0; 100_000]).unwrap();
        assert_eq!(draft.upload_size(100_000).unwrap(), 100_000);
        assert!(draft.upload_size(10_000).unwrap() < 1000);
        let mut random = vec![0; 50_000];
        fastrand::fill(&mut random);
        let draft = Draft::new(dir.path()).unwrap();
        draft.writer().unwrap().write_all(&random).unwrap();
        assert_eq!(draft.upload_size(10_000).unwrap(), 10_001);
    }

    #[test]
    fn drafts_of_killed_processes_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let draft = Draft::new(dir.path()).unwrap();
        let old = dir.path().join(".draft-old");
        for path in [&old, &dir.path().join("cache.tar")] {
            let file = File::create(path).unwrap();
            file.set_modified(SystemTime::now() - 2 * MAX_AGE).unwrap();
        }
        remove_old(dir.path());
        let mut left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        left.sort();
        assert_eq!(left, [draft.file.path(), &dir.path().join("cache.tar")]);
    }

    #[test]
    fn a_writer_stops_when_nobody_needs_the_draft() {
        let dir = tempfile::tempdir().unwrap();
        let draft = Draft::new(dir.path()).unwrap();
        let mut writer = draft.writer().unwrap();
        assert!(writer.check().is_ok());
        drop(draft);
        assert_eq!(writer.write(b"x").unwrap_err().to_string(), "the job has ended");
    }
}
