//! Tests of services.

use std::time::Duration;

use gitlab_ci::variables::collection::{Origin, Variable};
use gitlab_runner::config::{DockerConfig, Mount, RunnerConfig, ServiceConfig};
use gitlab_runner::executor::ServiceRequest;

use crate::job::{DEBIAN, Pipeline, WITH_SH, service, variables};
use crate::support;

/// A service that responds on port 5000 with its own name. Written in perl, which every Debian image has.
fn answering(name: &str, aliases: &[&str]) -> ServiceRequest {
    let program = format!(
        "use Socket; socket(S, PF_INET, SOCK_STREAM, 6); setsockopt(S, SOL_SOCKET, SO_REUSEADDR, 1); \
         bind(S, sockaddr_in(5000, INADDR_ANY)); listen(S, 5); while (accept(C, S)) {{ print C \"{name}\\n\"; close C }}"
    );
    ServiceRequest {
        command: Some(["perl", "-e", &program].map(str::to_owned).into()),
        variables: vec![("HEALTHCHECK_TCP_PORT".to_owned(), "5000".to_owned())],
        ..service(DEBIAN, aliases)
    }
}

fn ask(host: &str) -> String {
    format!("timeout 5 bash -c 'cat < /dev/tcp/{host}/5000'")
}

#[tokio::test]
async fn a_service_is_reached_by_all_its_names_and_jobs_are_isolated() {
    let pipeline = Pipeline::new(&RunnerConfig::default()).await;
    let job =
        |name: &'static str| pipeline.job(DEBIAN, move |request| request.services = vec![answering(name, &["db"])]);
    let (mut one, mut other) = tokio::join!(job("one"), job("other"));
    for (job, name) in [(&mut one, "one"), (&mut other, "other")] {
        let expected = format!("{name}\n{name}");
        assert_eq!(job.run(&[&ask("db"), &ask("docker")]).await, (0, expected), "{}", job.text());
        assert!(job.text().contains("Starting service docker ..."), "{}", job.text());
        assert!(job.text().contains("Waiting for services to be up and running (timeout 30 seconds)..."));
        assert!(!job.text().contains("WARNING"), "{}", job.text());
    }
    tokio::join!(one.session.finish(), other.session.finish());
    assert_eq!(pipeline.left().await, [""; 0]);
}

#[tokio::test]
async fn a_service_that_exits_at_once_is_reported_with_its_last_lines() {
    let pipeline = Pipeline::new(&RunnerConfig::default()).await;
    let dying = ServiceRequest {
        command: Some(["sh", "-c", "exec >&2; seq 20; echo no password; exit 3"].map(str::to_owned).into()),
        variables: vec![("HEALTHCHECK_TCP_PORT".to_owned(), "5432".to_owned())],
        ..service(DEBIAN, &["db"])
    };
    let mut job = pipeline.job(DEBIAN, move |request| request.services = vec![dying]).await;
    let text = job.text();
    let expected = "WARNING: service docker (docker, db) ended with exit code 3 before it listened on port 5432; the \
                    job continues without it. Its last lines:";
    assert!(text.contains(expected), "{text}");
    assert!(text.contains("  12\n") && text.contains("  20\n") && text.contains("  no password"), "{text}");
    assert!(!text.contains("  11\n"), "{text}");
    assert_eq!(job.run(&["echo goes on"]).await, (0, "goes on".to_owned()));
    job.session.finish().await;
}

#[tokio::test]
async fn a_service_that_does_not_listen_is_reported_after_the_timeout() {
    let docker = DockerConfig { wait_for_services_timeout: Some(Duration::from_secs(1)), ..DockerConfig::default() };
    let pipeline = Pipeline::new(&RunnerConfig { docker, ..RunnerConfig::default() }).await;
    let silent =
        ServiceRequest { command: Some(["sleep", "1000"].map(str::to_owned).into()), ..service(&WITH_SH, &["web"]) };
    let job = pipeline.job(DEBIAN, move |request| request.services = vec![silent]).await;
    // The image says which port.
    let expected = "WARNING: service e2e-test/with-sh:latest (e2e-test__with-sh, e2e-test-with-sh, web) does not listen on \
                    port 80 after 1 s: Connection refused (os error 111); the job continues. Its last lines:";
    assert!(job.text().contains(expected), "{}", job.text());
    job.session.finish().await;
    assert_eq!(pipeline.left().await, [""; 0]);
}

