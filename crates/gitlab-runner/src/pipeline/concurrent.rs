//! Numbers of the jobs that run at the same time, from 0 on: `CI_CONCURRENT_ID`. As in GitLab Runner, a job's directory is named after
//! its number, so that jobs with the same number reuse unchanged files.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The numbers in use.
#[derive(Debug, Default)]
pub struct ConcurrentIds(Mutex<BTreeSet<usize>>);

/// A number in use, which is released when this is dropped.
#[derive(Debug)]
pub struct ConcurrentId<'run> {
    ids: &'run ConcurrentIds,
    /// The number, from 0 on.
    pub number: usize,
}

impl ConcurrentIds {
    /// Takes the lowest free number.
    pub fn take(&self) -> ConcurrentId<'_> {
        let mut used = self.used();
        let number = (0..=used.len()).find(|number| !used.contains(number)).unwrap_or_default();
        used.insert(number);
        ConcurrentId { ids: self, number }
    }

    fn used(&self) -> MutexGuard<'_, BTreeSet<usize>> {
        // A poisoned lock is usable: no operation under it can fail halfway.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ConcurrentId<'_> {
    fn drop(&mut self) {
        self.ids.used().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_number_is_taken() {
        let ids = ConcurrentIds::default();
        let (first, second) = (ids.take(), ids.take());
        assert_eq!((first.number, second.number), (0, 1));
        drop(first);
        let (again, third) = (ids.take(), ids.take());
        assert_eq!((again.number, third.number), (0, 2));
    }
}
