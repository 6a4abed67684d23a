//! The keys of `[runners.kubernetes]`: GitLab Runner's `common/config.go` (`KubernetesConfig`).

use std::collections::BTreeMap;
use std::time::Duration;

use regex::Regex;
use toml::de::DeValue;

use super::kubernetes::{
    HostAlias, KubernetesConfig, OverwriteConfig, PodSecurityConfig, RESOURCES, ResourceConfig, SeccompProfile,
    SecurityConfig, Volume, VolumeSource,
};
use super::reader::{Reader, Table};
use super::service_keys::read_service;
use super::{quantity, reader};
use gitlab_ci::config::image;

const KNOWN: &[&str] = &[
    "allow_privilege_escalation",
    "allowed_pull_policies",
    "allowed_users",
    "automount_service_account_token",
    "build_container_security_context",
    "cap_add",
    "cap_drop",
    "context",
    "dns_policy",
    "helper_container_security_context",
    "helper_image",
    "host_aliases",
    "image",
    "image_pull_secrets",
    "namespace",
    "namespace_overwrite_allowed",
    "node_selector",
    "node_selector_overwrite_allowed",
    "node_tolerations",
    "node_tolerations_overwrite_allowed",
    "pod_annotations",
    "pod_annotations_overwrite_allowed",
    "pod_labels",
    "pod_labels_overwrite_allowed",
    "pod_security_context",
    "pod_termination_grace_period_seconds",
    "poll_timeout",
    "priority_class_name",
    "privileged",
    "pull_policy",
    "runtime_class_name",
    "scheduler_name",
    "service_account",
    "service_account_overwrite_allowed",
    "service_container_security_context",
    "services",
    "volumes",
];

const IGNORED: &[&str] = &[
    "affinity",
    "allowed_groups",
    "allowed_images",
    "allowed_services",
    "autoscaler",
    "bearer_token",
    "bearer_token_overwrite_allowed",
    "ca_file",
    "cert_file",
    "container_lifecycle",
    "dns_config",
    "host",
    "key_file",
    "logs_base_dir",
    "namespace_per_job",
    "pod_cpu_limit",
    "pod_cpu_request",
    "pod_disruption_budget",
    "pod_memory_limit",
    "pod_memory_request",
    "pod_spec",
    "scripts_base_dir",
];

/// Keys about parts that this runner does not have, and about the runner's own requests. They are skipped without a warning.
const SKIPPED: &[&str] = &[
    "cleanup_grace_period_seconds",
    "cleanup_resources_timeout",
    "helper_image_autoset_arch_and_os",
    "helper_image_flavor",
    "init_permissions_container_security_context",
    "poll_interval",
    "print_pod_warning_events",
    "request_retry_backoff_max",
    "request_retry_limit",
    "request_retry_limits",
    "resource_availability_check_max_attempts",
    "retry_backoff_max",
    "retry_limit",
    "retry_limits",
    "use_service_account_image_pull_secrets",
];

const SECURITY: &[&str] = &[
    "allow_privilege_escalation",
    "capabilities",
    "privileged",
    "read_only_root_filesystem",
    "run_as_group",
    "run_as_non_root",
    "run_as_user",
    "seccomp_profile",
];

const POD_SECURITY: &[&str] =
    &["fs_group", "run_as_group", "run_as_non_root", "run_as_user", "seccomp_profile", "supplemental_groups"];

const SECURITY_IGNORED: &[&str] = &["app_armor_profile", "proc_mount", "selinux_type"];

/// The prefixes of the resources' keys, and the containers that they are for.
const BUILD: &str = "";
const HELPER: &str = "helper_";
const SERVICE: &str = "service_";

