//! Jobs in containers. GitLab Runner's `executors/docker`
//!
//! - `engine`: the engine, and how jobs use it.
//! - `image`: how images come here. `image_source`: who provides some of them. `reference`: their names. `credentials`: as whom they are pulled.
//! - `container`: what all containers of a job have. `made`: what is made for a job, and how it goes away again.
//! - `service` and `health`: what runs beside a job, and whether it listens.
//! - `files`: sources and artifacts in and out. `script`: its commands.
//!
//! Each job has a network of its own, as with `FF_NETWORK_PER_BUILD`, and one container for all of its steps: what a script leaves
//! outside of the project is there for `after_script`.

mod container;
mod credentials;
mod engine;
mod files;
mod health;
mod image;
mod image_source;
mod leftovers;
mod made;
mod reference;
mod script;
mod service;
mod session;

use std::sync::Arc;

use bollard::models::ContainerCreateBody;
use futures_util::future::{try_join, try_join_all};

use self::container::Common;
use self::made::Made;
use crate::executor::request::ExecutorError;
use crate::executor::request::ImageRequest;
use crate::executor::request::Request;
use crate::log::JobLog;
use crate::workspace::job_dirs::Places;

pub use self::engine::Docker;
pub use self::image_source::{ImageSource, Resolved};
pub use self::leftovers::sweep_gone;
pub use self::made::sweep;
pub use self::reference::normalise;
pub use self::session::Session;

/// `builds_dir` of a runner that was told nothing. `executors/docker/docker.go`
const BUILDS: &str = "/builds";

impl Docker {
    /// Where the files of a job are.
    pub fn places(&self, project: &str) -> Places {
        let builds = self.config.builds_dir.as_deref().unwrap_or(BUILDS).trim_end_matches('/').to_owned();
        Places { project: format!("{builds}/{project}"), builds }
    }

    /// Prepares a job: its images, its network and volumes, its services, and the container that it will run in.
    ///
    /// # Errors
    /// When an image is not to be had, or the engine refuses. What was made until then is taken away.
    pub async fn prepare(&self, request: Request, log: &Arc<JobLog>) -> Result<Session, ExecutorError> {
        let image = self.image_of(&request)?;
        log.say(&format!("Using Docker executor with image {} ...", image.name));
        let made = Made::new(&self.engine, &self.pipeline, &request);
        let prepared = Box::pin(self.prepare_in(&made, &request, &image, log)).await;
        match prepared {
            Ok((container, services)) => {
                Ok(Session::new(self.engine.clone(), made, container, image.name, services, request.places))
            }
            Err(error) => {
                made.remove().await;
                Err(error)
            }
        }
    }

    fn image_of(&self, request: &Request) -> Result<ImageRequest, ExecutorError> {
        let own = || self.config.docker.image.clone().map(|name| ImageRequest { name, ..ImageRequest::default() });
        request.image.clone().or_else(own).ok_or_else(|| {
            ExecutorError::system(format!(
                "{} names no image, and the runner has none for such jobs; expected `image` in the job, or `image` of \
                 [runners.docker] in runner.toml",
                request.name
            ))
        })
    }

    async fn prepare_in(
        &self,
        made: &Made,
        request: &Request,
        image: &ImageRequest,
        log: &Arc<JobLog>,
    ) -> Result<(String, Vec<service::Running>), ExecutorError> {
        let planned = service::plan(&self.config.docker.services, request, log);
        let names = planned.iter().map(|service| &service.request.image);
        if !self.config.docker.privileged && names.clone().any(|image| image.name.contains("dind")) {
            log.warn("docker-in-docker does not start without `privileged = true` in [runners.docker] of the runner's settings");
        }
        let variables = &request.variables;
        let images = try_join_all(std::iter::once(image).chain(names).map(|image| self.image(image, variables, log)));
        let common = Common::make(&self.config.docker, &request.places, made);
        let (images, common) = try_join(images, common).await?;
        let mut images = images.into_iter();
        let own = images.next().unwrap_or_default();
        let start =
            planned.into_iter().zip(images).map(|(service, image)| self.start(service, image, made, &common, log));
        let mut services = try_join_all(start).await?;
        self.wait_for(&mut services, log).await;
        let mut body = common.body(own, vec!["build".to_owned()]);
        common.limit(&mut body, service::hosts(&services, &common));
        let container = made
            .container("build", self.build(body, request, image), image.platform.as_deref(), self.networks())
            .await?;
        self.put_certificates(&container).await?;
        Ok((container, services))
    }

    /// The container that a job's commands run in.
    fn build(&self, body: ContainerCreateBody, request: &Request, image: &ImageRequest) -> ContainerCreateBody {
        // Whoever may talk to the engine sees these: no secrets, which the script brings along, and no files, which it makes.
        let visible = request.variables.iter().filter(|variable| !variable.masked && !variable.file);
        ContainerCreateBody {
            env: Some(visible.map(|variable| format!("{}={}", variable.key, variable.value)).collect()),
            cmd: Some(script::command(self.config.shell.as_deref())),
            entrypoint: image.entrypoint.clone(),
            user: image.user.clone().or_else(|| self.config.docker.user.clone()),
            working_dir: Some(request.places.project.clone()),
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            open_stdin: Some(true),
            stdin_once: Some(true),
            ..body
        }
    }
}
