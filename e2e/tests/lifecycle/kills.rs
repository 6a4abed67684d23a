//! Tests `kill -9` at random moments: the process cannot clean up, but `down` still finds everything.

use std::time::Duration;

use crate::bench::{Bench, NAME};
use crate::support::{docker, eventually, run};

/// Number of kills.
const KILLS: usize = 10;

/// Longer than a cluster takes to come up, so that a kill may happen while it comes up or afterwards. `KILLS_WITHIN` sets another number
/// of seconds: 240 covers every part of the scenario.
const MAX_SECONDS: u64 = 45;

#[test]
fn ten_kills_leave_nothing() {
    let bench = Bench::new();
    let mut random = fastrand::Rng::new();
    let longest = std::env::var("KILLS_WITHIN").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(MAX_SECONDS);
    println!("seed {}, within {longest} s", random.get_seed());
    for kill in 1..=KILLS {
        let delay = Duration::from_millis(random.u64(0..longest * 1000));
        // `run` does everything that `up` does, and runs jobs in parallel.
        let report = bench.report();
        let arguments = ["run", "--quiet", "--report", &*report.to_string_lossy()];
        let mut killed = bench.e2e(&arguments).stdout(std::process::Stdio::null()).spawn().expect("e2e runs");
        std::thread::sleep(delay);
        killed.kill().expect("a kill");
        killed.wait().expect("its end");
        let left = bench.left();
        println!("kill {kill} after {delay:?} left {}: {}", left.len(), left.join(", "));
        bench.down();
    }
    run(&mut bench.e2e(&["up"]));
    assert!(bench.is_complete());
    bench.down();
}

/// The engine completes a request even if its client was killed. Creating the container of a node takes about a second, because the engine
/// copies files from the image to the node's volume. Until then, the engine lists the volume, but not the container.
#[test]
fn a_node_that_appears_after_the_kill_is_removed() {
    let bench = Bench::new();
    let before = docker(&["volume", "ls", "--quiet"]);
    let mut killed = bench.e2e(&["up"]).spawn().expect("e2e runs");
    Bench::wait_for_container(&format!("{NAME}-registry"));
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
    bench.down();
    // Longer than the engine takes for the container.
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(bench.left(), Vec::<String>::new());
}
