//! How many jobs run at the same time. One that waits for what another pipeline has does not run.

use tokio::sync::{Notify, Semaphore, SemaphorePermit};

/// As many slots as jobs may run at the same time.
#[derive(Debug)]
pub struct Slots {
    free: Semaphore,
    left: Notify,
}

/// One of them, for as long as this is there and the job has not left it.
#[derive(Debug)]
pub struct Slot<'run> {
    slots: &'run Slots,
    permit: Option<SemaphorePermit<'run>>,
}

impl Slots {
    /// That many.
    pub fn new(count: usize) -> Self {
        Self { free: Semaphore::new(count.min(Semaphore::MAX_PERMITS)), left: Notify::new() }
    }

    /// One, if one is free now.
    pub fn take(&self) -> Option<Slot<'_>> {
        let permit = self.free.try_acquire().ok()?;
        Some(Slot { slots: self, permit: Some(permit) })
    }

    /// Waits until a job has left its slot without having ended.
    pub async fn left(&self) {
        self.left.notified().await;
    }
}

impl Slot<'_> {
    /// Somebody else may have it.
    pub fn leave(&mut self) {
        self.permit = None;
        self.slots.left.notify_one();
    }

    /// Waits for one again, if this one was left. Who has waited for longest is the first.
    pub async fn enter(&mut self) {
        if self.permit.is_none() {
            // It is never closed.
            self.permit = self.slots.free.acquire().await.ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_waits_makes_room() {
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
            // What is free is for who has waited.
            assert!(slots.take().is_none());
            again.await;
        }
        assert!(slots.take().is_none());
        drop(first);
        assert!(slots.take().is_some());
    }
}
