//! The settings of a job: those of the runner configuration, changed by the job's variables as far as the configuration allows that.
//! GitLab Runner's `executors/kubernetes/overwrites.go`
//!
//! A variable without a rule in the configuration is ignored, and one that breaks its rule fails the job.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Toleration;
use regex::Regex;

use super::names::is_label;
use crate::config::kubernetes::{KubernetesConfig, ResourceConfig};
use crate::config::quantity;
use crate::executor::request::{ExecutorError, FailureReason};
use gitlab_ci::variables::collection::Variable;

/// The domain of the labels that identify a runner and its jobs. Nothing else may set them.
const RESERVED_DOMAIN: &str = "runner.gitlab.com";

/// The requests and limits of a container, by the names of their keys.
pub(super) type Resources = BTreeMap<&'static str, String>;

/// The settings of a job.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct JobSettings {
    pub(super) namespace: String,
    pub(super) service_account: Option<String>,
    /// Whether the account's token is mounted. Without a value, the account decides.
    pub(super) automount_token: Option<bool>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) node_selector: BTreeMap<String, String>,
    pub(super) tolerations: Vec<Toleration>,
    pub(super) build: Resources,
    pub(super) helper: Resources,
}

/// The settings of a job with these variables. `namespace` is that of the runner.
///
/// # Errors
/// A variable breaks a rule of the configuration.
pub(super) fn settings(
    config: &KubernetesConfig,
    namespace: &str,
    variables: &[Variable],
) -> Result<JobSettings, ExecutorError> {
    let rules = &config.overwrites;
    let own_namespace = text(variables, "KUBERNETES_NAMESPACE_OVERWRITE", rules.namespace.as_deref())?;
    // The name becomes part of request paths, also of requests that delete objects.
    if let Some(namespace) = own_namespace.as_ref().filter(|namespace| !is_label(namespace)) {
        return Err(broken(format!(
            "KUBERNETES_NAMESPACE_OVERWRITE is `{namespace}`; expected a name of lower-case letters, digits and hyphens"
        )));
    }
    let account = text(variables, "KUBERNETES_SERVICE_ACCOUNT_OVERWRITE", rules.service_account.as_deref())?;
    // GitLab Runner leaves this to the account. Here the account decides only for jobs that name one, so that no job uses a token that it
    // has not asked for.
    let automount_token = config.automount_service_account_token.or_else(|| account.is_none().then_some(false));
    let mut labels = config.pod_labels.clone();
    labels.extend(pairs(variables, "KUBERNETES_POD_LABELS_", rules.pod_labels.as_deref())?);
    labels.retain(|key, _| !is_reserved(key));
    let mut annotations = config.pod_annotations.clone();
    annotations.extend(pairs(variables, "KUBERNETES_POD_ANNOTATIONS_", rules.pod_annotations.as_deref())?);
    let mut node_selector = config.node_selector.clone();
    node_selector.extend(pairs(variables, "KUBERNETES_NODE_SELECTOR_", rules.node_selector.as_deref())?);
    let mut tolerations = config.node_tolerations.clone();
    for (_, value) in matching(variables, "KUBERNETES_NODE_TOLERATIONS_", rules.node_tolerations.as_deref())? {
        // `KEY[=VALUE]:EFFECT`
        let (key, effect) = value.rsplit_once(':').unwrap_or((value, ""));
        tolerations.insert(key.to_owned(), effect.to_owned());
    }
    let value = |key: &str| find(variables, key).map(str::to_owned);
    Ok(JobSettings {
        namespace: own_namespace.unwrap_or_else(|| namespace.to_owned()),
        service_account: account.or_else(|| config.service_account.clone()),
        automount_token,
        labels,
        annotations,
        node_selector,
        tolerations: tolerations.iter().map(|(key, effect)| toleration(key, effect)).collect(),
        build: resources(&config.build, "KUBERNETES_", &value)?,
        helper: resources(&config.helper, "KUBERNETES_HELPER_", &value)?,
    })
}

/// The resources of a service. Its own variables precede those of the job.
///
/// # Errors
/// A variable exceeds its maximum.
pub(super) fn service_resources(
    config: &ResourceConfig,
    own: &[(String, String)],
    variables: &[Variable],
) -> Result<Resources, ExecutorError> {
    let value = |key: &str| {
        let own = own.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.clone());
        own.or_else(|| find(variables, key).map(str::to_owned))
    };
    resources(config, "KUBERNETES_SERVICE_", &value)
}

