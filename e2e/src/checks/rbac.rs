//! Checks that the pipeline's account has the permissions that the deploy jobs need, and none elsewhere.

use futures_util::future::try_join_all;
use k8s_openapi::api::authentication::v1::{SelfSubjectReview, UserInfo};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{ListParams, PostParams};
use kube::{Api, Client, ResourceExt};

use super::access::may;
use super::bindings;
use super::check::{Evidence, Outcome};
use super::environment::Environment;
use super::failure::expected;
use crate::environment::cluster::ApiError;
use crate::record::Failure;

/// The resources that the deploy jobs apply, patch, watch and delete.
const DEPLOYED: [(&str, &str); 4] =
    [("apps", "deployments"), ("", "services"), ("networking.k8s.io", "ingresses"), ("policy", "poddisruptionbudgets")];

/// The verbs that the deploy jobs need on [`DEPLOYED`].
const VERBS: [&str; 6] = ["get", "list", "watch", "create", "patch", "delete"];

/// The resources that the deploy jobs read when a rollout fails.
const READ: [(&str, &str); 3] = [("apps", "replicasets"), ("", "pods"), ("", "events")];

/// Namespaces that every cluster has. One more of the existing namespaces is added.
const ELSEWHERE: [&str; 2] = ["kube-system", "default"];

/// Actions that no deployment needs: verb, group, resource.
const FORBIDDEN: [(&str, &str, &str); 9] = [
    ("get", "", "secrets"),
    ("list", "", "secrets"),
    ("create", "", "pods"),
    ("delete", "", "pods"),
    ("create", "apps", "deployments"),
    ("patch", "apps", "deployments"),
    ("delete", "", "services"),
    ("create", "", "pods/exec"),
    ("create", "rbac.authorization.k8s.io", "rolebindings"),
];

/// Cluster-wide actions that no deployment needs: verb, group, resource.
const FORBIDDEN_EVERYWHERE: [(&str, &str, &str); 4] = [
    ("create", "", "namespaces"),
    ("list", "", "nodes"),
    ("create", "rbac.authorization.k8s.io", "clusterrolebindings"),
    ("escalate", "rbac.authorization.k8s.io", "clusterroles"),
];

pub(super) async fn run(environment: Environment) -> Outcome {
    // Always given, because `CHECKS` lists it as a need.
    let Some(deployer) = &environment.deployer else { return Ok(Evidence::default()) };
    let mut evidence = Evidence::default();
    let account = account(deployer).await?;
    evidence.add(format!("the account is {}", bindings::name(&account)));
    let own = Some(&*environment.namespace);
    let needed: Vec<(&str, &str, &str)> = DEPLOYED
        .iter()
        .flat_map(|(group, resource)| VERBS.iter().map(move |verb| (*verb, *group, *resource)))
        .chain(READ.iter().flat_map(|(group, resource)| ["get", "list"].map(|verb| (verb, *group, *resource))))
        .collect();
    let missing = which(deployer, &needed, own, false).await?;
    if !missing.is_empty() {
        let (object, details) = bindings::describe(&environment.client, &account, &[&environment.namespace]).await;
        return Err(expected(format!(
            "the pipeline's account has the permissions in namespace {} that its deploy jobs need",
            environment.namespace
        ))
        .actual(format!("it cannot {}", missing.join(", ")))
        .at(object)
        .with(&details)
        .hint("permissions are missing in its Role", "apply manifests/cluster as the cluster's owner"));
    }
    evidence.add(format!(
        "in namespace {}: all {} permissions that the deploy jobs need",
        environment.namespace,
        needed.len()
    ));
    let elsewhere = elsewhere(&environment).await?;
    let (mut excess, mut namespaces) = (Vec::new(), Vec::new());
    for namespace in &elsewhere {
        let found = which(deployer, &FORBIDDEN, Some(namespace), true).await?;
        namespaces.extend((!found.is_empty()).then_some(&**namespace));
        excess.extend(found);
    }
    excess.extend(which(deployer, &FORBIDDEN_EVERYWHERE, None, true).await?);
    if !excess.is_empty() {
        let (object, details) = bindings::describe(&environment.client, &account, &namespaces).await;
        return Err(expected("the pipeline's account has no permissions elsewhere")
            .actual(format!("it can {}", excess.join(", ")))
            .at(object)
            .with(&details)
            .hint(
                "the account has another binding in addition to its Role: the article binds cluster-admin",
                "delete that binding; manifests/cluster/role.yaml is sufficient",
            ));
    }
    let namespaces = elsewhere.join(", ");
    evidence.add(format!("in {namespaces}: none of {} other permissions", FORBIDDEN.len()));
    evidence.add(format!("in the whole cluster: none of {} other permissions", FORBIDDEN_EVERYWHERE.len()));
    // An access review is only a statement of the API server. Verify it with real requests.
    for namespace in &elsewhere {
        let secrets = Api::<Secret>::namespaced(deployer.clone(), namespace);
        match secrets.list_metadata(&ListParams::default()).await {
            Err(kube::Error::Api(status)) if status.is_forbidden() => {
                evidence.add(format!("secrets in {namespace}: {}", status.message));
            }
            Err(error) => return Err(error.into()),
            Ok(_) => {
                return Err(expected(format!("403 for the secrets in {namespace}"))
                    .actual("a list of them")
                    .at(format!("the Secrets in namespace {namespace}"))
                    .with("an access review denies this request")
                    .hint("the API server does not use RBAC", "start it with --authorization-mode=Node,RBAC"));
            }
        }
    }
    Ok(evidence)
}

