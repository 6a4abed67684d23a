//! The docker executor, which runs jobs in containers: GitLab Runner's `executors/docker`.
//!
//! - `engine`: the executor itself.
//! - `image`: obtains the images of jobs and services.
//! - `resources`: the resources created for a job, and their removal. `container`: the settings that all containers of a job share.
//! - `service` and `health`: the service containers of a job, and whether they listen.
//! - `files`: copies sources and artifacts into and out of containers. `script`: runs commands.
//! - `session`: a job from its preparation to its cleanup. `leftovers`: removes the resources of killed pipelines.
//!
//! Each job has its own network, as with `FF_NETWORK_PER_BUILD`, and one container for all its steps: files that a script creates
//! outside of the project directory still exist in `after_script`.

mod container;
mod engine;
mod files;
mod health;
mod image;
mod leftovers;
mod resources;
mod script;
mod service;
mod session;

use std::sync::Arc;

use bollard::models::ContainerCreateBody;
use futures_util::future::{try_join, try_join_all};

use self::container::CommonSettings;
use self::resources::JobResources;
use crate::executor::request::{ExecutorError, ImageRequest, Request};
use crate::log::JobLog;
use crate::workspace::job_dirs::JobDirs;

pub use self::engine::Docker;
pub use self::leftovers::sweep_gone;
pub use self::resources::sweep;
pub use self::session::Session;

/// The default of the setting `builds_dir`. `executors/docker/docker.go`
const DEFAULT_BUILDS_DIR: &str = "/builds";

impl Docker {
    /// The directories of a job in its container. `project` is the project's path: `group/project`.
    pub fn job_dirs(&self, project: &str) -> JobDirs {
        let builds = self.config.builds_dir.as_deref().unwrap_or(DEFAULT_BUILDS_DIR).trim_end_matches('/').to_owned();
        JobDirs { project: format!("{builds}/{project}"), builds }
    }

    /// Prepares a job: its images, its network and volumes, its services, and the container that it runs in.
    ///
    /// # Errors
    /// An image cannot be obtained (a failure of the job), or the engine refuses a request (a system failure). The resources that were
    /// created before the error are removed.
    pub async fn prepare(&self, request: Request, log: &Arc<JobLog>) -> Result<Session, ExecutorError> {
        let image = self.own_image(&request)?;
        log.say(&format!("Using Docker executor with image {} ...", image.name));
        let resources = JobResources::new(&self.engine, &self.pipeline, &request);
        let prepared = Box::pin(self.prepare_in(&resources, &request, &image, log)).await;
        match prepared {
            Ok((container, services)) => {
                Ok(Session::new(self.engine.clone(), resources, container, image.name, services, request.job_dirs))
            }
            Err(error) => {
                resources.remove().await;
                Err(error)
            }
        }
    }

    /// The image of the job itself: its own, else the runner's default.
    fn own_image(&self, request: &Request) -> Result<ImageRequest, ExecutorError> {
        let default = || self.config.docker.image.clone().map(|name| ImageRequest { name, ..ImageRequest::default() });
        request.image.clone().or_else(default).ok_or_else(|| {
            ExecutorError::system(format!(
                "job `{}` has no image, and the runner has no default image; set `image` in the job or `image` in \
                 [runners.docker]",
                request.name
            ))
        })
    }

    async fn prepare_in(
        &self,
        resources: &JobResources,
        request: &Request,
        image: &ImageRequest,
        log: &Arc<JobLog>,
    ) -> Result<(String, Vec<service::Running>), ExecutorError> {
        let planned = service::plan(&self.config.docker.services, request, log);
        let names = planned.iter().map(|service| &service.request.image);
        if names.clone().any(|image| image.name.contains("dind")) {
            if !self.config.docker.privileged {
                log.warn("docker-in-docker does not start without `privileged = true` in [runners.docker]");
            }
            if let Some(path) = service::unshared_certificates(&self.config.docker.volumes, request) {
                log.warn(&format!(
                    "the job cannot read the certificates of docker-in-docker in {path}: add `volumes = [\"{path}\"]` to \
                     [runners.docker]"
                ));
            }
        }
        let variables = &request.variables;
        let images = try_join_all(std::iter::once(image).chain(names).map(|image| self.image(image, variables, log)));
        let common = CommonSettings::create(&self.config.docker, &request.job_dirs, resources);
        let (images, common) = try_join(images, common).await?;
        let mut images = images.into_iter();
        let own = images.next().unwrap_or_default();
        let start =
            planned.into_iter().zip(images).map(|(service, image)| self.start(service, image, resources, &common, log));
        let mut services = try_join_all(start).await?;
        self.wait_for(&mut services, log).await;
        let mut body = common.body(own, vec!["build".to_owned()]);
        common.add_job_settings(&mut body, service::hosts(&services, &common));
        let container = resources
            .container("build", self.build(body, request, image), image.platform.as_deref(), self.networks())
            .await?;
        self.put_certificates(&container).await?;
        Ok((container, services))
    }

    /// The container that runs the job's commands.
    fn build(&self, body: ContainerCreateBody, request: &Request, image: &ImageRequest) -> ContainerCreateBody {
        // Every user of the engine can read these variables. Secrets are therefore left to the script, as are file variables, whose
        // files the script creates.
        let visible = request.variables.iter().filter(|variable| !variable.masked && !variable.file);
        ContainerCreateBody {
            env: Some(visible.map(|variable| format!("{}={}", variable.key, variable.value)).collect()),
            cmd: Some(script::command(self.config.shell.as_deref())),
            entrypoint: image.entrypoint.clone(),
            // The operator's setting wins: `executors/docker/docker.go`.
            user: self.config.docker.user.clone().or_else(|| image.user.clone()),
            working_dir: Some(request.job_dirs.project.clone()),
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            open_stdin: Some(true),
            stdin_once: Some(true),
            ..body
        }
    }
}
