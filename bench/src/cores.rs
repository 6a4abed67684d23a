//! Which processor cores do what.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::error::{Context, Error};

/// One core for the server and another for the load, the runner and the reader of the log: the server then pays for its
/// own work only, and every server for it on the same core.
///
/// What a thread starts inherits its core. Go and tokio both take the number of their worker threads from it, as they
/// would in a container that may use one core.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cores {
    server: usize,
    load: usize,
}

impl Cores {
    /// The first and the last core that this process may use.
    pub(crate) fn current() -> Result<Self, Error> {
        let allowed = sched_getaffinity(None).context("cannot tell which cores may be used")?;
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

    /// Does `action`, which starts a server, on the core for servers.
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