/// Reads `[runners.kubernetes]`.
pub(super) fn read(table: Table<'_>, reader: &mut Reader) -> KubernetesConfig {
    let resources = [BUILD, HELPER, SERVICE].iter().flat_map(|prefix| RESOURCES.iter().map(move |it| (prefix, it)));
    let resources: Vec<[String; 2]> = resources
        .map(|(prefix, name)| [format!("{prefix}{name}"), format!("{prefix}{name}_overwrite_max_allowed")])
        .collect();
    let known: Vec<&str> = KNOWN.iter().copied().chain(resources.as_flattened().iter().map(String::as_str)).collect();
    reader.keys(table, &known, IGNORED, SKIPPED);
    let defaults = KubernetesConfig::default();
    let poll_timeout = reader.value(table, "poll_timeout", "a number of seconds, at least 1", |value| {
        u64::try_from(reader::integer(value)?).ok().filter(|seconds| *seconds > 0).map(Duration::from_secs)
    });
    let mut lists = |key: &str| reader.strings(table, key).unwrap_or_default();
    let (image_pull_secrets, allowed_users) = (lists("image_pull_secrets"), lists("allowed_users"));
    let (cap_add, cap_drop) = (lists("cap_add"), lists("cap_drop"));
    let services = reader.tables(table, "services", "[[runners.kubernetes.services]]");
    KubernetesConfig {
        namespace: reader.string(table, "namespace"),
        context: reader.string(table, "context"),
        image: reader.string(table, "image"),
        helper_image: reader.string(table, "helper_image"),
        privileged: reader.boolean(table, "privileged").unwrap_or_default(),
        allow_privilege_escalation: reader.boolean(table, "allow_privilege_escalation"),
        pull_policy: reader.words(table, "pull_policy", image::PULL_POLICIES).unwrap_or_default(),
        allowed_pull_policies: reader.words(table, "allowed_pull_policies", image::PULL_POLICIES).unwrap_or_default(),
        allowed_users,
        image_pull_secrets,
        service_account: reader.string(table, "service_account"),
        automount_service_account_token: reader.boolean(table, "automount_service_account_token"),
        services: services.into_iter().filter_map(|(it, range)| read_service(it, &range, reader)).collect(),
        node_selector: reader.strings_by_key(table, "node_selector"),
        node_tolerations: reader.strings_by_key(table, "node_tolerations"),
        pod_labels: reader.strings_by_key(table, "pod_labels"),
        pod_annotations: reader.strings_by_key(table, "pod_annotations"),
        host_aliases: read_host_aliases(table, reader),
        volumes: read_volumes(table, reader),
        poll_timeout: poll_timeout.unwrap_or(defaults.poll_timeout),
        termination_grace_period: reader.integer(table, "pod_termination_grace_period_seconds"),
        dns_policy: reader.string(table, "dns_policy"),
        priority_class: reader.string(table, "priority_class_name"),
        runtime_class: reader.string(table, "runtime_class_name"),
        scheduler: reader.string(table, "scheduler_name"),
        cap_add,
        cap_drop,
        build: read_resources(table, BUILD, reader),
        helper: read_resources(table, HELPER, reader),
        service: read_resources(table, SERVICE, reader),
        pod_security: read_pod_security(table, reader),
        build_security: read_security(table, "build_container_security_context", reader),
        helper_security: read_security(table, "helper_container_security_context", reader),
        service_security: read_security(table, "service_container_security_context", reader),
        overwrites: OverwriteConfig {
            namespace: expression(table, "namespace_overwrite_allowed", reader),
            service_account: expression(table, "service_account_overwrite_allowed", reader),
            pod_labels: expression(table, "pod_labels_overwrite_allowed", reader),
            pod_annotations: expression(table, "pod_annotations_overwrite_allowed", reader),
            node_selector: expression(table, "node_selector_overwrite_allowed", reader),
            node_tolerations: expression(table, "node_tolerations_overwrite_allowed", reader),
        },
    }
}

/// Reads a regular expression. An empty one, as `gitlab-runner register` writes it, means "not set".
fn expression(table: Table<'_>, key: &str, reader: &mut Reader) -> Option<String> {
    let valid = |value: &DeValue<'_>| value.as_str().filter(|text| Regex::new(text).is_ok()).map(str::to_owned);
    reader.value(table, key, "a regular expression", valid).filter(|text| !text.is_empty())
}

fn read_resources(table: Table<'_>, prefix: &str, reader: &mut Reader) -> ResourceConfig {
    let mut quantities = |suffix: &str| -> BTreeMap<&'static str, String> {
        let quantity = |value: &DeValue<'_>| {
            value.as_str().filter(|text| text.is_empty() || quantity::parse(text).is_some()).map(str::to_owned)
        };
        let read = |name: &'static str| {
            let key = format!("{prefix}{name}{suffix}");
            Some((name, reader.value(table, &key, "a quantity such as `500m` or `1Gi`", quantity)?))
        };
        RESOURCES.into_iter().filter_map(read).filter(|(_, value)| !value.is_empty()).collect()
    };
    ResourceConfig { values: quantities(""), maxima: quantities("_overwrite_max_allowed") }
}

fn read_host_aliases(table: Table<'_>, reader: &mut Reader) -> Vec<HostAlias> {
    let mut aliases = Vec::new();
    for (alias, range) in reader.tables(table, "host_aliases", "[[runners.kubernetes.host_aliases]]") {
        reader.keys(alias, &["hostnames", "ip"], &[], &[]);
        let address =
            |value: &DeValue<'_>| value.as_str().filter(|ip| ip.parse::<std::net::IpAddr>().is_ok()).map(str::to_owned);
        let hostnames = reader.strings(alias, "hostnames").unwrap_or_default();
        match reader.value(alias, "ip", "an IP address", address) {
            Some(ip) => aliases.push(HostAlias { ip, hostnames }),
            None if !alias.entries.contains_key("ip") => {
                reader.error(&range, format!("{} has no `ip`; expected an IP address", alias.name));
            }
            None => {}
        }
    }
    aliases
}

