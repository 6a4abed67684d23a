//! `kill -9`, at random moments: nobody gets to clean up, and everything is found all the same.

use std::time::Duration;

use crate::bench::Bench;
use crate::support::run;

/// How often it is killed.
const KILLS: usize = 10;

/// The time that a cluster takes, and a little more: a kill may come at any moment, and after the end as well.
const LONGEST: u64 = 45_000;

#[test]
fn ten_kills_leave_nothing() {
    let bench = Bench::new();
    let mut random = fastrand::Rng::new();
    println!("seed {}", random.get_seed());
    for kill in 1..=KILLS {
        let delay = Duration::from_millis(random.u64(0..LONGEST));
        // The story brings the same cluster up, and has jobs beside it.
        let report = bench.report();
        let report = report.to_string_lossy();
        let arguments =
            if kill % 2 == 0 { vec!["up", "--quiet"] } else { vec!["run", "--quiet", "--report", &*report] };
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
