//! An extra pod with the Deployment's template, for checks that must not break or change the deployed pods.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, PodSpec, Probe, TCPSocketAction};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::runtime::watcher;
use kube::{Api, ResourceExt};

use super::causes::refused;
use super::environment::{CHECK_LABEL, Environment, object_ref};
use super::failure::expected;
use crate::record::Failure;

/// A port that no container listens on.
const CLOSED_PORT: i32 = 1;

/// The grace period of a pod that gets no requests, in seconds.
const SHORT_GRACE: u32 = 1;

/// Seconds after which Kubernetes itself ends a pod that was not deleted.
const MAX_LIFETIME: i64 = 600;

/// Kubernetes' default for `terminationGracePeriodSeconds`.
const DEFAULT_GRACE: u64 = 30;

/// Time that a kubelet may need in addition to the pod's grace period.
const KUBELET_DELAY: Duration = Duration::from_secs(15);

/// An extra pod. The Service sends requests to it like to the deployed pods, but it belongs to no `ReplicaSet`.
#[derive(Debug)]
pub struct ExtraPod {
    api: Api<Pod>,
    /// The pod's name.
    pub name: String,
    /// Its termination grace period.
    grace: Duration,
    /// Whether clients' requests may be on their way to it.
    is_served: bool,
}

impl ExtraPod {
    /// Creates an extra pod for a check; `change` modifies its spec.
    ///
    /// # Errors
    /// If there is no Deployment to copy the template from, or the API server rejects the pod.
    pub async fn create(
        environment: &Environment,
        check: &str,
        change: impl FnOnce(&mut PodSpec),
    ) -> Result<Self, Failure> {
        let deployment = environment.deployment().await?;
        let template = deployment.spec.clone().map(|spec| spec.template).unwrap_or_default();
        let mut spec = template.spec.unwrap_or_default();
        spec.active_deadline_seconds = Some(MAX_LIFETIME);
        change(&mut spec);
        let grace =
            spec.termination_grace_period_seconds.and_then(|it| u64::try_from(it).ok()).unwrap_or(DEFAULT_GRACE);
        let mut metadata = template.metadata.unwrap_or_default();
        metadata.labels.get_or_insert_default().insert(CHECK_LABEL.to_owned(), check.to_owned());
        let is_served = !is_never_ready(&spec);
        let name = format!("{}-{check}-{:04x}", deployment.name_any(), fastrand::u16(..));
        metadata.name = Some(name.clone());
        let api = environment.api::<Pod>();
        let pod = Pod { metadata, spec: Some(spec), status: None };
        api.create(&PostParams::default(), &pod).await.map_err(|error| rejected(error, &pod))?;
        Ok(Self { api, name, grace: Duration::from_secs(grace), is_served })
    }

    /// Deletes the pod with its normal grace period if it may be an endpoint: requests from clients may be on their way to it.
    pub(super) async fn delete(&self) -> Result<(), Failure> {
        let parameters = DeleteParams::default();
        let parameters = if self.is_served { parameters } else { parameters.grace_period(SHORT_GRACE) };
        match self.api.delete(&self.name, &parameters).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            Err(error) => Err(error.into()),
            Ok(_) => Ok(()),
        }
    }

    /// Waits until the pod is gone.
    ///
    /// # Errors
    /// If it does not terminate in time.
    pub(super) async fn wait_until_gone(self, environment: &Environment) -> Result<(), Failure> {
        let config = watcher::Config::default().fields(&format!("metadata.name={}", self.name));
        // After the grace period the kubelet kills the pod, which takes some time.
        let environment =
            &Environment { timeout: environment.timeout.max(self.grace + KUBELET_DELAY), ..environment.clone() };
        let Err(reason) = environment.watch(config, is_empty).await else { return Ok(()) };
        let Some(pod) = self.api.get_opt(&self.name).await? else { return Ok(()) };
        Err(expected("the check's own pod terminates after it is deleted")
            .actual(reason)
            .at(object_ref(&pod))
            .with(&environment.explain_pod(&pod).await)
            .hint(
                "the service does not exit after SIGTERM, or the node is gone",
                "look at terminationGracePeriodSeconds, the service's log and `kubectl get nodes`",
            ))
    }
}

/// Keeps a pod out of the endpoints of Services: no client's request reaches it. A pod without a readiness probe is ready when it runs, so
/// requests would fail when it ends.
pub(super) fn never_ready(spec: &mut PodSpec) {
    for container in &mut spec.containers {
        let tcp_socket = Some(TCPSocketAction { port: IntOrString::Int(CLOSED_PORT), ..TCPSocketAction::default() });
        container.readiness_probe = Some(Probe { tcp_socket, ..Probe::default() });
        (container.liveness_probe, container.startup_probe) = (None, None);
    }
}

/// Whether a pod was made with [`never_ready`].
pub(super) fn is_never_ready(spec: &PodSpec) -> bool {
    let probes = spec.containers.iter().filter_map(|container| container.readiness_probe.as_ref());
    let mut sockets = probes.filter_map(|probe| probe.tcp_socket.as_ref());
    sockets.any(|socket| socket.port == IntOrString::Int(CLOSED_PORT))
}

/// The failure of a check whose pod the API server rejects.
fn rejected(error: kube::Error, pod: &Pod) -> Failure {
    let kube::Error::Api(status) = &error else { return error.into() };
    let Some(remedy) = refused(&status.message) else { return error.into() };
    expected("the API server creates another pod with the Deployment's template")
        .actual(&status.message)
        .at(object_ref(pod))
        .with(&remedy.what)
        .caused_by(remedy.what, remedy.fix)
}

fn is_empty(pods: &[Arc<Pod>]) -> Option<()> {
    pods.is_empty().then_some(())
}

/// Deletes the extra pods that interrupted checks have left, without waiting for their termination.
pub async fn sweep(environment: &Environment) -> Result<(), Failure> {
    sweep_selected(environment, &selector(environment, CHECK_LABEL)).await
}

/// Deletes the extra pods of one check.
pub async fn sweep_check(environment: &Environment, check: &str) -> Result<(), Failure> {
    sweep_selected(environment, &selector(environment, &format!("{CHECK_LABEL}={check}"))).await
}

/// Waits until no extra pods are left. If one remains, a check will report it.
pub async fn wait_until_swept(environment: &Environment) {
    let config = watcher::Config::default().labels(&selector(environment, CHECK_LABEL));
    let _ = environment.watch(config, is_empty).await;
}

fn selector(environment: &Environment, check: &str) -> String {
    format!("{check},ref={}", environment.reference)
}

async fn sweep_selected(environment: &Environment, selector: &str) -> Result<(), Failure> {
    if environment.is_read_only {
        return Ok(());
    }
    let parameters = ListParams::default().labels(selector);
    environment.api::<Pod>().delete_collection(&DeleteParams::default(), &parameters).await?;
    Ok(())
}
