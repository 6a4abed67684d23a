//! Checks that the pipeline's account has the permissions that the deploy jobs need, and none elsewhere.

use futures_util::future::try_join_all;
use k8s_openapi::api::authentication::v1::{SelfSubjectReview, UserInfo};
use k8s_openapi::api::authorization::v1::{ResourceRule, SelfSubjectRulesReview, SelfSubjectRulesReviewSpec};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{ListParams, PostParams};
use kube::{Api, Client, ResourceExt};

use super::access::is_permitted;
use super::bindings;
use super::check::{Evidence, Outcome};
use super::environment::Environment;
use super::failure::expected;
use super::route::Route;
use crate::environment::cluster::ApiError;
use crate::record::Failure;

/// The resources that the deploy jobs apply, patch, watch and delete.
const DEPLOYED: [(&str, &str); 4] =
    [("apps", "deployments"), ("", "services"), ("networking.k8s.io", "ingresses"), ("policy", "poddisruptionbudgets")];

/// The verbs that the deploy jobs need on [`DEPLOYED`].
const VERBS: [&str; 6] = ["get", "list", "watch", "create", "patch", "delete"];

/// The resources that the deploy jobs read when a rollout fails.
const READ: [(&str, &str); 3] = [("apps", "replicasets"), ("", "pods"), ("", "events")];

/// The request of the deploy jobs to the deployed Service, through the API server.
const SMOKE_TEST: (&str, &str, &str) = ("get", "", "services/proxy");

/// The deploy jobs keep the number of replicas if an autoscaler decides it.
const AUTOSCALER: (&str, &str, &str) = ("get", "autoscaling", "horizontalpodautoscalers");

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

/// The resources that Kubernetes lets every account use: to ask about itself, and to read public certificates.
const ALLOWED_TO_ALL: [&str; 4] =
    ["selfsubjectreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews", "clustertrustbundles"];

