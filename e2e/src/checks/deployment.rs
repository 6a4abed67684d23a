//! Checks that the Deployment is rolled out as the manifests specify.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Container, PodSpec, SeccompProfile};
use kube::ResourceExt;

use super::check::{Evidence, Outcome};
use super::environment::{Environment, object_ref, scale};
use super::failure::expected;
use super::registry::{Image, container, image};
use crate::environment::cluster::ready;
use crate::record::Failure;

pub(super) async fn run(environment: Environment) -> Outcome {
    let mut evidence = Evidence::default();
    let deployment = environment.deployment().await?;
    let name = deployment.name_any();
    if let Err(error) = ready::deployment(&environment.client, &environment.namespace, &name, environment.timeout).await
    {
        let first = error.to_string().lines().next().unwrap_or_default().to_owned();
        let failure = expected("all replicas are updated and available").actual(first).hint(
            "a pod does not become ready because of its image, its probe, or missing capacity on the nodes",
            "read the pod's events and last log lines below, and deploy an image and a template that worked before",
        );
        return Err(with_diagnostics(failure, &environment, &deployment).await);
    }
    let deployment = environment.deployment().await?;
    let replicas = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    if replicas < 2 {
        let cause = match replicas {
            0 => "the Deployment is scaled to 0",
            _ => "the Deployment has fewer than two replicas: no other pod responds while a pod is replaced",
        };
        let failure = expected("at least two replicas")
            .actual(replicas)
            .caused_by(cause, format!("run `{}`, or apply the manifest again", scale(&deployment)));
        return Err(with_diagnostics(failure, &environment, &deployment).await);
    }
    let image = image(&deployment);
    deployed_image(&environment, &deployment, &image).await?;
    evidence.add(format!("{replicas} of {replicas} replicas of {image} are available"));
    let wrong = wrong_labels(&deployment, &environment.reference);
    if !wrong.is_empty() {
        let wanted = format!("labels app, ref={} and track on the pods", environment.reference);
        let failure = expected(wanted).actual(wrong.join(", ")).caused_by(
            "the labels of the pod template were changed; the Service selects pods by `app` and `ref`",
            "restore `app`, `ref` and `track` in the labels of the template",
        );
        return Err(with_diagnostics(failure, &environment, &deployment).await);
    }
    evidence.add(format!("labels app, ref={} and track", environment.reference));
    let spec = deployment.spec.as_ref().and_then(|spec| spec.template.spec.clone()).unwrap_or_default();
    let violations = unsafe_settings(&spec);
    if !violations.is_empty() {
        let wanted = "a pod without unneeded access: the `restricted` Pod Security Standard, a read-only root file system, no API token";
        let failure = expected(wanted).actual(violations.join(", ")).caused_by(
            "the pod has more access than the service needs",
            "restore the pod template of manifests/deployment.yaml: its securityContext, no API token, nothing of the node",
        );
        return Err(with_diagnostics(failure, &environment, &deployment).await);
    }
    evidence
        .add("no root, no privileges, no access to the node, no writable root file system, no API token".to_owned());
    Ok(evidence)
}

async fn with_diagnostics(failure: Failure, environment: &Environment, deployment: &Deployment) -> Failure {
    failure.at(object_ref(deployment)).with(&environment.diagnostics(deployment).await)
}

/// Checks that the image is from the registry, if that is given, and that every pod uses it.
async fn deployed_image(environment: &Environment, deployment: &Deployment, image: &str) -> Result<(), Failure> {
    if let Some(registry) = &environment.registry
        && Image::parse(image, &registry.host).is_none()
    {
        let failure = expected(format!("an image from {}", registry.host)).actual(image).hint(
            "the deploy job uses another registry",
            "set CI_REGISTRY and CI_REGISTRY_IMAGE to the registry that the image was pushed to",
        );
        return Err(with_diagnostics(failure, environment, deployment).await);
    }
    let container = container(deployment);
    for pod in environment.some_pods().await? {
        // Admission webhooks may have added sidecar containers.
        let own = pod.spec.iter().flat_map(|spec| &spec.containers).find(|it| it.name == container);
        let own = own.and_then(|container| container.image.clone()).unwrap_or_default();
        if own != image {
            return Err(expected(format!("{} uses the image {image}", pod.name_any()))
                .actual(own)
                .at(object_ref(&pod))
                .with(&environment.explain_pod(&pod).await)
                .hint(
                    "an admission webhook changes the images of pods, or a user has changed this pod",
                    "look at `kubectl get mutatingwebhookconfigurations`; delete the pod so that it is recreated",
                ));
        }
    }
    Ok(())
}

/// What is wrong with the labels of the pod template.
fn wrong_labels(deployment: &Deployment, reference: &str) -> Vec<String> {
    let metadata = deployment.spec.as_ref().and_then(|spec| spec.template.metadata.clone()).unwrap_or_default();
    let labels = metadata.labels.unwrap_or_default();
    let missing = ["app", "ref", "track"].into_iter().filter(|key| !labels.contains_key(*key));
    let mut wrong: Vec<_> = missing.map(|key| format!("no {key}")).collect();
    wrong.extend(labels.get("ref").filter(|value| *value != reference).map(|value| format!("ref={value}")));
    wrong
}