/// The other namespaces to check: those that every cluster has, and the first of the remaining ones.
async fn elsewhere(environment: &Environment) -> Result<Vec<String>, Failure> {
    let all = Api::<Namespace>::all(environment.client.clone()).list_metadata(&ListParams::default()).await?;
    let existing: Vec<String> = all.iter().map(ResourceExt::name_any).collect();
    Ok(choose(&existing, &environment.namespace))
}

fn choose(existing: &[String], own: &str) -> Vec<String> {
    let known = ELSEWHERE.iter().map(|name| (*name).to_owned()).filter(|name| name != own && existing.contains(name));
    let mut others: Vec<&String> =
        existing.iter().filter(|name| *name != own && !ELSEWHERE.contains(&&***name)).collect();
    // Prefer namespaces of users: those of Kubernetes itself are almost empty.
    others.sort_by_key(|name| (name.starts_with("kube-"), (*name).clone()));
    known.chain(others.first().map(|name| (*name).clone())).collect()
}

/// The account's user name and groups according to the API server.
async fn account(deployer: &Client) -> Result<UserInfo, Failure> {
    let reviews = Api::<SelfSubjectReview>::all(deployer.clone());
    match reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await {
        Ok(review) => Ok(review.status.and_then(|status| status.user_info).unwrap_or_default()),
        Err(error) => Err(expected("the API server accepts the pipeline's account")
            .actual(ApiError::from(error))
            .at("the kubeconfig of the pipeline's account")
            .hint(
                "its token has expired, or is for another cluster",
                "create a new token with `make up` or `kubectl create token gitlab --namespace gitlab`",
            )),
    }
}

/// The actions that the account is allowed (`is_allowed`) or not allowed to do.
async fn which(
    client: &Client,
    all: &[(&str, &str, &str)],
    namespace: Option<&str>,
    is_allowed: bool,
) -> Result<Vec<String>, Failure> {
    let asked = all.iter().map(async |action| {
        let (verb, _, resource) = action;
        let scope = namespace.map(|namespace| format!(" in {namespace}")).unwrap_or_default();
        let matches = may(client, namespace, *action).await? == is_allowed;
        Ok::<_, Failure>(matches.then(|| format!("{verb} {resource}{scope}")))
    });
    Ok(try_join_all(asked).await?.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::of_a_user(&["default", "gitlab", "kube-public", "kube-system", "monitoring"], &["kube-system", "default", "monitoring"])]
    #[case::of_kubernetes(&["default", "gitlab", "kube-public", "kube-system"], &["kube-system", "default", "kube-public"])]
    #[case::only_one(&["gitlab", "kube-system"], &["kube-system"])]
    fn other_namespaces_are_chosen(#[case] there: &[&str], #[case] expected: &[&str]) {
        let there: Vec<_> = there.iter().map(ToString::to_string).collect();
        assert_eq!(choose(&there, "gitlab"), expected);
    }

    #[test]
    fn the_own_namespace_is_not_chosen() {
        let there = ["default", "kube-system", "shop"].map(str::to_owned);
        assert_eq!(choose(&there, "default"), ["kube-system", "shop"]);
    }
}