fn resources(
    config: &ResourceConfig,
    prefix: &str,
    value: &dyn Fn(&str) -> Option<String>,
) -> Result<Resources, ExecutorError> {
    let mut resources = config.values.clone();
    for (name, max) in &config.maxima {
        let key = format!("{prefix}{}", name.to_ascii_uppercase());
        let Some(wanted) = value(&key).filter(|wanted| !wanted.is_empty()) else { continue };
        let Some(amount) = quantity::parse(&wanted) else {
            return Err(broken(format!("{key} is `{wanted}`; expected a quantity such as `500m` or `1Gi`")));
        };
        // The kubelet takes a limit of 0 as no limit.
        if name.ends_with("_limit") && amount == 0 {
            return Err(broken(format!("{key} is `{wanted}`, which would remove the limit; the maximum is `{max}`")));
        }
        if quantity::parse(max).is_some_and(|max| amount > max) {
            return Err(broken(format!(
                "{key} is `{wanted}`, more than the maximum `{max}` that the runner allows \
                 (`{}_overwrite_max_allowed`)",
                key.trim_start_matches("KUBERNETES_").to_ascii_lowercase()
            )));
        }
        resources.insert(name, wanted);
    }
    Ok(resources)
}

/// The value of a variable that must match a rule.
fn text(variables: &[Variable], key: &str, rule: Option<&str>) -> Result<Option<String>, ExecutorError> {
    let (Some(rule), Some(value)) = (rule, find(variables, key).filter(|value| !value.is_empty())) else {
        return Ok(None);
    };
    check(key, value, rule)?;
    Ok(Some(value.to_owned()))
}

/// The variables with a prefix, whose values must match a rule.
fn matching<'job>(
    variables: &'job [Variable],
    prefix: &str,
    rule: Option<&str>,
) -> Result<Vec<(&'job str, &'job str)>, ExecutorError> {
    let Some(rule) = rule else { return Ok(Vec::new()) };
    let mut found = BTreeMap::new();
    for variable in variables.iter().filter(|it| !it.file && it.key.starts_with(prefix)) {
        found.insert(&*variable.key, &*variable.value);
    }
    for (key, value) in &found {
        check(key, value, rule)?;
    }
    Ok(found.into_iter().collect())
}

/// The entries `KEY=VALUE` of the variables with a prefix.
fn pairs(variables: &[Variable], prefix: &str, rule: Option<&str>) -> Result<BTreeMap<String, String>, ExecutorError> {
    let split = |(key, value): (&str, &str)| match value.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(broken(format!("{key} is `{value}`; expected `KEY=VALUE`"))),
    };
    matching(variables, prefix, rule)?.into_iter().map(split).collect()
}

/// A rule matches anywhere in the value, as in GitLab Runner: the operator sets the anchors.
fn check(key: &str, value: &str, rule: &str) -> Result<(), ExecutorError> {
    // An invalid rule was already reported when the configuration was read.
    if Regex::new(rule).is_ok_and(|rule| rule.is_match(value)) {
        return Ok(());
    }
    Err(broken(format!("{key} is `{value}`, which does not match the expression `{rule}` that the runner allows")))
}

/// GitLab Runner reports `runner_configuration_error`, which GitLab treats as `script_failure`: `common/network.go`
fn broken(message: String) -> ExecutorError {
    ExecutorError { reason: FailureReason::ScriptFailure, message }
}

fn find<'job>(variables: &'job [Variable], key: &str) -> Option<&'job str> {
    variables.iter().rev().find(|variable| &*variable.key == key && !variable.file).map(|variable| &*variable.value)
}

fn is_reserved(key: &str) -> bool {
    let domain = key.split_once('/').map_or("", |(domain, _)| domain).to_ascii_lowercase();
    domain == RESERVED_DOMAIN || domain.ends_with(&format!(".{RESERVED_DOMAIN}"))
}

