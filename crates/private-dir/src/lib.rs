#![doc = include_str!("../README.md")]
//!
//! # Modules
//!
//! [`PrivateDir`] opens directories and files, and takes locks. [`Lock`] is a held lock, [`NewFile`] is a file that appears when it is
//! complete, and [`remove()`] removes trees.

#![warn(missing_docs, clippy::missing_errors_doc)]

mod lock;
mod new_file;
mod remove;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, fchmod, fstat, mkdirat, openat, statat, unlinkat};
use rustix::io::Errno;

pub use self::lock::Lock;
pub use self::new_file::NewFile;
pub use self::remove::{remove, remove_file_if_exists, remove_if_exists};

/// An open directory. Most functions guarantee that it belongs to this user, and that only this user can enter it.
/// [`PrivateDir::open_shared`], [`PrivateDir::open_chosen`] and [`PrivateDir::open_chosen_in`] guarantee neither, and
/// [`PrivateDir::existing_subdir`] does not change the mode.
#[derive(Clone, Debug)]
pub struct PrivateDir {
    fd: Arc<OwnedFd>,
    path: PathBuf,
}

impl PrivateDir {
    /// Opens the directory at the path `below` in the directory `trusted`, and creates what is missing. Links in the path `trusted` are
    /// followed, links in `below` are refused. Only the last directory becomes private: existing ones on the way to it keep their modes.
    ///
    /// # Errors
    /// A component is a link or a file instead of a directory; the directory belongs to another user; `below` is absolute or contains
    /// `..`; or a directory cannot be created, for lack of permission or disk space.
    pub fn open(trusted: &Path, below: impl AsRef<Path>) -> io::Result<Self> {
        let dir = Self::open_shared(trusted, below)?;
        refuse_others(&dir.path, &fstat(&dir.fd)?)?;
        dir.make_private()?;
        Ok(dir)
    }

    /// Like [`PrivateDir::open`], but the directory may belong to another user, and keeps its mode if it exists: this user has chosen it,
    /// and may want to share it.
    ///
    /// # Errors
    /// A component of `below` is a link or a file instead of a directory; `below` is absolute or contains `..`; or a directory cannot be
    /// created.
    pub fn open_shared(trusted: &Path, below: impl AsRef<Path>) -> io::Result<Self> {
        let below = below.as_ref();
        if !stays_below(below) {
            return Err(refused(below, "must be a relative path without `..`"));
        }
        std::fs::create_dir_all(trusted).map_err(|error| named(trusted, &error))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = openat(CWD, trusted, flags, Mode::empty()).map_err(|error| named(trusted, &error.into()))?;
        let mut dir = Self { fd: Arc::new(fd), path: trusted.to_owned() };
        for name in below.iter().filter(|name| *name != ".") {
            dir = dir.enter(name, Mode::from_raw_mode(0o755))?;
        }
        Ok(dir)
    }

    /// Opens a directory that this user has chosen. A relative path starts in the current directory, which may be the repository of another
    /// user, so links in the path are refused. An absolute path, or one with `..`, is trusted: links in it are followed.
    ///
    /// # Errors
    /// Those of [`PrivateDir::open_shared`].
    pub fn open_chosen(path: &Path) -> io::Result<Self> {
        Self::open_chosen_in(&std::path::absolute(".")?, path)
    }

    /// Like [`PrivateDir::open_chosen`], with relative paths in the directory `current`, which must be absolute.
    ///
    /// # Errors
    /// Those of [`PrivateDir::open_shared`].
    pub fn open_chosen_in(current: &Path, path: &Path) -> io::Result<Self> {
        if stays_below(path) {
            return Self::open_shared(current, path);
        }
        Self::open_shared(&std::path::absolute(current.join(path))?, "")
    }

    /// The path under which the directory was opened, for messages and for programs that need a path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a subdirectory, and creates it if it does not exist.
    ///
    /// # Errors
    /// The name is that of a link or a file; the directory belongs to another user; or it cannot be created.
    pub fn subdir(&self, name: impl AsRef<OsStr>) -> io::Result<Self> {
        let dir = self.enter(name.as_ref(), Mode::RWXU)?;
        refuse_others(&dir.path, &fstat(&dir.fd)?)?;
        dir.make_private()?;
        Ok(dir)
    }

    /// Creates a subdirectory.
    ///
    /// # Errors
    /// Something with this name exists (`AlreadyExists`), or the directory cannot be created.
    pub fn new_subdir(&self, name: impl AsRef<OsStr>) -> io::Result<Self> {
        let name = single(name.as_ref())?;
        mkdirat(&self.fd, name, Mode::RWXU).map_err(|error| self.named(name, error))?;
        self.existing_subdir(name)
    }

