//! Numbers of jobs that run at the same time, from 0 on: `CI_CONCURRENT_ID`. Their folders go by them, as on a runner, so that a
//! job finds what the one before it did not change.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Those that are in use.
#[derive(Debug, Default)]
pub struct ConcurrentIds(Mutex<BTreeSet<usize>>);

/// One of them, for as long as this is there.
#[derive(Debug)]
pub struct ConcurrentId<'run> {
    ids: &'run ConcurrentIds,
    /// The number.
    pub number: usize,
}

impl ConcurrentIds {
    /// The lowest that no job has.
    pub fn take(&self) -> ConcurrentId<'_> {
        let mut used = self.used();
        let number = (0..=used.len()).find(|number| !used.contains(number)).unwrap_or_default();
        used.insert(number);
        ConcurrentId { ids: self, number }
    }

    fn used(&self) -> MutexGuard<'_, BTreeSet<usize>> {
        // Nothing is done under the lock that could fail half way.
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
    fn the_lowest_that_is_free() {
        let ids = ConcurrentIds::default();
        let (first, second) = (ids.take(), ids.take());
        assert_eq!((first.number, second.number), (0, 1));
        drop(first);
        let (again, third) = (ids.take(), ids.take());
        assert_eq!((again.number, third.number), (0, 2));
    }
}
