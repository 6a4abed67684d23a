//! The pipeline's account may do what the deploy jobs do, and nothing elsewhere.

use futures_util::future::try_join_all;
use k8s_openapi::api::authentication::v1::{SelfSubjectReview, UserInfo};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{ListParams, PostParams};
use kube::{Api, Client, ResourceExt};

use super::access::may;
use super::bindings;
use super::check::{Evidence, Outcome};
use super::failure::expected;
use super::subject::Subject;
use crate::environment::cluster::ApiError;
use crate::record::Failure;

/// What the deploy jobs apply, patch, watch and delete.
const DEPLOYED: [(&str, &str); 4] =
    [("apps", "deployments"), ("", "services"), ("networking.k8s.io", "ingresses"), ("policy", "poddisruptionbudgets")];

/// What they do with it.
const VERBS: [&str; 6] = ["get", "list", "watch", "create", "patch", "delete"];

/// What they look at when a rollout does not come to its end.
const SEEN: [(&str, &str); 3] = [("apps", "replicasets"), ("", "pods"), ("", "events")];

/// Other namespaces, which every cluster has. One more is taken of those that there are.
const ELSEWHERE: [&str; 2] = ["kube-system", "default"];

/// What nobody needs for a deployment: verb, group, resource.
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

/// The same of what belongs to no namespace.
const FORBIDDEN_EVERYWHERE: [(&str, &str, &str); 4] = [
    ("create", "", "namespaces"),
    ("list", "", "nodes"),
    ("create", "rbac.authorization.k8s.io", "clusterrolebindings"),
    ("escalate", "rbac.authorization.k8s.io", "clusterroles"),
];

pub(super) async fn run(subject: Subject) -> Outcome {
    // Only where it is given: the list of checks says so.
    let Some(deployer) = &subject.deployer else { return Ok(Evidence::default()) };
    let mut evidence = Evidence::default();
    let account = account(deployer).await?;
    evidence.add(format!("asked as {}", bindings::name(&account)));
    let own = Some(&*subject.namespace);
    let needed: Vec<(&str, &str, &str)> = DEPLOYED
        .iter()
        .flat_map(|(group, resource)| VERBS.iter().map(move |verb| (*verb, *group, *resource)))
        .chain(SEEN.iter().flat_map(|(group, resource)| ["get", "list"].map(|verb| (verb, *group, *resource))))
        .collect();
    let lacking = which(deployer, &needed, own, false).await?;
    if !lacking.is_empty() {
        let (object, details) = bindings::of(&subject.client, &account, &[&subject.namespace]).await;
        return Err(expected(format!(
            "the pipeline's account may do in namespace {} what its deploy jobs do",
            subject.namespace
        ))
        .saw(format!("it may not {}", lacking.join(", ")))
        .at(object)
        .with(&details)
        .because("its Role lacks something", "apply manifests/cluster as the cluster's owner"));
    }
    evidence.add(format!("in namespace {}: all {} things that the deploy jobs do", subject.namespace, needed.len()));
    let elsewhere = elsewhere(&subject).await?;
    let (mut excess, mut places) = (Vec::new(), Vec::new());
    for namespace in &elsewhere {
        let found = which(deployer, &FORBIDDEN, Some(namespace), true).await?;
        places.extend((!found.is_empty()).then_some(&**namespace));
        excess.extend(found);
    }
    excess.extend(which(deployer, &FORBIDDEN_EVERYWHERE, None, true).await?);
    if !excess.is_empty() {
        let (object, details) = bindings::of(&subject.client, &account, &places).await;
        return Err(expected("the pipeline's account may do nothing elsewhere")
            .saw(format!("it may {}", excess.join(", ")))
            .at(object)
            .with(&details)
            .because(
                "the account has more than its Role: the article binds cluster-admin",
                "delete that binding; manifests/cluster/role.yaml is enough",
            ));
    }
    let places = elsewhere.join(", ");
    evidence.add(format!("in {places}: none of {} things", FORBIDDEN.len()));
    evidence.add(format!("in the cluster: none of {} things", FORBIDDEN_EVERYWHERE.len()));
    // The word of the API server about itself is one thing, what it does another.
    for namespace in &elsewhere {
        let secrets = Api::<Secret>::namespaced(deployer.clone(), namespace);
        match secrets.list_metadata(&ListParams::default()).await {
            Err(kube::Error::Api(status)) if status.is_forbidden() => {
                evidence.add(format!("secrets of {namespace}: {}", status.message));
            }
            Err(error) => return Err(error.into()),
            Ok(_) => {
                return Err(expected(format!("403 for the secrets of {namespace}"))
                    .saw("all of them")
                    .at(format!("the Secrets of namespace {namespace}"))
                    .with("an access review of the same says no")
                    .because("the API server does not ask RBAC", "start it with --authorization-mode=Node,RBAC"));
            }
        }
    }
    Ok(evidence)
}

