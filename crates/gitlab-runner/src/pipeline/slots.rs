//! Limits the number of jobs that run at the same time. A job that waits for another pipeline does not count.

use tokio::sync::{Notify, Semaphore, SemaphorePermit};

/// A fixed number of slots, one per running job.
#[derive(Debug)]
pub struct Slots {
    free: Semaphore,
    left: Notify,
}

/// A slot. It is occupied until this is dropped or the job leaves it.
#[derive(Debug)]
pub struct Slot<'run> {
    slots: &'run Slots,
    permit: Option<SemaphorePermit<'run>>,
}

impl Slots {
    /// A number of free slots.
    pub fn new(count: usize) -> Self {
        Self { free: Semaphore::new(count.min(Semaphore::MAX_PERMITS)), left: Notify::new() }
    }

    /// Takes a slot if one is free.
    pub fn take(&self) -> Option<Slot<'_>> {
        let permit = self.free.try_acquire().ok()?;
        Some(Slot { slots: self, permit: Some(permit) })
    }

    /// Waits until a job leaves its slot without having ended.
    pub async fn left(&self) {
        self.left.notified().await;
    }
}

impl Slot<'_> {
    /// Releases the slot.
    pub fn leave(&mut self) {
        self.permit = None;
        self.slots.left.notify_one();
    }

    /// Waits for a free slot if this one was released. Waiting jobs get slots in the order in which they started to wait.
    pub async fn enter(&mut self) {
        if self.permit.is_none() {
            // The semaphore is never closed.
            self.permit = self.slots.free.acquire().await.ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_waiting_job_frees_its_slot() {
        let slots = Slots::new(1);
        let mut first = slots.take().unwrap();
        assert!(slots.take().is_none());
        first.leave();
        slots.left().await;
        let second = slots.take().unwrap();
        {
            let mut again = std::pin::pin!(first.enter());
            assert!(futures_util::poll!(&mut again).is_pending());
            drop(second);
            // The free slot is reserved for the waiting job.
            assert!(slots.take().is_none());
            again.await;
        }
        assert!(slots.take().is_none());
        drop(first);
        assert!(slots.take().is_some());
    }
}
