//! Tests that need a container engine. They fail without one; `make doctor DOCTOR_FLAGS=--fix` installs one.

#![expect(clippy::unwrap_used, reason = "test helpers fail by panicking")]

#[path = "../support/mod.rs"]
mod support;

#[path = "../pipeline/cases.rs"]
mod cases;
#[path = "../pipeline/outcome.rs"]
mod outcome;
#[path = "../pipeline/repository.rs"]
mod repository;
#[path = "../pipeline/run.rs"]
mod run;

mod dind;
mod images;
mod job;
mod jobs;
mod pulls;
mod services;

/// The executor for the pipelines of [`run`].
const EXECUTOR: &str = "docker";

/// Containers, networks and volumes with the label of the process with this ID.
fn left_behind(number: &str) -> Vec<String> {
    let label = "{{.Label \"io.gitlab-ci-k8s-demo.pipeline\"}}";
    let lists: [&[&str]; 3] = [&["ps", "--all"], &["network", "ls"], &["volume", "ls"]];
    let all = lists.map(|list| support::docker(&[list, &["--format", label]].concat())).join("\n");
    all.lines().filter(|owner| owner.contains(&format!(".{number}"))).map(str::to_owned).collect()
}
