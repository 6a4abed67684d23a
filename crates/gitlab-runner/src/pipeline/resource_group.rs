//! `resource_group`: at most one job with the same resource group runs at a time, across all pipelines of a project.
//! <https://docs.gitlab.com/ci/resource_groups/>

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rustix::fs::OFlags;
use sha1::{Digest, Sha1};

/// Time between two attempts to take the lock. Polling is necessary because a blocking wait for a file lock cannot be cancelled.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// A held resource group. It is released when this is dropped, or when the process ends in any way.
#[derive(Debug)]
pub struct Group {
    _lock: File,
}

impl Group {
    /// Waits until the resource group `name` is free, and takes it. `dir` contains the lock files. Calls `waits` once if the group is
    /// not free.
    ///
    /// # Errors
    /// The lock file cannot be created or locked.
    pub async fn take(dir: &Path, name: &str, waits: impl FnOnce()) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        // The name may contain a secret, and the names of files are visible.
        let path = dir.join(format!("{}.lock", hex::encode(Sha1::digest(name))));
        let flags = OFlags::NOFOLLOW.bits().cast_signed();
        let file = File::options().read(true).append(true).create(true).custom_flags(flags).open(path)?;
        let mut waits = Some(waits);
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _lock: file }),
                Err(TryLockError::WouldBlock) => {
                    if let Some(waits) = waits.take() {
                        waits();
                    }
                    tokio::time::sleep(POLL_INTERVAL).await;
                }
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn a_second_job_waits_for_the_group() {
        let dir = tempfile::tempdir().unwrap();
        let first = Group::take(dir.path(), "production/eu", || unreachable!()).await.unwrap();
        Group::take(dir.path(), "other", || unreachable!()).await.unwrap();
        let names = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert!(names.into_iter().all(|name| !name.contains("production")), "a name may contain a secret");
        let waited = Cell::new(false);
        let second = Group::take(dir.path(), "production/eu", || waited.set(true));
        let release = async {
            while !waited.get() {
                tokio::task::yield_now().await;
            }
            drop(first);
        };
        let (second, ()) = tokio::join!(second, release);
        assert!(second.is_ok() && waited.get());
    }
}
