//! `kill -9`, at random moments: nobody gets to clean up, and everything is found all the same.

use std::time::Duration;

use crate::bench::Bench;
use crate::support::run;

/// How often it is killed.
const KILLS: usize = 10;

/// The time that a cluster takes, and a little more: a kill may come at any moment, and after that as well. `KILLS_WITHIN` says
/// other seconds: 240 reach every part of the story.
const LONGEST: u64 = 45;

#[test]
fn ten_kills_leave_nothing() {
    let bench = Bench::new();
    let mut random = fastrand::Rng::new();
    let longest = std::env::var("KILLS_WITHIN").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(LONGEST);
    println!("seed {}, within {longest} s", random.get_seed());
    for kill in 1..=KILLS {
        let delay = Duration::from_millis(random.u64(0..longest * 1000));
        // The story does all that `up` does, and has jobs beside it.
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
