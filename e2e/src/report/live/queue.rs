//! A queue between a run and the thread that shows it: a run never waits for the reader of its output.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The maximum size of all waiting texts in bytes: twice what a job may print by default.
const MAX_SIZE: usize = 8 << 20;

/// A queue with one reader.
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    entries: VecDeque<Entry<T>>,
    /// The sum of the sizes of the items.
    size: usize,
    is_closed: bool,
}

enum Entry<T> {
    Item(T, usize),
    Dropped(usize),
}

/// The next entry of the queue.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken<T> {
    Item(T),
    /// This number of items was dropped here, because the queue was full.
    Dropped(usize),
}

impl<T> Queue<T> {
    pub(super) fn new() -> Self {
        let state = State { entries: VecDeque::new(), size: 0, is_closed: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Adds an item, even if the queue is full.
    pub(super) fn push(&self, item: T) {
        self.add(&mut self.lock(), Entry::Item(item, 0));
    }

    /// Adds an item with texts of `size` bytes. If the queue is full, the item is dropped and counted.
    pub(super) fn offer(&self, item: T, size: usize) {
        let mut state = self.lock();
        if state.size.saturating_add(size) <= MAX_SIZE {
            state.size += size;
            self.add(&mut state, Entry::Item(item, size));
        } else if let Some(Entry::Dropped(count)) = state.entries.back_mut() {
            *count += 1;
        } else {
            self.add(&mut state, Entry::Dropped(1));
        }
    }

    /// Adds an entry. The reader waits only while the queue is empty, so only an entry in an empty queue needs to wake it.
    fn add(&self, state: &mut State<T>, entry: Entry<T>) {
        if state.entries.is_empty() {
            self.changed.notify_one();
        }
        state.entries.push_back(entry);
    }

    /// Waits for the next entry. `None` after the queue was closed and everything was taken.
    pub(super) fn take(&self) -> Option<Taken<T>> {
        let mut state = self.lock();
        loop {
            match state.entries.pop_front() {
                Some(Entry::Item(item, size)) => {
                    state.size -= size;
                    return Some(Taken::Item(item));
                }
                Some(Entry::Dropped(count)) => return Some(Taken::Dropped(count)),
                None if state.is_closed => return None,
                None => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Ends the reader when it has taken everything.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_drops_and_counts_what_is_offered_and_keeps_what_is_pushed() {
        let queue = Queue::new();
        queue.offer("fits", MAX_SIZE);
        queue.offer("dropped", 1);
        queue.offer("dropped", 1);
        queue.push("state");
        queue.offer("dropped", 1);
        assert_eq!(queue.take(), Some(Taken::Item("fits")));
        queue.offer("fits again", MAX_SIZE);
        queue.close();
        let rest: Vec<_> = std::iter::from_fn(|| queue.take()).collect();
        assert_eq!(rest, [Taken::Dropped(2), Taken::Item("state"), Taken::Dropped(1), Taken::Item("fits again")]);
    }

    #[test]
    fn the_reader_gets_everything_in_order_and_ends() {
        let queue = Queue::new();
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| std::iter::from_fn(|| queue.take()).collect::<Vec<_>>());
            for number in 0..1000 {
                queue.push(number);
            }
            queue.close();
            assert_eq!(reader.join().unwrap(), (0..1000).map(Taken::Item).collect::<Vec<_>>());
        });
    }
}
