//! Builds an executor's request for a job: its image and services, expanded as the runner does.

use std::sync::Arc;
use std::time::Duration;

use crate::executor::{ImageRequest, Request, ServiceRequest};
use crate::variables::JobVariables;
use crate::workspace::job_dirs::JobDirs;
use gitlab_ci::config::image::Image;
use gitlab_ci::plan::PlannedJob;
use gitlab_ci::variables::expand::ExpansionError;

/// The request for a job, given its number and its timeout.
pub(super) fn build(
    planned: &PlannedJob,
    (id, timeout): (u64, Duration),
    variables: &JobVariables,
    job_dirs: JobDirs,
) -> Result<Request, ExpansionError> {
    let services = planned.job.services.iter().map(|service| service_request(service, variables));
    // A service whose name expands to an empty string is not started.
    let services = services.collect::<Result<Vec<_>, _>>()?.into_iter().filter(|it| !it.image.name.is_empty());
    Ok(Request {
        name: Arc::clone(&planned.name),
        id,
        timeout,
        variables: Arc::clone(variables.list()),
        image: planned.job.image.as_ref().map(|image| image_request(image, variables)).transpose()?,
        services: services.collect(),
        job_dirs,
    })
}

fn image_request(image: &Image, variables: &JobVariables) -> Result<ImageRequest, ExpansionError> {
    // Variables in entrypoints and commands are not expanded.
    let words = |words: &[Arc<str>]| words.iter().map(ToString::to_string).collect();
    Ok(ImageRequest {
        name: variables.expand(&image.name)?,
        entrypoint: image.entrypoint.as_deref().map(words),
        user: image.user.as_ref().map(|user| variables.expand(user)).transpose()?,
        platform: image.platform.as_ref().map(|platform| variables.expand(platform)).transpose()?,
        kubernetes_user: image.kubernetes_user.as_ref().map(|user| variables.expand(user)).transpose()?,
        pull_policy: image.pull_policy.clone(),
    })
}

/// `common/build.go` (`GetServiceVariables`), `common/spec/image.go`
fn service_request(service: &Image, variables: &JobVariables) -> Result<ServiceRequest, ExpansionError> {
    let mut all: Vec<(String, String)> =
        variables.public().map(|variable| (variable.key.to_string(), variable.value.to_string())).collect();
    for own in &service.variables {
        let value = if own.expand { variables.expand(&own.value)? } else { own.value.to_string() };
        all.retain(|(key, _)| *key != *own.key);
        all.push((own.key.to_string(), value));
    }
    let aliases = variables.expand_each(service.aliases.iter().map(|alias| &**alias))?;
    Ok(ServiceRequest {
        image: image_request(service, variables)?,
        command: service.command.as_ref().map(|words| words.iter().map(ToString::to_string).collect()),
        aliases: aliases
            .iter()
            .flat_map(|alias| alias.split([',', ' ']))
            .filter(|it| !it.is_empty())
            .map(str::to_owned)
            .collect(),
        variables: all,
    })
}
