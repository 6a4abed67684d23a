//! Ends orphaned programs: programs of a cluster or a pipeline that keep running after the `e2e` process that started them was killed.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use container_engine::{labels, ownership};

/// Time that programs have to clean up and exit after each signal.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Interval at which `/proc` is polled. The kernel reports the end of a process only to its parent.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Ends all programs of `cluster` and their descendants, and returns their number.
///
/// Identifies them by a variable in their environment, which only Linux shows. On other systems it finds none, and the programs run
/// until their work is done.
pub async fn end(cluster: &str) -> usize {
    let marker = cluster_marker(cluster);
    end_within(&|variable| variable == marker.as_bytes(), TIMEOUT).await
}

/// Ends all programs of pipeline jobs whose `e2e` process is gone, and returns their number.
pub async fn end_of_gone_pipelines() -> usize {
    let prefix = format!("{}=", labels::PIPELINE_VARIABLE);
    let is_gone = |variable: &[u8]| {
        let owner = variable.strip_prefix(prefix.as_bytes()).and_then(|owner| std::str::from_utf8(owner).ok());
        owner.is_some_and(ownership::owner_is_gone)
    };
    end_within(&is_gone, TIMEOUT).await
}

fn cluster_marker(cluster: &str) -> String {
    format!("{}={cluster}", labels::CLUSTER_VARIABLE)
}

/// Whether an environment variable, in the form `NAME=VALUE`, selects the program that has it.
type Selector<'marker> = dyn Fn(&[u8]) -> bool + Send + Sync + 'marker;

async fn end_within(selector: &Selector<'_>, timeout: Duration) -> usize {
    let found = find(selector);
    for signal in [Signal::TERM, Signal::KILL] {
        let deadline = tokio::time::Instant::now() + timeout;
        let mut signaled = BTreeSet::new();
        loop {
            let left = find(selector);
            if left.is_empty() {
                return found.len();
            }
            if tokio::time::Instant::now() > deadline {
                break;
            }
            for process in left.iter().filter(|process| signaled.insert(**process)) {
                if let Some(process) = Pid::from_raw(*process) {
                    // The process may have ended just now.
                    let _ = kill_process(process, signal);
                }
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
    found.len()
}

fn find(selector: &Selector<'_>) -> BTreeSet<i32> {
    let is_selected = |process: &Path| {
        // Environments of other users' processes are not readable. A process that has ended has no environment.
        let environment = fs::read(process.join("environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(selector)
    };
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|process| Some((process.file_name().to_str()?.parse().ok()?, process.path())))
        .filter(|(_, path)| is_selected(path))
        .map(|(number, _)| number)
        .collect()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::Command;

    use super::*;

    #[tokio::test]
    async fn a_program_and_its_children_are_ended() {
        let cluster = format!("orphans-{}", std::process::id());
        let mut shell = Command::new("sh")
            .args(["-c", "trap '' TERM; sleep 1000 & wait"])
            .env(labels::CLUSTER_VARIABLE, &cluster)
            .spawn()
            .unwrap();
        // Wait until the shell has started its child.
        let marker = cluster_marker(&cluster);
        let selector = |variable: &[u8]| variable == marker.as_bytes();
        while find(&selector).len() < 2 {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        let reaper = std::thread::spawn(move || shell.wait().unwrap());
        // The shell ignores SIGTERM.
        assert_eq!(end_within(&selector, Duration::from_millis(200)).await, 2);
        assert!(!reaper.join().unwrap().success());
        assert_eq!(end(&cluster).await, 0);
    }
}
