//! Files that appear under their names only when they are complete.

use std::ffi::OsStr;
use std::fs::File;
use std::io;

use rustix::fs::{OFlags, renameat};

use super::{PrivateDir, single};

/// A file under a temporary name, which only this user can read. Dropping it removes the file.
#[derive(Debug)]
pub struct NewFile {
    dir: PrivateDir,
    /// The temporary name; empty once the file has its real one.
    name: String,
    file: File,
}

impl NewFile {
    pub(crate) fn new(dir: &PrivateDir, prefix: &str) -> io::Result<Self> {
        loop {
            let name = format!("{prefix}{:016x}", fastrand::u64(..));
            match dir.create_file(&name) {
                Ok(file) => return Ok(Self { dir: dir.clone(), name, file }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The file, open for reading and writing.
    pub fn as_file(&self) -> &File {
        &self.file
    }

    /// Opens the file again, with an offset of its own.
    ///
    /// # Errors
    /// Another process has removed the file, or too many files are open.
    pub fn reopen(&self) -> io::Result<File> {
        self.dir.file(self.name.as_ref(), OFlags::RDWR)
    }

    /// Renames the file to `name`, and replaces an existing file.
    ///
    /// # Errors
    /// `name` is not a single file name, `name` is a directory, or another process has removed the file.
    pub fn keep(mut self, name: impl AsRef<OsStr>) -> io::Result<()> {
        let name = single(name.as_ref())?;
        renameat(&self.dir.fd, &self.name, &self.dir.fd, name).map_err(|error| self.dir.named(name, error))?;
        self.name.clear();
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.name.is_empty() {
            // If this fails, the file stays under its temporary name: `drop` cannot report the error.
            let _ = self.dir.remove_file(&self.name);
        }
    }
}
