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
        let mut up = bench.e2e(&["up", "--quiet"]).stdout(std::process::Stdio::null()).spawn().expect("e2e runs");
        std::thread::sleep(delay);
        up.kill().expect("a kill");
        up.wait().expect("its end");
        let left = bench.left();
        println!("kill {kill} after {delay:?} left {}: {}", left.len(), left.join(", "));
        bench.down();
    }
    run(&mut bench.e2e(&["up"]));
    assert!(bench.is_whole());
    bench.down();
}
