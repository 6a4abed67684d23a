//! Compares the readers of durations, path patterns and YAML with the Ruby libraries that GitLab uses, on random inputs: `ChronicDuration` with
//! Numerizer, `File.fnmatch`, and Psych with libyaml. The tests need the Debian packages `ruby`, `ruby-chronic-duration` and
//! `ruby-numerizer`. `CASES` and `SEED` set the number of inputs and which ones these are.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "test helpers fail by panicking")]

mod durations;
mod globs;
mod ruby;
mod yaml;

use proptest::test_runner::{Config, RngSeed};

/// The same inputs in each run, unless `SEED` is set.
fn config() -> Config {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    Config {
        cases: number("CASES").and_then(|number| u32::try_from(number).ok()).unwrap_or(5_000),
        rng_seed: RngSeed::Fixed(number("SEED").unwrap_or(1)),
        max_global_rejects: u32::MAX,
        failure_persistence: None,
        ..Config::default()
    }
}
