//! Tests of pull policies and registry credentials.

use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use e2e::environment::registry::Login;
use e2e::environment::registry::login::USER;
use gitlab_ci::config::image::PullPolicy;
use gitlab_runner::config::{DockerConfig, RunnerConfig};
use gitlab_runner::executor::{FailureReason, ImageRequest, Request};

use crate::job::{Pipeline, WITH_SH, variables};
use crate::support;

fn with_policies(policies: &[PullPolicy]) -> impl FnOnce(&mut Request) {
    move |request| request.image.as_mut().unwrap().pull_policy = policies.to_vec()
}

/// A closed port. Engines connect to such addresses without TLS.
const NOWHERE: &str = "127.0.0.1:9/here:1";

#[tokio::test]
async fn policies_are_tried_in_order() {
    use PullPolicy::{Always, IfNotPresent, Never};
    support::docker(&["tag", &WITH_SH, NOWHERE]);
    let pipeline = Pipeline::new(&RunnerConfig::default()).await;
    let (prepared, lines) = pipeline.prepare(NOWHERE, with_policies(&[Always, IfNotPresent])).await;
    prepared.unwrap_or_else(|error| panic!("{error}")).session.finish().await;
    let text = lines.text();
    assert!(text.contains("connection refused; trying pull policy \"if-not-present\" next"), "{text}");
    assert!(text.contains("Using locally found image version due to \"if-not-present\" pull policy"), "{text}");

    let (prepared, _) = pipeline.prepare(NOWHERE, with_policies(&[Always])).await;
    let error = prepared.err().unwrap();
    assert!(error.message.contains("cannot pull 127.0.0.1:9/here:1: cannot reach the registry"), "{error}");
    let (prepared, _) = pipeline.prepare("127.0.0.1:9/not-here:1", with_policies(&[Never])).await;
    let error = prepared.err().unwrap();
    assert!(
        error.message.contains("it is not on this engine, and pull policy \"never\" forbids pulling it"),
        "{error}"
    );
    support::docker(&["rmi", NOWHERE]);
}

#[tokio::test]
async fn a_policy_that_the_runner_does_not_allow() {
    let allowed_pull_policies = vec![PullPolicy::Never];
    let docker =
        DockerConfig { allowed_pull_policies, pull_policy: vec![PullPolicy::IfNotPresent], ..DockerConfig::default() };
    let pipeline = Pipeline::new(&RunnerConfig { docker, ..RunnerConfig::default() }).await;
    // The runner's own policies count only for a job without any.
    for (of_job, refused) in [(&[PullPolicy::Always][..], "always"), (&[], "if-not-present")] {
        let (prepared, _) = pipeline.prepare("a:1", with_policies(of_job)).await;
        let expected =
            format!("no pull policy of a:1 ({refused}) is among `allowed_pull_policies` (never) in [runners.docker]");
        assert_eq!(prepared.err().unwrap().message, expected);
    }
}

/// A registry that requires a login and is only reachable from this machine.
fn registry(pipeline: &Pipeline, login: &Login) -> String {
    let label = format!("io.gitlab-ci-k8s-demo.pipeline={}", pipeline.name);
    let passwords = login.htpasswd().unwrap();
    let script = format!("printf '%s' '{passwords}' > /htpasswd; exec registry serve /etc/distribution/config.yml");
    let options = ["run", "--detach", "--label", &label, "--publish", "127.0.0.1::5000", "--entrypoint", "sh"];
    let environment = ["--env", "REGISTRY_AUTH=htpasswd", "--env", "REGISTRY_AUTH_HTPASSWD_REALM=test"];
    let file = ["--env", "REGISTRY_AUTH_HTPASSWD_PATH=/htpasswd"];
    let image = [&*support::image("registry"), "-c", &script];
    let id = support::docker(&[&options[..], &environment, &file, &image].concat());
    let address = support::docker(&["port", &id, "5000/tcp"]);
    support::eventually("the registry listens", Duration::from_secs(20), || {
        std::net::TcpStream::connect(&address).map_err(|error| error.to_string())
    });
    address
}

#[tokio::test]
async fn a_private_image_needs_a_login() {
    let pipeline = Pipeline::new(&RunnerConfig::default()).await;
    let login = Login::generate().unwrap();
    let address = registry(&pipeline, &login);
    let image = format!("{address}/group/private:1");
    let client = pipeline.dir.path().join("client");
    std::fs::create_dir(&client).unwrap();
    let auth = BASE64_STANDARD.encode(format!("{USER}:{}", login.password()));
    let config = serde_json::json!({"auths": {&address: {"auth": auth}}}).to_string();
    std::fs::write(client.join("config.json"), &config).unwrap();
    support::docker(&["tag", &WITH_SH, &image]);
    support::eventually("the image is pushed", Duration::from_secs(20), || {
        let pushed =
            Command::new("docker").arg("--config").arg(&client).args(["push", "--quiet", &image]).output().unwrap();
        if pushed.status.success() { Ok(()) } else { Err(support::error(&pushed)) }
    });
    support::docker(&["rmi", &image]);

    let (prepared, _) = pipeline.prepare(&image, |_| ()).await;
    let error = prepared.err().unwrap();
    assert!(
        error.message.contains("unauthorized: run `docker login`; or set the CI/CD variable DOCKER_AUTH_CONFIG"),
        "{error}"
    );

    let own = [("CI_REGISTRY", &*address), ("CI_REGISTRY_USER", USER), ("CI_REGISTRY_PASSWORD", login.password())];
    for login in [&own[..], &[("DOCKER_AUTH_CONFIG", &*config)]] {
        let (prepared, lines) = pipeline.prepare(&image, |request| request.variables = variables(login)).await;
        prepared.unwrap_or_else(|error| panic!("{error}")).session.finish().await;
        assert!(lines.text().contains("Authenticating as gitlab"), "{}", lines.text());
        support::docker(&["rmi", &image]);
    }
    // An image that the registry does not have.
    let request = ImageRequest { name: format!("{address}/group/none:1"), ..ImageRequest::default() };
    let (prepared, _) = pipeline
        .prepare("", |it| {
            it.image = Some(request);
            it.variables = variables(&own);
        })
        .await;
    let error = prepared.err().unwrap();
    assert!(error.message.contains("the registry has no such image; check its name and tag"), "{error}");
    assert_eq!(error.reason, FailureReason::ScriptFailure);
}
