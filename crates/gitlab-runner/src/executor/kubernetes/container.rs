//! The containers of a job's pod.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Capabilities, Container, EnvVar, EnvVarSource, ResourceRequirements, SeccompProfile, SecretKeySelector,
    SecurityContext, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::overwrites::Resources;
use super::policy::kubernetes_name;
use super::user::User;
use crate::config::kubernetes::{self, KubernetesConfig, SecurityConfig};
use gitlab_ci::config::image::PullPolicy;

/// The purpose of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Build,
    Helper,
    Service,
}

/// Everything that determines a container, apart from the configuration of all jobs.
#[derive(Clone, Debug)]
pub(super) struct ContainerPlan {
    pub(super) role: Role,
    pub(super) name: String,
    pub(super) image: String,
    pub(super) policy: Option<PullPolicy>,
    /// Replaces the image's entrypoint.
    pub(super) command: Option<Vec<String>>,
    /// Replaces the image's command.
    pub(super) arguments: Option<Vec<String>>,
    pub(super) env: Vec<(String, Value)>,
    pub(super) resources: Resources,
    /// The user that the job names.
    pub(super) user: Option<User>,
}

/// The value of an environment variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// A value that is not secret: any user who can read the pod can read it.
    Plain(String),
    /// A key of this Secret.
    Secret { secret: String, key: String },
}

impl ContainerPlan {
    /// Whether the container runs scripts or reads their output.
    pub(super) fn has_scripts(&self) -> bool {
        self.role != Role::Service
    }
}

/// The container.
pub(super) fn build(plan: &ContainerPlan, config: &KubernetesConfig, mounts: Vec<VolumeMount>) -> Container {
    let security = match plan.role {
        Role::Build => &config.build_security,
        Role::Helper => &config.helper_security,
        Role::Service => &config.service_security,
    };
    let env: Vec<_> = plan.env.iter().map(|(name, value)| variable(name, value)).collect();
    Container {
        name: plan.name.clone(),
        image: Some(plan.image.clone()),
        // Without a policy, the cluster decides by the tag.
        image_pull_policy: plan.policy.map(|policy| kubernetes_name(policy).to_owned()),
        command: plan.command.clone(),
        args: plan.arguments.clone(),
        env: (!env.is_empty()).then_some(env),
        resources: requirements(&plan.resources),
        security_context: Some(security_context(security, config, plan.user)),
        volume_mounts: Some(mounts),
        ..Container::default()
    }
}

fn variable(name: &str, value: &Value) -> EnvVar {
    let (value, value_from) = match value {
        // Kubernetes replaces `$(NAME)`, and `$$` by `$`. `executors/kubernetes/util.go`
        Value::Plain(value) => (Some(value.replace('$', "$$")), None),
        Value::Secret { secret, key } => {
            let selector = SecretKeySelector { name: secret.clone(), key: key.clone(), optional: None };
            (None, Some(EnvVarSource { secret_key_ref: Some(selector), ..EnvVarSource::default() }))
        }
    };
    EnvVar { name: name.to_owned(), value, value_from }
}

fn requirements(resources: &Resources) -> Option<ResourceRequirements> {
    let with = |suffix: &str| -> Option<BTreeMap<String, Quantity>> {
        let found = resources.iter().filter_map(|(name, value)| {
            // `ephemeral_storage_limit` is the limit `ephemeral-storage`.
            Some((name.strip_suffix(suffix)?.replace('_', "-"), Quantity(value.clone())))
        });
        let found: BTreeMap<_, _> = found.collect();
        (!found.is_empty()).then_some(found)
    };
    let (limits, requests) = (with("_limit"), with("_request"));
    (limits.is_some() || requests.is_some()).then(|| ResourceRequirements {
        limits,
        requests,
        ..ResourceRequirements::default()
    })
}

