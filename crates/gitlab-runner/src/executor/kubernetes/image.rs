//! The images of a job's pod.

use super::cluster::Kubernetes;
use super::service::Service;
use super::user::User;
use super::{policy, user};
use crate::executor::image_source::Resolved;
use crate::executor::request::{ExecutorError, FailureReason, ImageRequest, Request};
use crate::log::JobLog;
use gitlab_ci::config::image::PullPolicy;

/// An image of the pod, and the pull policies that have not failed yet.
#[derive(Clone, Debug)]
pub(super) struct PodImage {
    /// The name as the job writes it.
    pub(super) name: String,
    /// The reference that the nodes know it by.
    pub(super) reference: String,
    /// The user that the job names for it.
    pub(super) user: Option<User>,
    /// In the order in which they are tried. `None` leaves the choice to the cluster.
    pub(super) policies: Vec<Option<PullPolicy>>,
}

impl Kubernetes {
    /// The image of the job's own container.
    pub(super) fn own_image(&self, request: &Request) -> Result<ImageRequest, ExecutorError> {
        let config = &self.config.kubernetes;
        let default = || config.image.clone().map(|name| ImageRequest { name, ..ImageRequest::default() });
        request.image.clone().or_else(default).ok_or_else(|| {
            ExecutorError::system(format!(
                "job `{}` has no image, and the runner has no default image; set `image` in the job or `image` in \
                 [runners.kubernetes]",
                request.name
            ))
        })
    }

    /// The images of `build`, `helper` and the services, in this order.
    pub(super) async fn images(
        &self,
        own: &ImageRequest,
        services: &[Service],
        log: &JobLog,
    ) -> Result<Vec<PodImage>, ExecutorError> {
        let build = self.image(own, log).await?;
        let helper = match &self.config.kubernetes.helper_image {
            // The helper runs as the user of the image. If that is root, it can read the files of all users.
            None => PodImage { user: None, ..build.clone() },
            Some(name) => {
                // The helper has the policies of the job's image: `executors/kubernetes/kubernetes.go`
                let (name, pull_policy) = (name.clone(), own.pull_policy.clone());
                self.image(&ImageRequest { name, pull_policy, ..ImageRequest::default() }, log).await?
            }
        };
        let mut images = vec![build, helper];
        for service in services {
            images.push(self.image(&service.request.image, log).await?);
        }
        Ok(images)
    }

    async fn image(&self, image: &ImageRequest, log: &JobLog) -> Result<PodImage, ExecutorError> {
        let failed = |message| ExecutorError { reason: FailureReason::ScriptFailure, message };
        let name = image.name.trim().to_owned();
        if name.is_empty() || name.contains(|letter: char| letter.is_whitespace() || letter == '$') {
            return Err(failed(format!(
                "{:?} is not an image name; expected a name such as `debian:13`. Check that all variables in it have a value",
                image.name
            )));
        }
        if image.platform.is_some() {
            log.warn("the kubernetes executor ignores `docker:platform`: a node selector determines the platform");
        }
        if image.user.is_some() {
            log.warn("the kubernetes executor ignores `docker:user`, as GitLab Runner does");
        }
        let user = user::allowed(image.kubernetes_user.as_deref(), &self.config.kubernetes.allowed_users, log);
        if let Some(images) = &self.images
            && let Some(Resolved { reference, built_from }) = images.resolve(&name).await.map_err(failed)?
        {
            if let Some(recipe) = built_from {
                log.say(&format!("Using {reference}, built from {recipe}, in place of {name}"));
            }
            images.note_use(&name, &reference);
            // The image source has copied it to the nodes. A built image is in no registry, so a pull would fail.
            return Ok(PodImage { name, reference, user, policies: vec![Some(PullPolicy::IfNotPresent)] });
        }
        let policies = policy::policies(image, &self.config.kubernetes)?;
        Ok(PodImage { reference: name.clone(), name, user, policies })
    }
}
