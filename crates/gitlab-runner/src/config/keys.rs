//! The keys of the runner configuration and their meaning: GitLab Runner's `common/config.go`.

use std::io;
use std::num::NonZeroUsize;
use std::time::Duration;

use toml::de::DeTable;

use super::kubernetes_keys;
use super::reader::{Reader, Table, integer};
use super::service_keys::read_service;
use super::units::{Device, Mount, bytes, nano_cpus, pair};
use crate::config::settings::{DockerConfig, ExecutorName, RunnerConfig};

use gitlab_ci::config::image;
use gitlab_ci::config::image::PullPolicy;

/// Top-level keys that only concern a runner's connection to GitLab and its operation. They are skipped without a warning.
const TOP_SKIPPED: &[&str] = &[
    "check_interval",
    "connection_max_age",
    "listen_address",
    "log_format",
    "log_level",
    "sentry_dsn",
    "session_server",
    "shutdown_timeout",
];

const RUNNER: &[&str] = &[
    "builds_dir",
    "cache_dir",
    "docker",
    "environment",
    "executor",
    "feature_flags",
    "graceful_kill_timeout",
    "kubernetes",
    "name",
    "output_limit",
    "post_build_script",
    "pre_build_script",
    "shell",
    "tls-ca-file",
];

const RUNNER_IGNORED: &[&str] = &[
    "autoscaler",
    "cache",
    "clean_git_config",
    "clone_url",
    "custom",
    "custom_build_dir",
    "debug_trace_disabled",
    "instance",
    "limit",
    "machine",
    "parallels",
    "post_get_sources_script",
    "pre_get_sources_script",
    "referees",
    "safe_directory_checkout",
    "ssh",
    "virtualbox",
];

const RUNNER_SKIPPED: &[&str] = &[
    "id",
    "job_status_final_update_retry_limit",
    "monitoring",
    "request_concurrency",
    "strict_check_interval",
    "tls-cert-file",
    "tls-key-file",
    "token",
    "token_expires_at",
    "token_file",
    "token_obtained_at",
    "unhealthy_interval",
    "unhealthy_requests_limit",
    "url",
];

const DOCKER: &[&str] = &[
    "allowed_pull_policies",
    "cap_add",
    "cap_drop",
    "cpu_shares",
    "cpus",
    "devices",
    "dns",
    "extra_hosts",
    "image",
    "memory",
    "network_mode",
    "networks",
    "privileged",
    "pull_policy",
    "security_opt",
    "services",
    "shm_size",
    "user",
    "volumes",
    "wait_for_services_timeout",
];

const DOCKER_IGNORED: &[&str] = &[
    "allowed_images",
    "allowed_privileged_images",
    "allowed_privileged_services",
    "allowed_services",
    "allowed_users",
    "container_labels",
    "cpuset_cpus",
    "cpuset_mems",
    "device_cgroup_rules",
    "disable_entrypoint_overwrite",
    "dns_search",
    "enable_ipv6",
    "gpus",
    "group_add",
    "host",
    "hostname",
    "isolation",
    "links",
    "log_options",
    "mac_address",
    "memory_reservation",
    "memory_swap",
    "network_mtu",
    "oom_kill_disable",
    "oom_score_adjust",
    "runtime",
    "service_cpu_shares",
    "service_cpus",
    "service_cpuset_cpus",
    "service_gpus",
    "service_memory",
    "service_memory_reservation",
    "service_memory_swap",
    "services_devices",
    "services_limit",
    "services_privileged",
    "services_security_opt",
    "sysctls",
    "tls_cert_path",
    "ulimit",
    "userns_mode",
    "volume_driver",
    "volume_driver_ops",
    "volumes_from",
];

/// Keys about the helper image and about caches in containers. This runner has neither, so they are skipped without a warning.
const DOCKER_SKIPPED: &[&str] = &[
    "cache_dir",
    "disable_cache",
    "helper_image",
    "helper_image_autoset_arch_and_os",
    "helper_image_flavor",
    "tls_verify",
    "volume_keep",
];

