//! A service in the runner configuration.

/// `[[runners.docker.services]]`, `[[runners.kubernetes.services]]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceConfig {
    /// The service's image.
    pub name: String,
    /// Host names of the service, in addition to those derived from the image's name.
    pub aliases: Vec<String>,
    /// Replaces the image's entrypoint.
    pub entrypoint: Option<Vec<String>>,
    /// Replaces the image's command.
    pub command: Option<Vec<String>>,
    /// The service's variables: names and values.
    pub environment: Vec<(String, String)>,
}
