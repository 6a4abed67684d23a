//! Milestones: one part of a run reaches them, and other parts wait for them.

use tokio::sync::watch;

/// The end that reaches the milestone. When all copies of this end are dropped before that, the milestone is missed.
#[derive(Clone)]
pub(super) struct Reach<T>(watch::Sender<Option<T>>);

/// The end that waits for the milestone.
#[derive(Clone)]
pub(super) struct Milestone<T>(watch::Receiver<Option<T>>);

/// A milestone: the end for the part that reaches it, and the end for those that wait.
pub(super) fn milestone<T>() -> (Reach<T>, Milestone<T>) {
    let (sender, receiver) = watch::channel(None);
    (Reach(sender), Milestone(receiver))
}

impl<T> Reach<T> {
    /// Reaches the milestone. If several copies reach it, the first value counts.
    pub(super) fn reach(&self, value: T) {
        self.0.send_if_modified(|reached| {
            let is_first = reached.is_none();
            if is_first {
                *reached = Some(value);
            }
            is_first
        });
    }
}

impl<T: Clone> Milestone<T> {
    /// Waits for the milestone. Returns `None` if it is missed.
    pub(super) async fn reached(&self) -> Option<T> {
        let mut receiver = self.0.clone();
        receiver.wait_for(Option::is_some).await.ok().and_then(|value| value.clone())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn all_waiters_get_the_first_value() {
        let (reach, milestone) = milestone();
        let other = milestone.clone();
        assert_eq!(milestone.reached().now_or_never(), None);
        reach.reach(1);
        reach.reach(2);
        drop(reach);
        assert_eq!((milestone.reached().await, other.reached().await), (Some(1), Some(1)));
    }

    #[tokio::test]
    async fn a_dropped_end_is_a_missed_milestone() {
        let (reach, milestone) = milestone::<()>();
        drop(reach);
        assert_eq!(milestone.reached().await, None);
    }
}
