//! A restart of the API server while a job runs. No other test may use the cluster at the same time.

use std::process::Command;

use super::{Namespace, TIMEOUT};
use crate::fixture::owner;
use crate::support::{eventually, run};

/// Prints a line each half second for 20 s.
const COUNT: &str = "a: {script: ['for i in $(seq 40); do echo line $i; sleep 0.5; done; exit 7']}\n";

#[test]
fn a_restart_of_the_api_server_costs_no_line() {
    let namespace = Namespace::alone();
    let job = namespace.start(COUNT, "", "line 5");
    let nodes = run(&mut owner(&["get", "nodes", "--output=name"]));
    for node in nodes.lines() {
        // Ends the process. The kubelet starts it again.
        run(Command::new("docker").args(["exec", node.trim_start_matches("node/"), "pkill", "kube-apiserver"]));
    }
    let run = job.end();
    let lines: Vec<String> = run.all_lines("a").into_iter().filter(|line| line.starts_with("line ")).collect();
    assert_eq!(lines, (1..=40).map(|number| format!("line {number}")).collect::<Vec<_>>());
    run.failed("a", "exit code 7");
    eventually("the API server", TIMEOUT, || {
        let output = owner(&["get", "--raw", "/readyz"]).output().expect("kubectl");
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    });
    assert_eq!(namespace.objects(), Vec::<String>::new());
}
