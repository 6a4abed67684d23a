use proptest::prelude::*;
use rstest::rstest;

use super::units::{bytes, nano_cpus};
use super::*;

fn read(text: &str) -> Result<RunnerConfig, RunnerConfigError> {
    RunnerConfig::parse("config.toml", text, &|name| match name {
        "ca.pem" => Ok("-----BEGIN CERTIFICATE-----\n".to_owned()),
        "empty.pem" => Ok(String::new()),
        _ => Err(std::io::ErrorKind::NotFound.into()),
    })
}

#[test]
fn every_setting_is_read() {
    let text = r#"
concurrent = 4
check_interval = 0

[[runners]]
  name = "here"
  url = "https://gitlab.example.com"
  token = "glrt-x"
  executor = "docker"
  environment = ["A=1", "B=x=y"]
  output_limit = 100
  graceful_kill_timeout = 30
  tls-ca-file = "ca.pem"
  limit = 3
  [runners.docker]
    image = "debian:13"
    privileged = true
    helper_image = "x"
    volumes = ["/certs/client", "/srv:/srv:ro", "name:/data"]
    pull_policy = ["always", "if-not-present"]
    allowed_pull_policies = "never"
    networks = ["kind"]
    wait_for_services_timeout = -1
    memory = "512m"
    cpu_shares = 128
    cpus = "1.5"
    devices = ["/dev/kvm", "/dev/fuse:/dev/x:r"]
    [[runners.docker.services]]
      name = "postgres:15"
      alias = "db, sql"
      environment = ["POSTGRES_PASSWORD=x"]
  [runners.feature_flags]
    FF_NETWORK_PER_BUILD = false
    FF_USE_FASTZIP = false
    FF_SCRIPT_SECTIONS = true
"#;
    insta::assert_debug_snapshot!(read(text).unwrap());
}

#[test]
fn every_kubernetes_setting_is_read() {
    let text = r#"
[[runners]]
  executor = "kubernetes"
  [runners.kubernetes]
    namespace = "ci"
    namespace_overwrite_allowed = "^ci-"
    image = "debian:13"
    helper_image = "helper:1"
    privileged = true
    pull_policy = ["always", "if-not-present"]
    allowed_pull_policies = ["never"]
    service_account = "jobs"
    automount_service_account_token = true
    image_pull_secrets = ["registry"]
    poll_timeout = 60
    cpu_request = "500m"
    memory_limit = "1Gi"
    memory_limit_overwrite_max_allowed = "2Gi"
    helper_cpu_limit = "1"
    service_ephemeral_storage_request = "1Gi"
    affinity = {}
    retry_limit = 3
    [runners.kubernetes.node_selector]
      "kubernetes.io/arch" = "amd64"
    [runners.kubernetes.node_tolerations]
      "only=ci" = "NoSchedule"
    [runners.kubernetes.pod_security_context]
      run_as_user = 1000
      supplemental_groups = [1, 2]
    [runners.kubernetes.build_container_security_context]
      allow_privilege_escalation = false
      [runners.kubernetes.build_container_security_context.capabilities]
        drop = ["ALL"]
      [runners.kubernetes.build_container_security_context.seccomp_profile]
        type = "RuntimeDefault"
    [[runners.kubernetes.host_aliases]]
      ip = "10.0.0.1"
      hostnames = ["a.test", "b.test"]
    [[runners.kubernetes.volumes.empty_dir]]
      name = "shm"
      mount_path = "/dev/shm"
      medium = "Memory"
    [[runners.kubernetes.services]]
      name = "postgres:15"
      alias = "db"
"#;
    let config = read(text).unwrap();
    insta::assert_debug_snapshot!((config.kubernetes, config.warnings));
}

/// `e2e pipeline --config` replays jobs with the configuration of the runner that `manifests/runner` installs.
#[test]
fn the_configuration_in_the_manifests_is_read_without_a_warning() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../manifests/runner/config.toml");
    let config = RunnerConfig::read(&path).unwrap();
    assert_eq!(config.warnings, Vec::<String>::new());
    assert_eq!((config.concurrent.map(usize::from), config.executor), (Some(4), Some(ExecutorName::Kubernetes)));
    let kubernetes = config.kubernetes;
    assert_eq!(kubernetes.namespace.as_deref(), Some("gitlab-runner-jobs"));
    assert_eq!(
        (kubernetes.service_account.as_deref(), kubernetes.automount_service_account_token),
        (Some("job"), None)
    );
    assert_eq!(kubernetes.overwrites.service_account.as_deref(), Some("^deployer$"));
    assert_eq!(kubernetes.build.values["memory_limit"], "4Gi");
    assert_eq!(kubernetes.helper.values["memory_limit"], "512Mi");
    let privileged = [&kubernetes.build_security, &kubernetes.helper_security, &kubernetes.service_security];
    assert_eq!((kubernetes.privileged, privileged.map(|it| it.privileged)), (false, [None, None, Some(true)]));
    assert_eq!(kubernetes.build_security.allow_privilege_escalation, Some(false));
    let mounts: Vec<_> = kubernetes.volumes.iter().map(|volume| &*volume.mount_path).collect();
    assert_eq!(mounts, ["/certs/client"]);
}

