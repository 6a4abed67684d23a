//! Locks, which the kernel releases however a process ends.

use std::ffi::OsStr;
use std::fs::{File, TryLockError};
use std::io;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, Stat, fstat, openat, statat};
use rustix::io::Errno;

use super::{PrivateDir, named, single};

/// A held lock. It is released when this is dropped, or when the process ends in any way.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl PrivateDir {
    /// Takes the lock of a file, which is created if it does not exist. Returns `None` if another process, or another `Lock` of this
    /// process, holds it.
    ///
    /// # Errors
    /// The file cannot be created, opened or locked, or is not a regular file.
    pub fn try_lock(&self, name: impl AsRef<OsStr>) -> io::Result<Option<Lock>> {
        loop {
            let file = self.file(name.as_ref(), OFlags::RDWR | OFlags::CREATE)?;
            let lock = locked(file).map_err(|error| self.named(name.as_ref(), error))?;
            let Some(lock) = lock else { return Ok(None) };
            // The previous holder may have removed the file just before it released the lock: then this lock protects nothing.
            match statat(&self.fd, name.as_ref(), AtFlags::SYMLINK_NOFOLLOW) {
                Ok(found) if is_same(&found, &fstat(&lock.file)?) => return Ok(Some(lock)),
                Ok(_) | Err(Errno::NOENT) => {}
                Err(error) => return Err(self.named(name.as_ref(), error)),
            }
        }
    }

    /// Takes the lock of a file that exists. Returns `None` if the lock is held.
    ///
    /// # Errors
    /// The file does not exist (`NotFound`), cannot be locked, or is not a regular file.
    pub fn try_lock_existing(&self, name: impl AsRef<OsStr>) -> io::Result<Option<Lock>> {
        let file = self.open_file(name.as_ref())?;
        locked(file).map_err(|error| self.named(name.as_ref(), error))
    }

    /// Takes the lock of the directory itself. Returns `None` if the lock is held.
    ///
    /// # Errors
    /// The directory cannot be locked, or its path leads to another one now (`NotFound`): another process has removed the directory.
    pub fn try_lock_self(&self) -> io::Result<Option<Lock>> {
        // A new descriptor: all clones of this `PrivateDir` would share a lock on the old one.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let failed = |error: io::Error| named(&self.path, &error);
        let dir = openat(&self.fd, ".", flags, Mode::empty()).map_err(|error| failed(error.into()))?;
        let Some(lock) = locked(File::from(dir)).map_err(failed)? else { return Ok(None) };
        // Follow links: the user may have chosen a link to the directory.
        let found = statat(CWD, &self.path, AtFlags::empty()).map_err(|error| failed(error.into()))?;
        if is_same(&found, &fstat(&self.fd)?) {
            return Ok(Some(lock));
        }
        Err(named(&self.path, &io::Error::from(io::ErrorKind::NotFound)))
    }

    /// Whether a subdirectory or file was last modified at least `age` ago. `false` if it does not exist.
    pub fn is_older(&self, name: impl AsRef<OsStr>, age: std::time::Duration) -> bool {
        let found = single(name.as_ref()).map(|name| statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW));
        let Ok(Ok(found)) = found else { return false };
        let modified =
            std::time::UNIX_EPOCH + std::time::Duration::from_secs(u64::try_from(found.st_mtime).unwrap_or(0));
        modified.elapsed().is_ok_and(|elapsed| elapsed >= age)
    }
}

fn locked(file: File) -> io::Result<Option<Lock>> {
    match file.try_lock() {
        Ok(()) => Ok(Some(Lock { file })),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn is_same(one: &Stat, other: &Stat) -> bool {
    (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
}
