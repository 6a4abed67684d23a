//! Tests of the services of a job.

use rstest::rstest;

use super::Namespace;

/// A server that answers every connection, in Perl.
const SERVER: &str = "use IO::Socket::INET; my $s = IO::Socket::INET->new(LocalPort => $ENV{PORT}, Listen => 5, ReuseAddr => 1) \
                      or die; while (my $c = $s->accept) { print $c qq(hello $ENV{NAME}\\n); close $c }";

fn with_services(services: &str, script: &str) -> String {
    let server = serde_json::to_string(SERVER).unwrap_or_default();
    let services = services.replace("SERVER", &format!("[perl, -e, {server}]"));
    format!("a:\n  script: {script}\n  services:\n{services}")
}

#[test]
fn services_listen_on_this_host_under_all_their_names() {
    let namespace = Namespace::new();
    let services = "    - {name: debian-forky, alias: 'db, db.test', command: SERVER, variables: {PORT: '5432', NAME: one, \
                    HEALTHCHECK_TCP_PORT: '5432'}}\n    - {name: debian-forky, alias: cache, command: SERVER, variables: {PORT: '6379', \
                    NAME: $SECRET, HEALTHCHECK_TCP_PORT: '6379'}}\n";
    let script = "['getent hosts db db.test cache debian-forky', 'cat < /dev/tcp/db/5432', 'cat < /dev/tcp/cache/6379 | tr a-z A-Z']";
    let repository = crate::repository::Repository::new("main", &with_services(services, script));
    let variables = tempfile::NamedTempFile::new().expect("a file");
    let list = serde_json::json!([{"key": "SECRET", "value": "pass-w0rd-12345", "masked": true}]);
    std::fs::write(variables.path(), list.to_string()).expect("a file");
    let arguments = ["--variables", variables.path().to_str().expect("a path")];
    let settings = super::runner("");
    let run = crate::outcome::Run::new(namespace.command(&repository, &settings, &arguments).output().expect("e2e"));
    assert_eq!(run.code(), 0, "{:#?}", run.all_lines("a"));
    let lines = run.all_lines("a");
    let hosts = lines.iter().filter(|line| line.starts_with("127.0.0.1")).count();
    assert_eq!(hosts, 4, "{lines:#?}");
    run.has("a", "hello one");
    run.has("a", "HELLO PASS-W0RD-12345");
}

#[rstest]
#[case::underscore("my_db", "alias `my_db` of service debian-forky is not a host name")]
#[case::container("helper", "alias `helper` of service debian-forky is the name of a container that every job has")]
fn an_alias_that_no_pod_can_have_is_refused(#[case] alias: &str, #[case] expected: &str) {
    let namespace = Namespace::new();
    let services = format!("    - {{name: debian-forky, alias: {alias}}}\n");
    let run = namespace.run(&with_services(&services, "'true'"), "");
    run.failed("a", expected);
}

#[test]
fn a_service_that_ends_is_reported() {
    let namespace = Namespace::new();
    let services =
        "    - {name: debian-forky, alias: db, command: [sh, -c, 'echo cannot open the database; sleep 1; exit 4']}\n";
    let run = namespace.run(&with_services(services, "[sleep 5]"), "");
    assert_eq!(run.code(), 0);
    run.has("a", "service debian-forky (db, debian-forky) ended with exit code 4. Its last lines:");
    run.has("a", "  cannot open the database");
}

#[test]
fn a_service_that_does_not_listen_is_reported() {
    let namespace = Namespace::new();
    let services = "    - {name: debian-forky, alias: db, command: [sleep, '3'], variables: {HEALTHCHECK_TCP_PORT: '5432'}}\n    - {name: \
                    debian-forky, alias: other, command: [sleep, '600'], variables: {HEALTHCHECK_TCP_PORT: '5432'}}\n";
    let run = namespace.run(&with_services(services, "'true'"), "");
    assert_eq!(run.code(), 0);
    run.has("a", "both listen on port 5432");
    run.has("a", "service debian-forky (db, debian-forky) ended with exit code 0");
}

/// As in this project's `image_build`, with a registry in the same pod.
pub(super) const DIND: &str = r#"
a:
  image: docker:28.5.2-cli
  services:
    - {name: registry, alias: registry.test}
    - {name: docker:28.5.2-dind, alias: docker, command: ["--insecure-registry=registry.test:5000"]}
  variables:
    DOCKER_HOST: tcp://docker:2376
    DOCKER_TLS_CERTDIR: /certs
    DOCKER_TLS_VERIFY: "1"
    DOCKER_CERT_PATH: /certs/client
    IMAGE: registry.test:5000/demo:$CI_COMMIT_SHORT_SHA
  script:
    - timeout 60 sh -c 'until docker version >/dev/null 2>&1; do sleep 0.2; done'
    - printf 'FROM scratch\nCOPY .gitlab-ci.yml /\n' > Dockerfile
    - docker build --tag "$IMAGE" .
    - docker push "$IMAGE"
    - docker image rm "$IMAGE"
    - docker pull "$IMAGE"
"#;

/// The volume in which the engine puts the certificates for its clients.
const CERTIFICATES: &str = r#"
privileged = true
[[runners.kubernetes.volumes.empty_dir]]
name = "certificates"
mount_path = "/certs/client"
medium = "Memory"
"#;

#[test]
fn docker_in_docker_builds_and_pushes_an_image() {
    let namespace = Namespace::new();
    let run = namespace.run(DIND, CERTIFICATES);
    assert_eq!(run.code(), 0, "{:#?}", run.all_lines("a"));
    run.has("a", "Status: Downloaded newer image for registry.test:5000/demo:");
}

#[test]
fn docker_in_docker_is_refused_where_pod_security_is_restricted() {
    let namespace = Namespace::with_level("restricted");
    let run = namespace.run(DIND, CERTIFICATES);
    run.failed("a", "violates PodSecurity");
    assert_eq!(namespace.objects(), Vec::<String>::new());
}

#[test]
fn with_ci_debug_services_the_output_of_services_is_logged() {
    let namespace = Namespace::new();
    let services = "    - {name: debian-forky, alias: db, command: [sh, -c, 'for i in 1 2 3; do echo started $i; sleep 1; done; sleep 600']}\n  \
                    variables: {CI_DEBUG_SERVICES: 'true'}\n";
    let run = namespace.run(&with_services(services, "[sleep 4]"), "");
    assert_eq!(run.code(), 0);
    let lines = run.all_lines("a").into_iter().filter(|line| line.starts_with("[service:db-debian-forky] 2")).count();
    assert_eq!(lines, 3, "{:#?}", run.all_lines("a"));
}
