//! Prepares a job: creates its pod, and waits until it runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Event, Pod, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Api;
use kube::api::ListParams;

use super::api::{ApiError, call};
use super::cluster::Kubernetes;
use super::container::{ContainerPlan, Role};
use super::exec::PodRef;
use super::failure::PodFailure;
use super::image::PodImage;
use super::layout::{BUILD, HELPER, idle, watchdog};
use super::overwrites::{JobSettings, service_resources, settings};
use super::refusal::refused;
use super::resources::{Containers, JobObjects};
use super::service::Service;
use super::session::Session;
use super::spec::{PodPlan, grace_period};
use super::state::Watch;
use super::{names, policy, secret, service, startup};
use crate::config::kubernetes::{KubernetesConfig, Volume, VolumeSource};
use crate::executor::credentials::UserConfig;
use crate::executor::request::{ExecutorError, FailureReason, Request};
use crate::log::JobLog;

/// The feature flag that keeps the entrypoint of the job's image.
const HONOR_ENTRYPOINT: &str = "FF_KUBERNETES_HONOR_ENTRYPOINT";

/// A job whose pod is being created.
struct Preparation<'job> {
    kubernetes: &'job Kubernetes,
    request: &'job Request,
    settings: JobSettings,
    objects: &'job JobObjects,
    services: Vec<Service>,
    /// The images of `build`, `helper` and the services.
    images: Vec<PodImage>,
    log: &'job Arc<JobLog>,
}

impl Kubernetes {
    /// Prepares a job: its images, its pod, and its services.
    ///
    /// # Errors
    /// An image of the job cannot be obtained, or a variable is not allowed (failures of the job); the settings are invalid, the helper's
    /// image cannot be obtained, or the cluster refuses the pod or cannot run it (system failures). Objects that were created until then
    /// are removed.
    pub async fn prepare(&self, request: Request, log: &Arc<JobLog>) -> Result<Session, ExecutorError> {
        let config = &self.config.kubernetes;
        let settings = settings(config, &self.namespace, &request.variables)?;
        refuse_shared_builds(config, &request.job_dirs.builds)?;
        log.say(&format!("Using Kubernetes namespace: {}", settings.namespace));
        let image = self.own_image(&request)?;
        log.say(&format!("Using Kubernetes executor with image {} ...", image.name));
        if image.entrypoint.iter().flatten().any(|word| !word.is_empty()) {
            log.warn("the kubernetes executor ignores `entrypoint` of the job's image, as GitLab Runner does");
        }
        let services = service::plan(&config.services, &request)?;
        if let Some(warning) = service::shared_port(&services) {
            log.warn(&warning);
        }
        let images = self.images(&image, &services, log).await?;
        let objects = JobObjects::new(self.client.clone(), settings.namespace.clone());
        let mut preparation =
            Preparation { kubernetes: self, request: &request, settings, objects: &objects, services, images, log };
        let started = Box::pin(preparation.start()).await;
        let services = preparation.services;
        match started {
            Ok((pod, watch)) => {
                let shell = self.config.shell.clone();
                let session = Session::new(pod, watch, objects, request.job_dirs, shell, grace_period(config));
                session.watch_services(services, &request.variables, log).await;
                Ok(session)
            }
            Err(error) => {
                objects.delete(Containers::Running).await;
                Err(error)
            }
        }
    }
}

/// Refuses a volume for the checkouts that outlives the pod: concurrent jobs would share one checkout, and later ones would find the files
/// and secrets of earlier ones.
fn refuse_shared_builds(config: &KubernetesConfig, builds: &str) -> Result<(), ExecutorError> {
    let is_shared = |volume: &&Volume| {
        volume.mount_path.trim_end_matches('/') == builds && !matches!(volume.source, VolumeSource::EmptyDir { .. })
    };
    let Some(volume) = config.volumes.iter().find(is_shared) else { return Ok(()) };
    Err(ExecutorError::system(format!(
        "volume `{}` in [runners.kubernetes] is mounted at {builds}, where all jobs would share it; mount it elsewhere, or use an empty_dir",
        volume.name
    )))
}

