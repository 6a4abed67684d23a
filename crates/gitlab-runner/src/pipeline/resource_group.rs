//! `resource_group`: at most one job with the same resource group runs at a time, across all pipelines of a project.
//! <https://docs.gitlab.com/ci/resource_groups/>

use std::io;
use std::time::Duration;

use private_dir::{Lock, PrivateDir};
use sha1::{Digest, Sha1};

/// Time between two attempts to take the lock. Polling is necessary because a blocking wait for a file lock cannot be canceled.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// A held resource group. It is released when this is dropped, or when the process ends in any way.
#[derive(Debug)]
pub struct Group {
    _lock: Lock,
}

impl Group {
    /// Waits until the resource group `name` is free, and takes it. `dir` contains the lock files. Calls `waits` once if the group is
    /// not free.
    ///
    /// # Errors
    /// The lock file cannot be created or locked.
    pub async fn take(dir: &PrivateDir, name: &str, waits: impl FnOnce()) -> io::Result<Self> {
        // The name may contain a secret, and the names of files are visible.
        let file = format!("{}.lock", hex::encode(Sha1::digest(name)));
        let mut waits = Some(waits);
        loop {
            if let Some(lock) = dir.try_lock(&file)? {
                return Ok(Self { _lock: lock });
            }
            if let Some(waits) = waits.take() {
                waits();
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn a_second_job_waits_for_the_group() {
        let parent = tempfile::tempdir().unwrap();
        let dir = PrivateDir::open(parent.path(), "resource-groups").unwrap();
        let first = Group::take(&dir, "production/eu", || unreachable!()).await.unwrap();
        Group::take(&dir, "other", || unreachable!()).await.unwrap();
        let names = dir.names().unwrap();
        assert!(names.iter().all(|name| !name.to_string_lossy().contains("production")), "a name may contain a secret");
        let waited = Cell::new(false);
        let second = Group::take(&dir, "production/eu", || waited.set(true));
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
