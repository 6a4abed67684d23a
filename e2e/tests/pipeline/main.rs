//! Tests of the real `e2e lint`, `e2e plan` and `e2e pipeline` on small repositories.

#[path = "../support/mod.rs"]
mod support;

mod agreement;
mod cases;
mod end;
mod lint;
mod manifests;
mod outcome;
mod own;
mod plan;
mod repository;
mod run;
mod unread;

/// The executor for the pipelines of [`run`].
const EXECUTOR: &str = "shell";

/// The processes that the program with this process ID has left behind.
fn left_behind(id: &str) -> Vec<String> {
    let part = format!(".{id}");
    let environments = std::fs::read_dir("/proc").into_iter().flatten().flatten().map(|process| {
        String::from_utf8_lossy(&std::fs::read(process.path().join("environ")).unwrap_or_default()).into_owned()
    });
    let variables = environments.filter_map(|all| {
        let variable = all.split('\0').find(|variable| variable.starts_with("GITLAB_CI_K8S_DEMO_PIPELINE="));
        variable.map(str::to_owned)
    });
    variables.filter(|variable| variable.contains(&part)).collect()
}