fn security_context(own: &SecurityConfig, config: &KubernetesConfig, user: Option<User>) -> SecurityContext {
    // The operator's choice precedes that of the job.
    let user = user.filter(|_| config.pod_security.run_as_user.is_none());
    // `common/config.go`: a container's own list of dropped capabilities replaces that of the runner.
    let mut drop = if own.cap_drop.is_empty() {
        let default = "NET_RAW".to_owned();
        let is_wanted = config.cap_add.iter().chain(&own.cap_add).any(|name| *name == default || *name == "ALL");
        config.cap_drop.iter().cloned().chain((!is_wanted).then_some(default)).collect()
    } else {
        own.cap_drop.clone()
    };
    drop.sort();
    drop.dedup();
    let add = config.cap_add.iter().chain(&own.cap_add).filter(|name| !drop.contains(name));
    let mut add: Vec<String> = add.cloned().collect();
    add.sort();
    add.dedup();
    SecurityContext {
        privileged: own.privileged.or(config.privileged.then_some(true)),
        allow_privilege_escalation: own.allow_privilege_escalation.or(config.allow_privilege_escalation),
        run_as_user: own.run_as_user.or(user.map(|(user, _)| user)),
        run_as_group: own.run_as_group.or(user.and_then(|(_, group)| group)),
        run_as_non_root: own.run_as_non_root,
        read_only_root_filesystem: own.read_only_root_filesystem,
        capabilities: Some(Capabilities {
            add: (!add.is_empty()).then_some(add),
            drop: (!drop.is_empty()).then_some(drop),
        }),
        seccomp_profile: own.seccomp_profile.as_ref().map(seccomp),
        ..SecurityContext::default()
    }
}

/// A seccomp profile of the configuration.
pub(super) fn seccomp(profile: &kubernetes::SeccompProfile) -> SeccompProfile {
    SeccompProfile { type_: profile.kind.clone(), localhost_profile: profile.localhost_profile.clone() }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// The capabilities to add and to drop, for those of the container and of the runner. Names are separated by spaces.
    fn capabilities(own: [&str; 2], runner: [&str; 2]) -> [String; 2] {
        let list = |names: &str| names.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let config =
            KubernetesConfig { cap_add: list(runner[0]), cap_drop: list(runner[1]), ..KubernetesConfig::default() };
        let own = SecurityConfig { cap_add: list(own[0]), cap_drop: list(own[1]), ..SecurityConfig::default() };
        let merged = security_context(&own, &config, None).capabilities.unwrap();
        [merged.add, merged.drop].map(|names| names.unwrap_or_default().join(" "))
    }

    #[rstest]
    #[case::nothing_is_set(["", ""], ["", ""], ["", "NET_RAW"])]
    #[case::runner(["", ""], ["SYS_PTRACE", "MKNOD"], ["SYS_PTRACE", "MKNOD NET_RAW"])]
    #[case::net_raw_is_wanted(["NET_RAW", ""], ["", ""], ["NET_RAW", ""])]
    #[case::container_replaces_the_list(["", "ALL"], ["", "MKNOD"], ["", "ALL"])]
    #[case::dropping_wins(["", ""], ["MKNOD", "MKNOD"], ["", "MKNOD NET_RAW"])]
    fn capabilities_are_merged(#[case] own: [&str; 2], #[case] runner: [&str; 2], #[case] expected: [&str; 2]) {
        assert_eq!(capabilities(own, runner), expected);
    }

    #[rstest]
    #[case::only_the_job(None, None, Some(5))]
    #[case::container(Some(6), None, Some(6))]
    #[case::pod(None, Some(7), None)]
    fn the_users_of_the_runner_precede_that_of_the_job(
        #[case] container: Option<i64>,
        #[case] pod: Option<i64>,
        #[case] expected: Option<i64>,
    ) {
        let own = SecurityConfig { run_as_user: container, ..SecurityConfig::default() };
        let mut config = KubernetesConfig::default();
        config.pod_security.run_as_user = pod;
        assert_eq!(security_context(&own, &config, Some((5, None))).run_as_user, expected);
    }

    #[test]
    fn dollars_are_not_expanded() {
        let env = variable("A", &Value::Plain("$(B) $C".to_owned()));
        assert_eq!(env.value.as_deref(), Some("$$(B) $$C"));
    }
}