#[test]
fn all_errors_of_kubernetes_settings_are_reported_at_once() {
    let text = r#"
[[runners]]
  executor = "kubernetis"
  [runners.kubernetes]
    namspace = "ci"
    memory_limit = "much"
    cpu_limit = 1
    pull_policy = "allways"
    namespace_overwrite_allowed = "("
    poll_timeout = 0
    [runners.kubernetes.node_selector]
      arch = 1
    [[runners.kubernetes.host_aliases]]
      hostnames = ["a.test"]
    [[runners.kubernetes.host_aliases]]
      ip = "a.test"
    [runners.kubernetes.volumes]
      emptydir = []
      [[runners.kubernetes.volumes.empty_dir]]
        name = "x"
"#;
    insta::assert_snapshot!(read(text).unwrap_err());
}

#[test]
fn an_empty_file_gives_the_defaults() {
    assert_eq!(read("").unwrap(), RunnerConfig::default());
    assert_eq!(read("[[runners]]\n[runners.docker]\n").unwrap(), RunnerConfig::default());
}

#[test]
fn all_errors_are_reported_at_once() {
    let text = r#"concurent = 4
concurrent = 0

[[runners]]
  executor = "dokcer"
  environment = ["A"]
  tls-ca-file = "none.pem"
  output_limit = "4096"
  [runners.docker]
    privleged = true
    image = 13
    pull_policy = ["allways"]
    volumes = ["a:b:c:d", "relative"]
    memory = "much"
    networks = "kind"
    [[runners.docker.services]]
      alias = "db"
  [runners.feature_flags]
    NETWORK_PER_BUILD = 1

[[runners]]
  name = "second"
"#;
    insta::assert_snapshot!(read(text).unwrap_err());
}

#[rstest]
#[case::invalid_toml("concurrent = = 4\n", "config.toml:1:14: ")]
#[case::duplicate_key("concurrent = 1\nconcurrent = 2\n", "config.toml:2:1: ")]
#[case::no_certificate(
    "[[runners]]\ntls-ca-file = \"empty.pem\"",
    "config.toml:2:15: empty.pem contains no certificate"
)]
fn errors_have_positions(#[case] text: &str, #[case] expected: &str) {
    let error = read(text).unwrap_err().to_string();
    assert!(error.starts_with(expected), "{error}");
}

#[test]
fn a_missing_file_is_an_error() {
    let error = RunnerConfig::read(Path::new("no-such-dir/config.toml")).unwrap_err().to_string();
    assert!(error.starts_with("no-such-dir/config.toml: No such file"), "{error}");
}

#[test]
fn every_job_gets_the_certificates_and_the_environment_as_variables() {
    let config = read("[[runners]]\nenvironment = [\"A=1\"]\ntls-ca-file = \"ca.pem\"").unwrap();
    let variables = config.variables();
    let actual: Vec<_> = variables.iter().map(|it| (&*it.key, &*it.value, it.file)).collect();
    assert_eq!(actual, [("CI_SERVER_TLS_CA_FILE", "-----BEGIN CERTIFICATE-----\n", true), ("A", "1", false)]);
}

#[rstest]
#[case("1024", Some(1024))]
#[case("64k", Some(65_536))]
#[case("1GiB", Some(1 << 30))]
#[case("2 Mb", Some(2 << 20))]
#[case("", None)]
#[case("1x", None)]
#[case("9999999999999t", None)]
fn sizes_are_in_bytes(#[case] text: &str, #[case] expected: Option<i64>) {
    assert_eq!(bytes(text), expected);
}

#[rstest]
#[case("2", Some(2_000_000_000))]
#[case("0.5", Some(500_000_000))]
#[case(".25", Some(250_000_000))]
#[case("", None)]
#[case("1.x", None)]
fn cpus_are_in_billionths(#[case] text: &str, #[case] expected: Option<i64>) {
    assert_eq!(nano_cpus(text), expected);
}

proptest! {
    /// Every text yields a configuration, or errors with positions.
    #[test]
    fn every_text_is_read_or_rejected(lines in prop::collection::vec(line(), 0..12)) {
        if let Err(RunnerConfigError(errors)) = read(&lines.join("\n")) {
            prop_assert!(!errors.is_empty());
            prop_assert!(errors.iter().all(|it| it.starts_with("config.toml:")), "{errors:?}");
        }
    }
}

fn line() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "concurrent",
        "executor",
        "environment",
        "volumes",
        "services",
        "memory",
        "cpus",
        "pull_policy",
        "docker",
        "x",
    ]);
    let value = prop::sample::select(vec![
        "1",
        "-1",
        "1.5",
        "true",
        "\"docker\"",
        "\"A=1\"",
        "[\"A=1\", 1]",
        "[]",
        "{}",
        "{ x = 1 }",
        "[{ name = \"a\" }]",
        "ä",
    ]);
    let header =
        prop::sample::select(vec!["[[runners]]", "[runners.docker]", "[[runners.docker.services]]", "[x]", "[[", ""]);
    prop_oneof![(key, value).prop_map(|(key, value)| format!("{key} = {value}")), header.prop_map(str::to_owned)]
}
