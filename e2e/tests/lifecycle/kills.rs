//! Tests `kill -9` at random moments: the process cannot clean up, but `down` still finds everything.

use std::time::Duration;

use crate::sandbox::{NAME, Sandbox};
use crate::support::{docker, eventually, run};

/// Number of kills. The environment variable `KILLS` overrides it.
const KILLS: u64 = 2;

/// Longer than a cluster takes to come up, so that a kill may happen while it comes up or afterwards. The environment variable
/// `KILLS_WITHIN` overrides it: 240 seconds cover every part of the scenario.
const MAX_SECONDS: u64 = 45;

#[test]
fn kills_leave_nothing() {
    let sandbox = Sandbox::new();
    let mut random = fastrand::Rng::new();
    let number = |name: &str| std::env::var(name).ok().and_then(|number| number.parse().ok());
    let max_seconds = number("KILLS_WITHIN").unwrap_or(MAX_SECONDS);
    println!("seed {}, within {max_seconds} s", random.get_seed());
    for kill in 1..=number("KILLS").unwrap_or(KILLS) {
        let delay = Duration::from_millis(random.u64(0..max_seconds * 1000));
        // `run` does everything that `up` does, and runs jobs in parallel.
        let report = sandbox.report();
        let arguments = ["run", "--quiet", "--report", &*report.to_string_lossy()];
        let mut killed = sandbox.e2e(&arguments).stdout(std::process::Stdio::null()).spawn().expect("e2e runs");
        std::thread::sleep(delay);
        killed.kill().expect("a kill");
        killed.wait().expect("its end");
        let left = sandbox.left();
        println!("kill {kill} after {delay:?} left {}: {}", left.len(), left.join(", "));
        sandbox.down();
    }
    run(&mut sandbox.e2e(&["up"]));
    assert!(sandbox.is_complete());
    sandbox.down();
}

/// The engine completes a request even if its client was killed. Creating the container of a node takes about a second, because the engine
/// copies files from the image to the node's volume. Until then, the engine lists the volume, but not the container.
#[test]
fn a_node_that_appears_after_the_kill_is_removed() {
    let sandbox = Sandbox::new();
    let before = docker(&["volume", "ls", "--quiet"]);
    let mut killed = sandbox.e2e(&["up"]).spawn().expect("e2e runs");
    Sandbox::wait_for_container(&format!("{NAME}-registry"));
    let node = format!("name={NAME}-control-plane");
    eventually("the node", Duration::from_mins(1), || {
        let volumes = docker(&["volume", "ls", "--quiet"]);
        let mounts = docker(&["ps", "--all", "--no-trunc", "--format", "{{.Mounts}}"]);
        let is_creating = volumes.lines().any(|volume| !before.contains(volume) && !mounts.contains(volume));
        let is_listed = !docker(&["ps", "--all", "--quiet", "--filter", &node]).is_empty();
        if is_creating || is_listed { Ok(()) } else { Err("neither its volume nor its container".to_owned()) }
    });
    killed.kill().expect("a kill");
    killed.wait().expect("its end");
    sandbox.down();
    // Longer than the engine takes for the container.
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(sandbox.left(), Vec::<String>::new());
}