impl Preparation<'_> {
    /// Creates the pod, and waits until it runs. If an image cannot be pulled, tries the next policy with a new pod: the kubelet would
    /// repeat the same pull.
    async fn start(&mut self) -> Result<(PodRef, Watch), ExecutorError> {
        let owner = self.kubernetes.anchors.in_namespace(&self.settings.namespace).await?;
        loop {
            let name = names::pod(self.kubernetes.anchors.owner_id(), self.request.id);
            let pod = self.plan(&name, &owner).await?;
            let created = startup::with_account(|| self.objects.create_pod(pod.clone()), self.log).await;
            created.map_err(|error| refused(&error, &self.settings.namespace))?;
            let pods = self.objects.pods();
            let watch = Watch::new(pods.clone(), name.clone());
            let failure = match self.wait(&name, &watch).await {
                Ok(()) => return Ok((PodRef { api: pods, name, restarts: self.kubernetes.restarts.clone() }, watch)),
                Err(failure) => failure,
            };
            let events = self.warnings(&name).await;
            for event in &events {
                self.log.warn(event);
            }
            match failure {
                PodFailure::Final(error) | PodFailure::Temporary(error) => return Err(self.with_entrypoint(error)),
                PodFailure::Pull { container, message } => self.next_policy(&container, &message, &events)?,
            }
            self.objects.delete(Containers::Running).await;
        }
    }

    /// Whether the entrypoint of the job's image runs.
    fn honors_entrypoint(&self) -> bool {
        self.kubernetes.config.feature_flags.get(HONOR_ENTRYPOINT) == Some(&true)
    }

    /// If the image's entrypoint runs, it may be the cause when the job's container ends at the start. Then adds this to the error, and
    /// makes it a failure of the job.
    fn with_entrypoint(&self, error: ExecutorError) -> ExecutorError {
        if !self.honors_entrypoint() || !error.message.starts_with(&format!("container {BUILD} ended")) {
            return error;
        }
        let message =
            format!("{}; with {HONOR_ENTRYPOINT}, the image's entrypoint must run its arguments", error.message);
        ExecutorError { reason: FailureReason::ScriptFailure, message }
    }

    /// Drops the pull policy that has failed for a container, also for the other containers with the same image.
    fn next_policy(&mut self, container: &str, message: &str, events: &[String]) -> Result<(), ExecutorError> {
        let index = match container {
            BUILD => Some(0),
            HELPER => Some(1),
            _ => self.services.iter().position(|service| service.container == container).map(|index| index + 2),
        };
        let image = index.and_then(|index| self.images.get(index)).cloned();
        // A webhook may have added a container.
        let Some(image) = image else {
            return Err(ExecutorError::system(format!("container {container}: {message}")));
        };
        let failed = image.policies.first().copied().flatten();
        if let Some(next) = image.policies.get(1) {
            let next = policy::name(*next);
            self.log.warn(&format!("{}: {message}; trying pull policy \"{next}\" next", image.name));
            for other in &mut self.images {
                if other.reference == image.reference && other.policies == image.policies {
                    other.policies.remove(0);
                }
            }
            return Ok(());
        }
        // A later message of the kubelet only says that it waits before the next attempt. The events have the cause.
        let cause = events.iter().find(|event| event.starts_with("Failed: Failed to pull")).cloned();
        let message = format!(
            "cannot obtain image `{}` with pull policy \"{}\": {}; check its name and tag, log in with DOCKER_AUTH_CONFIG or \
             `image_pull_secrets`, or load it on the nodes",
            image.name,
            policy::name(failed),
            cause.unwrap_or_else(|| message.to_owned())
        );
        // Without `helper_image`, the helper has the image of the job.
        let is_of_runner =
            container == HELPER && self.images.first().is_some_and(|own| own.reference != image.reference);
        if is_of_runner {
            return Err(ExecutorError::system(format!("container {container}: {message}")));
        }
        Err(ExecutorError { reason: FailureReason::ScriptFailure, message })
    }

    /// Waits until the pod runs.
    async fn wait(&self, name: &str, watch: &Watch) -> Result<(), PodFailure> {
        let title = format!("{}/{name}", self.settings.namespace);
        let limit = self.kubernetes.config.kubernetes.poll_timeout;
        startup::wait(watch, name, &title, limit, self.log).await
    }

    /// The pod's warning events, without repetitions. They only inform the user, so an error while reading them does not fail the job.
    async fn warnings(&self, pod: &str) -> Vec<String> {
        let api = Api::<Event>::namespaced(self.kubernetes.client.clone(), &self.settings.namespace);
        let selected = ListParams::default().fields(&format!("involvedObject.name={pod},type=Warning"));
        let events = call(api.list(&selected)).await.map(|list| list.items).unwrap_or_default();
        let mut texts: Vec<String> = Vec::new();
        for event in events {
            let (reason, message) = (event.reason.unwrap_or_default(), event.message.unwrap_or_default());
            let text = format!("{reason}: {}", message.trim());
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        texts
    }

    /// The pod, and its Secrets, which are created first.
    async fn plan(&self, name: &str, owner: &OwnerReference) -> Result<Pod, ExecutorError> {
        let (kubernetes, settings) = (self.kubernetes, &self.settings);
        let labels = kubernetes.anchors.labels();
        let (pull_name, variables_name) = (format!("{name}-pull"), format!("{name}-variables"));
        let metadata = |name: &str| secret::metadata(name, labels.clone(), owner);
        let failed = |error: ApiError| refused(&error, &settings.namespace);
        let references: Vec<&str> = self.images.iter().map(|image| image.reference.as_str()).collect();
        let (user, variables) = (UserConfig::read(), &self.request.variables);
        let pull = secret::pull_secret(metadata(&pull_name), &references, variables, &user, self.log).await;
        let has_pull = pull.is_some();
        if let Some(pull) = pull {
            self.objects.create_secret(pull).await.map_err(failed)?;
        }
        let mut data = BTreeMap::new();
        let containers = self.containers(&variables_name, &mut data)?;
        if !data.is_empty() {
            let variables = Secret { metadata: metadata(&variables_name), data: Some(data), ..Secret::default() };
            self.objects.create_secret(variables).await.map_err(failed)?;
        }
        let certificates = kubernetes.anchors.certificates();
        let plan = PodPlan {
            name,
            config: &kubernetes.config.kubernetes,
            settings,
            job_dirs: &self.request.job_dirs,
            timeout: self.request.timeout,
            labels: self.labels(),
            annotations: self.annotations(),
            owner: owner.clone(),
            containers: &containers,
            hosts: self.services.iter().flat_map(|service| service.hosts.iter().cloned()).collect(),
            pull_secret: has_pull.then_some(pull_name.as_str()),
            certificates: certificates.as_deref(),
        };
        Ok(plan.pod())
    }

    /// The annotations that describe the job: GitLab Runner's `executors/kubernetes/kubernetes.go`.
    fn annotations(&self) -> BTreeMap<String, String> {
        let mut annotations = BTreeMap::from([
            ("job.runner.gitlab.com/id".to_owned(), self.request.id.to_string()),
            ("job.runner.gitlab.com/name".to_owned(), self.log.masked(&self.request.name)),
        ]);
        for (name, variable) in [("ref", "CI_COMMIT_REF_NAME"), ("sha", "CI_COMMIT_SHA"), ("url", "CI_JOB_URL")] {
            if let Some(value) = self.public(variable) {
                annotations.insert(format!("job.runner.gitlab.com/{name}"), value);
            }
        }
        annotations
    }

    /// The labels by which people find the pods of a project, and those that mark the pod as belonging to the pipeline.
    fn labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.kubernetes.anchors.labels();
        let project = [("id", "CI_PROJECT_ID"), ("name", "CI_PROJECT_NAME"), ("namespace", "CI_PROJECT_NAMESPACE")];
        for (name, variable) in project {
            if let Some(value) = self.public(variable) {
                labels.insert(format!("project.runner.gitlab.com/{name}"), names::label_value(&value));
            }
        }
        labels
    }

    /// The value of a variable that describes the job, without secrets.
    fn public(&self, key: &str) -> Option<String> {
        let found = self.request.variables.iter().rev().find(|it| &*it.key == key && !it.file)?;
        Some(self.log.masked(&found.value))
    }

    fn containers(
        &self,
        secret: &str,
        data: &mut BTreeMap<String, k8s_openapi::ByteString>,
    ) -> Result<Vec<ContainerPlan>, ExecutorError> {
        let shell = |script: String| Some(vec!["sh".to_owned(), "-c".to_owned(), script]);
        // The image's own entrypoint gets the shell as arguments. `executors/kubernetes/kubernetes.go`
        let honors = self.honors_entrypoint();
        let (command, arguments) = if honors { (None, shell(idle())) } else { (shell(idle()), None) };
        let mut containers = Vec::new();
        for (index, image) in self.images.iter().enumerate() {
            let common = ContainerPlan {
                role: Role::Build,
                name: BUILD.to_owned(),
                image: image.reference.clone(),
                policy: image.policies.first().copied().flatten(),
                command: command.clone(),
                arguments: arguments.clone(),
                // Empty: the script exports the variables itself, because any user who can read the pod could read them here.
                env: Vec::new(),
                resources: self.settings.build.clone(),
                user: image.user,
            };
            let service = index.checked_sub(2).and_then(|index| self.services.get(index));
            containers.push(match (index, service) {
                (0, _) => common,
                (_, None) => ContainerPlan {
                    role: Role::Helper,
                    name: HELPER.to_owned(),
                    command: shell(watchdog(grace_period(&self.kubernetes.config.kubernetes))),
                    arguments: None,
                    resources: self.settings.helper.clone(),
                    ..common
                },
                (_, Some(service)) => {
                    let request = &service.request;
                    let config = &self.kubernetes.config.kubernetes.service;
                    let set = |words: &Option<Vec<String>>| {
                        words.clone().filter(|words| words.iter().any(|word| !word.is_empty()))
                    };
                    ContainerPlan {
                        role: Role::Service,
                        name: service.container.clone(),
                        // With FF_KUBERNETES_HONOR_ENTRYPOINT, GitLab Runner keeps the image's own entrypoint and command.
                        command: set(&request.image.entrypoint).filter(|_| !honors),
                        arguments: set(&request.command).filter(|_| !honors),
                        env: secret::environment(service, secret, data, self.log),
                        resources: service_resources(config, &request.variables, &self.request.variables)?,
                        ..common
                    }
                }
            });
        }
        Ok(containers)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::of_the_pod(VolumeSource::EmptyDir { medium: None, size_limit: None }, "/builds", true)]
    #[case::that_outlives_the_pod(VolumeSource::Claim, "/builds/", false)]
    #[case::elsewhere(VolumeSource::Claim, "/cache", true)]
    fn a_volume_for_checkouts(#[case] source: VolumeSource, #[case] mount_path: &str, #[case] is_allowed: bool) {
        let (name, mount_path) = ("v".to_owned(), mount_path.to_owned());
        let volumes = vec![Volume { name, mount_path, sub_path: None, read_only: false, source }];
        let config = KubernetesConfig { volumes, ..KubernetesConfig::default() };
        assert_eq!(refuse_shared_builds(&config, "/builds").is_ok(), is_allowed);
    }
}
