//! A restart of the API server while a job runs. No other test may use the cluster at the same time.

use std::process::Command;
use std::time::Duration;

use super::Namespace;
use crate::fixture::owner;
use crate::support::{e2e, error, eventually, run};

/// Prints a line each half second for 20 s.
const COUNT: &str = "a: {script: ['for i in $(seq 40); do echo line $i; sleep 0.5; done; exit 7']}\n";

/// The kubelet starts the API server again, after a pause that grows with each restart. The job ends before or after that.
#[test]
#[ignore = "CI has no time for it: make test-variants"]
fn a_restart_of_the_api_server_costs_no_line_and_leaves_nothing() {
    let namespace = Namespace::alone();
    let job = namespace.start(COUNT, "", "line 5");
    for node in run(&mut owner(&["get", "nodes", "--output=name"])).lines() {
        run(Command::new("docker").args(["exec", node.trim_start_matches("node/"), "pkill", "kube-apiserver"]));
    }
    let run = job.end();
    // The controllers restart as well.
    eventually("the cluster", Duration::from_mins(3), || {
        let status = e2e(&["status"]).output().expect("e2e");
        if status.status.success() { Ok(()) } else { Err(error(&status)) }
    });
    let lines: Vec<String> = run.all_lines("a").into_iter().filter(|line| line.starts_with("line ")).collect();
    assert_eq!(lines, (1..=40).map(|number| format!("line {number}")).collect::<Vec<_>>());
    run.failed("a", "exit code 7");
    assert_eq!(namespace.objects(), Vec::<String>::new());
}
