//! `resource_group`: of all jobs of a project with the same one, one runs at a time, in whichever pipeline.
//! <https://docs.gitlab.com/ci/resource_groups/>

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;
use std::time::Duration;

use crate::artifacts::cache;

/// How often it is looked whether a group is free. Waiting for a lock itself could not be interrupted.
const INTERVAL: Duration = Duration::from_millis(200);

/// The right to a resource group, given back when this is dropped or the program ends, however it ends.
#[derive(Debug)]
pub struct Group {
    _lock: File,
}

impl Group {
    /// Takes a group of those in `folder`, and waits until it is free; `waits` is called if that is not at once.
    ///
    /// # Errors
    /// When its file cannot be made.
    pub async fn take(folder: &Path, name: &str, waits: impl FnOnce()) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let file = File::create(folder.join(format!("{}.lock", cache::file_name(name))))?;
        let mut waits = Some(waits);
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _lock: file }),
                Err(TryLockError::WouldBlock) => {
                    if let Some(waits) = waits.take() {
                        waits();
                    }
                    tokio::time::sleep(INTERVAL).await;
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
    async fn one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = Group::take(folder.path(), "production/eu", || unreachable!()).await.unwrap();
        Group::take(folder.path(), "other", || unreachable!()).await.unwrap();
        let waited = Cell::new(false);
        let second = Group::take(folder.path(), "production/eu", || waited.set(true));
        let release = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            drop(first);
        };
        let (second, ()) = tokio::join!(second, release);
        assert!(second.is_ok() && waited.get());
    }
}