/// Settings that violate the `restricted` Pod Security Standard (not all of them are checked), and other unneeded access.
/// <https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted>
fn unsafe_settings(spec: &PodSpec) -> Vec<String> {
    let mut violations = Vec::new();
    let containers = spec.containers.iter().map(|it| ("container", it));
    let init_containers = spec.init_containers.iter().flatten().map(|it| ("init container", it));
    for (kind, container) in containers.chain(init_containers) {
        let found = unsafe_container(spec, container);
        violations.extend(found.into_iter().map(|what| format!("{kind} {} {what}", container.name)));
    }
    let has_host_path = spec.volumes.iter().flatten().any(|volume| volume.host_path.is_some());
    let facts = [
        (spec.host_network == Some(true), "the pod uses the node's network"),
        (spec.host_pid == Some(true), "the pod sees the node's processes"),
        (spec.host_ipc == Some(true), "the pod shares the node's IPC namespace"),
        (has_host_path, "the pod mounts a directory of the node"),
        (
            spec.automount_service_account_token != Some(false),
            "the pod does not set automountServiceAccountToken: false",
        ),
    ];
    violations.extend(facts.iter().filter(|(is_so, _)| *is_so).map(|(_, what)| (*what).to_owned()));
    violations
}

fn unsafe_container(spec: &PodSpec, container: &Container) -> Vec<String> {
    let pod = spec.security_context.clone().unwrap_or_default();
    let own = container.security_context.clone().unwrap_or_default();
    let is_confined = |profile: &SeccompProfile| profile.type_ != "Unconfined";
    let has_seccomp = own.seccomp_profile.as_ref().or(pod.seccomp_profile.as_ref()).is_some_and(is_confined);
    let capabilities = own.capabilities.unwrap_or_default();
    let (added, dropped) = (capabilities.add.unwrap_or_default(), capabilities.drop.unwrap_or_default());
    let facts = [
        (own.run_as_non_root.or(pod.run_as_non_root) != Some(true), "can run as root"),
        (own.privileged == Some(true), "is privileged"),
        (own.allow_privilege_escalation != Some(false), "can gain privileges"),
        (own.read_only_root_filesystem != Some(true), "can write to its root file system"),
        (!dropped.iter().any(|it| it == "ALL"), "keeps capabilities"),
        (!has_seccomp, "has no seccomp profile"),
    ];
    let found = facts.iter().filter(|(is_so, _)| *is_so).map(|(_, what)| (*what).to_owned());
    // The standard allows this one, for listening on ports below 1024.
    let gained = added.iter().filter(|it| *it != "NET_BIND_SERVICE").map(|it| format!("adds capability {it}"));
    found.chain(gained).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn safe() -> Value {
        let context = json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}});
        json!({"automountServiceAccountToken": false,
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "app", "securityContext": context}],
            "initContainers": [{"name": "first", "securityContext": context}]})
    }

    #[test]
    fn a_pod_without_security_context_has_six_violations() {
        assert_eq!(unsafe_settings(&serde_json::from_value(safe()).unwrap()), Vec::<String>::new());
        let bare = json!({"containers": [{"name": "app"}]});
        assert_eq!(unsafe_settings(&serde_json::from_value(bare).unwrap()).len(), 6);
    }

    #[rstest]
    #[case::root("/securityContext/runAsNonRoot", json!(false), "container app can run as root")]
    #[case::network("/hostNetwork", json!(true), "the pod uses the node's network")]
    #[case::processes("/hostPID", json!(true), "the pod sees the node's processes")]
    #[case::memory("/hostIPC", json!(true), "the pod shares the node's IPC namespace")]
    #[case::host_path("/volumes", json!([{"name": "etc", "hostPath": {"path": "/etc"}}]), "the pod mounts a directory of the node")]
    #[case::added("/containers/0/securityContext/capabilities/add", json!(["NET_ADMIN"]), "container app adds capability NET_ADMIN")]
    #[case::privileged("/containers/0/securityContext/privileged", json!(true), "container app is privileged")]
    #[case::init_container("/initContainers/0/securityContext/privileged", json!(true), "init container first is privileged")]
    #[case::unconfined(
        "/containers/0/securityContext/seccompProfile",
        json!({"type": "Unconfined"}),
        "container app has no seccomp profile"
    )]
    fn each_unsafe_setting_is_found(#[case] path: &str, #[case] value: Value, #[case] expected: &str) {
        let mut spec = safe();
        set(&mut spec, path, value);
        let found = unsafe_settings(&serde_json::from_value(spec).unwrap());
        assert!(found.contains(&expected.to_owned()), "{found:?}");
    }

    #[test]
    fn net_bind_service_is_allowed() {
        let mut spec = safe();
        set(&mut spec, "/containers/0/securityContext/capabilities/add", json!(["NET_BIND_SERVICE"]));
        assert_eq!(unsafe_settings(&serde_json::from_value(spec).unwrap()), Vec::<String>::new());
    }

    fn set(object: &mut Value, path: &str, value: Value) {
        let (parent, key) = path.rsplit_once('/').unwrap();
        object.pointer_mut(parent).unwrap()[key] = value;
    }
}
