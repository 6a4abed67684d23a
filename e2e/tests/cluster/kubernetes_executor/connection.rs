//! Tests of lost connections to the API server.

use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;
use tempfile::NamedTempFile;

use super::proxy::Proxy;
use super::{IMAGE, Namespace, Running, runner};
use crate::fixture::owner;
use crate::repository::Repository;
use crate::support::{image, run};

/// The owner's kubeconfig as the context `test`, with another address of the API server or another account.
pub(super) fn kubeconfig(server: Option<&str>, token: Option<&str>) -> NamedTempFile {
    let text = run(&mut owner(&["config", "view", "--raw", "--flatten", "--output=json"]));
    let mut config: Value = serde_json::from_str(&text).expect("JSON");
    if let Some(server) = server {
        config["clusters"][0]["cluster"]["server"] = server.into();
    }
    if let Some(token) = token {
        config["users"][0]["user"] = serde_json::json!({"token": token});
    }
    config["contexts"][0]["name"] = "test".into();
    config["current-context"] = "test".into();
    let file = NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), config.to_string()).expect("a kubeconfig");
    file
}

/// The reference of [`IMAGE`], which the nodes have after a job has used it.
pub(super) fn image_on_the_node(namespace: &Namespace) -> String {
    assert_eq!(namespace.run("a: {script: 'true'}\n", "").code(), 0);
    image(IMAGE)
}

/// Starts a pipeline that reaches the API server through a proxy, and waits until its job `a` has written `begun`.
/// `settings` are lines of `[runners.kubernetes]`.
fn start(namespace: &Namespace, pipeline: &str, settings: &str, proxy: &Proxy) -> Running {
    let kubeconfig = kubeconfig(Some(&proxy.address), None);
    let (repository, settings) = (Repository::new("main", pipeline), runner(settings));
    let mut command = namespace.command(&repository, &settings, &["--context", "test"]);
    let child = command.env("KUBECONFIG", kubeconfig.path()).spawn().expect("e2e");
    let running = Running { child, repository, _settings: settings };
    running.wait_for("begun");
    running
}

/// Runs a job that writes 600 lines in 30 s through a proxy, and disturbs its connections. No line may be lost or repeated.
fn disturbed(disturb: impl Fn(&Proxy)) {
    let namespace = Namespace::new();
    let image = image_on_the_node(&namespace);
    let proxy = Proxy::new();
    let print = r"perl -e '$| = 1; for (1..600) { print qq(line $_\\n); select undef, undef, undef, 0.05 }'";
    let pipeline = format!(
        "a:\n  image: '{image}'\n  script: [echo begun, \"{print}\", head -c 3000000 /dev/urandom > big, exit 9]\n  artifacts: \
         {{paths: [big], when: always}}\n",
    );
    let running = start(&namespace, &pipeline, "", &proxy);
    sleep(Duration::from_secs(3));
    disturb(&proxy);
    let run = running.end();
    assert_eq!(run.ended("a")["exit_code"], 9, "{:?}", run.result("a"));
    let lines = run.all_lines("a");
    let numbers = lines.iter().filter_map(|line| line.strip_prefix("line ")?.parse::<u32>().ok());
    assert!(numbers.eq(1..=600), "{lines:#?}");
    run.has("a", "Uploading artifacts... 1 files and directories, 3000000 bytes");
}

#[test]
fn a_lost_connection_costs_no_line() {
    disturbed(|proxy| {
        proxy.cut(Duration::from_secs(8));
        sleep(Duration::from_secs(3));
        proxy.cut(Duration::from_secs(8));
    });
}

/// A firewall or a suspended machine may forget a connection without closing it.
#[test]
fn a_silent_connection_costs_no_line() {
    disturbed(Proxy::silence);
}

/// A command that writes this many lines of 1000 bytes, each with its number.
fn print_lines(count: u32) -> String {
    format!(r"perl -e 'printf qq(%0999d\n), $_ for 1..{count}'")
}

/// The numbers of the lines that [`print_lines`] has written.
fn numbers(lines: &[String]) -> Vec<u32> {
    lines.iter().filter(|line| line.len() == 999).filter_map(|line| line.parse().ok()).collect()
}

/// The job writes much faster than its output can be read.
#[test]
fn a_slow_connection_costs_no_line() {
    let namespace = Namespace::new();
    let image = image_on_the_node(&namespace);
    let pipeline = format!(
        "a:\n  image: '{image}'\n  script:\n    - echo begun\n    - {}\n    - echo END\n    - until [ -e /tmp/go ]; do sleep 0.2; done\n",
        print_lines(40_000)
    );
    let running = start(&namespace, &pipeline, "", &Proxy::with_rate(5_000_000));
    let pod = namespace.pod();
    running.wait_for("END");
    assert_eq!(namespace.kubectl(&["logs", &pod, "--container=build"]), "", "the node keeps the output as well");
    let exec = ["exec", &pod, "--container=build", "--", "touch", "/tmp/go"];
    run(owner(&["--namespace", &namespace.name]).args(exec));
    let (run, lines) = running.end_with_log();
    assert_eq!(run.code(), 0, "{:?}", run.result("a"));
    assert!(numbers(&lines).into_iter().eq(1..=40_000), "{} numbers", numbers(&lines).len());
}

/// The pod is deleted while its output is still on its way: the helper must not end before it has been read.
#[test]
fn the_output_of_a_deleted_pod_is_read() {
    let namespace = Namespace::new();
    let image = image_on_the_node(&namespace);
    let print = print_lines(8_000);
    let pipeline = format!(
        "a:\n  image: '{image}'\n  script:\n    - echo begun\n    - sleep 3\n    - {print}\n    - echo END; sleep 600\n"
    );
    // The helper waits for the reader until shortly before the end of the grace period, which a loaded machine may need.
    let settings = "pod_termination_grace_period_seconds = 60";
    let running = start(&namespace, &pipeline, settings, &Proxy::with_rate(6_000_000));
    let pod = namespace.pod();
    // The job has written everything long before the first lines arrive here. The rest takes more than a second.
    running.wait_for("00042");
    namespace.kubectl(&["delete", &pod, "--wait=false"]);
    let (run, lines) = running.end_with_log();
    run.failed("a", "is being deleted by another program or user");
    assert!(numbers(&lines).into_iter().eq(1..=8_000), "{} numbers", numbers(&lines).len());
    assert!(lines.iter().any(|line| line == "END"));
}
