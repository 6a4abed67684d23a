//! The Deployment is rolled out as the manifests say.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Container, PodSpec};
use kube::ResourceExt;

use super::failure::expected;
use super::registry::image;
use super::subject::{Subject, called};
use super::{Evidence, Outcome};
use crate::cluster::{explain, ready};

pub(super) async fn run(subject: Subject) -> Outcome {
    let mut evidence = Evidence::default();
    let deployment = subject.deployment().await?;
    let (name, object) = (deployment.name_any(), called(&deployment));
    if let Err(error) = ready::deployment(&subject.client, &subject.namespace, &name, subject.patience).await {
        let selector = deployment.spec.as_ref().and_then(|spec| spec.selector.match_labels.clone());
        let explanation = explain::explain_selected(&subject.client, &subject.namespace, selector).await;
        let first = error.to_string().lines().next().unwrap_or_default().to_owned();
        return Err(expected("every replica is of the latest template and available")
            .saw(first)
            .at(object)
            .with(&explanation)
            .because(
                "a pod does not become ready: its image, its probe, or the room on the nodes",
                "read the pod's events and last lines below; `kubectl rollout undo` goes back",
            ));
    }
    let deployment = subject.deployment().await?;
    let replicas = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    if replicas < 2 {
        return Err(expected("two replicas").saw(replicas).at(object).because(
            "somebody has scaled it down: while its only pod is replaced nobody answers",
            "kubectl scale --replicas=2, or apply the manifest again",
        ));
    }
    evidence.add(format!("{replicas} of {replicas} replicas of {} are available", image(&deployment)));
    let missing = missing_labels(&deployment, &subject.reference);
    if !missing.is_empty() {
        return Err(expected("labels app, ref and track on the pods")
            .saw(format!("no {}", missing.join(", ")))
            .at(object)
            .because(
                "the manifest's labels were changed: the Service and `stop` find pods by them",
                "keep `app`, `ref` and `track` in the template's labels",
            ));
    }
    evidence.add(format!("labels app, ref={} and track", subject.reference));
    let spec = deployment.spec.and_then(|spec| spec.template.spec).unwrap_or_default();
    let wanting = unsafe_settings(&spec);
    if !wanting.is_empty() {
        return Err(expected("the security context of the `restricted` Pod Security Standard")
            .saw(wanting.join(", "))
            .at(object)
            .because(
                "the pod may do more than the service needs",
                "take the securityContext of manifests/deployment.yaml over",
            ));
    }
    evidence.add("no root, no privileges, no writable root file system, no token".to_owned());
    Ok(evidence)
}

fn missing_labels(deployment: &Deployment, reference: &str) -> Vec<&'static str> {
    let metadata = deployment.spec.as_ref().and_then(|spec| spec.template.metadata.clone()).unwrap_or_default();
    let labels = metadata.labels.unwrap_or_default();
    let mut missing: Vec<_> = ["app", "ref", "track"].into_iter().filter(|key| !labels.contains_key(*key)).collect();
    if labels.get("ref").is_some_and(|value| value != reference) {
        missing.push("ref of this environment");
    }
    missing
}

/// What the pod may do and should not. <https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted>
fn unsafe_settings(spec: &PodSpec) -> Vec<String> {
    let pod = spec.security_context.clone().unwrap_or_default();
    let mut wanting = Vec::new();
    let runs_as_root = |container: &Container| {
        let own = container.security_context.as_ref().and_then(|it| it.run_as_non_root);
        own.or(pod.run_as_non_root) != Some(true)
    };
    let has_seccomp = pod.seccomp_profile.as_ref().is_some_and(|it| it.type_ != "Unconfined");
    for container in &spec.containers {
        let own = container.security_context.clone().unwrap_or_default();
        let drops = own.capabilities.and_then(|it| it.drop).unwrap_or_default();
        let seccomp = own.seccomp_profile.is_some_and(|it| it.type_ != "Unconfined") || has_seccomp;
        let facts = [
            (runs_as_root(container), "may run as root"),
            (own.allow_privilege_escalation != Some(false), "may gain privileges"),
            (own.read_only_root_filesystem != Some(true), "may write to its root file system"),
            (!drops.iter().any(|it| it == "ALL"), "keeps capabilities"),
            (!seccomp, "has no seccomp profile"),
        ];
        let found = facts.iter().filter(|(is_so, _)| *is_so);
        wanting.extend(found.map(|(_, what)| format!("container {} {what}", container.name)));
    }
    if spec.automount_service_account_token != Some(false) {
        wanting.push("the pod has a token for the API server".to_owned());
    }
    wanting
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_pod_may_do() {
        let safe = json!({"automountServiceAccountToken": false, "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "app", "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}}}]});
        assert_eq!(unsafe_settings(&serde_json::from_value(safe).unwrap()), Vec::<String>::new());
        let bare = json!({"containers": [{"name": "app"}]});
        assert_eq!(unsafe_settings(&serde_json::from_value(bare).unwrap()).len(), 6);
    }
}
