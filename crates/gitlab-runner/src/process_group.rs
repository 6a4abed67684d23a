//! Process groups: a program together with the processes that it started.

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::process::Child;

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
        let Ok(processes) = std::fs::read_dir("/proc") else { return true };
        let stats = processes.flatten().filter_map(|process| std::fs::read(process.path().join("stat")).ok());
        // The name of a program may contain any bytes.
        stats.into_iter().any(|stat| self.is_living(&String::from_utf8_lossy(&stat)))
    }

    #[cfg(not(target_os = "linux"))]
    fn has_living(self) -> bool {
        true
    }

    /// Whether a process belongs to this group and has not ended: `proc(5)`, fields 3 and 5 of `stat`.
    #[cfg(target_os = "linux")]
    fn is_living(self, stat: &str) -> bool {
        // The second field is the program's name in parentheses, which may contain spaces and parentheses.
        let mut fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
        let (state, group) = (fields.next(), fields.nth(1).and_then(|group| group.parse().ok()));
        group == Some(self.0.as_raw_nonzero().get()) && !matches!(state, Some("Z" | "X"))
    }
}

/// Kills a process group when dropped, unless [`over`](Self::over) was called.
#[derive(Debug)]
pub struct KillOnDrop(Option<ProcessGroup>);

impl KillOnDrop {
    /// A guard for the group that `child` leads.
    pub fn group_of(child: &Child) -> Self {
        Self(ProcessGroup::led_by(child))
    }

    /// Releases the guard: the group has ended by itself.
    pub fn over(mut self) {
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
        assert!(group.is_living("12 (a) b) S 1 7 7 0"));
        assert!(!group.is_living("12 (a) b) Z 1 7 7 0") && !group.is_living("12 (a) S 1 8 7 0"));
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
