//! The processes of this machine: `proc(5)`.

use std::io;

use rustix::process::{Pid, Signal, kill_process};

/// A process, which may have ended but still be in the table of processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    /// The process ID.
    pub(crate) number: i32,
    /// The process ID of the parent.
    pub(crate) parent: i32,
    /// The process group. 0 in a container if its leader is a process outside.
    pub(crate) group: i32,
    /// The session. 0 in a container if its leader is a process outside.
    pub(crate) session: i32,
    /// Whether it has ended. Its parent has not waited for it yet.
    pub(crate) has_ended: bool,
}

impl Process {
    /// Parses `/proc/PID/stat`: fields 1 and 3 to 6.
    pub(crate) fn parse(stat: &[u8]) -> Option<Self> {
        // The second field is the program's name in parentheses. The name may contain any bytes, also spaces and parentheses.
        let number = stat.split(|byte| *byte == b' ').next()?;
        let number = std::str::from_utf8(number).ok()?.parse().ok()?;
        let rest = stat.rsplit(|byte| *byte == b')').next()?;
        let mut fields = std::str::from_utf8(rest).ok()?.split_whitespace();
        let has_ended = matches!(fields.next()?, "Z" | "X");
        let mut number_of = || fields.next()?.parse().ok();
        Some(Self { number, parent: number_of()?, group: number_of()?, session: number_of()?, has_ended })
    }
}

/// All processes that this process can see.
///
/// # Errors
/// There is no `/proc`, or it has the process IDs of another PID namespace: they would be those of other processes here.
pub(crate) fn all() -> io::Result<impl Iterator<Item = Process>> {
    if std::fs::read_link("/proc/self")?.to_str() != Some(&std::process::id().to_string()) {
        return Err(io::Error::other("/proc belongs to another PID namespace"));
    }
    Ok(std::fs::read_dir("/proc")?.flatten().filter_map(|entry| {
        // `self` and `thread-self` are links to entries with numbers.
        entry.file_name().to_str()?.parse::<i32>().ok()?;
        Process::parse(&std::fs::read(entry.path().join("stat")).ok()?)
    }))
}

/// The descendants of processes with these numbers, without the processes themselves.
pub(crate) fn descendants(mut parents: Vec<i32>, all: Vec<Process>) -> Vec<Process> {
    let (mut found, mut left) = (Vec::new(), all);
    while let Some(parent) = parents.pop() {
        let (children, others): (Vec<_>, Vec<_>) = left.into_iter().partition(|process| process.parent == parent);
        left = others;
        parents.extend(children.iter().map(|child| child.number));
        found.extend(children);
    }
    found
}

/// Sends a signal to processes. One that has ended just now is left out.
pub(crate) fn signal(processes: &[Process], signal: Signal) {
    for process in processes.iter().filter_map(|process| Pid::from_raw(process.number)) {
        let _ = kill_process(process, signal);
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::spaces_and_parentheses(b"12 (a) b) S 1 7 7 0", false)]
    #[case::not_utf8(b"12 (\xff) R 1 7 7 0", false)]
    #[case::ended(b"12 (a) Z 1 7 7 0", true)]
    fn a_line_is_parsed(#[case] stat: &[u8], #[case] has_ended: bool) {
        assert_eq!(Process::parse(stat), Some(Process { number: 12, parent: 1, group: 7, session: 7, has_ended }));
    }

    #[test]
    fn descendants_of_all_generations_are_found() {
        let process = |number, parent| Process { number, parent, group: 1, session: 1, has_ended: false };
        let all = vec![process(4, 3), process(2, 1), process(3, 2), process(5, 1), process(6, 9)];
        let mut found: Vec<_> = descendants(vec![2, 9], all).iter().map(|process| process.number).collect();
        found.sort_unstable();
        assert_eq!(found, [3, 4, 6]);
    }

    #[test]
    fn this_process_is_listed_once() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert_eq!(all().unwrap().filter(|process| process.number == own).count(), 1);
    }
}
