//! Pulls, and why they fail.

use std::time::Duration;

use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::errors::Error;
use bollard::query_parameters::{CreateImageOptionsBuilder, TagImageOptionsBuilder};
use futures_util::StreamExt;

/// A registry that says nothing for this long is one that cannot be reached.
const PATIENCE: Duration = Duration::from_secs(20);

/// Pulls `reference`. Where its digest is known, the registry must have that very image, which then gets the tag.
///
/// # Errors
/// Why not, on one line.
pub async fn pull(docker: &Docker, reference: &str, digest: Option<&str>) -> Result<(), String> {
    let Some(digest) = digest else { return pull_as(docker, reference, None, None).await };
    let (name, tag) = reference.rsplit_once(':').unwrap_or((reference, "latest"));
    let pinned = format!("{name}@{digest}");
    pull_as(docker, &pinned, None, None).await?;
    let options = TagImageOptionsBuilder::new().repo(name).tag(tag).build();
    docker.tag_image(&pinned, Some(options)).await.map_err(|error| reason(&error))
}

/// Pulls `reference` for a platform other than the engine's own, or as somebody.
///
/// # Errors
/// Why not, on one line.
pub async fn pull_as(
    docker: &Docker,
    reference: &str,
    platform: Option<&str>,
    credentials: Option<DockerCredentials>,
) -> Result<(), String> {
    let options = CreateImageOptionsBuilder::new().from_image(reference).platform(platform.unwrap_or_default()).build();
    let mut progress = docker.create_image(Some(options), None, credentials);
    loop {
        match tokio::time::timeout(PATIENCE, progress.next()).await {
            Err(_) => return Err(format!("the registry says nothing for {} s", PATIENCE.as_secs())),
            Ok(None) => return Ok(()),
            Ok(Some(Ok(_))) => {}
            Ok(Some(Err(error))) => return Err(reason(&error)),
        }
    }
}

/// Asks the registry of `reference`, by the way that a pull goes, whether it has the image.
///
/// # Errors
/// Why not, on one line.
pub async fn ask(docker: &Docker, reference: &str, limit: Duration) -> Result<(), String> {
    match tokio::time::timeout(limit, docker.inspect_registry_image(reference, None)).await {
        Err(_) => Err(format!("the registry says nothing for {} s", limit.as_secs())),
        Ok(answer) => answer.map(drop).map_err(|error| reason(&error)),
    }
}

fn reason(error: &Error) -> String {
    words(&crate::said(error))
}

/// The few words that say what to do about an engine's message; the message's first line where none fits.
fn words(message: &str) -> String {
    let lower = message.to_lowercase();
    let known = [
        ("toomanyrequests", "rate limited: log in, or wait"),
        ("rate limit", "rate limited: log in, or wait"),
        ("unauthorized", "unauthorised: docker login"),
        ("authentication required", "unauthorised: docker login"),
        ("no basic auth credentials", "unauthorised: docker login"),
        ("denied", "unauthorised: docker login"),
        ("x509", "its certificate is not trusted here"),
        ("manifest unknown", "the registry has no such image"),
        ("not found", "the registry has no such image"),
        ("no such host", "no route to the registry: its name is not known here"),
        ("server misbehaving", "no route to the registry: its name is not known here"),
        ("network is unreachable", "no route to the registry"),
        ("no route to host", "no route to the registry"),
        ("connection refused", "no route to the registry: the connection is refused"),
        ("timeout", "no route to the registry: no answer"),
        ("deadline exceeded", "no route to the registry: no answer"),
        ("no space left", "the disk is full"),
    ];
    let known = known.iter().find(|(part, _)| lower.contains(part)).map(|(_, words)| (*words).to_owned());
    known.unwrap_or_else(|| message.lines().next().unwrap_or("no reason given").to_owned())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::no_dns(
        "Get \"https://registry-1.docker.io/v2/\": dial tcp: lookup registry-1.docker.io on 10.0.0.1:53: no such host",
        "no route to the registry: its name is not known here"
    )]
    #[case::timeout(
        "Get \"https://registry-1.docker.io/v2/\": net/http: request canceled while waiting for connection (Client.Timeout exceeded)",
        "no route to the registry: no answer"
    )]
    #[case::limit("toomanyrequests: You have reached your pull rate limit.", "rate limited: log in, or wait")]
    #[case::login("unauthorized: authentication required", "unauthorised: docker login")]
    #[case::no_login("Head \"http://r/v2/a/manifests/1\": no basic auth credentials", "unauthorised: docker login")]
    #[case::hidden(
        "pull access denied for x, repository does not exist or may require 'docker login'",
        "unauthorised: docker login"
    )]
    #[case::tag("manifest for alpine:nope not found: manifest unknown", "the registry has no such image")]
    #[case::certificate(
        "tls: failed to verify certificate: x509: certificate signed by unknown authority",
        "its certificate is not trusted here"
    )]
    #[case::disk("write /var/lib/docker/tmp/x: no space left on device", "the disk is full")]
    #[case::anything_else("something new\nwith a second line", "something new")]
    fn reasons(#[case] message: &str, #[case] expected: &str) {
        assert_eq!(words(message), expected);
    }
}