pub(super) async fn run(environment: Environment) -> Outcome {
    // Always given, because `CHECKS` lists it as a need.
    let Some(deployer) = &environment.deployer else { return Ok(Evidence::default()) };
    let mut evidence = Evidence::default();
    let account = account(deployer).await?;
    evidence.add(format!("the account is {}", bindings::name(&account)));
    let own = Some(&*environment.namespace);
    let route_permissions = route_permissions(&environment).await;
    let needed: Vec<(&str, &str, &str)> = DEPLOYED
        .iter()
        .flat_map(|(group, resource)| VERBS.iter().map(move |verb| (*verb, *group, *resource)))
        .chain(READ.iter().flat_map(|(group, resource)| ["get", "list"].map(|verb| (verb, *group, *resource))))
        .chain([SMOKE_TEST, AUTOSCALER])
        .chain(route_permissions)
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
    let mut others = all_namespaces(&environment).await?;
    others.retain(|namespace| *namespace != environment.namespace);
    let elsewhere = choose(&others);
    let (mut excess, mut namespaces) = (Vec::new(), Vec::new());
    for namespace in &elsewhere {
        let found = which(deployer, &FORBIDDEN, Some(namespace), true).await?;
        namespaces.extend((!found.is_empty()).then_some(&**namespace));
        excess.extend(found);
    }
    excess.extend(which(deployer, &FORBIDDEN_EVERYWHERE, None, true).await?);
    let reviewed = try_join_all(others.iter().map(|namespace| rules(deployer, namespace))).await?;
    let is_complete = reviewed.iter().all(|rules| rules.is_complete);
    for (namespace, rules) in others.iter().zip(reviewed) {
        if !rules.excess.is_empty() && !namespaces.contains(&&**namespace) {
            namespaces.push(namespace);
            excess.extend(rules.excess);
        }
    }
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
    let certainty = if is_complete { "" } else { " that RBAC knows; another authorizer may allow more" };
    evidence.add(format!("in each of {} other namespaces: no rule{certainty}", others.len()));
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

/// The permissions that the deploy jobs need for a route to a Gateway, if the environment has one instead of an Ingress.
async fn route_permissions(environment: &Environment) -> Vec<(&'static str, &'static str, &'static str)> {
    match Route::find(environment).await {
        Ok(Route::HttpRoute(_)) => VERBS.map(|verb| (verb, "gateway.networking.k8s.io", "httproutes")).to_vec(),
        _ => Vec::new(),
    }
}

async fn all_namespaces(environment: &Environment) -> Result<Vec<String>, Failure> {
    let all = Api::<Namespace>::all(environment.client.clone()).list_metadata(&ListParams::default()).await?;
    Ok(all.iter().map(ResourceExt::name_any).collect())
}

/// The rules of the account in a namespace.
struct Rules {
    /// The permissions there that this account has and that not every account has.
    excess: Vec<String>,
    /// Whether the API server knows all rules.
    is_complete: bool,
}

/// Asks for all rules of the account in a namespace.
/// <https://kubernetes.io/docs/reference/kubernetes-api/definitions/self-subject-rules-review-v1-authorization/>
async fn rules(deployer: &Client, namespace: &str) -> Result<Rules, Failure> {
    let spec = SelfSubjectRulesReviewSpec { namespace: Some(namespace.to_owned()) };
    let review = SelfSubjectRulesReview { spec, ..SelfSubjectRulesReview::default() };
    let reviews = Api::<SelfSubjectRulesReview>::all(deployer.clone());
    let status = reviews.create(&PostParams::default(), &review).await?.status.unwrap_or_default();
    let excess = status.resource_rules.iter().filter_map(|rule| excess_of(rule, namespace)).collect();
    Ok(Rules { excess, is_complete: !status.incomplete })
}

/// A rule in words, unless it is one of every account.
fn excess_of(rule: &ResourceRule, namespace: &str) -> Option<String> {
    let resources = rule.resources.iter().flatten().map(String::as_str);
    let others: Vec<&str> = resources.filter(|resource| !ALLOWED_TO_ALL.contains(resource)).collect();
    (!others.is_empty()).then(|| format!("{} {} in {namespace}", rule.verbs.join("/"), others.join("/")))
}

/// The namespaces, of those of others, that are checked with real requests: those that every cluster has, and the first of the rest.
fn choose(all: &[String]) -> Vec<String> {
    let known = ELSEWHERE.iter().map(|name| (*name).to_owned()).filter(|name| all.contains(name));
    let mut others: Vec<&String> = all.iter().filter(|name| !ELSEWHERE.contains(&&***name)).collect();
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
        let matches = is_permitted(client, namespace, *action).await? == is_allowed;
        Ok::<_, Failure>(matches.then(|| format!("{verb} {resource}{scope}")))
    });
    Ok(try_join_all(asked).await?.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::of_a_user(&["default", "kube-public", "kube-system", "monitoring"], &["kube-system", "default", "monitoring"])]
    #[case::of_kubernetes(&["default", "kube-public", "kube-system"], &["kube-system", "default", "kube-public"])]
    #[case::only_one(&["kube-system"], &["kube-system"])]
    fn other_namespaces_are_chosen(#[case] there: &[&str], #[case] expected: &[&str]) {
        let there: Vec<_> = there.iter().map(ToString::to_string).collect();
        assert_eq!(choose(&there), expected);
    }

    #[rstest]
    #[case::of_every_account(&["create"], &["selfsubjectaccessreviews", "selfsubjectrulesreviews"], None)]
    #[case::view(&["get", "list"], &["configmaps", "pods"], Some("get/list configmaps/pods in kube-public"))]
    #[case::everything(&["*"], &["*"], Some("* * in kube-public"))]
    fn a_rule_that_not_every_account_has_is_found(
        #[case] verbs: &[&str],
        #[case] resources: &[&str],
        #[case] expected: Option<&str>,
    ) {
        let rule = serde_json::from_value(serde_json::json!({"verbs": verbs, "resources": resources})).unwrap();
        assert_eq!(excess_of(&rule, "kube-public").as_deref(), expected);
    }
}
