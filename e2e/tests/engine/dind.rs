//! Tests docker-in-docker as in the article: one job builds an image `FROM scratch` and pushes it, another one pulls it.

#![expect(clippy::expect_used, reason = "test helpers fail by panicking")]

use serde_json::Value;

use crate::outcome::Run;
use crate::repository::Repository;
use crate::support::{error, project};

const PIPELINE: &str = r#"
stages: [release, check]

default:
  image: docker:28.5.2-cli

variables:
  DOCKER_HOST: tcp://docker:2376
  DOCKER_TLS_CERTDIR: /certs
  DOCKER_TLS_VERIFY: "1"
  DOCKER_CERT_PATH: /certs/client
  # Both jobs have a registry of their own; what they share is an artifact.
  IMAGE: registry.test:5000/demo:$CI_COMMIT_SHORT_SHA

.registry: &registry
  name: registry
  alias: registry.test
.engine: &engine
  name: docker:28.5.2-dind
  alias: docker
  command: ["--insecure-registry=registry.test:5000"]

push:
  stage: release
  services: [*registry, *engine]
  script:
    - timeout 60 sh -c 'until docker version >/dev/null 2>&1; do sleep 0.2; done'
    - printf 'FROM scratch\nCOPY .gitlab-ci.yml /\n' > Dockerfile
    - docker build --tag "$IMAGE" .
    - docker push "$IMAGE"
    - docker image rm "$IMAGE"
    - docker pull "$IMAGE"
    - docker save "$IMAGE" > image.tar
    - echo "DIGEST=$(docker image inspect --format '{{index .RepoDigests 0}}' "$IMAGE")" > digest.env
  artifacts:
    paths: [image.tar]
    reports: {dotenv: digest.env}

load:
  stage: check
  services: [*engine]
  script:
    - timeout 60 sh -c 'until docker version >/dev/null 2>&1; do sleep 0.2; done'
    - docker load < image.tar
    - echo "digest $DIGEST"
"#;

fn run(repository: &Repository, privileged: bool) -> (i32, Vec<Value>, String) {
    let settings = tempfile::NamedTempFile::new().expect("a file");
    let text = format!(
        "[[runners]]\nexecutor = \"docker\"\n[runners.docker]\nprivileged = {privileged}\nvolumes = [\"/certs/client\"]\n"
    );
    std::fs::write(settings.path(), text).expect("settings");
    let config = settings.path().to_str().expect("a path");
    let arguments = ["pipeline", "--format", "json", "--config", config];
    let run = Run::new(repository.e2e(&arguments).output().expect("e2e"));
    let all = format!("{}\n{}", String::from_utf8_lossy(&run.output.stdout), error(&run.output));
    (run.code(), run.events, all)
}

#[test]
fn an_image_from_scratch_is_pushed_and_pulled_by_the_next_job() {
    let (code, events, all) = run(&Repository::new("main", PIPELINE), true);
    assert_eq!(code, 0, "{all}");
    let lines: Vec<&str> = events.iter().filter_map(|event| event["line"].as_str()).collect();
    assert!(lines.iter().any(|line| line.starts_with("digest registry.test:5000/demo@sha256:")), "{all}");
    assert!(lines.iter().any(|line| line.starts_with("Loaded image: registry.test:5000/demo:")), "{all}");
}

/// The repository's own job, with files in place of the binaries, and a registry next to its engine.
const OWN: &str = r#"
include: own.yml
variables:
  ARM64_RUNNER: arm
  CI_REGISTRY: registry.test:5000
  CI_REGISTRY_IMAGE: registry.test:5000/demo
  CI_REGISTRY_USER: ci
  CI_REGISTRY_PASSWORD: ci
  INSECURE_REGISTRY: registry.test:5000
test: {rules: [{when: never}]}
test2: {rules: [{when: never}]}
deploy_dev: {rules: [{when: never}]}
compile:
  image: debian-forky
  cache: []
  script: [mkdir dist, echo amd64 > dist/app]
compile_arm64:
  image: debian-forky
  cache: []
  tags: []
  script: [mkdir -p arm64/dist, echo arm64 > arm64/dist/app]
image_build:
  services:
    - {name: registry, alias: registry.test}
    - {name: docker:28.5.2-dind, alias: docker, command: ["--insecure-registry=registry.test:5000"]}
  after_script:
    - image=$CI_REGISTRY_IMAGE:$IMAGE_TAG
    - echo "list $(docker manifest inspect --insecure "$image" | sed -n 's/.*"architecture":\s*"\(.*\)".*/\1/p' | tr '\n' ' ')"
    - |
      for arch in amd64 arm64; do
        docker pull --quiet --platform "linux/$arch" "$image"
        docker image inspect --format '{{.Architecture}} {{index .Config.Labels "org.opencontainers.image.version"}}' "$image"
        docker create --name "$arch" "$image" >/dev/null
        docker cp "$arch":/app - | tar -x -O | sed 's/^/binary /'
      done
"#;

/// An engine gets the image for its own architecture, with the right binary in it.
#[test]
fn the_tag_of_two_images_names_a_list_of_both() {
    let repository = Repository::new("main", OWN);
    for (file, from) in [("own.yml", ".gitlab-ci.yml"), ("Dockerfile", "Dockerfile")] {
        std::fs::copy(project().join(from), repository.path().join(file)).expect("copied");
    }
    repository.git(&["add", "."]);
    repository.git(&["commit", "--quiet", "--message", "Own pipeline"]);
    let (code, events, all) = run(&repository, true);
    assert_eq!(code, 0, "{all}");
    let lines: Vec<&str> = events.iter().filter_map(|event| event["line"].as_str()).collect();
    for expected in ["list amd64 arm64 ", "amd64 main", "arm64 main", "binary amd64", "binary arm64"] {
        assert!(lines.contains(&expected), "{all}");
    }
}

#[test]
fn without_privileges_the_reason_and_the_remedy_are_reported() {
    let pipeline = "a: {image: debian-forky, services: [docker:28.5.2-dind], script: sleep 3}\n";
    let (code, _, all) = run(&Repository::new("main", pipeline), false);
    assert_eq!(code, 0, "{all}");
    assert!(all.contains("docker-in-docker does not start without `privileged = true`"), "{all}");
    assert!(all.contains("service docker:28.5.2-dind (docker) ended with exit code 32 before it listened"), "{all}");
}
