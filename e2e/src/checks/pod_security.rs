//! The namespace refuses a pod that asks for more than the service needs.

use k8s_openapi::api::core::v1::{Capabilities, Container, Namespace, Pod, PodSpec, SeccompProfile, SecurityContext};
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, ResourceExt};

use super::check::{Evidence, Outcome};
use super::failure::expected;
use super::subject::Subject;
use crate::environment::cluster::ApiError;
use crate::record::Failure;

/// The label by which a namespace says which Pod Security Standard it enforces.
/// <https://kubernetes.io/docs/concepts/security/pod-security-admission/>
const LABEL: &str = "pod-security.kubernetes.io/enforce";

pub(super) async fn run(subject: Subject) -> Outcome {
    // A dry run passes through admission and stores nothing.
    let parameters = PostParams { dry_run: true, ..PostParams::default() };
    let message = match subject.api::<Pod>().create(&parameters, &privileged_pod()).await {
        Ok(_) => return Err(accepted(&subject).await),
        Err(kube::Error::Api(status)) if status.is_forbidden() => status.message.clone(),
        Err(error) => return Err(error.into()),
    };
    // RBAC answers with 403, too. The check is not run for an account that may not create pods, so this is admission's word.
    let Some((level, reasons)) = violation(&message) else {
        return Err(wanted()
            .saw(format!("another refusal: {message}"))
            .at(object(&subject))
            .with(&labels(&subject).await.1)
            .because(
                "another admission plugin refused the pod before PodSecurity was asked: a quota, or a missing ServiceAccount",
                "remove what the message names, then run the check again",
            ));
    };
    let mut evidence = Evidence::default();
    evidence.add(format!("a privileged pod violates PodSecurity {level}"));
    evidence.add(format!("the reasons: {reasons}"));
    Ok(evidence)
}

/// It complies with `restricted` in everything but the privilege, so a refusal is about that. Its image is never pulled.
fn privileged_pod() -> Pod {
    let capabilities = Capabilities { drop: Some(vec!["ALL".to_owned()]), ..Capabilities::default() };
    let seccomp = SeccompProfile { type_: "RuntimeDefault".to_owned(), ..SeccompProfile::default() };
    let security_context = SecurityContext {
        privileged: Some(true),
        run_as_non_root: Some(true),
        run_as_user: Some(65532),
        capabilities: Some(capabilities),
        seccomp_profile: Some(seccomp),
        ..SecurityContext::default()
    };
    let container = Container {
        name: "privileged".to_owned(),
        image: Some("none.invalid/none".to_owned()),
        security_context: Some(security_context),
        ..Container::default()
    };
    Pod {
        metadata: ObjectMeta { generate_name: Some("pod-security-".to_owned()), ..ObjectMeta::default() },
        spec: Some(PodSpec { containers: vec![container], ..PodSpec::default() }),
        status: None,
    }
}

/// The level and the reasons of a refusal by `PodSecurity`: `… violates PodSecurity "restricted:latest": privileged (…)`.
fn violation(message: &str) -> Option<(&str, &str)> {
    let (_, rest) = message.split_once("violates PodSecurity \"")?;
    let (level, reasons) = rest.split_once('"')?;
    Some((level, reasons.trim_start_matches(':').trim()))
}

fn wanted() -> Failure {
    expected("403 from PodSecurity for a privileged pod")
}

fn object(subject: &Subject) -> String {
    format!("Namespace {}", subject.namespace)
}

async fn accepted(subject: &Subject) -> Failure {
    let (level, all) = labels(subject).await;
    let (seen, cause) = match level.as_deref() {
        None => (format!("the pod is accepted; no label {LABEL}"), "the namespace enforces no Pod Security Standard"),
        Some("privileged") => {
            (format!("the pod is accepted; {LABEL}=privileged"), "the level `privileged` allows every pod")
        }
        Some(level) => (
            format!("the pod is accepted; {LABEL}={level}"),
            "the API server runs without PodSecurity, or its configuration exempts the namespace or the account of the checks",
        ),
    };
    let remedy = format!("kubectl label namespace {} --overwrite {LABEL}=restricted", subject.namespace);
    wanted().saw(seen).at(object(subject)).with(&all).because(cause, remedy)
}

/// The level that the namespace's label names, and all of its labels in words.
async fn labels(subject: &Subject) -> (Option<String>, String) {
    match Api::<Namespace>::all(subject.client.clone()).get_metadata(&subject.namespace).await {
        Ok(namespace) => {
            let labels = namespace.labels();
            let lines = labels.iter().map(|(key, value)| format!("label {key}={value}")).collect::<Vec<_>>();
            (labels.get(LABEL).cloned(), lines.join("\n"))
        }
        Err(error) => (None, format!("its labels cannot be read: {}", ApiError::from(error))),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn a_refusal_names_the_level_and_the_reasons() {
        let message = "pods \"pod-security-x7k2p\" is forbidden: violates PodSecurity \"restricted:latest\": privileged (container \
                       \"privileged\" must not set securityContext.privileged=true)";
        let (level, reasons) = violation(message).unwrap();
        assert_eq!(level, "restricted:latest");
        assert_eq!(reasons, "privileged (container \"privileged\" must not set securityContext.privileged=true)");
    }

    #[rstest]
    #[case::rbac(
        "pods is forbidden: User \"system:serviceaccount:gitlab:gitlab\" cannot create resource \"pods\" in API group \"\" in the \
         namespace \"gitlab\""
    )]
    #[case::a_webhook("admission webhook \"validate.example.com\" denied the request: privileged")]
    #[case::a_quota("pods \"pod-security-x7k2p\" is forbidden: failed quota: compute: must specify limits.cpu")]
    fn another_refusal_proves_nothing(#[case] message: &str) {
        assert_eq!(violation(message), None);
    }
}