const EXECUTORS: &[(&str, ExecutorName)] =
    &[("docker", ExecutorName::Docker), ("kubernetes", ExecutorName::Kubernetes), ("shell", ExecutorName::Shell)];

/// Reads the text of a configuration file. `file` reads the files that it names.
pub(super) fn read(text: &str, reader: &mut Reader, file: &dyn Fn(&str) -> io::Result<String>) -> RunnerConfig {
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        reader.error(&error.span().unwrap_or_default(), error.message());
    }
    if !errors.is_empty() {
        return RunnerConfig::default();
    }
    let top = Table { name: "the file", entries: document.get_ref() };
    reader.keys(top, &["concurrent", "runners"], &[], TOP_SKIPPED);
    let concurrent = |value: &_| NonZeroUsize::new(usize::try_from(integer(value)?).ok()?);
    let concurrent = reader.value(top, "concurrent", "a number of jobs, at least 1", concurrent);
    let runners = reader.tables(top, "runners", "[[runners]]");
    for (_, range) in runners.iter().skip(1) {
        let error = reader.error(range, "only one [[runners]] is supported");
        error.help("remove all but the runner to use");
    }
    let config = runners.first().map(|(runner, _)| read_runner(*runner, reader, file)).unwrap_or_default();
    RunnerConfig { concurrent, ..config }
}

fn read_runner(table: Table<'_>, reader: &mut Reader, file: &dyn Fn(&str) -> io::Result<String>) -> RunnerConfig {
    reader.keys(table, RUNNER, RUNNER_IGNORED, RUNNER_SKIPPED);
    let defaults = RunnerConfig::default();
    let certificates = reader.string(table, "tls-ca-file").and_then(|name| {
        let range = table.entries.get("tls-ca-file")?.span();
        match file(&name) {
            Ok(text) if text.contains("-----BEGIN CERTIFICATE-----") => Some(text.into()),
            Ok(_) => {
                reader.error(&range, format!("{name} contains no certificate; expected PEM format"));
                None
            }
            Err(error) => {
                reader.error(&range, format!("cannot read {name}: {error}"));
                None
            }
        }
    });
    let limit = |value: &_| usize::try_from(integer(value)?).ok().filter(|limit| *limit > 0);
    let docker = reader.table(table, "docker", "[runners.docker]");
    let kubernetes = reader.table(table, "kubernetes", "[runners.kubernetes]");
    RunnerConfig {
        name: reader.string(table, "name"),
        executor: reader.word(table, "executor", EXECUTORS),
        builds_dir: reader.string(table, "builds_dir"),
        cache_dir: reader.string(table, "cache_dir").map(Into::into),
        environment: reader.list(table, "environment", "`KEY=VALUE`", pair).unwrap_or_default(),
        output_limit: reader.value(table, "output_limit", "a size in KiB", limit).unwrap_or(defaults.output_limit),
        shell: reader.string(table, "shell"),
        graceful_kill_timeout: reader
            .value(table, "graceful_kill_timeout", "a number of seconds", |value| u64::try_from(integer(value)?).ok())
            .map_or(defaults.graceful_kill_timeout, Duration::from_secs),
        pre_build_script: reader.string(table, "pre_build_script"),
        post_build_script: reader.string(table, "post_build_script"),
        certificates,
        docker: docker.map(|docker| read_docker(docker, reader)).unwrap_or_default(),
        kubernetes: kubernetes.map(|kubernetes| kubernetes_keys::read(kubernetes, reader)).unwrap_or_default(),
        feature_flags: read_flags(table, reader).unwrap_or_default(),
        ..defaults
    }
}

