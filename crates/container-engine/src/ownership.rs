//! Whether somebody who made something is still there: a mark that tells this process from every other one, on this machine and
//! on others that share an engine with it.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

/// The mark of this process: machine, number, and when it was started, because numbers come again.
pub fn mark() -> String {
    let id = std::process::id();
    format!("{}.{id}.{}", machine(), started(id).unwrap_or_default())
}

/// A mark of something that this process makes several of at the same time: its own, and which of them.
pub fn mark_of_one() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    format!("{}/{}", mark(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Whether the process of a mark was one of this machine and is gone. Where that cannot be known, it is not.
pub fn is_gone(mark: &str) -> bool {
    let process = mark.split_once('/').map_or(mark, |(process, _)| process);
    let Some((rest, start)) = process.rsplit_once('.') else { return false };
    let Some((marked_machine, id)) = rest.rsplit_once('.') else { return false };
    let (Ok(id), Ok(start)) = (id.parse::<u32>(), start.parse::<u64>()) else { return false };
    // Without `/proc` nobody knows when a process was started, and every mark has 0 there.
    marked_machine == machine() && start > 0 && started(id) != Some(start)
}

/// The name of this machine; containers have their own.
fn machine() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// When a process was started, in ticks since the machine was. `proc(5)`, field 22 of `stat`
fn started(id: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The second field is a name in parentheses that may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn this_process_is_there_and_one_that_ended_is_gone() {
        let own = mark();
        assert!(!is_gone(&own), "{own}");
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let other = format!("{}.{}.{}", machine(), child.id(), started(child.id()).unwrap());
        assert!(!is_gone(&other) && !is_gone(&format!("{other}/2")));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(is_gone(&other) && is_gone(&format!("{other}/2")));
        // The number is somebody else's by now.
        assert!(is_gone(&format!("{}.{}.1", machine(), std::process::id())));
    }

    #[test]
    fn what_is_made_at_the_same_time_is_told_apart() {
        let (one, other) = (mark_of_one(), mark_of_one());
        assert!(one != other && one.starts_with(&mark()) && !is_gone(&one), "{one} {other}");
    }

    #[rstest]
    #[case::another_machine("elsewhere.1.1")]
    #[case::no_mark("7")]
    #[case::unknown_start("elsewhere.1.0")]
    fn what_is_not_known_is_not_gone(#[case] mark: &str) {
        assert!(!is_gone(mark));
    }
}