#[tokio::test]
async fn a_service_that_exits_later_is_reported_then() {
    let pipeline = Pipeline::new(&RunnerConfig::default()).await;
    let ending = ServiceRequest { command: Some(["sleep", "2"].map(str::to_owned).into()), ..service(DEBIAN, &["db"]) };
    let mut job = pipeline.job(DEBIAN, move |request| request.services = vec![ending]).await;
    job.run(&["sleep 3"]).await;
    let expected = "WARNING: service docker (docker, db) ended with exit code 0. It wrote no output.";
    assert!(job.text().contains(expected), "{}", job.text());
    job.session.finish().await;
}

#[tokio::test]
async fn a_service_that_cannot_start_fails_the_preparation() {
    let pipeline = Pipeline::new(&RunnerConfig::default()).await;
    let mut broken = service(DEBIAN, &["db"]);
    broken.image.entrypoint = Some(vec!["/no-such-program".to_owned()]);
    let (prepared, _) = pipeline.prepare(DEBIAN, move |request| request.services = vec![broken]).await;
    let error = prepared.err().unwrap();
    assert!(error.message.starts_with("service docker (docker, db) does not start: "), "{error}");
    assert_eq!(pipeline.left().await, [""; 0]);
}

#[tokio::test]
async fn service_output_is_logged_on_request_and_settings_are_shared_with_the_job() {
    let runner_service = ServiceConfig {
        name: DEBIAN.to_owned(),
        aliases: vec!["own".to_owned()],
        command: Some(["sh", "-c", "echo $A $B; echo shared > /builds/file; sleep 1000"].map(str::to_owned).into()),
        environment: vec![("B".to_owned(), "2".to_owned())],
        ..ServiceConfig::default()
    };
    let docker = DockerConfig { services: vec![runner_service], ..DockerConfig::default() };
    let pipeline = Pipeline::new(&RunnerConfig { docker, ..RunnerConfig::default() }).await;
    let mut job = pipeline
        .job(DEBIAN, |request| request.variables = variables(&[("CI_DEBUG_SERVICES", "true"), ("A", "1")]))
        .await;
    assert_eq!(job.run(&["cat /builds/file", "getent hosts own | wc -l"]).await, (0, "shared\n1".to_owned()));
    let text = job.text();
    assert!(text.lines().any(|line| line.starts_with("[service:docker-own] 20") && line.ends_with("Z 1 2")), "{text}");
    job.session.finish().await;
}

#[tokio::test]
async fn a_containers_description_contains_no_secret() {
    let pipeline = Pipeline::new(&RunnerConfig::default()).await;
    let secret = Variable { masked: true, ..Variable::new("SECRET", "very-secret", Origin::Project) };
    let file = Variable { file: true, ..Variable::new("KUBECONFIG", "secret-too", Origin::Project) };
    let all = std::sync::Arc::new(vec![secret, file, Variable::new("PLAIN", "plain", Origin::Job)]);
    let mut job = pipeline.job(DEBIAN, move |request| request.variables = all).await;
    assert_eq!(job.run(&["cat $KUBECONFIG; echo \" $SECRET\""]).await, (0, "secret-too very-secret".to_owned()));
    let filter = format!("label=io.gitlab-ci-k8s-demo.pipeline={}", pipeline.name);
    let id = support::docker(&["ps", "--all", "--quiet", "--filter", &filter]);
    let described = support::docker(&["inspect", &id]);
    assert!(described.contains("PLAIN=plain") && !described.contains("secret"), "{described}");
    job.session.finish().await;
}

#[tokio::test]
async fn a_preparation_that_waits_for_a_service_can_be_canceled() {
    let pipeline = Pipeline::new(&RunnerConfig::default()).await;
    let silent =
        ServiceRequest { command: Some(["sleep", "1000"].map(str::to_owned).into()), ..service(&WITH_SH, &["web"]) };
    let prepare = pipeline.prepare(DEBIAN, move |request| request.services = vec![silent]);
    assert!(tokio::time::timeout(Duration::from_secs(4), prepare).await.is_err());
    pipeline.wait_until_removed().await;
}

