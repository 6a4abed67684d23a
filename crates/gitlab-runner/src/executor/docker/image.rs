//! How the image of a job or of a service comes here. GitLab Runner's `executors/docker/internal/pull/manager.go`

use super::credentials;
use super::engine::Docker;
use super::image_source::Resolved;
use super::reference::normalise;
use crate::executor::request::ExecutorError;
use crate::executor::request::FailureReason;
use crate::executor::request::ImageRequest;
use crate::log::JobLog;
use container_engine::pull;
use gitlab_ci::config::image::PullPolicy;
use gitlab_ci::variables::collection::Variable;

impl Docker {
    /// Gets an image, and returns by what it is run.
    pub(super) async fn image(
        &self,
        image: &ImageRequest,
        variables: &[Variable],
        log: &JobLog,
    ) -> Result<String, ExecutorError> {
        let name = image.name.trim();
        if name.is_empty() || name.contains(|letter: char| letter.is_whitespace() || letter == '$') {
            return Err(failed(format!(
                "{:?} is no image; expected a name as `debian:13`: is a variable in it without a value?",
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

    /// The image that the runner's own source has for that name.
    async fn resolve(&self, name: &str, log: &JobLog) -> Result<Option<String>, ExecutorError> {
        let Some(images) = &self.images else { return Ok(None) };
        let Some(Resolved { reference, built_from }) = images.resolve(name).await.map_err(failed)? else {
            return Ok(None);
        };
        if let Some(recipe) = built_from {
            log.say(&format!("In place of {name}: {reference}, built from {recipe}"));
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
        let (asked, allowed) = (&image.pull_policy, &self.config.docker.allowed_pull_policies);
        let policies = if asked.is_empty() { &self.config.docker.pull_policy } else { asked };
        let mut policies: Vec<_> =
            policies.iter().filter(|policy| allowed.is_empty() || allowed.contains(policy)).copied().collect();
        if policies.is_empty() {
            return Err(failed(format!(
                "the pull policies of {name} ({}) are none of `allowed_pull_policies` ({}) in runner.toml",
                words(asked),
                words(allowed)
            )));
        }
        policies.dedup();
        let mut reasons: Vec<String> = Vec::new();
        for policy in policies {
            if let Some(last) = reasons.last() {
                log.warn(&format!("{name}: {last}; next: pull policy \"{}\"", word(policy)));
            }
            let is_here = policy != PullPolicy::Always && self.engine.inspect_image(name).await.is_ok();
            if is_here {
                log.say(&format!("Using locally found image version due to \"{}\" pull policy", word(policy)));
                return Ok(name.to_owned());
            }
            if policy == PullPolicy::Never {
                reasons.push("it is not here, and pull policy \"never\" forbids to ask for it".to_owned());
                continue;
            }
            log.say(&format!("Pulling docker image {name} ..."));
            let full = normalise(name);
            let login = credentials::find(&full, variables, credentials::of_the_user().as_deref());
            if let Some(user) = login.as_ref().and_then(|login| login.username.as_ref()) {
                log.say(&format!("Authenticating as {user}"));
            }
            match pull::pull_as(&self.engine, &full, image.platform.as_deref(), login).await {
                Ok(()) => return Ok(name.to_owned()),
                Err(reason) => reasons.push(format!("it cannot be pulled from {full}: {reason}")),
            }
        }
        let help = help(reasons.last().map_or("", String::as_str));
        Err(failed(format!("the image {name} is not to be had: {}; {help}", reasons.join("; "))))
    }
}

fn failed(message: String) -> ExecutorError {
    ExecutorError { reason: FailureReason::ScriptFailure, message }
}

/// What to do about a reason of [`pull::pull_as`].
fn help(reason: &str) -> &'static str {
    if reason.contains("unauthorised") || reason.contains("rate limited") {
        "or set the CI/CD variable DOCKER_AUTH_CONFIG"
    } else if reason.contains("no such image") {
        "is its name, and its tag, right?"
    } else if reason.contains("certificate") {
        "put the authority's certificate to /etc/docker/certs.d/REGISTRY/ca.crt on the engine's machine"
    } else {
        "bring it here with `docker load` or `docker tag`, or take one of the catalogue: `e2e images`"
    }
}

fn word(policy: PullPolicy) -> &'static str {
    match policy {
        PullPolicy::Always => "always",
        PullPolicy::IfNotPresent => "if-not-present",
        PullPolicy::Never => "never",
    }
}

fn words(policies: &[PullPolicy]) -> String {
    policies.iter().map(|policy| word(*policy)).collect::<Vec<_>>().join(", ")
}
