use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::container::{ContainerPlan, Role, Value};
use super::overwrites::settings;
use super::spec::PodPlan;
use crate::config::RunnerConfig;
use crate::workspace::job_dirs::JobDirs;
use gitlab_ci::config::image::PullPolicy;

const FULL: &str = r#"
[[runners]]
executor = "kubernetes"
[runners.kubernetes]
namespace = "ci"
privileged = true
service_account = "jobs"
image_pull_secrets = ["registry"]
cpu_request = "500m"
memory_limit = "1Gi"
ephemeral_storage_limit = "2Gi"
helper_memory_request = "64Mi"
service_cpu_limit = "1"
priority_class_name = "low"
pod_termination_grace_period_seconds = 30
[runners.kubernetes.node_selector]
"kubernetes.io/arch" = "amd64"
[runners.kubernetes.node_tolerations]
"only=ci" = "NoSchedule"
[runners.kubernetes.pod_labels]
team = "a"
"io.gitlab-ci-k8s-demo.pipeline" = "another pipeline"
[runners.kubernetes.pod_annotations]
note = "text"
[[runners.kubernetes.host_aliases]]
ip = "10.0.0.1"
hostnames = ["registry.test"]
[runners.kubernetes.pod_security_context]
fs_group = 1000
[runners.kubernetes.build_container_security_context]
run_as_user = 1000
privileged = false
[runners.kubernetes.build_container_security_context.capabilities]
drop = ["ALL"]
[runners.kubernetes.build_container_security_context.seccomp_profile]
type = "RuntimeDefault"
[[runners.kubernetes.volumes.empty_dir]]
name = "shm"
mount_path = "/dev/shm"
medium = "Memory"
size_limit = "1Gi"
[[runners.kubernetes.volumes.host_path]]
name = "docker"
mount_path = "/var/run/docker.sock"
read_only = true
[[runners.kubernetes.volumes.secret]]
name = "certificates"
mount_path = "/certs"
"#;

fn containers() -> Vec<ContainerPlan> {
    let build = ContainerPlan {
        role: Role::Build,
        name: "build".to_owned(),
        image: "debian:13".to_owned(),
        policy: None,
        command: Some(vec!["sh".to_owned(), "-c".to_owned(), "idle".to_owned()]),
        arguments: None,
        env: Vec::new(),
        resources: BTreeMap::new(),
        user: None,
    };
    let helper = ContainerPlan { role: Role::Helper, name: "helper".to_owned(), ..build.clone() };
    let secret = Value::Secret { secret: "p-variables".to_owned(), key: "db.PASSWORD".to_owned() };
    let service = ContainerPlan {
        role: Role::Service,
        name: "db".to_owned(),
        image: "postgres:15".to_owned(),
        policy: Some(PullPolicy::IfNotPresent),
        command: None,
        arguments: Some(vec!["-c".to_owned(), "fsync=off".to_owned()]),
        env: vec![("PASSWORD".to_owned(), secret), ("PRICE".to_owned(), Value::Plain("$5".to_owned()))],
        ..build.clone()
    };
    vec![build, helper, service]
}

/// The pod for a configuration.
fn pod(config: &str, pull_secret: Option<&str>) -> Pod {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    std::fs::write(&path, config).unwrap();
    let config = RunnerConfig::read(&path).unwrap().kubernetes;
    let settings = settings(&config, config.namespace.as_deref().unwrap_or("default"), &[]).unwrap();
    let mut containers = containers();
    for (plan, resources) in containers.iter_mut().zip([&settings.build, &settings.helper, &config.service.values]) {
        plan.resources.clone_from(resources);
    }
    let plan = PodPlan {
        name: "e2e-01234567-1-abcd",
        config: &config,
        settings: &settings,
        job_dirs: &JobDirs { builds: "/builds".to_owned(), project: "/builds/group/project".to_owned() },
        timeout: Duration::from_hours(1),
        labels: super::anchor::labels("host.1.0123456789abcdef/1"),
        annotations: BTreeMap::from([("job.runner.gitlab.com/id".to_owned(), "1".to_owned())]),
        owner: OwnerReference {
            api_version: "v1".to_owned(),
            kind: "ConfigMap".to_owned(),
            name: "e2e-run-1".to_owned(),
            uid: "u".to_owned(),
            ..OwnerReference::default()
        },
        containers: &containers,
        hosts: vec!["db".to_owned(), "postgres".to_owned()],
        pull_secret,
        certificates: pull_secret.map(|_| "e2e-run-1"),
    };
    plan.pod()
}

#[test]
fn the_pod_of_the_default_configuration() {
    insta::assert_yaml_snapshot!(pod("[[runners]]\n", None));
}

#[test]
fn the_pod_of_a_full_configuration() {
    insta::assert_yaml_snapshot!(pod(FULL, Some("p-pull")));
}
