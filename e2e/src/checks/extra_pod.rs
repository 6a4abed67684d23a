//! A pod like those of the Deployment, beside them: something is done to it that is not done to what was deployed.

use k8s_openapi::api::core::v1::{Pod, PodSpec};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, ResourceExt};

use super::subject::Subject;
use crate::record::Failure;

/// On such pods: the check that made it.
const CHECK: &str = "io.gitlab-ci-k8s-demo.check";

/// After so many seconds the cluster itself ends one that was forgotten.
const LONGEST_LIFE: i64 = 600;

/// One of them. The Service sends requests to it as to the others, and no `ReplicaSet` knows it.
pub struct ExtraPod {
    api: Api<Pod>,
    /// Its name.
    pub name: String,
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
        let mut metadata = template.metadata.unwrap_or_default();
        metadata.labels.get_or_insert_default().insert(CHECK.to_owned(), check.to_owned());
        let name = format!("{}-{check}-{:04x}", deployment.name_any(), fastrand::u16(..));
        metadata.name = Some(name.clone());
        let api = subject.api::<Pod>();
        api.create(&PostParams::default(), &Pod { metadata, spec: Some(spec), status: None }).await?;
        Ok(Self { api, name })
    }

    /// Takes it away.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn remove(self) -> Result<(), Failure> {
        // At once: nothing that it does is of interest any more.
        match self.api.delete(&self.name, &DeleteParams::default().grace_period(0)).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            removed => Ok(removed.map(drop)?),
        }
    }
}

/// Takes away those that checks have left that were interrupted.
///
/// # Errors
/// When the API server refuses.
pub async fn sweep(subject: &Subject) -> Result<(), Failure> {
    let parameters = ListParams::default().labels(&format!("{CHECK},ref={}", subject.reference));
    let now = DeleteParams::default().grace_period(0);
    subject.api::<Pod>().delete_collection(&now, &parameters).await?;
    Ok(())
}
