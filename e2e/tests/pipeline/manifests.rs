//! Tests of the init container in `manifests/runner`, which adds the secrets of the runner to its configuration.

#![expect(clippy::unwrap_used, reason = "test helpers fail by panicking")]

use std::process::{Command, Output};

use gitlab_runner::config::RunnerConfig;
use rstest::rstest;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{error, project};

/// Runs the command of the init container on these secrets. The new configuration is `config.toml` in the directory.
fn configure(secrets: &[(&str, &str)]) -> (TempDir, Output) {
    let manifests = project().join("manifests/runner");
    let deployment = std::fs::read_to_string(manifests.join("deployment.yaml")).unwrap();
    let deployment: Value = serde_saphyr::from_str(&deployment).unwrap();
    let command = &deployment["spec"]["template"]["spec"]["initContainers"][0]["command"];
    let command: Vec<String> = serde_json::from_value(command.clone()).unwrap();
    let [sh, options, script, name, _config, _secrets, _target] = <[String; 7]>::try_from(command).unwrap();
    let dir = tempfile::tempdir().unwrap();
    for (key, value) in secrets {
        std::fs::write(dir.path().join(key), value).unwrap();
    }
    let mut command = Command::new(sh);
    command.args([options, script, name]).arg(manifests.join("config.toml")).arg(dir.path());
    let output = command.arg(dir.path().join("config.toml")).output().unwrap();
    (dir, output)
}

#[rstest]
#[case::with_a_newline("glrt-abc\n")]
#[case::without_a_newline("glrt-abc")]
fn the_token_is_the_only_addition(#[case] token: &str) {
    let (dir, output) = configure(&[("token", token)]);
    assert!(output.status.success(), "{}", error(&output));
    let original = std::fs::read_to_string(project().join("manifests/runner/config.toml")).unwrap();
    let text = std::fs::read_to_string(dir.path().join("config.toml")).unwrap();
    assert_eq!(text, original.replace("\n[[runners]]\n", "\n[[runners]]\ntoken = \"glrt-abc\"\n"));
    let config = RunnerConfig::read(&dir.path().join("config.toml")).unwrap();
    assert_eq!(config, RunnerConfig::read(&project().join("manifests/runner/config.toml")).unwrap());
}

#[test]
fn a_cache_belongs_to_the_same_runner() {
    let cache = "[runners.cache]\nType = \"s3\"\n[runners.cache.s3]\nBucketName = \"cache\"\n";
    let (dir, output) = configure(&[("token", "glrt-abc"), ("cache.toml", cache)]);
    assert!(output.status.success(), "{}", error(&output));
    let config = RunnerConfig::read(&dir.path().join("config.toml")).unwrap();
    let [warning] = <[String; 1]>::try_from(config.warnings).unwrap();
    assert!(warning.ends_with("`cache` in [[runners]] is not supported and is ignored"), "{warning}");
}

#[rstest]
#[case::missing(&[], "token")]
#[case::empty(&[("token", "\n")], "key token of Secret gitlab-runner is empty")]
fn without_a_token_the_runner_does_not_start(#[case] secrets: &[(&str, &str)], #[case] expected: &str) {
    let (dir, output) = configure(secrets);
    assert!(!output.status.success() && error(&output).contains(expected), "{}", error(&output));
    assert!(!dir.path().join("config.toml").exists());
}
