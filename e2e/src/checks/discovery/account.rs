//! The account that the pipeline deploys with: the `ServiceAccount` of the namespace that may create Deployments.

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule, Role, RoleBinding, Subject};
use kube::api::{ListParams, PostParams};
use kube::{Api, Client, ResourceExt};

use super::choice::{Search, Selection};
use crate::checks::target::Target;
use container_engine::error_chain::error_chain;

/// The remedy if no account is found.
const REMEDY: &str = "pass its kubeconfig with `--deployer-kubeconfig FILE`";

/// An account, with a client that has its permissions.
pub(super) struct Account {
    /// Its name as a user: `system:serviceaccount:NAMESPACE:NAME`.
    pub(super) name: String,
    pub(super) client: Client,
}

/// Finds the account, and acts as it.
pub(super) async fn find(target: &Target, selection: &Selection) -> Search<Account> {
    if selection.is_read_only {
        return Err(format!("--read-only does not act as another account; {REMEDY}"));
    }
    let (name, reason) = match &selection.account {
        Some(account) => (user(account)?, "selected with `--deployer-account`".to_owned()),
        None => bound(target).await?,
    };
    let client = target.connection.acting_as(&name, &[]).and_then(|connection| connection.client());
    let client = client.map_err(|error| error_chain(&error))?;
    let review = Api::<SelfSubjectReview>::all(client.clone());
    if let Err(error) = review.create(&PostParams::default(), &SelfSubjectReview::default()).await {
        return Err(format!(
            "the account of the checks is not allowed to act as {name} ({}); {REMEDY}",
            error_chain(&error)
        ));
    }
    Ok((Account { name, client }, format!("{reason}; the checks act as it")))
}

/// The name of a `ServiceAccount` as a user.
fn user(account: &str) -> Result<String, String> {
    let (namespace, name) = account.split_once('/').ok_or("expected NAMESPACE/NAME of a ServiceAccount")?;
    Ok(format!("system:serviceaccount:{namespace}:{name}"))
}

/// The `ServiceAccount` that a `RoleBinding` of the namespace allows to create Deployments.
async fn bound(target: &Target) -> Search<String> {
    let namespace = &target.namespace;
    let bindings = Api::<RoleBinding>::namespaced(target.client.clone(), namespace).list(&ListParams::default()).await;
    let bindings = bindings.map_err(|error| {
        format!("the account cannot list the RoleBindings of {namespace} ({}); {REMEDY}", error_chain(&error))
    })?;
    let mut found = Vec::new();
    for binding in &bindings {
        let accounts: Vec<String> =
            binding.subjects.iter().flatten().filter_map(|it| account_of(it, namespace)).collect();
        if !accounts.is_empty() && rules(target, binding).await.iter().any(deploys) {
            found.extend(accounts.into_iter().map(|account| (account, binding.name_any())));
        }
    }
    // An account of the namespace itself comes first: that of a runner in the cluster is in another one.
    found.sort_by_key(|(account, _)| (!account.starts_with(&format!("{namespace}/")), account.clone()));
    found.dedup_by(|one, other| one.0 == other.0);
    let Some((account, binding)) = found.first() else {
        return Err(format!(
            "no RoleBinding of namespace {namespace} allows a ServiceAccount to create Deployments; {REMEDY}"
        ));
    };
    let others: Vec<&str> = found.iter().skip(1).map(|(account, _)| &**account).collect();
    let mut reason = format!("RoleBinding {namespace}/{binding} allows it to create Deployments");
    if !others.is_empty() {
        reason = format!("{reason}; other RoleBindings allow {} as well (`--deployer-account`)", others.join(" and "));
    }
    Ok((user(account)?, reason))
}

/// `NAMESPACE/NAME` of a subject, if it is a `ServiceAccount`.
fn account_of(subject: &Subject, namespace: &str) -> Option<String> {
    let namespace = subject.namespace.as_deref().unwrap_or(namespace);
    (subject.kind == "ServiceAccount").then(|| format!("{namespace}/{}", subject.name))
}

/// The rules of a binding's role. A role that cannot be read has none.
async fn rules(target: &Target, binding: &RoleBinding) -> Vec<PolicyRule> {
    let (client, name) = (target.client.clone(), &binding.role_ref.name);
    let rules = if binding.role_ref.kind == "Role" {
        let role = Api::<Role>::namespaced(client, &target.namespace).get_opt(name).await;
        role.ok().flatten().and_then(|role| role.rules)
    } else {
        let role = Api::<ClusterRole>::all(client).get_opt(name).await;
        role.ok().flatten().and_then(|role| role.rules)
    };
    rules.unwrap_or_default()
}

/// Whether a rule allows the creation of Deployments.
fn deploys(rule: &PolicyRule) -> bool {
    let has = |list: Option<&Vec<String>>, wanted: &str| {
        list.is_some_and(|list| list.iter().any(|it| it == wanted || it == "*"))
    };
    has(rule.api_groups.as_ref(), "apps")
        && has(rule.resources.as_ref(), "deployments")
        && has(Some(&rule.verbs), "create")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::the_role_of_manifests(json!({"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "create"]}), true)]
    #[case::everything(json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}), true)]
    #[case::reads_only(json!({"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list"]}), false)]
    #[case::another_kind(json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]}), false)]
    #[case::no_resource(json!({"nonResourceURLs": ["/metrics"], "verbs": ["create"]}), false)]
    fn a_rule_that_allows_deployments_is_recognized(#[case] rule: serde_json::Value, #[case] expected: bool) {
        assert_eq!(deploys(&serde_json::from_value(rule).unwrap()), expected);
    }

    #[test]
    fn only_service_accounts_are_found() {
        let subject = |value| serde_json::from_value::<Subject>(value).unwrap();
        let account = subject(json!({"kind": "ServiceAccount", "name": "gitlab"}));
        assert_eq!(account_of(&account, "demo").as_deref(), Some("demo/gitlab"));
        assert_eq!(account_of(&subject(json!({"kind": "User", "name": "jane"})), "demo"), None);
    }
}
