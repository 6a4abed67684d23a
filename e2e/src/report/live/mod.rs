//! A live view of a command: one line for each event. A terminal also shows a spinner for each running piece of work, below these lines.
//! A log also shows a heartbeat, which names long-running work.
//!
//! A separate thread writes, so that the run never waits for the reader of the output. If the output is not read, lines of jobs are
//! dropped and counted, but events that change a state are kept.

mod change;
pub mod harness;
pub mod pipeline;
mod queue;
mod screen;
mod spinner;

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::MultiProgress;
use tokio::sync::oneshot;

use self::queue::{Queue, Taken};
use self::screen::{Screen, Shown};

pub use self::change::{Change, LiveEvent};

/// The interval at which running work is checked.
const TICK: Duration = Duration::from_secs(1);

/// The maximum width of the name before a line of output, in characters.
const MAX_NAME_WIDTH: usize = 24;

/// The form of the view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Prints nothing.
    Quiet,
    /// Lines for people, to standard error.
    People,
    /// Every event as a line of JSON, to standard output.
    Json,
}

/// A live view. When it is dropped, it waits until everything is written.
pub struct Live {
    started: Instant,
    mode: Mode,
    queue: Arc<Queue<Item>>,
    /// None without output.
    thread: Option<JoinHandle<()>>,
}

/// The events of `--format json` are incomplete.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the events to standard output")]
pub struct EventsLost(#[source] io::Error);

/// A message to the thread of the view.
enum Item {
    Shown(Shown),
    Heartbeat(Duration),
    /// Everything before this item is written.
    Finish(oneshot::Sender<Option<io::Error>>),
}

impl Live {
    /// A view of work whose names are not known in advance.
    pub fn new(mode: Mode) -> Self {
        Self::with_output(mode, 0, false)
    }

    /// A view of work that has these names and prints lines. If there is only one piece of work, a terminal shows all of its lines.
    pub fn with_names<'name>(mode: Mode, names: impl Iterator<Item = &'name str>) -> Self {
        let widths: Vec<usize> = names.map(|name| name.chars().count()).collect();
        let prints_lines = widths.len() == 1;
        Self::with_output(mode, widths.into_iter().max().unwrap_or_default().min(MAX_NAME_WIDTH), prints_lines)
    }

    fn with_output(mode: Mode, name_width: usize, prints_lines: bool) -> Self {
        let started = Instant::now();
        let screen = match mode {
            Mode::Quiet => None,
            Mode::Json => Some(Screen::Json { failed: None }),
            Mode::People if io::stderr().is_terminal() => {
                Some(Screen::Terminal { bars: MultiProgress::new(), running: BTreeMap::new(), prints_lines })
            }
            Mode::People => Some(Screen::Log { running: BTreeMap::new(), name_width }),
        };
        let queue = Arc::new(Queue::new());
        let thread = screen.map(|screen| {
            let queue = Arc::clone(&queue);
            std::thread::spawn(move || write(screen, &queue, started))
        });
        Self { started, mode, queue, thread }
    }

    /// Shows an event. Never waits.
    pub fn show(&self, event: &impl LiveEvent) {
        if self.mode == Mode::Quiet {
            return;
        }
        let change = event.change();
        let droppable_size = change.droppable_size();
        let (change, line) = match self.mode {
            // JSON contains only events.
            Mode::Json => (Change::Nothing, event.json()),
            Mode::People | Mode::Quiet => (change.into_owned(), event.line()),
        };
        let length = line.as_ref().map_or(0, String::len);
        let item = Item::Shown(Shown { at: self.started.elapsed(), change, line });
        match droppable_size {
            Some(size) => self.queue.offer(item, size.max(length)),
            None => self.queue.push(item),
        }
    }

    /// Waits for `work`, with a heartbeat in the log.
    pub async fn watch<T>(&self, work: impl Future<Output = T>) -> T {
        // Without the thread, nothing would take the heartbeats from the queue.
        if self.thread.is_none() {
            return work.await;
        }
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                result = &mut work => return result,
                () = tokio::time::sleep(TICK) => self.queue.push(Item::Heartbeat(self.started.elapsed())),
            }
        }
    }

    /// Waits until everything shown so far is written.
    ///
    /// # Errors
    /// An event could not be written to standard output as JSON: its reader has closed it, or the disk is full. Lines for people may
    /// be lost without an error.
    pub async fn finish(&self) -> Result<(), EventsLost> {
        if self.thread.is_none() {
            return Ok(());
        }
        let (sender, written) = oneshot::channel();
        self.queue.push(Item::Finish(sender));
        match written.await {
            Ok(Some(error)) => Err(EventsLost(error)),
            // The thread ends only when the queue is closed.
            Ok(None) | Err(_) => Ok(()),
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take() {
            // A panic in the thread has been printed already.
            let _ = thread.join();
        }
    }
}

/// The view's thread.
fn write(mut screen: Screen, queue: &Queue<Item>, started: Instant) {
    while let Some(taken) = queue.take() {
        match taken {
            Taken::Item(Item::Shown(shown)) => screen.show(&shown),
            Taken::Item(Item::Heartbeat(at)) => screen.heartbeat(at),
            // The receiver may no longer wait.
            Taken::Item(Item::Finish(sender)) => drop(sender.send(screen.failure())),
            Taken::Dropped(count) => screen.show_dropped(count, started.elapsed()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_quiet_view_queues_no_heartbeats() {
        let live = Live::new(Mode::Quiet);
        live.watch(tokio::time::sleep(TICK + TICK / 5)).await;
        live.queue.close();
        assert!(live.queue.take().is_none());
    }
}
