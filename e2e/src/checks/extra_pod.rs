//! A pod like those of the Deployment, beside them: something is done to it that is not done to what was deployed.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, PodSpec};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::runtime::watcher;
use kube::{Api, ResourceExt};

use super::failure::expected;
use super::subject::{Subject, called};
use crate::record::Failure;

/// On such pods: the check that made it.
const CHECK: &str = "io.gitlab-ci-k8s-demo.check";

/// After so many seconds the cluster itself ends one that was forgotten.
const LONGEST_LIFE: i64 = 600;

/// What Kubernetes gives a pod that names no time, in seconds.
const DEFAULT_GRACE: u64 = 30;

/// What a kubelet may need beyond a pod's own time.
const MOMENT: Duration = Duration::from_secs(15);

/// One of them. The Service sends requests to it as to the others, and no `ReplicaSet` knows it.
#[derive(Debug)]
pub struct ExtraPod {
    api: Api<Pod>,
    /// Its name.
    pub name: String,
    /// The time that it has to end by itself.
    grace: Duration,
}

impl ExtraPod {
    /// Makes one for a check, with some changes.
    ///
    /// # Errors
    /// When there is no Deployment to learn from, or the API server refuses.
    pub async fn make(subject: &Subject, check: &str, change: impl FnOnce(&mut PodSpec)) -> Result<Self, Failure> {
        let deployment = subject.deployment().await?;
        let template = deployment.spec.clone().map(|spec| spec.template).unwrap_or_default();
        let mut spec = template.spec.unwrap_or_default();
        spec.active_deadline_seconds = Some(LONGEST_LIFE);
        change(&mut spec);
        let grace =
            spec.termination_grace_period_seconds.and_then(|it| u64::try_from(it).ok()).unwrap_or(DEFAULT_GRACE);
        let mut metadata = template.metadata.unwrap_or_default();
        metadata.labels.get_or_insert_default().insert(CHECK.to_owned(), check.to_owned());
        let name = format!("{}-{check}-{:04x}", deployment.name_any(), fastrand::u16(..));
        metadata.name = Some(name.clone());
        let api = subject.api::<Pod>();
        api.create(&PostParams::default(), &Pod { metadata, spec: Some(spec), status: None }).await?;
        Ok(Self { api, name, grace: Duration::from_secs(grace) })
    }

    /// Takes it away as Kubernetes takes pods away, with its time to end: it may be an endpoint, and a client's request may be on
    /// its way to it.
    pub(super) async fn tell_to_end(&self) -> Result<(), Failure> {
        match self.api.delete(&self.name, &DeleteParams::default()).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            Err(error) => Err(error.into()),
            Ok(_) => Ok(()),
        }
    }

    /// Waits until it is gone.
    ///
    /// # Errors
    /// When it stays.
    pub(super) async fn gone(self, subject: &Subject) -> Result<(), Failure> {
        let config = watcher::Config::default().fields(&format!("metadata.name={}", self.name));
        // After its own time the kubelet ends it, and needs a moment for that.
        let subject = &Subject { patience: subject.patience.max(self.grace + MOMENT), ..subject.clone() };
        let Err(why) = subject.watch(config, none_is_left).await else { return Ok(()) };
        let Some(pod) = self.api.get_opt(&self.name).await? else { return Ok(()) };
        Err(expected("a pod that was made for the check ends when it is told to")
            .saw(why)
            .at(called(&pod))
            .with(&subject.explain_pod(&pod).await)
            .because(
                "it does not end after SIGTERM, or its node is gone",
                "look at terminationGracePeriodSeconds, the service's log and `kubectl get nodes`",
            ))
    }
}

fn none_is_left(pods: &[Arc<Pod>]) -> Option<()> {
    pods.is_empty().then_some(())
}

/// Takes away those that checks have left that were interrupted, and does not wait for their end.
///
/// # Errors
/// When the API server refuses.
pub async fn sweep(subject: &Subject) -> Result<(), Failure> {
    sweep_selected(subject, &selector(subject, CHECK)).await
}

/// Takes away those of one check.
///
/// # Errors
/// When the API server refuses.
pub async fn sweep_of(subject: &Subject, check: &str) -> Result<(), Failure> {
    sweep_selected(subject, &selector(subject, &format!("{CHECK}={check}"))).await
}

/// Waits until none of them is left. One that stays, a check will find.
pub async fn swept(subject: &Subject) {
    let config = watcher::Config::default().labels(&selector(subject, CHECK));
    let _ = subject.watch(config, none_is_left).await;
}

fn selector(subject: &Subject, check: &str) -> String {
    format!("{check},ref={}", subject.reference)
}

async fn sweep_selected(subject: &Subject, selector: &str) -> Result<(), Failure> {
    let parameters = ListParams::default().labels(selector);
    subject.api::<Pod>().delete_collection(&DeleteParams::default(), &parameters).await?;
    Ok(())
}
