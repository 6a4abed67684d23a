//! Assigns processor cores to the server and to the load.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::error::{Context, Error};

/// One core for the server, and another one for the load generator, this program and the reader of the log. So the server's core
/// does only the server's work, and all servers use the same core.
///
/// Child processes inherit the core of the thread that starts them. Go and tokio derive the number of their worker threads from
/// it, as in a container with one CPU.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cores {
    server: usize,
    load: usize,
}

impl Cores {
    /// The first and the last core that this process may use.
    pub(crate) fn current() -> Result<Self, Error> {
        let allowed = sched_getaffinity(None).context("cannot determine the available cores")?;
        let mut allowed = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
        match (allowed.next(), allowed.next_back()) {
            (Some(server), Some(load)) => Ok(Self { server, load }),
            _ => Err(Error::Environment("two cores are needed, one for the server and one for the load".to_owned())),
        }
    }

    /// Moves this thread to the core for the load.
    pub(crate) fn enter_load(self) -> Result<(), Error> {
        enter(self.load)
    }

    /// Runs `action`, which starts a server, on the core for servers.
    pub(crate) fn on_server_core<T>(self, action: impl FnOnce() -> T) -> Result<T, Error> {
        enter(self.server)?;
        let done = action();
        self.enter_load()?;
        Ok(done)
    }
}

fn enter(core: usize) -> Result<(), Error> {
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).context(format_args!("cannot move to core {core}"))
}
