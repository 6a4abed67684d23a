//! The outcome of `e2e pipeline --format json`.

#![allow(dead_code, reason = "every test program uses its own part of it")]
#![expect(clippy::expect_used, reason = "test helpers fail by panicking")]

use std::process::Output;

use serde_json::Value;

use crate::support::error;

/// A run of `e2e pipeline` that has ended.
pub(crate) struct Run {
    pub(crate) output: Output,
    pub(crate) events: Vec<Value>,
}

impl Run {
    pub(crate) fn new(output: Output) -> Self {
        let text = String::from_utf8(output.stdout.clone()).expect("UTF-8");
        let events = text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
        Self { output, events }
    }

    pub(crate) fn code(&self) -> i32 {
        self.output.status.code().expect("a code")
    }

    /// All lines of a job, with those of the runner.
    pub(crate) fn all_lines(&self, job: &str) -> Vec<String> {
        let lines = self.events.iter().filter(|event| event["event"] == "line" && event["job"] == job);
        lines.map(|event| event["line"].as_str().expect("a line").to_owned()).collect()
    }

    /// The lines that a job wrote, without the runner's own colored lines.
    pub(crate) fn lines(&self, job: &str) -> Vec<String> {
        self.all_lines(job).into_iter().filter(|line| !line.starts_with('\x1b')).collect()
    }

    /// The event of the last end of a job.
    pub(crate) fn ended(&self, job: &str) -> &Value {
        let ended = self.events.iter().rev().find(|event| event["event"] == "job_ended" && event["job"] == job);
        ended.unwrap_or_else(|| panic!("{job} never ended: {}", error(&self.output)))
    }
}
