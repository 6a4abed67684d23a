use proptest::prelude::*;
use rstest::rstest;

use super::units::{bytes, nano_cpus};
use super::*;

fn read(text: &str) -> Result<RunnerConfig, RunnerConfigError> {
    RunnerConfig::parse("runner.toml", text, &|name| match name {
        "ca.pem" => Ok("-----BEGIN CERTIFICATE-----\n".to_owned()),
        "empty.pem" => Ok(String::new()),
        _ => Err(std::io::ErrorKind::NotFound.into()),
    })
}

#[test]
fn all_of_it() {
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
    FF_ENABLE_BASH_EXIT_CODE_CHECK = true
"#;
    insta::assert_debug_snapshot!(read(text).unwrap());
}

#[test]
fn without_anything() {
    assert_eq!(read("").unwrap(), RunnerConfig::default());
    assert_eq!(read("[[runners]]\n[runners.docker]\n").unwrap(), RunnerConfig::default());
}

#[test]
fn everything_that_is_wrong_at_once() {
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
#[case::no_toml("concurrent = = 4\n", "runner.toml:1:14: ")]
#[case::twice("concurrent = 1\nconcurrent = 2\n", "runner.toml:2:1: ")]
#[case::no_certificate(
    "[[runners]]\ntls-ca-file = \"empty.pem\"",
    "runner.toml:2:15: empty.pem has no certificate in it"
)]
fn places(#[case] text: &str, #[case] expected: &str) {
    let error = read(text).unwrap_err().to_string();
    assert!(error.starts_with(expected), "{error}");
}

#[test]
fn a_file_that_is_not_there() {
    let error = RunnerConfig::read(Path::new("no-such-folder/runner.toml")).unwrap_err().to_string();
    assert!(error.starts_with("no-such-folder/runner.toml: No such file"), "{error}");
}

#[test]
fn variables_of_every_job() {
    let config = read("[[runners]]\nenvironment = [\"A=1\"]\ntls-ca-file = \"ca.pem\"").unwrap();
    let variables = config.variables();
    let told: Vec<_> = variables.iter().map(|it| (&*it.key, &*it.value, it.file)).collect();
    assert_eq!(told, [("CI_SERVER_TLS_CA_FILE", "-----BEGIN CERTIFICATE-----\n", true), ("A", "1", false)]);
}

#[rstest]
#[case("1024", Some(1024))]
#[case("64k", Some(65_536))]
#[case("1GiB", Some(1 << 30))]
#[case("2 Mb", Some(2 << 20))]
#[case("", None)]
#[case("1x", None)]
#[case("9999999999999t", None)]
fn sizes(#[case] text: &str, #[case] expected: Option<i64>) {
    assert_eq!(bytes(text), expected);
}

#[rstest]
#[case("2", Some(2_000_000_000))]
#[case("0.5", Some(500_000_000))]
#[case(".25", Some(250_000_000))]
#[case("", None)]
#[case("1.x", None)]
fn processors(#[case] text: &str, #[case] expected: Option<i64>) {
    assert_eq!(nano_cpus(text), expected);
}

proptest! {
    /// Whatever is in a file, reading it ends, with a runner or with complaints that have a place.
    #[test]
    fn every_text_is_read(lines in prop::collection::vec(line(), 0..12)) {
        if let Err(RunnerConfigError(complaints)) = read(&lines.join("\n")) {
            prop_assert!(!complaints.is_empty());
            prop_assert!(complaints.iter().all(|it| it.starts_with("runner.toml:")), "{complaints:?}");
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
