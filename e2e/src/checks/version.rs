//! What runs is the commit that was pushed, and says so in its log.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::LogParams;
use serde_json::Value;

use super::check::{Evidence, Outcome};
use super::failure::expected;
use super::subject::{Subject, called};
use crate::record::Failure;

/// The annotation by which the deploy jobs tell which commit they deploy.
const ANNOTATION: &str = "ci-commit-sha";

pub(super) async fn run(subject: Subject) -> Outcome {
    let mut evidence = Evidence::default();
    let deployment = subject.deployment().await?;
    let metadata = deployment.spec.as_ref().and_then(|spec| spec.template.metadata.clone()).unwrap_or_default();
    let annotated = metadata.annotations.unwrap_or_default().get(ANNOTATION).cloned();
    let Some(commit) = subject.commit.clone().or_else(|| annotated.clone()) else {
        return Err(expected(format!("the annotation {ANNOTATION}"))
            .saw("none")
            .at(called(&deployment))
            .with(&subject.around(&deployment).await)
            .because(
                "nobody says which commit this is",
                "keep the annotation in manifests/deployment.yaml, or say `--commit`",
            ));
    };
    if annotated.as_ref().is_some_and(|it| *it != commit) {
        return Err(not_pushed(&commit, annotated.as_deref().unwrap_or_default())
            .at(called(&deployment))
            .with(&subject.around(&deployment).await));
    }
    for pod in subject.some_pods().await? {
        let (status, body) = subject.ask_pod(&pod.name_any(), "GET", "/version").await?;
        let version = serde_json::from_str::<Value>(&body).unwrap_or_default();
        let revision = version["revision"].as_str().unwrap_or_default();
        if status != 200 || revision != commit {
            let seen = if status == 200 { revision.to_owned() } else { format!("{status}: {}", body.trim()) };
            return Err(not_pushed(&commit, &seen).at(called(&pod)).with(&subject.explain_pod(&pod).await));
        }
        evidence.add(format!("{}: {} of {commit}", pod.name_any(), version["version"].as_str().unwrap_or_default()));
        evidence.add(format!("its log: {}", first_line(&subject, &pod, &commit).await?));
    }
    Ok(evidence)
}

fn not_pushed(commit: &str, seen: &str) -> Failure {
    expected(format!("commit {commit}")).saw(seen).because(
        "another build is deployed: the image's tag was pushed by somebody else, or the node kept an old image",
        "run the pipeline of the commit again; keep `imagePullPolicy: Always` for tags that move",
    )
}

/// The line of the log in which the service says what it is. All lines are JSON.
async fn first_line(subject: &Subject, pod: &Pod, commit: &str) -> Result<String, Failure> {
    // With a limit and no number of last lines, a log is given from its beginning.
    let parameters = LogParams { limit_bytes: Some(64 << 10), ..LogParams::default() };
    let log = subject.api::<Pod>().logs(&pod.name_any(), &parameters).await?;
    let failure = match said(&log, commit) {
        Said::Here(line) => return Ok(line),
        Said::Rotated => return Ok("its first lines are gone with a file that was full; /version tells".to_owned()),
        Said::NoJson(line) => expected("a log of JSON lines").saw(line).because(
            "the service was started without `--log-format json`",
            "keep the args of manifests/deployment.yaml",
        ),
        Said::Other(line) => expected(format!("a line with {commit} in the log"))
            .saw(line)
            .because("what runs is no build of the pipeline", "run the pipeline's compile job"),
        Said::Nothing(lines) => {
            expected(format!("a line with {commit} in the log")).saw(format!("{lines} lines without")).because(
                "what runs is no build of the pipeline, or its log level is above `info`",
                "run the pipeline's compile job, and leave RUST_LOG as it is",
            )
        }
    };
    Err(failure.at(called(pod)).with(&subject.explain_pod(pod).await))
}

/// What the beginning of a log says of the commit.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    /// This.
    Here(String),
    /// The service began with another one.
    Other(String),
    /// The kubelet begins a new file when one is full, and gives the newest one: it begins in the middle of the service's life.
    Rotated,
    /// So many lines, and none of them about it.
    Nothing(usize),
    /// This line is none of a log for programs.
    NoJson(String),
}

fn said(log: &str, commit: &str) -> Said {
    let lines: Vec<&str> = log.lines().collect();
    // The last one may be cut off.
    let whole = lines.split_last().map_or(&[][..], |(_, before)| if log.ends_with('\n') { &lines } else { before });
    let mut is_in_the_middle = false;
    for (at, line) in whole.iter().enumerate() {
        let Ok(fields) = serde_json::from_str::<Value>(line) else { return Said::NoJson((*line).to_owned()) };
        match fields["revision"].as_str() {
            Some(revision) if revision == commit => return Said::Here((*line).to_owned()),
            Some(_) => return Said::Other((*line).to_owned()),
            None => {}
        }
        // Before it listens the service answers nobody, so that the first line is never one of a request.
        is_in_the_middle |= at == 0 && fields["level"] == "INFO";
    }
    if is_in_the_middle { Said::Rotated } else { Said::Nothing(whole.len()) }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const FIRST: &str = r#"{"level":"INFO","message":"listening","revision":"c0ffee"}"#;
    const REQUEST: &str = r#"{"level":"INFO","message":"request","route":"/health"}"#;
    const WARNING: &str = r#"{"level":"WARN","message":"made unready"}"#;

    #[rstest]
    #[case::its_beginning(&format!("{FIRST}\n{REQUEST}\n"), Said::Here(FIRST.to_owned()))]
    #[case::cut_off(&format!("{FIRST}\n{{\"lev"), Said::Here(FIRST.to_owned()))]
    #[case::something_before(&format!("{WARNING}\n{FIRST}\n"), Said::Here(FIRST.to_owned()))]
    #[case::another_commit(&format!("{}\n", FIRST.replace("c0ffee", "bad")), Said::Other(FIRST.replace("c0ffee", "bad")))]
    #[case::rotated(&format!("{REQUEST}\n{WARNING}\n"), Said::Rotated)]
    #[case::silent("", Said::Nothing(0))]
    #[case::only_warnings(&format!("{WARNING}\n"), Said::Nothing(1))]
    #[case::for_people("2026-01-31T12:00:00Z INFO listening\n", Said::NoJson("2026-01-31T12:00:00Z INFO listening".to_owned()))]
    fn what_a_log_says(#[case] log: &str, #[case] expected: Said) {
        assert_eq!(said(log, "c0ffee"), expected);
    }
}
