//! Owner IDs, which show whether the process that created a resource still exists. An ID identifies a process among all processes of
//! this machine and of other machines that share an engine with it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicU64, Ordering};

/// The ID of this process: `machine.boot.namespace.pid.start`. The kernel reuses process IDs. The start time, in clock ticks since boot,
/// distinguishes processes with the same process ID.
pub fn owner_id() -> String {
    let pid = std::process::id();
    format!("{}.{pid}.{}", process_space(), start_time(pid).unwrap_or_default())
}

/// An ID for one of several owners in this process: `machine.boot.namespace.pid.start/number`. Each call returns an ID with another
/// number.
pub fn unique_owner_id() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    format!("{}/{}", owner_id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Whether the process with this ID, from [`owner_id`] or [`unique_owner_id`], ran on this machine and no longer exists. Returns
/// `false` if that cannot be determined: for processes of other machines, other PID namespaces or earlier boots, for a text that is
/// not an owner ID, if `/proc` hides the processes of other users, and on systems without `/proc`.
pub fn owner_is_gone(id: &str) -> bool {
    let process = id.split_once('/').map_or(id, |(process, _)| process);
    let Some((rest, start)) = process.rsplit_once('.') else { return false };
    let Some((space, pid)) = rest.rsplit_once('.') else { return false };
    let (Ok(pid), Ok(start)) = (pid.parse::<u32>(), start.parse::<u64>()) else { return false };
    // Without `/proc` the start time is unknown, and every ID contains 0 instead. The first process always exists: if `/proc` hides
    // it, it hides other processes as well.
    space == process_space() && start > 0 && start_time(pid) != Some(start) && start_time(1).is_some()
}

/// The space in which a process ID is unique: the host name, the boot, and the PID namespace. The host name alone is not sufficient,
/// because a container can have the host's name but its own PID namespace. `pid_namespaces(7)`
fn process_space() -> String {
    let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let boot = boot.get(..8).unwrap_or_default();
    let namespace = fs::metadata("/proc/self/ns/pid").map(|found| found.ino()).unwrap_or_default();
    format!("{machine}.{boot}.{namespace}")
}

/// When a process started, in clock ticks since boot: `proc(5)`, field 22 of `stat`.
fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses, which may contain spaces and parentheses.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn a_running_process_is_not_gone_and_an_ended_one_is() {
        let own = owner_id();
        assert!(!owner_is_gone(&own), "{own}");
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let other = format!("{}.{}.{}", process_space(), child.id(), start_time(child.id()).unwrap());
        assert!(!owner_is_gone(&other) && !owner_is_gone(&format!("{other}/2")));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(owner_is_gone(&other) && owner_is_gone(&format!("{other}/2")));
        // The same process ID with another start time belongs to another process.
        assert!(owner_is_gone(&format!("{}.{}.1", process_space(), std::process::id())));
    }

    #[test]
    fn unique_owner_ids_of_one_process_differ() {
        let (one, other) = (unique_owner_id(), unique_owner_id());
        assert!(one != other && one.starts_with(&owner_id()) && !owner_is_gone(&one), "{one} {other}");
    }

    #[test]
    fn a_process_of_another_namespace_or_boot_is_not_known_to_be_gone() {
        let space = process_space();
        let (rest, _) = space.rsplit_once('.').unwrap();
        let (machine, _) = rest.rsplit_once('.').unwrap();
        assert!(owner_is_gone(&format!("{space}.1.1")));
        assert!(!owner_is_gone(&format!("{rest}.1.1.1")));
        assert!(!owner_is_gone(&format!("{machine}.00000000.1.1.1")));
        assert!(!owner_is_gone(&format!("{machine}.1.1")));
    }

    #[rstest]
    #[case::another_machine("elsewhere.1.1")]
    #[case::not_an_owner_id("7")]
    #[case::unknown_start("elsewhere.1.0")]
    fn an_unknown_owner_is_not_gone(#[case] id: &str) {
        assert!(!owner_is_gone(id));
    }
}
