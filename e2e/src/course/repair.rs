//! Page 10: repair a deployment, and revert a commit.

use futures_util::FutureExt;
use http::Request;
use k8s_openapi::api::apps::v1::Deployment;
use serde_json::{Value, json};

use super::exercise::{Exercise, Id, Verifier};
use super::project::{Project, TAG};
use super::verdict::{Unsolved, Verdict};
use crate::checks::environment::Environment;

pub(super) const BROKEN: Exercise = Exercise {
    id: Id { page: 10, number: 1 },
    title: "Four mistakes",
    goal: "docs/course/broken.yaml of the project has four mistakes; with them corrected and applied, the Deployment `broken` is \
           available, and its Service answers",
    hint: "one mistake hides the next: after each correction, read the events of the pod, then its log, then its conditions, then the \
           endpoints of the Service",
    verifier: Verifier::Cluster(|_, environment| broken(environment).boxed()),
};

pub(super) const REVERT: Exercise = Exercise {
    id: Id { page: 10, number: 2 },
    title: "Take it back",
    goal: "your branch has a commit that breaks manifests/deployment.yaml, and after it a commit that undoes it; nothing is rewritten",
    hint: "`kubectl rollout undo` changes the cluster; what does the next pipeline of the branch deploy, and which git command adds the \
           opposite of a commit?",
    verifier: Verifier::Project(revert),
};

const NAME: &str = "broken";

async fn broken(environment: &Environment) -> Verdict {
    let found = environment.api::<Deployment>().get_opt(NAME).await;
    let found = found.map_err(|error| Unsolved(format!("cannot read the Deployment {NAME}: {error}")))?;
    let deployment = found.ok_or_else(|| Unsolved(format!("there is no Deployment {NAME}: apply the file")))?;
    let object: Value = json!(deployment);
    let count = |field: &str| object["status"][field].as_i64().unwrap_or_default();
    let (wanted, updated, available) =
        (object["spec"]["replicas"].as_i64().unwrap_or(1), count("updatedReplicas"), count("availableReplicas"));
    Unsolved::unless(wanted > 0, || "the Deployment is scaled to 0".to_owned())?;
    Unsolved::unless(updated == wanted && available == wanted, || {
        format!("{available} of {wanted} pods of the Deployment are available")
    })?;
    let container = &object["spec"]["template"]["spec"]["containers"][0];
    let probe = &container["readinessProbe"]["httpGet"];
    Unsolved::unless(probe["path"] == "/health", || {
        "the pod is available because nothing verifies that it is ready: the readiness probe must request /health"
            .to_owned()
    })?;
    let path = format!("/api/v1/namespaces/{}/services/{NAME}:http/proxy/version", environment.namespace);
    let request = Request::get(path).body(Vec::new()).map_err(|error| Unsolved(error.to_string()))?;
    let answer = environment.client.request_text(request).await;
    answer.map(drop).map_err(|error| {
        // The whole status would be a page of Rust.
        let reason = match error {
            kube::Error::Api(status) => status.message,
            other => other.to_string(),
        };
        Unsolved(format!("the Service {NAME} does not answer: {reason}"))
    })
}

fn revert(project: &Project) -> Verdict {
    const FILE: &str = "manifests/deployment.yaml";
    let file_at = |commit: &str| project.git(&["rev-parse", &format!("{commit}:{FILE}")]);
    // The commits after the first release that change the file, from the newest to the oldest. Any branch may be checked out, and
    // solutions of other exercises may have been committed before.
    let range = format!("{TAG}..HEAD");
    let commits = project.git(&["rev-list", "--topo-order", "--full-history", "--no-merges", &range, "--", FILE])?;
    let Some(last) = commits.lines().next() else {
        return Err(Unsolved(format!("no commit of your branch changes {FILE}")));
    };
    // The last two commits break the file and take that back, so an earlier one has the same file.
    let mut earlier = commits.lines().skip(2).chain([TAG]);
    let now = file_at("HEAD")?;
    let is_back = earlier.any(|commit| file_at(commit).is_ok_and(|file| file == now));
    Unsolved::unless(is_back, || {
        let short = last.get(..8).unwrap_or(last);
        format!("the last commit of your branch still deploys the change of {short}")
    })?;
    let changes = project.git(&["status", "--porcelain", "--", FILE])?;
    Unsolved::unless(changes.is_empty(), || format!("{FILE} has changes that are not committed"))
}