/// Like a runner without `FF_NETWORK_PER_BUILD`: the engine's default network does not resolve names.
#[tokio::test]
async fn on_the_default_network_services_are_in_the_hosts_file() {
    let docker = DockerConfig { network_mode: Some("bridge".to_owned()), ..DockerConfig::default() };
    let pipeline = Pipeline::new(&RunnerConfig { docker, ..RunnerConfig::default() }).await;
    let mut job = pipeline.job(DEBIAN, |request| request.services = vec![answering("one", &["db"])]).await;
    assert_eq!(job.run(&[&ask("db")]).await, (0, "one".to_owned()), "{}", job.text());
    // The volume, and two containers.
    assert_eq!(pipeline.resources().len(), 3);
    job.session.finish().await;
    assert_eq!(pipeline.left().await, [""; 0]);
}

#[tokio::test]
async fn containers_join_additional_networks() {
    let network = format!("e2e-test-other-{:08x}", fastrand::u32(..));
    let docker = DockerConfig { networks: vec![network.clone()], ..DockerConfig::default() };
    let pipeline = Pipeline::new(&RunnerConfig { docker, ..RunnerConfig::default() }).await;
    let (prepared, _) = pipeline.prepare(DEBIAN, |_| ()).await;
    let error = prepared.err().unwrap();
    assert!(error.message.ends_with(&format!("`docker network create {network}`")), "{error}");

    let label = format!("io.gitlab-ci-k8s-demo.pipeline={}", pipeline.name);
    support::docker(&["network", "create", "--label", &label, &network]);
    let other = ["run", "--detach", "--label", &label, "--network", &network, "--network-alias", "other.test"];
    support::docker(&[&other[..], &[&WITH_SH, "sleep", "1000"]].concat());
    let mut job = pipeline.job(DEBIAN, |request| request.services = vec![answering("one", &["db"])]).await;
    let (code, output) = job.run(&[&ask("db"), "getent hosts other.test | wc -l"]).await;
    assert_eq!((code, output.as_str()), (0, "one\n1"), "{}", job.text());
    job.session.finish().await;
}

/// The steps of the job `image_build` in `.gitlab-ci.yml` that need no registry. The engine is privileged, so it must refuse each client
/// without a certificate from the volume that only this job has: other jobs, pods of the cluster and users of this machine reach its
/// address.
#[tokio::test]
async fn an_engine_as_a_service_builds_an_image() {
    let volumes = vec![Mount::Shared("/certs/client".to_owned())];
    let docker = DockerConfig { privileged: true, volumes, ..DockerConfig::default() };
    let pipeline = Pipeline::new(&RunnerConfig { docker, ..RunnerConfig::default() }).await;
    let mut job = pipeline
        .job("docker:28.5.2-cli", |request| {
            request.variables = variables(&[
                ("DOCKER_HOST", "tcp://docker:2376"),
                ("DOCKER_TLS_CERTDIR", "/certs"),
                ("DOCKER_TLS_VERIFY", "1"),
                ("DOCKER_CERT_PATH", "/certs/client"),
            ]);
            let mut engine = service("docker:28.5.2-dind", &["docker"]);
            let entrypoint = r#"exec dockerd-entrypoint.sh ${INSECURE:+--insecure-registry="$INSECURE"}"#;
            engine.image.entrypoint = Some(["sh", "-c", entrypoint].map(str::to_owned).into());
            let own = [("DOCKER_TLS_CERTDIR", "/certs"), ("INSECURE", "registry.test:5000")];
            engine.variables = own.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
            request.services = vec![engine];
        })
        .await;
    let commands = [
        "timeout 60 sh -c 'until docker version >/dev/null 2>&1; do sleep 0.5; done' || docker version",
        "echo content > file && printf 'FROM scratch\\nCOPY file /file\\n' > Dockerfile",
        "docker build --quiet --tag demo:main . >/dev/null",
        "docker image ls --format '{{.Repository}}:{{.Tag}}'",
        "docker info 2>/dev/null | grep -c registry.test:5000",
        "unset DOCKER_TLS_VERIFY DOCKER_CERT_PATH DOCKER_TLS_CERTDIR",
        "refused() { DOCKER_CONFIG=/nowhere docker --host tcp://docker:\"$@\" version >/dev/null 2>&1 || echo \"$1 refused\"; }",
        "refused 2375; refused 2376; refused 2376 --tls",
    ];
    let (code, output) = job.run(&commands).await;
    assert_eq!(
        (code, output.as_str()),
        (0, "demo:main\n1\n2375 refused\n2376 refused\n2376 refused"),
        "{}",
        job.text()
    );
    assert!(!job.text().contains("WARNING"), "{}", job.text());
    job.session.finish().await;
    assert_eq!(pipeline.left().await, [""; 0]);
}