fn read_volumes(table: Table<'_>, reader: &mut Reader) -> Vec<Volume> {
    const NAME: &str = "[runners.kubernetes.volumes]";
    const KINDS: &[&str] = &["config_map", "empty_dir", "host_path", "pvc", "secret"];
    let Some(table) = reader.table(table, "volumes", NAME) else { return Vec::new() };
    reader.keys(table, KINDS, &["csi", "nfs"], &[]);
    let mut volumes = Vec::new();
    for kind in KINDS {
        for (volume, range) in reader.tables(table, kind, "[[runners.kubernetes.volumes]]") {
            let own: &[&str] = match *kind {
                "empty_dir" => &["medium", "size_limit"],
                "host_path" => &["host_path"],
                _ => &[],
            };
            let known = [&["mount_path", "name", "read_only", "sub_path"], own].concat();
            reader.keys(volume, &known, &["items", "mount_propagation"], &[]);
            let (name, path) = (reader.string(volume, "name"), reader.string(volume, "mount_path"));
            let (Some(name), Some(mount_path)) = (name, path) else {
                reader.error(&range, format!("a volume in {NAME} needs `name` and `mount_path`"));
                continue;
            };
            let source = match *kind {
                "config_map" => VolumeSource::ConfigMap,
                "secret" => VolumeSource::Secret,
                "pvc" => VolumeSource::Claim,
                // An empty `host_path` means the mount path: `executors/kubernetes/kubernetes.go`
                "host_path" => {
                    VolumeSource::HostPath(reader.string(volume, "host_path").unwrap_or_else(|| mount_path.clone()))
                }
                _ => VolumeSource::EmptyDir {
                    medium: reader.string(volume, "medium"),
                    size_limit: reader.string(volume, "size_limit"),
                },
            };
            volumes.push(Volume {
                name,
                mount_path,
                sub_path: reader.string(volume, "sub_path"),
                read_only: reader.boolean(volume, "read_only").unwrap_or_default(),
                source,
            });
        }
    }
    volumes
}

fn read_pod_security(table: Table<'_>, reader: &mut Reader) -> PodSecurityConfig {
    let Some(table) = reader.table(table, "pod_security_context", "[runners.kubernetes.pod_security_context]") else {
        return PodSecurityConfig::default();
    };
    reader.keys(table, POD_SECURITY, SECURITY_IGNORED, &[]);
    let groups = reader.value(table, "supplemental_groups", "a list of numbers", |value| {
        value.as_array()?.iter().map(|item| reader::integer(item.get_ref())).collect::<Option<Vec<_>>>()
    });
    PodSecurityConfig {
        fs_group: reader.integer(table, "fs_group"),
        run_as_user: reader.integer(table, "run_as_user"),
        run_as_group: reader.integer(table, "run_as_group"),
        run_as_non_root: reader.boolean(table, "run_as_non_root"),
        supplemental_groups: groups.unwrap_or_default(),
        seccomp_profile: read_seccomp(table, reader),
    }
}

fn read_security(table: Table<'_>, key: &str, reader: &mut Reader) -> SecurityConfig {
    let Some(table) = reader.table(table, key, "a security context of [runners.kubernetes]") else {
        return SecurityConfig::default();
    };
    reader.keys(table, SECURITY, SECURITY_IGNORED, &[]);
    let capabilities = reader.table(table, "capabilities", "`capabilities` of a security context");
    let mut lists = |key: &str| capabilities.and_then(|table| reader.strings(table, key)).unwrap_or_default();
    let (cap_add, cap_drop) = (lists("add"), lists("drop"));
    SecurityConfig {
        run_as_user: reader.integer(table, "run_as_user"),
        run_as_group: reader.integer(table, "run_as_group"),
        run_as_non_root: reader.boolean(table, "run_as_non_root"),
        privileged: reader.boolean(table, "privileged"),
        allow_privilege_escalation: reader.boolean(table, "allow_privilege_escalation"),
        read_only_root_filesystem: reader.boolean(table, "read_only_root_filesystem"),
        cap_add,
        cap_drop,
        seccomp_profile: read_seccomp(table, reader),
    }
}

fn read_seccomp(table: Table<'_>, reader: &mut Reader) -> Option<SeccompProfile> {
    let profile = reader.table(table, "seccomp_profile", "`seccomp_profile` of a security context")?;
    reader.keys(profile, &["localhost_profile", "type"], &[], &[]);
    Some(SeccompProfile {
        kind: reader.string(profile, "type")?,
        localhost_profile: reader.string(profile, "localhost_profile"),
    })
}