    /// Opens a subdirectory that exists, and does not change its mode.
    ///
    /// # Errors
    /// It does not exist (`NotFound`), belongs to another user, or is a link or a file.
    pub fn existing_subdir(&self, name: impl AsRef<OsStr>) -> io::Result<Self> {
        let name = single(name.as_ref())?;
        let found = statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|error| self.named(name, error))?;
        refuse_others(&self.path.join(name), &found)?;
        let dir = self.open_entry(name)?;
        // Another directory may have got the name in the meantime.
        refuse_others(&dir.path, &fstat(&dir.fd)?)?;
        Ok(dir)
    }

    /// Renames an entry. An existing file or empty directory `to` is replaced by an entry of the same kind.
    ///
    /// # Errors
    /// It does not exist; it is a directory, and `to` is a file or a directory that is not empty; or it is a file, and `to` is a directory.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (from, to) = (single(from.as_ref())?, single(to.as_ref())?);
        rustix::fs::renameat(&self.fd, from, &self.fd, to).map_err(|error| self.named(from, error))
    }

    /// Opens a file for reading.
    ///
    /// # Errors
    /// It does not exist (`NotFound`), cannot be read, or is not a regular file.
    pub fn open_file(&self, name: impl AsRef<OsStr>) -> io::Result<File> {
        self.file(name.as_ref(), OFlags::RDONLY)
    }

    /// Creates a file, and opens it for reading and writing.
    ///
    /// # Errors
    /// Something with this name exists (`AlreadyExists`), or the file cannot be created.
    pub fn create_file(&self, name: impl AsRef<OsStr>) -> io::Result<File> {
        self.file(name.as_ref(), OFlags::RDWR | OFlags::CREATE | OFlags::EXCL)
    }

    /// Opens a file for appending, and creates it if it does not exist.
    ///
    /// # Errors
    /// The file cannot be created or opened, or is not a regular file.
    pub fn append_file(&self, name: impl AsRef<OsStr>) -> io::Result<File> {
        self.file(name.as_ref(), OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE)
    }

    /// Creates a file with a random name that starts with `prefix`. [`NewFile::keep`] gives it its real name.
    ///
    /// # Errors
    /// The file cannot be created, for lack of permission or disk space.
    pub fn new_file(&self, prefix: &str) -> io::Result<NewFile> {
        NewFile::new(self, prefix)
    }

    /// Removes a file or a link, if it exists.
    ///
    /// # Errors
    /// It cannot be removed, or is a directory.
    pub fn remove_file(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        let name = single(name.as_ref())?;
        match unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(self.named(name, error)),
        }
    }

    /// Removes a subdirectory with everything in it. See [`remove()`].
    ///
    /// # Errors
    /// The first error. Everything that can be removed is removed. A directory that cannot be read stays; it may have been moved to the top
    /// of the tree.
    pub fn remove_subdir(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        let name = single(name.as_ref())?;
        remove::remove_at(&*self.fd, name).map_err(|error| self.named(name, error))
    }

    /// The names of the entries, in no particular order.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn names(&self) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        let failed = |error: Errno| named(&self.path, &error.into());
        for entry in Dir::read_from(&self.fd).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_bytes();
            if !matches!(name, b"." | b"..") {
                names.push(OsStr::from_bytes(name).to_owned());
            }
        }
        Ok(names)
    }

    /// Opens a directory, and creates it if nothing with its name exists.
    fn enter(&self, name: &OsStr, mode: Mode) -> io::Result<Self> {
        let name = single(name)?;
        match mkdirat(&self.fd, name, mode) {
            Ok(()) | Err(Errno::EXIST) => self.open_entry(name),
            Err(error) => Err(self.named(name, error)),
        }
    }

    /// The error with the path of the entry `name`.
    fn named(&self, name: &OsStr, error: impl Into<io::Error>) -> io::Error {
        named(&self.path.join(name), &error.into())
    }

    fn open_entry(&self, name: &OsStr) -> io::Result<Self> {
        let path = self.path.join(name);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => Ok(Self { fd: Arc::new(fd), path }),
            Err(Errno::LOOP | Errno::NOTDIR) => {
                Err(refused(&path, "is not a directory, but a link or a file: remove it"))
            }
            Err(error) => Err(named(&path, &error.into())),
        }
    }

    fn file(&self, name: &OsStr, flags: OFlags) -> io::Result<File> {
        let path = self.path.join(name);
        // A FIFO does not block, and a link is not followed.
        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = openat(&self.fd, single(name)?, flags, Mode::RUSR | Mode::WUSR);
        let not_file = || refused(&path, "is not a regular file: remove it");
        match opened {
            Ok(fd) if FileType::from_raw_mode(fstat(&fd)?.st_mode) == FileType::RegularFile => Ok(File::from(fd)),
            // A FIFO without a reader, or a device without a driver, is ENXIO.
            Ok(_) | Err(Errno::LOOP | Errno::ISDIR | Errno::NXIO) => Err(not_file()),
            Err(error) => Err(named(&path, &error.into())),
        }
    }

    fn make_private(&self) -> io::Result<()> {
        let mode = Mode::from_raw_mode(fstat(&self.fd)?.st_mode);
        if mode & (Mode::RWXU | Mode::RWXG | Mode::RWXO) != Mode::RWXU {
            fchmod(&self.fd, Mode::RWXU).map_err(|error| named(&self.path, &error.into()))?;
        }
        Ok(())
    }
}

fn refuse_others(path: &Path, found: &Stat) -> io::Result<()> {
    if found.st_uid == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    Err(refused(path, "belongs to another user: remove it, or choose another directory"))
}

/// Whether a path is relative and has no `..`.
fn stays_below(path: &Path) -> bool {
    path.components().all(|component| matches!(component, Component::Normal(_) | Component::CurDir))
}

/// Refuses names that lead elsewhere.
fn single(name: &OsStr) -> io::Result<&OsStr> {
    let bytes = name.as_bytes();
    if bytes.is_empty() || matches!(bytes, b"." | b"..") || bytes.contains(&b'/') {
        return Err(refused(Path::new(name), "must be a single file name"));
    }
    Ok(name)
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn refused(path: &Path, reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{} {reason}", path.display()))
}

#[cfg(test)]
mod tests;