/// A toleration of `KEY=VALUE` or of every value of `KEY`. An empty key tolerates every taint.
fn toleration(key: &str, effect: &str) -> Toleration {
    let set = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let (key, value, operator) = match key.split_once('=') {
        Some((key, value)) => (key, set(value), "Equal"),
        None => (key, None, "Exists"),
    };
    Toleration {
        key: set(key),
        value,
        operator: Some(operator.to_owned()),
        effect: set(effect),
        ..Toleration::default()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::config::kubernetes::OverwriteConfig;
    use gitlab_ci::variables::collection::Origin;

    fn config() -> KubernetesConfig {
        let limits = |value: &str| BTreeMap::from([("memory_limit", value.to_owned())]);
        KubernetesConfig {
            service_account: Some("runner".to_owned()),
            pod_labels: BTreeMap::from([("team".to_owned(), "a".to_owned())]),
            build: ResourceConfig { values: limits("1Gi"), maxima: limits("2Gi") },
            helper: ResourceConfig { values: limits("64Mi"), maxima: BTreeMap::new() },
            service: ResourceConfig { values: BTreeMap::new(), maxima: limits("1Gi") },
            overwrites: OverwriteConfig {
                namespace: Some("^ci-".to_owned()),
                pod_labels: Some(".*".to_owned()),
                node_selector: Some("^disk=".to_owned()),
                node_tolerations: Some(".*".to_owned()),
                ..OverwriteConfig::default()
            },
            ..KubernetesConfig::default()
        }
    }

    fn with(variables: &[(&str, &str)]) -> Result<JobSettings, String> {
        let variables: Vec<_> = variables.iter().map(|(key, value)| Variable::new(key, value, Origin::Job)).collect();
        settings(&config(), "default", &variables).map_err(|error| error.message)
    }

    #[test]
    fn without_variables_the_configuration_applies() {
        let settings = with(&[]).unwrap();
        assert_eq!((settings.namespace.as_str(), settings.service_account.as_deref()), ("default", Some("runner")));
        assert_eq!(settings.build["memory_limit"], "1Gi");
    }

    #[test]
    fn variables_change_what_the_rules_allow() {
        let settings = with(&[
            ("KUBERNETES_NAMESPACE_OVERWRITE", "ci-1"),
            ("KUBERNETES_SERVICE_ACCOUNT_OVERWRITE", "admin"),
            ("KUBERNETES_MEMORY_LIMIT", "2048Mi"),
            ("KUBERNETES_CPU_LIMIT", "64"),
            ("KUBERNETES_HELPER_MEMORY_LIMIT", "9Gi"),
            ("KUBERNETES_POD_LABELS_1", "team=b"),
            ("KUBERNETES_POD_LABELS_2", "job.Runner.GitLab.com/pod=mine"),
            ("KUBERNETES_NODE_SELECTOR_1", "disk=ssd"),
            ("KUBERNETES_NODE_TOLERATIONS_1", "only=ci:NoSchedule"),
            ("KUBERNETES_NODE_TOLERATIONS_2", "any:NoExecute"),
        ])
        .unwrap();
        assert_eq!(settings.namespace, "ci-1");
        assert_eq!(settings.service_account.as_deref(), Some("runner"), "no rule allows another account");
        assert_eq!(settings.build, BTreeMap::from([("memory_limit", "2048Mi".to_owned())]));
        assert_eq!(settings.helper["memory_limit"], "64Mi", "no rule allows another limit");
        assert_eq!(settings.labels, BTreeMap::from([("team".to_owned(), "b".to_owned())]));
        assert_eq!(settings.node_selector["disk"], "ssd");
        let tolerations: Vec<_> = settings
            .tolerations
            .iter()
            .map(|it| (it.key.as_deref(), it.operator.as_deref(), it.value.as_deref()))
            .collect();
        assert_eq!(tolerations, [(Some("any"), Some("Exists"), None), (Some("only"), Some("Equal"), Some("ci"))]);
    }

    #[rstest]
    #[case::the_account_of_the_runner(None, &[], Some(false))]
    #[case::the_account_of_the_job(None, &[("KUBERNETES_SERVICE_ACCOUNT_OVERWRITE", "deployer")], None)]
    #[case::never(Some(false), &[("KUBERNETES_SERVICE_ACCOUNT_OVERWRITE", "deployer")], Some(false))]
    #[case::always(Some(true), &[], Some(true))]
    fn the_account_decides_on_its_token_if_the_job_names_it(
        #[case] setting: Option<bool>,
        #[case] variables: &[(&str, &str)],
        #[case] expected: Option<bool>,
    ) {
        let mut config = KubernetesConfig { automount_service_account_token: setting, ..config() };
        config.overwrites.service_account = Some("^deployer$".to_owned());
        let variables: Vec<_> = variables.iter().map(|(key, value)| Variable::new(key, value, Origin::Job)).collect();
        assert_eq!(settings(&config, "default", &variables).unwrap().automount_token, expected);
    }

    #[rstest]
    #[case::namespace("KUBERNETES_NAMESPACE_OVERWRITE", "kube-system", "does not match the expression `^ci-`")]
    #[case::another_path("KUBERNETES_NAMESPACE_OVERWRITE", "ci-1/pods?", "expected a name of lower-case letters")]
    #[case::no_limit("KUBERNETES_MEMORY_LIMIT", "0", "would remove the limit")]
    #[case::too_much("KUBERNETES_MEMORY_LIMIT", "3Gi", "more than the maximum `2Gi`")]
    #[case::no_quantity("KUBERNETES_MEMORY_LIMIT", "much", "expected a quantity")]
    #[case::no_pair("KUBERNETES_POD_LABELS_1", "team", "expected `KEY=VALUE`")]
    #[case::selector("KUBERNETES_NODE_SELECTOR_1", "zone=a", "does not match")]
    fn a_broken_rule_fails_the_job(#[case] key: &str, #[case] value: &str, #[case] expected: &str) {
        let error = with(&[(key, value)]).unwrap_err();
        assert!(error.starts_with(key) && error.contains(expected), "{error}");
    }

    #[test]
    fn the_variables_of_a_service_precede_those_of_the_job() {
        let job = [Variable::new("KUBERNETES_SERVICE_MEMORY_LIMIT", "1Gi", Origin::Job)];
        let own = [("KUBERNETES_SERVICE_MEMORY_LIMIT".to_owned(), "128Mi".to_owned())];
        let config = config().service;
        assert_eq!(service_resources(&config, &own, &job).unwrap()["memory_limit"], "128Mi");
        assert_eq!(service_resources(&config, &[], &job).unwrap()["memory_limit"], "1Gi");
    }

    #[test]
    fn an_empty_key_tolerates_every_taint() {
        let all = toleration("", "");
        assert_eq!((all.key, all.operator.as_deref(), all.effect), (None, Some("Exists"), None));
    }
}
