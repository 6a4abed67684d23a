//! Pulls images. The error of a failed pull is one line, and does not name the image; the caller adds that.

use std::time::Duration;

use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::errors::Error;
use bollard::query_parameters::{CreateImageOptionsBuilder, TagImageOptionsBuilder};
use futures_util::StreamExt;

/// Maximum time without progress. After that, the registry counts as unreachable and the pull fails.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The reason for a failed pull, with the remedy where it is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PullError {
    /// The registry limits the number of pulls without a login.
    #[error("rate limited: log in, or wait")]
    RateLimited,
    /// The registry requires a login, or refuses the given one.
    #[error("unauthorized: run `docker login`")]
    Unauthorized,
    /// No certificate authority that the engine trusts has signed the registry's certificate.
    #[error("the registry's certificate is not trusted")]
    UntrustedCertificate,
    /// The registry has no image with this name and tag.
    #[error("the registry has no such image")]
    NoSuchImage,
    /// The DNS server of the engine's host does not know the registry's name.
    #[error("cannot reach the registry: its name does not resolve")]
    UnknownHost,
    /// No route leads to the registry.
    #[error("cannot reach the registry")]
    Unreachable,
    /// No program listens on the registry's port.
    #[error("cannot reach the registry: connection refused")]
    ConnectionRefused,
    /// The engine has waited too long for the registry.
    #[error("cannot reach the registry: no answer")]
    NoAnswer,
    /// This crate has waited for the given time.
    #[error("the registry has not responded for {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The engine's disk has no space for the image.
    #[error("the disk is full")]
    DiskFull,
    /// The first line of any other message.
    #[error("{0}")]
    Other(String),
}

/// Pulls `reference`, a name with an optional tag. With a `digest` (`sha256:...`), pulls exactly that image by its digest and then gives
/// it the tag of `reference`.
///
/// # Errors
/// The registry is unreachable, refuses access or does not have the image, or the engine cannot store or tag it.
pub async fn pull(docker: &Docker, reference: &str, digest: Option<&str>) -> Result<(), PullError> {
    let (name, tag) = name_and_tag(reference);
    // Without a tag, the engine would pull all tags of the repository.
    let Some(digest) = digest else { return pull_as(docker, &format!("{name}:{tag}"), None, None).await };
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
/// Those of [`pull`]. A registry that sends nothing for 20 s is an error.
pub async fn pull_as(
    docker: &Docker,
    reference: &str,
    platform: Option<&str>,
    credentials: Option<DockerCredentials>,
) -> Result<(), PullError> {
    let options = CreateImageOptionsBuilder::new().from_image(reference).platform(platform.unwrap_or_default()).build();
    let mut progress = docker.create_image(Some(options), None, credentials);
    loop {
        match tokio::time::timeout(TIMEOUT, progress.next()).await {
            Err(_) => return Err(PullError::TimedOut(TIMEOUT)),
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
/// Those of [`pull`]: the registry does not have the image or cannot be reached.
pub async fn check(docker: &Docker, reference: &str, limit: Duration) -> Result<(), PullError> {
    match tokio::time::timeout(limit, docker.inspect_registry_image(reference, None)).await {
        Err(_) => Err(PullError::TimedOut(limit)),
        Ok(answer) => answer.map(drop).map_err(|error| reason(&error)),
    }
}

fn reason(error: &Error) -> PullError {
    classify(&crate::error_message(error))
}

/// The reason that an engine's message gives. Engines return no codes for the reasons.
fn classify(message: &str) -> PullError {
    // `permission denied` is the error of a system call, for example when the engine writes to its storage. It is not a refusal by the
    // registry.
    let lower = message.to_lowercase().replace("permission denied", "");
    let known = [
        ("toomanyrequests", PullError::RateLimited),
        ("rate limit", PullError::RateLimited),
        ("unauthorized", PullError::Unauthorized),
        ("authentication required", PullError::Unauthorized),
        ("no basic auth credentials", PullError::Unauthorized),
        ("denied", PullError::Unauthorized),
        ("x509", PullError::UntrustedCertificate),
        ("manifest unknown", PullError::NoSuchImage),
        ("name unknown", PullError::NoSuchImage),
        ("404 not found", PullError::NoSuchImage),
        // containerd's message: `REFERENCE: not found`.
        (": not found", PullError::NoSuchImage),
        ("no such host", PullError::UnknownHost),
        ("server misbehaving", PullError::UnknownHost),
        ("network is unreachable", PullError::Unreachable),
        ("no route to host", PullError::Unreachable),
        ("connection refused", PullError::ConnectionRefused),
        ("timeout", PullError::NoAnswer),
        ("deadline exceeded", PullError::NoAnswer),
        ("no space left", PullError::DiskFull),
    ];
    let known = known.into_iter().find(|(part, _)| lower.contains(part)).map(|(_, reason)| reason);
    known.unwrap_or_else(|| PullError::Other(message.lines().next().unwrap_or("no reason given").to_owned()))
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
    #[case::login_required("unauthorized: authentication required", "unauthorized: run `docker login`")]
    #[case::no_credentials(
        "Head \"http://r/v2/a/manifests/1\": no basic auth credentials",
        "unauthorized: run `docker login`"
    )]
    #[case::private_or_missing(
        "pull access denied for x, repository does not exist or may require 'docker login'",
        "unauthorized: run `docker login`"
    )]
    #[case::refused("Head \"https://r/v2/a/manifests/1\": denied", "unauthorized: run `docker login`")]
    #[case::refused_by_permission("denied: permission denied for a", "unauthorized: run `docker login`")]
    #[case::unknown_tag("manifest for alpine:nope not found: manifest unknown", "the registry has no such image")]
    #[case::unknown_tag_in_containerd(
        "failed to resolve reference \"r/a:nope\": r/a:nope: not found",
        "the registry has no such image"
    )]
    #[case::unreadable_storage(
        "open /var/lib/docker/tmp/x: permission denied",
        "open /var/lib/docker/tmp/x: permission denied"
    )]
    #[case::missing_program(
        "exec: \"unpigz\": executable file not found in $PATH",
        "exec: \"unpigz\": executable file not found in $PATH"
    )]
    #[case::untrusted_certificate(
        "tls: failed to verify certificate: x509: certificate signed by unknown authority",
        "the registry's certificate is not trusted"
    )]
    #[case::disk_full("write /var/lib/docker/tmp/x: no space left on device", "the disk is full")]
    #[case::unrecognized("something new\nwith a second line", "something new")]
    fn a_failed_pull_has_a_short_reason(#[case] message: &str, #[case] expected: &str) {
        assert_eq!(classify(message).to_string(), expected);
    }
}
