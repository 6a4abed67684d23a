//! Pulls images, and returns the reason on one line if a pull fails. A reason does not name the image; the caller adds that.

use std::time::Duration;

use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::errors::Error;
use bollard::query_parameters::{CreateImageOptionsBuilder, TagImageOptionsBuilder};
use futures_util::StreamExt;

/// Maximum time without progress. After that, the registry counts as unreachable and the pull fails.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Pulls `reference`, a name with an optional tag. With a `digest` (`sha256:...`), pulls exactly that image by its digest and then gives
/// it the tag of `reference`.
///
/// # Errors
/// The registry is unreachable, refuses access or does not have the image, or the engine cannot store or tag it. The error is the reason
/// on one line, with the remedy where it is known (a login, for example).
pub async fn pull(docker: &Docker, reference: &str, digest: Option<&str>) -> Result<(), String> {
    let Some(digest) = digest else { return pull_as(docker, reference, None, None).await };
    let (name, tag) = name_and_tag(reference);
    let pinned = format!("{name}@{digest}");
    pull_as(docker, &pinned, None, None).await?;
    let options = TagImageOptionsBuilder::new().repo(name).tag(tag).build();
    docker.tag_image(&pinned, Some(options)).await.map_err(|error| reason(&error))
}

/// The name and the tag of a reference. A colon before a slash precedes the registry's port.
fn name_and_tag(reference: &str) -> (&str, &str) {
    reference.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).unwrap_or((reference, "latest"))
}

/// Pulls `reference` for `platform` (`os/architecture`, default: the engine's own), with `credentials` if the registry requires a login.
///
/// # Errors
/// Returns the reason on one line, as [`pull`] does. A registry that sends nothing for 20 s is an error.
pub async fn pull_as(
    docker: &Docker,
    reference: &str,
    platform: Option<&str>,
    credentials: Option<DockerCredentials>,
) -> Result<(), String> {
    let options = CreateImageOptionsBuilder::new().from_image(reference).platform(platform.unwrap_or_default()).build();
    let mut progress = docker.create_image(Some(options), None, credentials);
    loop {
        match tokio::time::timeout(TIMEOUT, progress.next()).await {
            Err(_) => return Err(format!("the registry has not responded for {} s", TIMEOUT.as_secs())),
            Ok(None) => return Ok(()),
            Ok(Some(Ok(_))) => {}
            Ok(Some(Err(error))) => return Err(reason(&error)),
        }
    }
}

/// Checks whether the registry has the image `reference`, without pulling it. The engine sends the request, so the result reflects
/// the network and the proxy that a pull would use. `limit` is the maximum time to wait for the answer.
///
/// # Errors
/// Returns the reason on one line, as [`pull`] does: the registry does not have the image or cannot be reached.
pub async fn ask(docker: &Docker, reference: &str, limit: Duration) -> Result<(), String> {
    match tokio::time::timeout(limit, docker.inspect_registry_image(reference, None)).await {
        Err(_) => Err(format!("the registry has not responded for {} s", limit.as_secs())),
        Ok(answer) => answer.map(drop).map_err(|error| reason(&error)),
    }
}

fn reason(error: &Error) -> String {
    describe(&crate::error_message(error))
}

/// A short description of an engine's message, with the remedy where it is known; the first line of an unknown message.
fn describe(message: &str) -> String {
    let lower = message.to_lowercase();
    let known = [
        ("toomanyrequests", "rate limited: log in, or wait"),
        ("rate limit", "rate limited: log in, or wait"),
        ("unauthorized", "unauthorised: run `docker login`"),
        ("authentication required", "unauthorised: run `docker login`"),
        ("no basic auth credentials", "unauthorised: run `docker login`"),
        ("denied", "unauthorised: run `docker login`"),
        ("x509", "the registry's certificate is not trusted"),
        ("manifest unknown", "the registry has no such image"),
        ("not found", "the registry has no such image"),
        ("no such host", "cannot reach the registry: its name does not resolve"),
        ("server misbehaving", "cannot reach the registry: its name does not resolve"),
        ("network is unreachable", "cannot reach the registry"),
        ("no route to host", "cannot reach the registry"),
        ("connection refused", "cannot reach the registry: connection refused"),
        ("timeout", "cannot reach the registry: no answer"),
        ("deadline exceeded", "cannot reach the registry: no answer"),
        ("no space left", "the disk is full"),
    ];
    let known = known.iter().find(|(part, _)| lower.contains(part)).map(|(_, description)| (*description).to_owned());
    known.unwrap_or_else(|| message.lines().next().unwrap_or("no reason given").to_owned())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::a_tag("registry:3.1.2", ("registry", "3.1.2"))]
    #[case::no_tag("docker.io/library/registry", ("docker.io/library/registry", "latest"))]
    #[case::a_port("registry.test:5000/tools", ("registry.test:5000/tools", "latest"))]
    #[case::a_port_and_a_tag("registry.test:5000/tools:1", ("registry.test:5000/tools", "1"))]
    fn a_reference_has_a_name_and_a_tag(#[case] reference: &str, #[case] expected: (&str, &str)) {
        assert_eq!(name_and_tag(reference), expected);
    }

    #[rstest]
    #[case::no_dns(
        "Get \"https://registry-1.docker.io/v2/\": dial tcp: lookup registry-1.docker.io on 10.0.0.1:53: no such host",
        "cannot reach the registry: its name does not resolve"
    )]
    #[case::timeout(
        "Get \"https://registry-1.docker.io/v2/\": net/http: request canceled while waiting for connection (Client.Timeout exceeded)",
        "cannot reach the registry: no answer"
    )]
    #[case::rate_limit("toomanyrequests: You have reached your pull rate limit.", "rate limited: log in, or wait")]
    #[case::login_required("unauthorized: authentication required", "unauthorised: run `docker login`")]
    #[case::no_credentials(
        "Head \"http://r/v2/a/manifests/1\": no basic auth credentials",
        "unauthorised: run `docker login`"
    )]
    #[case::private_or_missing(
        "pull access denied for x, repository does not exist or may require 'docker login'",
        "unauthorised: run `docker login`"
    )]
    #[case::unknown_tag("manifest for alpine:nope not found: manifest unknown", "the registry has no such image")]
    #[case::untrusted_certificate(
        "tls: failed to verify certificate: x509: certificate signed by unknown authority",
        "the registry's certificate is not trusted"
    )]
    #[case::disk_full("write /var/lib/docker/tmp/x: no space left on device", "the disk is full")]
    #[case::unrecognised("something new\nwith a second line", "something new")]
    fn a_failed_pull_has_a_short_reason(#[case] message: &str, #[case] expected: &str) {
        assert_eq!(describe(message), expected);
    }
}
