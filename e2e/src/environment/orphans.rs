//! Programs that were run for a cluster or a pipeline and whose parent was killed: they go on with what nobody wants any more.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use container_engine::labels;
use container_engine::ownership;

/// Time that they have to end by themselves, with what they clean up then.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often it is asked whether they have. The kernel tells a process's end to its parent alone.
const INTERVAL: Duration = Duration::from_millis(50);

/// Ends all programs that were run for `cluster`, whatever they have started in turn, and tells how many there were.
///
/// They are known by their environment, as Linux shows it. Elsewhere none is found, and they end when their work does.
pub async fn end(cluster: &str) -> usize {
    let mark = of_cluster(cluster);
    end_within(&|variable| variable == mark.as_bytes(), PATIENCE).await
}

/// Ends all programs of jobs of pipelines whose own programs are gone, and tells how many there were.
pub async fn end_of_gone_pipelines() -> usize {
    let prefix = format!("{}=", labels::PIPELINE_VARIABLE);
    let is_gone = |variable: &[u8]| {
        let mark = variable.strip_prefix(prefix.as_bytes()).and_then(|mark| std::str::from_utf8(mark).ok());
        mark.is_some_and(ownership::owner_is_gone)
    };
    end_within(&is_gone, PATIENCE).await
}

fn of_cluster(cluster: &str) -> String {
    format!("{}={cluster}", labels::VARIABLE)
}

/// Whether a variable of a program's environment, with its name, says that the program is meant.
type IsMeant<'mark> = dyn Fn(&[u8]) -> bool + 'mark;

async fn end_within(is_meant: &IsMeant<'_>, patience: Duration) -> usize {
    let found = find(is_meant);
    for signal in [Signal::TERM, Signal::KILL] {
        let deadline = tokio::time::Instant::now() + patience;
        let mut told = BTreeSet::new();
        loop {
            let left = find(is_meant);
            if left.is_empty() {
                return found.len();
            }
            if tokio::time::Instant::now() > deadline {
                break;
            }
            for process in left.iter().filter(|process| told.insert(**process)) {
                if let Some(process) = Pid::from_raw(*process) {
                    // It may have ended in this moment.
                    let _ = kill_process(process, signal);
                }
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }
    found.len()
}

fn find(is_meant: &IsMeant<'_>) -> BTreeSet<i32> {
    let is_marked = |process: &Path| {
        // Another user's is not readable, and not ours. One that has ended has no environment.
        let environment = fs::read(process.join("environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(is_meant)
    };
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|process| Some((process.file_name().to_str()?.parse().ok()?, process.path())))
        .filter(|(_, path)| is_marked(path))
        .map(|(number, _)| number)
        .collect()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::Command;

    use super::*;

    #[tokio::test]
    async fn a_program_and_what_it_started_are_ended() {
        let cluster = format!("orphans-{}", std::process::id());
        let mut shell = Command::new("sh")
            .args(["-c", "trap '' TERM; sleep 1000 & wait"])
            .env(labels::VARIABLE, &cluster)
            .spawn()
            .unwrap();
        // The shell takes a moment to start its own.
        let mark = of_cluster(&cluster);
        let is_meant = |variable: &[u8]| variable == mark.as_bytes();
        while find(&is_meant).len() < 2 {
            tokio::time::sleep(INTERVAL).await;
        }
        let reaper = std::thread::spawn(move || shell.wait().unwrap());
        // It does not listen to the first signal.
        assert_eq!(end_within(&is_meant, Duration::from_millis(200)).await, 2);
        assert!(!reaper.join().unwrap().success());
        assert_eq!(end(&cluster).await, 0);
    }
}
