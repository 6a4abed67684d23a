//! New archives, which appear at their place only when they are complete.

use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flate2::Compression;
use flate2::read::DeflateEncoder;
use private_dir::{NewFile, PrivateDir};

/// The start of a draft's name.
const PREFIX: &str = ".draft-";

/// No job takes so long to write an archive.
const MAX_AGE: Duration = Duration::from_hours(24);

/// A file that only this user can read. Dropping the draft removes the file, and further writes to it fail: an interrupted job does not
/// wait for its archive.
#[derive(Debug)]
pub struct Draft {
    file: NewFile,
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
    /// Creates an empty draft in the directory `dir`.
    ///
    /// # Errors
    /// The file cannot be created, for lack of permission or disk space.
    pub fn new(dir: &PrivateDir) -> io::Result<Self> {
        Ok(Self { file: dir.new_file(PREFIX)?, stop: Stop::default() })
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

    /// Gives the complete draft its name, and replaces a file that has it.
    ///
    /// # Errors
    /// A directory has this name.
    pub fn keep(self, name: &str) -> io::Result<()> {
        self.file.keep(name)
    }
}

/// Removes drafts that killed processes have left in a directory.
pub fn remove_old(dir: &PrivateDir) {
    for name in dir.names().unwrap_or_default() {
        if name.to_string_lossy().starts_with(PREFIX) && dir.is_older(&name, MAX_AGE) {
            // Another process may remove it at the same time.
            let _ = dir.remove_file(&name);
        }
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

    fn dir() -> (tempfile::TempDir, PrivateDir) {
        let parent = tempfile::tempdir().unwrap();
        let dir = PrivateDir::open(parent.path(), "drafts").unwrap();
        (parent, dir)
    }

    #[test]
    fn the_compressed_size_counts() {
        let (_parent, dir) = dir();
        let draft = Draft::new(&dir).unwrap();
        draft.writer().unwrap().write_all(&vec![0; 100_000]).unwrap();
        assert_eq!(draft.upload_size(100_000).unwrap(), 100_000);
        assert!(draft.upload_size(10_000).unwrap() < 1000);
        let mut random = vec![0; 50_000];
        fastrand::fill(&mut random);
        let draft = Draft::new(&dir).unwrap();
        draft.writer().unwrap().write_all(&random).unwrap();
        assert_eq!(draft.upload_size(10_000).unwrap(), 10_001);
    }

    #[test]
    fn drafts_of_killed_processes_are_removed() {
        let (_parent, dir) = dir();
        let _draft = Draft::new(&dir).unwrap();
        let new = dir.names().unwrap();
        for name in [".draft-old", "cache.tar"] {
            let file = dir.create_file(name).unwrap();
            file.set_modified(SystemTime::now() - 2 * MAX_AGE).unwrap();
        }
        remove_old(&dir);
        let mut left = dir.names().unwrap();
        left.sort();
        assert_eq!(left, [new[0].as_os_str(), "cache.tar".as_ref()]);
    }

    #[test]
    fn a_writer_fails_after_its_draft_was_dropped() {
        let (_parent, dir) = dir();
        let draft = Draft::new(&dir).unwrap();
        let mut writer = draft.writer().unwrap();
        assert!(writer.check().is_ok());
        drop(draft);
        assert_eq!(writer.write(b"x").unwrap_err().to_string(), "the job has ended");
        assert_eq!(dir.names().unwrap(), [""; 0]);
    }
}
