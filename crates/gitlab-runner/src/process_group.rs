//! Process groups: a program together with the processes that it started.

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::process::Child;

#[cfg(target_os = "linux")]
use crate::processes::{self, Process};

/// The process group of a program that was started as the leader of its group.
#[derive(Clone, Copy, Debug)]
pub struct ProcessGroup(Pid);

impl ProcessGroup {
    /// The group that `child` leads. `None` if the child has already been waited for.
    pub fn led_by(child: &Child) -> Option<Self> {
        child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw).map(Self)
    }

    /// Sends a signal to every process of the group.
    pub fn signal(self, signal: Signal) {
        // The group may have ended in the meantime.
        let _ = kill_process_group(self.0, signal);
    }

    /// Whether any process of the group still runs. Zombies do not count: in containers whose PID 1 is not an init process, orphaned
    /// zombies are never reaped.
    pub fn is_running(self) -> bool {
        test_kill_process_group(self.0).is_ok() && self.has_living()
    }

    #[cfg(target_os = "linux")]
    fn has_living(self) -> bool {
        processes::all().map_or(true, |mut processes| processes.any(|process| self.is_living(process)))
    }

    #[cfg(not(target_os = "linux"))]
    fn has_living(self) -> bool {
        true
    }

    /// Whether a process belongs to this group and has not ended.
    #[cfg(target_os = "linux")]
    fn is_living(self, process: Process) -> bool {
        process.group == self.0.as_raw_nonzero().get() && !process.has_ended
    }
}

/// Kills a process group when dropped, unless [`disarm`](Self::disarm) was called.
#[derive(Debug)]
pub struct KillOnDrop(Option<ProcessGroup>);

impl KillOnDrop {
    /// A guard for the group that `child` leads.
    pub fn group_of(child: &Child) -> Self {
        Self(ProcessGroup::led_by(child))
    }

    /// Releases the guard: the group has ended by itself.
    pub fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            group.signal(Signal::KILL);
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::Stdio;
    use std::time::{Duration, Instant};

    use tokio::io::AsyncReadExt;
    use tokio::process::Command;

    use super::*;

    #[test]
    fn an_ended_process_is_not_running() {
        let group = ProcessGroup(Pid::from_raw(7).unwrap());
        let is_living = |stat: &str| group.is_living(Process::parse(stat.as_bytes()).unwrap());
        assert!(is_living("12 (a) b) S 1 7 7 0"));
        assert!(!is_living("12 (a) b) Z 1 7 7 0") && !is_living("12 (a) S 1 8 7 0"));
    }

    #[tokio::test]
    async fn dropping_the_guard_ends_the_whole_group() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 60 & echo; wait"]).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn().unwrap();
        let (group, ending) = (ProcessGroup::led_by(&child).unwrap(), KillOnDrop::group_of(&child));
        child.stdout.take().unwrap().read_u8().await.unwrap();
        assert!(group.is_running());
        drop(ending);
        let started = Instant::now();
        // The shell is a zombie until the test waits for it.
        while group.is_running() {
            assert!(started.elapsed() < Duration::from_mins(2));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        child.wait().await.unwrap();
    }
}
