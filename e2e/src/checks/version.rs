//! What runs is the commit that was pushed, and says so in its log.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::LogParams;
use serde_json::Value;

use super::failure::expected;
use super::subject::{Subject, called};
use super::{Evidence, Outcome};
use crate::record::Failure;

/// The annotation by which the deploy jobs tell which commit they deploy.
const ANNOTATION: &str = "ci-commit-sha";

pub(super) async fn run(subject: Subject) -> Outcome {
    let mut evidence = Evidence::default();
    let deployment = subject.deployment().await?;
    let metadata = deployment.spec.as_ref().and_then(|spec| spec.template.metadata.clone()).unwrap_or_default();
    let annotated = metadata.annotations.unwrap_or_default().get(ANNOTATION).cloned();
    let commit = subject.commit.clone().or_else(|| annotated.clone()).ok_or_else(|| {
        expected(format!("the annotation {ANNOTATION}")).saw("none").at(called(&deployment)).because(
            "nobody says which commit this is",
            "keep the annotation in manifests/deployment.yaml, or say `--commit`",
        )
    })?;
    if annotated.as_ref().is_some_and(|it| *it != commit) {
        return Err(not_pushed(&commit, annotated.as_deref().unwrap_or_default()).at(called(&deployment)));
    }
    for pod in subject.pods().await? {
        let (status, body) = subject.ask_pod(&pod.name_any(), "GET", "/version").await?;
        let version = serde_json::from_str::<Value>(&body).unwrap_or_default();
        let revision = version["revision"].as_str().unwrap_or_default();
        if status != 200 || revision != commit {
            let seen = if status == 200 { revision.to_owned() } else { format!("{status}: {}", body.trim()) };
            return Err(not_pushed(&commit, &seen).at(called(&pod)));
        }
        evidence.add(format!("{}: {} of {commit}", pod.name_any(), version["version"].as_str().unwrap_or_default()));
        let line = first_line(&subject, &pod, &commit).await?;
        evidence.add(format!("its log: {line}"));
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
    let parameters = LogParams { limit_bytes: Some(64 << 10), ..LogParams::default() };
    let log = subject.api::<Pod>().logs(&pod.name_any(), &parameters).await?;
    let lines: Vec<&str> = log.lines().collect();
    // The last one may be cut off.
    let whole = lines.split_last().map_or(&[][..], |(_, before)| if log.ends_with('\n') { &lines } else { before });
    if let Some(line) = whole.iter().find(|line| serde_json::from_str::<Value>(line).is_err()) {
        return Err(expected("a log of JSON lines").saw(line).at(called(pod)).because(
            "the service was started without `--log-format json`",
            "keep the args of manifests/deployment.yaml",
        ));
    }
    let line = whole.iter().find(|line| line.contains(commit));
    line.map(ToString::to_string).ok_or_else(|| {
        expected(format!("a line with {commit} in the log"))
            .saw(format!("{} lines without", whole.len()))
            .at(called(pod))
            .because(
                "what runs is no build of the pipeline, or its log level is above `info`",
                "run the pipeline's compile job, and leave RUST_LOG as it is",
            )
    })
}
