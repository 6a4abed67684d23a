//! The services of the runner configuration.

use super::request::{ImageRequest, ServiceRequest};
use crate::config::ServiceConfig;
use gitlab_ci::variables::collection::{Origin, Variable};

/// A service of the runner configuration. Like every service, it has the job's public variables.
pub(super) fn from_config(service: &ServiceConfig, variables: &[Variable]) -> ServiceRequest {
    let is_public = |variable: &&Variable| {
        let is_secret = matches!(
            variable.origin,
            Origin::Dotenv | Origin::Instance | Origin::Group | Origin::Project | Origin::User
        );
        !variable.masked && !variable.file && !is_secret
    };
    let public = variables.iter().filter(is_public).map(|it| (it.key.to_string(), it.value.to_string()));
    ServiceRequest {
        image: ImageRequest {
            name: service.name.clone(),
            entrypoint: service.entrypoint.clone(),
            ..ImageRequest::default()
        },
        command: service.command.clone(),
        aliases: service.aliases.clone(),
        variables: public.chain(service.environment.iter().cloned()).collect(),
    }
}
