//! The signals that end the program, on a thread of their own: it never writes and never waits for the run, so that a second signal ends
//! the program in every state.

use std::io;
use std::sync::mpsc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::output::print;
use super::{EXIT_INTERRUPTED, EXIT_TERMINATED};

/// Maximum time for the last message. After it, the program ends without the message.
const PRINT_TIMEOUT: Duration = Duration::from_millis(200);

/// The first signal that the program got.
pub(crate) struct Interruption {
    received: UnboundedReceiver<u8>,
}

impl Interruption {
    /// Starts to handle signals. The first one prints `hint`; every later one ends the program without cleanup.
    ///
    /// # Errors
    /// The signals cannot be handled.
    pub(crate) fn watch(hint: &'static str) -> io::Result<Self> {
        let (sender, received) = unbounded_channel();
        let (ready, is_ready) = mpsc::channel();
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
            let handled = runtime.and_then(|runtime| {
                // The handlers are installed before the command starts anything that a signal would leave behind.
                let signals = runtime.block_on(async { Signals::new() })?;
                Ok((runtime, signals))
            });
            match handled {
                Err(error) => drop(ready.send(Err(error))),
                Ok((runtime, signals)) => {
                    let _ = ready.send(Ok(()));
                    runtime.block_on(handle(signals, hint, &sender));
                }
            }
        })?;
        is_ready.recv().map_err(io::Error::other)??;
        Ok(Self { received })
    }

    /// Waits for the first signal, and returns its exit code.
    pub(crate) async fn received(&mut self) -> u8 {
        match self.received.recv().await {
            Some(code) => code,
            // There is only one first signal.
            None => std::future::pending().await,
        }
    }
}

async fn handle(mut signals: Signals, hint: &'static str, sender: &UnboundedSender<u8>) {
    let mut is_first = true;
    loop {
        let (code, word) = signals.recv().await;
        let (printed, is_printed) = mpsc::channel();
        // Standard error may be an unread pipe.
        std::thread::spawn(move || {
            print(&format!("e2e: {word}{}", if is_first { hint } else { "" }));
            let _ = printed.send(());
        });
        if !is_first || sender.send(code).is_err() {
            let _ = is_printed.recv_timeout(PRINT_TIMEOUT);
            #[expect(clippy::exit, reason = "the run may be blocked, so it cannot return an exit code")]
            std::process::exit(code.into());
        }
        is_first = false;
    }
}

/// SIGINT, SIGTERM, and SIGHUP, which the kernel sends when the terminal is closed.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Option<Signal>,
}

impl Signals {
    fn new() -> io::Result<Self> {
        // Under `nohup` the program must survive SIGHUP.
        let hangup = if is_hangup_ignored() { None } else { Some(signal(SignalKind::hangup())?) };
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())?, hangup })
    }

    /// The exit code for the next signal, and its name in a message.
    async fn recv(&mut self) -> (u8, &'static str) {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => (EXIT_INTERRUPTED, "interrupted"),
            _ = self.terminate.recv() => (EXIT_TERMINATED, "terminated"),
            _ = hangup => (EXIT_TERMINATED, "terminated"),
        }
    }
}

/// Whether SIGHUP was ignored when this program started. `proc(5)`, `SigIgn` of `status`: bit 0 is signal 1.
fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}
