//! Checks that the namespace rejects privileged pods.

use k8s_openapi::api::core::v1::{Capabilities, Container, Namespace, Pod, PodSpec, SeccompProfile, SecurityContext};
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, ResourceExt};

use super::check::{Evidence, Outcome};
use super::environment::Environment;
use super::failure::expected;
use crate::environment::cluster::ApiError;
use crate::record::Failure;

/// The label with the Pod Security Standard that a namespace enforces.
/// <https://kubernetes.io/docs/concepts/security/pod-security-admission/>
const LABEL: &str = "pod-security.kubernetes.io/enforce";

pub(super) async fn run(environment: Environment) -> Outcome {
    // A dry run goes through admission and stores nothing.
    let parameters = PostParams { dry_run: true, ..PostParams::default() };
    let message = match environment.api::<Pod>().create(&parameters, &privileged_pod()).await {
        Ok(_) => return Err(accepted(&environment).await),
        Err(kube::Error::Api(status)) if status.is_forbidden() => status.message.clone(),
        Err(error) => return Err(error.into()),
    };
    // RBAC also returns 403, but the check does not run for accounts that cannot create pods, so this comes from admission.
    let Some((level, reasons)) = violation(&message) else {
        return Err(wanted()
            .actual(format!("a rejection for another reason: {message}"))
            .at(object(&environment))
            .with(&labels(&environment).await.1)
            .hint(
                "another admission plugin rejected the pod before PodSecurity, for example because of a quota or a missing ServiceAccount",
                "fix the problem that the message names, then run the check again",
            ));
    };
    let mut evidence = Evidence::default();
    evidence.add(format!("a privileged pod is rejected: it violates PodSecurity {level}"));
    evidence.add(format!("reasons: {reasons}"));
    Ok(evidence)
}

/// A pod that complies with `restricted` except that it is privileged, so that a rejection has this reason. Its image is never pulled.
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

/// The level and the reasons in a rejection by `PodSecurity`: `… violates PodSecurity "restricted:latest": privileged (…)`.
fn violation(message: &str) -> Option<(&str, &str)> {
    let (_, rest) = message.split_once("violates PodSecurity \"")?;
    let (level, reasons) = rest.split_once('"')?;
    Some((level, reasons.trim_start_matches(':').trim()))
}

fn wanted() -> Failure {
    expected("403 from PodSecurity for a privileged pod")
}

fn object(environment: &Environment) -> String {
    format!("Namespace {}", environment.namespace)
}

async fn accepted(environment: &Environment) -> Failure {
    let (level, all) = labels(environment).await;
    let (seen, cause) = match level.as_deref() {
        None => (format!("the pod is accepted; no label {LABEL}"), "the namespace enforces no Pod Security Standard"),
        Some("privileged") => {
            (format!("the pod is accepted; {LABEL}=privileged"), "the level `privileged` allows every pod")
        }
        Some(level) => (
            format!("the pod is accepted; {LABEL}={level}"),
            "PodSecurity is disabled in the API server, or its configuration exempts the namespace or the account of the checks",
        ),
    };
    let remedy = format!("run `kubectl label namespace {} --overwrite {LABEL}=restricted`", environment.namespace);
    wanted().actual(seen).at(object(environment)).with(&all).hint(cause, remedy)
}

/// The level in the namespace's label, and a text with all of its labels.
async fn labels(environment: &Environment) -> (Option<String>, String) {
    match Api::<Namespace>::all(environment.client.clone()).get_metadata(&environment.namespace).await {
        Ok(namespace) => {
            let labels = namespace.labels();
            let lines = labels.iter().map(|(key, value)| format!("label {key}={value}")).collect::<Vec<_>>();
            (labels.get(LABEL).cloned(), lines.join("\n"))
        }
        Err(error) => (None, format!("cannot read the namespace's labels: {}", ApiError::from(error))),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn a_rejection_names_the_level_and_the_reasons() {
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
    fn a_rejection_for_another_reason_proves_nothing(#[case] message: &str) {
        assert_eq!(violation(message), None);
    }
}
