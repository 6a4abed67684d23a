//! Obtains the images of jobs and services, as GitLab Runner's `executors/docker/internal/pull/manager.go` does.

use std::time::Duration;

use bollard::auth::DockerCredentials;

use super::engine::Docker;
use crate::executor::credentials::{self, UserConfig};
use crate::executor::image_source::Resolved;
use crate::executor::reference::normalize;
use crate::executor::request::{ExecutorError, FailureReason, ImageRequest};
use crate::log::JobLog;
use container_engine::pull::{PullError, pull_as};
use gitlab_ci::config::image::PullPolicy;
use gitlab_ci::variables::collection::Variable;

/// The pauses between the three attempts to pull an image.
const PAUSES: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(4)];

impl Docker {
    /// Obtains an image, and returns the reference to run it by.
    pub(super) async fn image(
        &self,
        image: &ImageRequest,
        variables: &[Variable],
        log: &JobLog,
    ) -> Result<String, ExecutorError> {
        let name = image.name.trim();
        if name.is_empty() || name.contains(|letter: char| letter.is_whitespace() || letter == '$') {
            return Err(failed(format!(
                "{:?} is not an image name; expected a name such as `debian:13`. Check that all variables in it have a value",
                image.name
            )));
        }
        let reference = match self.resolve(name, log).await? {
            Some(reference) => reference,
            None => self.by_policy(image, name, variables, log).await?,
        };
        if let Some(images) = &self.images {
            images.note_use(name, &reference);
        }
        let inspected = self.engine.inspect_image(&reference).await.ok();
        if let Some(id) = inspected.and_then(|image| image.id) {
            log.say(&format!("Using docker image {id} for {name} ..."));
        }
        Ok(reference)
    }

    /// The image that the image source has for this name.
    async fn resolve(&self, name: &str, log: &JobLog) -> Result<Option<String>, ExecutorError> {
        let Some(images) = &self.images else { return Ok(None) };
        let Some(Resolved { reference, built_from }) = images.resolve(name).await.map_err(failed)? else {
            return Ok(None);
        };
        if let Some(recipe) = built_from {
            log.say(&format!("Using {reference}, built from {recipe}, in place of {name}"));
        }
        Ok(Some(reference))
    }

    async fn by_policy(
        &self,
        image: &ImageRequest,
        name: &str,
        variables: &[Variable],
        log: &JobLog,
    ) -> Result<String, ExecutorError> {
        let (requested, allowed) = (&image.pull_policy, &self.config.docker.allowed_pull_policies);
        let wanted = if requested.is_empty() { &self.config.docker.pull_policy } else { requested };
        let mut policies: Vec<_> =
            wanted.iter().filter(|policy| allowed.is_empty() || allowed.contains(policy)).copied().collect();
        if policies.is_empty() {
            return Err(failed(format!(
                "no pull policy of {name} ({}) is among `allowed_pull_policies` ({}) in [runners.docker]",
                policy_names(wanted),
                policy_names(allowed)
            )));
        }
        policies.dedup();
        let mut reasons: Vec<String> = Vec::new();
        let mut last_error = None;
        for policy in policies {
            if let Some(last) = reasons.last() {
                log.warn(&format!("{name}: {last}; trying pull policy \"{}\" next", policy_name(policy)));
            }
            let is_here = policy != PullPolicy::Always && self.engine.inspect_image(name).await.is_ok();
            if is_here {
                log.say(&format!("Using locally found image version due to \"{}\" pull policy", policy_name(policy)));
                return Ok(name.to_owned());
            }
            if policy == PullPolicy::Never {
                reasons.push("it is not on this engine, and pull policy \"never\" forbids pulling it".to_owned());
                last_error = None;
                continue;
            }
            log.say(&format!("Pulling docker image {name} ..."));
            let full = normalize(name);
            let login = credentials::find(&full, variables, &UserConfig::read(), log).await;
            if let Some(user) = login.as_ref().and_then(|login| login.username.as_ref()) {
                log.say(&format!("Authenticating as {user}"));
            }
            match self.pull(&full, image.platform.as_deref(), login, log).await {
                Ok(()) => return Ok(name.to_owned()),
                Err(error) => {
                    reasons.push(format!("cannot pull {full}: {error}"));
                    last_error = Some(error);
                }
            }
        }
        let help = help(last_error.as_ref());
        let message = format!("cannot obtain image `{name}`: {}; {help}", reasons.join("; "));
        Err(if last_error.is_some_and(|error| is_temporary(&error)) {
            ExecutorError::system(message)
        } else {
            failed(message)
        })
    }

    /// Pulls an image, and tries again if the registry is not reachable.
    async fn pull(
        &self,
        reference: &str,
        platform: Option<&str>,
        login: Option<DockerCredentials>,
        log: &JobLog,
    ) -> Result<(), PullError> {
        let mut pauses = PAUSES.into_iter();
        loop {
            let error = match pull_as(&self.engine, reference, platform, login.clone()).await {
                Err(error) if is_temporary(&error) => error,
                result => return result,
            };
            let Some(pause) = pauses.next() else { return Err(error) };
            log.warn(&format!("cannot pull {reference}: {error}; trying again in {} s", pause.as_secs()));
            tokio::time::sleep(pause).await;
        }
    }
}

/// Whether another attempt may succeed. The registry's own answers are final.
fn is_temporary(error: &PullError) -> bool {
    match error {
        PullError::RateLimited
        | PullError::Unauthorized
        | PullError::UntrustedCertificate
        | PullError::NoSuchImage
        | PullError::DiskFull => false,
        PullError::UnknownHost
        | PullError::Unreachable
        | PullError::ConnectionRefused
        | PullError::NoAnswer
        | PullError::TimedOut(_)
        | PullError::Other(_) => true,
    }
}

fn failed(message: String) -> ExecutorError {
    ExecutorError { reason: FailureReason::ScriptFailure, message }
}

/// The remedy for a failed pull, or for an image that must not be pulled.
fn help(error: Option<&PullError>) -> &'static str {
    match error {
        // Continues the message of the error, which already says to log in.
        Some(PullError::Unauthorized | PullError::RateLimited) => "or set the CI/CD variable DOCKER_AUTH_CONFIG",
        Some(PullError::NoSuchImage) => "check its name and tag",
        Some(PullError::UntrustedCertificate) => {
            "copy the certificate authority's certificate to /etc/docker/certs.d/REGISTRY/ca.crt on the engine's host"
        }
        Some(PullError::DiskFull) => "free disk space on the engine's host",
        _ => {
            "add the image to the engine with `docker load` or `docker tag`, or use an image of the catalog: `e2e images`"
        }
    }
}

fn policy_name(policy: PullPolicy) -> &'static str {
    match policy {
        PullPolicy::Always => "always",
        PullPolicy::IfNotPresent => "if-not-present",
        PullPolicy::Never => "never",
    }
}

fn policy_names(policies: &[PullPolicy]) -> String {
    policies.iter().map(|policy| policy_name(*policy)).collect::<Vec<_>>().join(", ")
}
