//! Determines from a container runtime's message whether the registry denied a pull because of missing or wrong credentials.

/// The phrases of runtimes and registries for missing or wrong credentials.
const DENIALS: [&str; 8] = [
    "unauthorized",
    "authorization failed",
    "authentication required",
    "failed to authorize",
    "no basic auth credentials",
    "access denied",
    "access to the resource is denied",
    "forbidden",
];

/// The statuses with the same meaning.
const STATUSES: [&str; 2] = ["401", "403"];

/// Whether the message reports missing or wrong credentials. Ignores the image's name, which may contain the same words.
pub(super) fn is_pull_denied(message: &str, image: &str) -> bool {
    let words = own_words(message, image);
    let text = words.join(" ").to_lowercase();
    let has_status =
        || words.iter().any(|word| STATUSES.contains(&word.trim_matches(|it: char| !it.is_alphanumeric())));
    DENIALS.iter().any(|denial| text.contains(denial)) || has_status()
}

/// The words of the runtime and the registry, without quotes, brackets, paths, addresses and the tag.
/// `failed to pull image "r.test/demo:v1": unexpected status code [manifests v1]: 401 Unauthorized`
fn own_words<'message>(message: &'message str, image: &str) -> Vec<&'message str> {
    // A back-off message quotes the message of the last pull, including its quotes.
    let unquoted = message.split('"').step_by(2);
    let unbracketed = unquoted.flat_map(|part| {
        part.split('[').enumerate().filter_map(|(at, part)| match at {
            0 => Some(part),
            _ => part.split_once(']').map(|(_, rest)| rest),
        })
    });
    let tag = image.rsplit_once(':').map_or("latest", |(_, tag)| tag);
    unbracketed
        .flat_map(str::split_whitespace)
        .filter(|word| !word.contains('/') && word.trim_end_matches([':', ',', '.']) != tag)
        .collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const IMAGE: &str = "r.test/course/demo:v1";

    #[rstest]
    #[case::containerd(
        "rpc error: code = Unknown desc = failed to pull and unpack image \"r.test/course/demo:v1\": failed to resolve reference \
         \"r.test/course/demo:v1\": pulling from host r.test failed with status code [manifests v1]: 401 Unauthorized"
    )]
    #[case::containerd_token(
        "failed to pull and unpack image \"r.test/course/demo:v1\": failed to resolve reference \"r.test/course/demo:v1\": failed \
         to authorize: failed to fetch anonymous token: unexpected status from GET request to \
         https://r.test/jwt/auth?scope=repository%3Ademo: 403 Forbidden"
    )]
    #[case::back_off(
        "Back-off pulling image \"r.test/course/demo:v1\": ErrImagePull: failed to pull and unpack image \
         \"r.test/course/demo:v1\": unexpected status code [manifests v1]: 401"
    )]
    #[case::docker(
        "Error response from daemon: Get https://r.test/v2/course/demo/manifests/v1: no basic auth credentials"
    )]
    #[case::docker_hub("pull access denied for course/demo, repository does not exist or may require 'docker login'")]
    #[case::cri_o("reading manifest v1 in r.test/course/demo: unauthorized: authentication required")]
    fn the_registry_denied_the_pull(#[case] message: &str) {
        assert!(is_pull_denied(message, IMAGE), "{message}");
    }

    #[rstest]
    #[case::no_such_tag(
        "failed to resolve reference \"r.test/denied/401:403\": unexpected status code [manifests 403]: 404 Not Found",
        "r.test/denied/401:403"
    )]
    #[case::no_such_tag_of_docker(
        "manifest for r.test/unauthorized:401 not found: manifest unknown",
        "r.test/unauthorized:401"
    )]
    #[case::no_such_tag_of_cri_o("reading manifest 401 in r.test/forbidden: manifest unknown", "r.test/forbidden:401")]
    #[case::words_in_an_address("dial tcp: lookup r.test: https://403.test/v2/denied: no such host", "r.test/demo:v1")]
    #[case::another_number("failed with status code [manifests v1]: 500 after 4013 ms", IMAGE)]
    #[case::a_file_on_the_node("failed to extract layer: permission denied: unknown", IMAGE)]
    #[case::a_certificate("tls: failed to verify certificate: x509: certificate signed by unknown authority", IMAGE)]
    #[case::back_off("Back-off pulling image \"r.test/denied/demo:401\"", "r.test/denied/demo:401")]
    fn the_pull_failed_for_another_reason(#[case] message: &str, #[case] image: &str) {
        assert!(!is_pull_denied(message, image), "{message}");
    }
}
