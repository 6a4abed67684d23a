//! Tests `kill -9` at random moments: the process cannot clean up, but `down` still finds everything.

use std::time::Duration;

use crate::bench::Bench;
use crate::support::run;

/// Number of kills.
const KILLS: usize = 10;

/// Slightly more than the time in which a cluster comes up, so that a kill may happen at any moment, and after it is up. `KILLS_WITHIN`
/// sets another number of seconds: 240 covers every part of the scenario.
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
    assert!(bench.is_whole());
    bench.down();
}