fn read_flags(table: Table<'_>, reader: &mut Reader) -> Option<std::collections::BTreeMap<String, bool>> {
    let flags = reader.table(table, "feature_flags", "[runners.feature_flags]")?;
    let mut read = std::collections::BTreeMap::new();
    for key in flags.entries.keys() {
        let name = key.get_ref().as_ref();
        if !name.starts_with("FF_") {
            reader
                .error(&key.span(), format!("`{name}` is not a feature flag: names of feature flags begin with `FF_`"));
        }
        let value = reader.boolean(flags, name);
        match (name, value) {
            ("FF_NETWORK_PER_BUILD", Some(false)) => {
                reader.warning(&key.span(), "FF_NETWORK_PER_BUILD cannot be disabled: every job has its own network");
            }
            (
                "FF_ENABLE_BASH_EXIT_CODE_CHECK"
                | "FF_KUBERNETES_HONOR_ENTRYPOINT"
                | "FF_NETWORK_PER_BUILD"
                | "FF_TIMESTAMPS"
                | "FF_USE_POD_ACTIVE_DEADLINE_SECONDS",
                _,
            )
            | (_, Some(false) | None) => {}
            (name, Some(true)) => {
                reader.warning(&key.span(), format!("`{name}` is not supported and is ignored"));
            }
        }
        read.extend(value.map(|value| (name.to_owned(), value)));
    }
    Some(read)
}

fn read_docker(table: Table<'_>, reader: &mut Reader) -> DockerConfig {
    reader.keys(table, DOCKER, DOCKER_IGNORED, DOCKER_SKIPPED);
    let defaults = DockerConfig::default();
    let policies = |reader: &mut Reader, key: &str| -> Vec<PullPolicy> {
        reader.words(table, key, image::PULL_POLICIES).unwrap_or_default()
    };
    let mut pull_policy = policies(reader, "pull_policy");
    if pull_policy.is_empty() {
        pull_policy = defaults.pull_policy;
    }
    let wait = match reader.integer(table, "wait_for_services_timeout") {
        None => defaults.wait_for_services_timeout,
        // `executors/docker/services.go`, `waitForServices`: GitLab Runner treats `0` as its default. Here `0` disables the wait, as
        // its author most likely intended.
        Some(seconds) => u64::try_from(seconds).ok().filter(|seconds| *seconds > 0).map(Duration::from_secs),
    };
    let mut lists = |key: &str| reader.strings(table, key).unwrap_or_default();
    let (networks, extra_hosts, dns) = (lists("networks"), lists("extra_hosts"), lists("dns"));
    let (cap_add, cap_drop, security_opt) = (lists("cap_add"), lists("cap_drop"), lists("security_opt"));
    DockerConfig {
        image: reader.string(table, "image"),
        privileged: reader.boolean(table, "privileged").unwrap_or_default(),
        volumes: reader.list(table, "volumes", "`SOURCE:TARGET[:ro]` or `/TARGET`", Mount::read).unwrap_or_default(),
        network_mode: reader.string(table, "network_mode"),
        networks,
        extra_hosts,
        pull_policy,
        allowed_pull_policies: policies(reader, "allowed_pull_policies"),
        services: reader
            .tables(table, "services", "[[runners.docker.services]]")
            .into_iter()
            .filter_map(|(service, range)| read_service(service, &range, reader))
            .collect(),
        wait_for_services_timeout: wait,
        dns,
        cap_add,
        cap_drop,
        devices: reader.list(table, "devices", "`/dev/NAME[:TARGET][:rwm]`", Device::read).unwrap_or_default(),
        security_opt,
        memory: reader.value(table, "memory", "a size such as `512m`", |value| bytes(value.as_str()?)),
        cpu_shares: reader.integer(table, "cpu_shares"),
        nano_cpus: reader
            .value(table, "cpus", "a number of CPUs such as `\"1.5\"`", |value| nano_cpus(value.as_str()?)),
        shm_size: reader.integer(table, "shm_size"),
        user: reader.string(table, "user"),
    }
}
