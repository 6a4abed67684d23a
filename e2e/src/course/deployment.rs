//! Page 6: a `ConfigMap` for each environment.

use futures_util::FutureExt;
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Value, json};

use super::deployed::Deployed;
use super::exercise::{Exercise, Id, Verifier};
use super::plans::{self, Push};
use super::project::Project;
use super::rehearsal::Rehearsal;
use super::verdict::{Unsolved, Verdict};
use crate::checks::environment::Environment;

pub(super) const LOG_LEVEL: Exercise = Exercise {
    id: Id { page: 6, number: 1 },
    title: "A log level for each environment",
    goal: "each environment has a ConfigMap gitlab-k8s-demo-SLUG with the key log-filter and the labels of the other objects; the \
           container gets its value as RUST_LOG; the deploy jobs apply it, and stop_review deletes it",
    hint: "compare with how the Service gets its name: which commands of which jobs name the file, or the kind?",
    verifier: Verifier::Project(log_level),
};

pub(super) const DEPLOYED: Exercise = Exercise {
    id: Id { page: 6, number: 2 },
    title: "Deploy it",
    goal: "the solution of 6.1 is deployed: the commit of the Deployment is the one that is checked out in your project, and all of its pods run",
    hint: "which account runs the job, and who may change its Role? The pipeline runs commits, not the working tree",
    verifier: Verifier::Cluster(|project, environment| deployed(project, environment).boxed()),
};

/// The reference of the variable to the `ConfigMap`.
fn reference(container: &Value) -> Value {
    let variables = container["env"].as_array().map(Vec::as_slice).unwrap_or_default();
    let variable = variables.iter().find(|variable| variable["name"] == "RUST_LOG");
    variable.map(|variable| variable["valueFrom"]["configMapKeyRef"].clone()).unwrap_or_default()
}

fn log_level(project: &Project) -> Verdict {
    Deployed::each(project)?.iter().try_for_each(has_log_level)?;
    let plan = plans::plan(project, Push::Branch(&["README.md"]))?;
    let stop = Rehearsal::run(project, plans::job(&plan, "stop_review")?)?;
    let is_deleted = stop.calls.iter().filter(|call| call.is("kubectl", "delete")).any(|call| {
        let kinds = call.arguments.iter().flat_map(|argument| argument.split(','));
        kinds.into_iter().any(|kind| ["configmap", "configmaps", "cm"].contains(&kind))
    });
    Unsolved::unless(is_deleted, || "stop_review leaves the ConfigMap in the cluster".to_owned())
}

fn has_log_level(deployed: &Deployed) -> Verdict {
    let config_map = deployed.only("ConfigMap")?;
    let name = format!("gitlab-k8s-demo-{}", deployed.slug);
    let metadata = &config_map["metadata"];
    Unsolved::unless(metadata["name"] == *name, || {
        format!("in environment {}, the name of the ConfigMap is {}", deployed.slug, metadata["name"])
    })?;
    let expected = &deployed.only("Service")?["metadata"];
    for field in ["namespace", "labels"] {
        Unsolved::unless(metadata[field] == expected[field], || {
            format!("{field} of the ConfigMap: {}, of the Service: {}", metadata[field], expected[field])
        })?;
    }
    let has_filter = config_map["data"]["log-filter"].as_str().is_some_and(|filter| !filter.is_empty());
    Unsolved::unless(has_filter, || format!("the data of the ConfigMap is {}", config_map["data"]))?;
    let reference = reference(deployed.container()?);
    Unsolved::unless(!reference.is_null(), || "the container gets no RUST_LOG from a ConfigMap".to_owned())?;
    Unsolved::unless(reference == json!({"name": name, "key": "log-filter"}), || {
        format!("RUST_LOG of the container refers to {reference}")
    })
}

async fn deployed(project: &Project, environment: &Environment) -> Verdict {
    let deployment = environment.deployment().await?;
    let head = project.git(&["rev-parse", "HEAD"])?;
    let spec = deployment.spec.as_ref().map(|spec| json!(spec)).unwrap_or_default();
    let commit = spec["template"]["metadata"]["annotations"]["ci-commit-sha"].as_str().unwrap_or("unknown").to_owned();
    Unsolved::unless(commit == head, || format!("the Deployment is of commit {commit}, your project is at {head}"))?;
    let containers = spec["template"]["spec"]["containers"].as_array().cloned().unwrap_or_default();
    let reference = containers.iter().map(reference).find(|reference| !reference.is_null()).unwrap_or_default();
    let Some(name) = reference["name"].as_str() else {
        return Err(Unsolved::new("no container of the Deployment gets RUST_LOG from a ConfigMap"));
    };
    let config_map = environment.api::<ConfigMap>().get_opt(name).await;
    let config_map = config_map.map_err(|error| Unsolved(format!("cannot read ConfigMap {name}: {error}")))?;
    Unsolved::unless(config_map.is_some(), || format!("there is no ConfigMap {name}"))?;
    let status = deployment.status.unwrap_or_default();
    let wanted = spec["replicas"].as_i64().unwrap_or(1);
    let [updated, available, all] = [status.updated_replicas, status.available_replicas, status.replicas]
        .map(|count| i64::from(count.unwrap_or_default()));
    Unsolved::unless([updated, available, all] == [wanted; 3], || {
        format!("{updated} of {wanted} pods have the new template, {available} are available, {all} exist")
    })
}