/// The namespaces that are none of the account's business: those that every cluster has, and the first of the others.
async fn elsewhere(subject: &Subject) -> Result<Vec<String>, Failure> {
    let all = Api::<Namespace>::all(subject.client.clone()).list_metadata(&ListParams::default()).await?;
    let there: Vec<String> = all.iter().map(ResourceExt::name_any).collect();
    Ok(chosen(&there, &subject.namespace))
}

fn chosen(there: &[String], own: &str) -> Vec<String> {
    let known = ELSEWHERE.iter().map(|name| (*name).to_owned()).filter(|name| name != own && there.contains(name));
    let mut others: Vec<&String> = there.iter().filter(|name| *name != own && !ELSEWHERE.contains(&&***name)).collect();
    // Those of Kubernetes itself have hardly anything in them.
    others.sort_by_key(|name| (name.starts_with("kube-"), (*name).clone()));
    known.chain(others.first().map(|name| (*name).clone())).collect()
}

/// The account's user name and groups, as the API server knows them.
async fn account(deployer: &Client) -> Result<UserInfo, Failure> {
    let reviews = Api::<SelfSubjectReview>::all(deployer.clone());
    match reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await {
        Ok(review) => Ok(review.status.and_then(|status| status.user_info).unwrap_or_default()),
        Err(error) => Err(expected("the API server accepts the pipeline's account")
            .saw(ApiError::from(error))
            .at("the kubeconfig of the pipeline's account")
            .because(
                "its token has expired, or it is for another cluster",
                "create a new token: `make up`, or `kubectl create token gitlab --namespace gitlab`",
            )),
    }
}

/// Those that the account may do, or may not.
async fn which(
    client: &Client,
    all: &[(&str, &str, &str)],
    namespace: Option<&str>,
    is_allowed: bool,
) -> Result<Vec<String>, Failure> {
    let asked = all.iter().map(async |action| {
        let (verb, _, resource) = action;
        let place = namespace.map(|namespace| format!(" in {namespace}")).unwrap_or_default();
        let matches = may(client, namespace, *action).await? == is_allowed;
        Ok::<_, Failure>(matches.then(|| format!("{verb} {resource}{place}")))
    });
    Ok(try_join_all(asked).await?.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::another_one(&["default", "gitlab", "kube-public", "kube-system", "monitoring"], &["kube-system", "default", "monitoring"])]
    #[case::of_kubernetes(&["default", "gitlab", "kube-public", "kube-system"], &["kube-system", "default", "kube-public"])]
    #[case::no_more(&["gitlab", "kube-system"], &["kube-system"])]
    fn other_namespaces(#[case] there: &[&str], #[case] expected: &[&str]) {
        let there: Vec<_> = there.iter().map(ToString::to_string).collect();
        assert_eq!(chosen(&there, "gitlab"), expected);
    }

    #[test]
    fn a_pipeline_that_deploys_to_default() {
        let there = ["default", "kube-system", "shop"].map(str::to_owned);
        assert_eq!(chosen(&there, "default"), ["kube-system", "shop"]);
    }
}
