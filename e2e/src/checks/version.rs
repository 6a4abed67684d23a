//! Checks that the pods run the pushed commit, and that their logs say so.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::LogParams;
use serde_json::Value;
use tokio::time::{Duration, Instant, sleep};

use super::check::{Evidence, Outcome};
use super::environment::{Environment, is_of_proxy, object_ref};
use super::failure::expected;
use crate::record::Failure;

/// The annotation with the commit that the deploy job has deployed.
const ANNOTATION: &str = "ci-commit-sha";

/// Pause between two requests.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

pub(super) async fn run(environment: Environment) -> Outcome {
    let mut evidence = Evidence::default();
    let deployment = environment.deployment().await?;
    let metadata = deployment.spec.as_ref().and_then(|spec| spec.template.metadata.clone()).unwrap_or_default();
    let annotated = metadata.annotations.unwrap_or_default().get(ANNOTATION).cloned();
    let Some(commit) = environment.commit.clone().or_else(|| annotated.clone()) else {
        return Err(expected(format!("the annotation {ANNOTATION}"))
            .actual("none")
            .at(object_ref(&deployment))
            .with(&environment.diagnostics(&deployment).await)
            .hint(
                "the expected commit is unknown",
                "keep the annotation in manifests/deployment.yaml, or pass the commit with `--commit`",
            ));
    };
    if annotated.as_ref().is_some_and(|it| *it != commit) {
        return Err(not_pushed(&commit, annotated.as_deref().unwrap_or_default())
            .at(object_ref(&deployment))
            .with(&environment.diagnostics(&deployment).await));
    }
    for pod in environment.some_pods().await? {
        let (status, body) = version(&environment, &pod).await?;
        let version = serde_json::from_str::<Value>(&body).unwrap_or_default();
        let revision = version["revision"].as_str().unwrap_or_default();
        if status != 200 || revision != commit {
            let seen = if status == 200 { revision.to_owned() } else { format!("{status}: {}", body.trim()) };
            return Err(not_pushed(&commit, &seen).at(object_ref(&pod)).with(&environment.explain_pod(&pod).await));
        }
        evidence.add(format!("{}: {} of {commit}", pod.name_any(), version["version"].as_str().unwrap_or_default()));
        evidence.add(format!("log: {}", first_line(&environment, &pod, &commit).await?));
    }
    Ok(evidence)
}

/// Waits until the pod responds to `/version`, and returns the status and the body.
async fn version(environment: &Environment, pod: &Pod) -> Result<(u16, String), Failure> {
    let started = Instant::now();
    loop {
        let (status, body) = environment.ask_pod(&pod.name_any(), "GET", "/version").await?;
        if !is_of_proxy(status, &body) {
            return Ok((status, body));
        }
        if started.elapsed() > environment.timeout {
            return Err(expected(format!("{} responds to /version", pod.name_any()))
                .actual(format!("no response: {}", body.trim()))
                .at(object_ref(pod))
                .with(&environment.explain_pod(pod).await)
                .hint("the pod does not run, or does not listen on port 8000", "read its events and last log lines"));
        }
        sleep(POLL_INTERVAL).await;
    }
}

fn not_pushed(commit: &str, seen: &str) -> Failure {
    expected(format!("commit {commit}")).actual(seen).hint(
        "one of: another pipeline has pushed the image's tag; the node uses an old image; the annotation was changed",
        "run the pipeline of the commit again; keep `imagePullPolicy: Always` for mutable tags",
    )
}

