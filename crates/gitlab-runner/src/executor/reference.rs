//! Image references, and the host names of services that follow from them.

/// The full form of an image reference, with registry and tag: `github.com/distribution/reference`, `normalize.go`.
///
/// ```
/// use gitlab_runner::executor::normalize;
///
/// assert_eq!(normalize("debian"), "docker.io/library/debian:latest");
/// ```
pub fn normalize(name: &str) -> String {
    let named = registry(name).and_then(|registry| Some((registry, name.strip_prefix(registry)?.strip_prefix('/')?)));
    let (registry, rest) = named.unwrap_or(("docker.io", name));
    let registry = if registry == "index.docker.io" { "docker.io" } else { registry };
    let library = if registry == "docker.io" && !rest.contains('/') { "library/" } else { "" };
    let has_version = rest.contains('@') || rest.rsplit('/').next().is_some_and(|last| last.contains(':'));
    let tag = if has_version { "" } else { ":latest" };
    format!("{registry}/{library}{rest}{tag}")
}

/// The registry that a reference names. References to images of Docker Hub usually name none.
///
/// ```
/// use gitlab_runner::executor::registry;
///
/// assert_eq!(registry("r.example.com/group/project:1"), Some("r.example.com"));
/// assert_eq!(registry("library/redis:7"), None);
/// ```
pub fn registry(name: &str) -> Option<&str> {
    let (first, _) = name.split_once('/')?;
    (first.contains(['.', ':']) || first == "localhost").then_some(first)
}

/// The registry and the repository of a full reference, without tag and digest.
pub(super) fn repository(normalized: &str) -> &str {
    let name = normalized.split('@').next().unwrap_or(normalized);
    match name.rfind(':') {
        Some(at) if !name.get(at..).unwrap_or_default().contains('/') => name.get(..at).unwrap_or(name),
        _ => name,
    }
}

/// The host names of a service that follow from its image: without the registry's port, tag and digest, and with `__` and `-` in
/// place of slashes. GitLab Runner's `helpers/container/services/services.go`, `SplitNameAndVersion`
pub(super) fn aliases(name: &str) -> Vec<String> {
    let name = repository(name);
    let (registry, rest) = name.split_once('/').map_or((name, None), |(registry, rest)| (registry, Some(rest)));
    let registry = match registry.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|digit| digit.is_ascii_digit()) => host,
        _ => registry,
    };
    let name = rest.map_or_else(|| registry.to_owned(), |rest| format!("{registry}/{rest}"));
    let (first, second) = (name.replace('/', "__"), name.replace('/', "-"));
    if first == second { vec![first] } else { vec![first, second] }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("debian", "docker.io/library/debian:latest", "docker.io/library/debian")]
    #[case("rust:1.97.1", "docker.io/library/rust:1.97.1", "docker.io/library/rust")]
    #[case("alpine/k8s:1.36.4", "docker.io/alpine/k8s:1.36.4", "docker.io/alpine/k8s")]
    #[case("index.docker.io/library/rust:1", "docker.io/library/rust:1", "docker.io/library/rust")]
    #[case("docker.io/rust:1", "docker.io/library/rust:1", "docker.io/library/rust")]
    #[case("localhost/a", "localhost/a:latest", "localhost/a")]
    #[case("r.test:5000/a/b", "r.test:5000/a/b:latest", "r.test:5000/a/b")]
    #[case("r.test:5000/a/b:1", "r.test:5000/a/b:1", "r.test:5000/a/b")]
    #[case("a@sha256:00", "docker.io/library/a@sha256:00", "docker.io/library/a")]
    #[case("r.test/a:1@sha256:00", "r.test/a:1@sha256:00", "r.test/a")]
    fn references_are_completed(#[case] name: &str, #[case] expected: &str, #[case] expected_repository: &str) {
        assert_eq!(normalize(name), expected);
        assert_eq!(repository(&normalize(name)), expected_repository);
    }

    #[rstest]
    #[case("registry.example.com/group/project:1", Some("registry.example.com"))]
    #[case("localhost/project", Some("localhost"))]
    #[case("registry:5000/project@sha256:ab", Some("registry:5000"))]
    #[case("library/redis:7", None)]
    #[case("redis", None)]
    fn the_registry_of_a_reference_is_its_host(#[case] name: &str, #[case] expected: Option<&str>) {
        assert_eq!(registry(name), expected);
    }

    // https://docs.gitlab.com/ci/services/#accessing-the-services, `helpers/container/services/services_test.go`
    #[rstest]
    #[case("postgres:15", &["postgres"])]
    #[case("service", &["service"])]
    #[case("tutum/wordpress:latest", &["tutum__wordpress", "tutum-wordpress"])]
    #[case("registry.ex.com:4999/a/b:1", &["registry.ex.com__a__b", "registry.ex.com-a-b"])]
    #[case("registry.ex.com:4999/a", &["registry.ex.com__a", "registry.ex.com-a"])]
    #[case("namespace/service@sha256:00", &["namespace__service", "namespace-service"])]
    #[case("registry.ex.com/a:1@sha256:00", &["registry.ex.com__a", "registry.ex.com-a"])]
    #[case("docker:28.5.2-dind", &["docker"])]
    fn services_have_these_host_names(#[case] name: &str, #[case] expected: &[&str]) {
        assert_eq!(aliases(name), expected);
    }
}