/// The log line in which the service reports its version. All lines are JSON.
async fn first_line(environment: &Environment, pod: &Pod, commit: &str) -> Result<String, Failure> {
    // With a byte limit and without a number of last lines, the API server returns the beginning of the log.
    let parameters = LogParams { limit_bytes: Some(64 << 10), ..LogParams::default() };
    let log = environment.api::<Pod>().logs(&pod.name_any(), &parameters).await?;
    let failure = match find_revision(&log, commit) {
        Revision::Found(line) => return Ok(line),
        Revision::Rotated => {
            return Ok("the first lines were lost in a log rotation; /version has the commit".to_owned());
        }
        Revision::NoJson(line) => expected("a log of JSON lines").actual(line).caused_by(
            "the service was started without `--log-format json`",
            "keep the args of manifests/deployment.yaml",
        ),
        Revision::Other(line) => expected(format!("a line with {commit} in the log"))
            .actual(line)
            .hint("the pods run another build than the pipeline's", "run the pipeline's compile job"),
        Revision::Missing(lines) => {
            expected(format!("a line with {commit} in the log")).actual(format!("{lines} lines without it")).hint(
                "the pods run another build than the pipeline's, or its log level is above `info`",
                "run the pipeline's compile job, and do not change RUST_LOG",
            )
        }
    };
    Err(failure.at(object_ref(pod)).with(&environment.explain_pod(pod).await))
}

/// The commit according to the beginning of a log.
#[derive(Debug, PartialEq, Eq)]
enum Revision {
    /// This line has the expected commit.
    Found(String),
    /// This line has another commit.
    Other(String),
    /// The log does not start with the service: the kubelet starts a new file when one is full, and returns only the newest one.
    Rotated,
    /// None of this number of lines has a commit.
    Missing(usize),
    /// This line is not JSON.
    NoJson(String),
}

fn find_revision(log: &str, commit: &str) -> Revision {
    let lines: Vec<&str> = log.lines().collect();
    // The last line may be cut off.
    let whole = lines.split_last().map_or(&[][..], |(_, before)| if log.ends_with('\n') { &lines } else { before });
    let mut is_in_the_middle = false;
    for (at, line) in whole.iter().enumerate() {
        let Ok(fields) = serde_json::from_str::<Value>(line) else { return Revision::NoJson((*line).to_owned()) };
        match fields["revision"].as_str() {
            Some(revision) if revision == commit => return Revision::Found((*line).to_owned()),
            Some(_) => return Revision::Other((*line).to_owned()),
            None => {}
        }
        // The service logs its version before it serves requests, so a log that starts with another INFO line was rotated.
        is_in_the_middle |= at == 0 && fields["level"] == "INFO";
    }
    if is_in_the_middle { Revision::Rotated } else { Revision::Missing(whole.len()) }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const FIRST: &str = r#"{"level":"INFO","message":"listening","revision":"c0ffee"}"#;
    const REQUEST: &str = r#"{"level":"INFO","message":"request","route":"/health"}"#;
    const WARNING: &str = r#"{"level":"WARN","message":"made unready"}"#;

    #[rstest]
    #[case::first_line(&format!("{FIRST}\n{REQUEST}\n"), Revision::Found(FIRST.to_owned()))]
    #[case::cut_off(&format!("{FIRST}\n{{\"lev"), Revision::Found(FIRST.to_owned()))]
    #[case::after_a_warning(&format!("{WARNING}\n{FIRST}\n"), Revision::Found(FIRST.to_owned()))]
    #[case::another_commit(&format!("{}\n", FIRST.replace("c0ffee", "bad")), Revision::Other(FIRST.replace("c0ffee", "bad")))]
    #[case::rotated(&format!("{REQUEST}\n{WARNING}\n"), Revision::Rotated)]
    #[case::empty("", Revision::Missing(0))]
    #[case::only_warnings(&format!("{WARNING}\n"), Revision::Missing(1))]
    #[case::not_json("2026-01-31T12:00:00Z INFO listening\n", Revision::NoJson("2026-01-31T12:00:00Z INFO listening".to_owned()))]
    fn the_revision_is_found_in_the_log(#[case] log: &str, #[case] expected: Revision) {
        assert_eq!(find_revision(log, "c0ffee"), expected);
    }
}
