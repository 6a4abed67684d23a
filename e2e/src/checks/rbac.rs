//! The pipeline's account may do what the deploy jobs do, and nothing elsewhere.

use futures_util::future::try_join_all;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ListParams, PostParams};
use kube::{Api, Client};

use super::failure::expected;
use super::subject::Subject;
use super::{Evidence, Outcome};
use crate::record::Failure;

/// What the deploy jobs apply, patch, watch and delete.
const DEPLOYED: [(&str, &str); 4] =
    [("apps", "deployments"), ("", "services"), ("networking.k8s.io", "ingresses"), ("policy", "poddisruptionbudgets")];

/// What they do with it.
const VERBS: [&str; 6] = ["get", "list", "watch", "create", "patch", "delete"];

/// What they look at when a rollout does not come to its end.
const SEEN: [(&str, &str); 3] = [("apps", "replicasets"), ("", "pods"), ("", "events")];

/// Another namespace, which every cluster has.
const ELSEWHERE: &str = "kube-system";

/// What nobody needs for a deployment: verb, group, resource.
const FORBIDDEN: [(&str, &str, &str); 8] = [
    ("get", "", "secrets"),
    ("list", "", "secrets"),
    ("create", "", "pods"),
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
    let own = Some(&*subject.namespace);
    let needed: Vec<(&str, &str, &str)> = DEPLOYED
        .iter()
        .flat_map(|(group, resource)| VERBS.iter().map(move |verb| (*verb, *group, *resource)))
        .chain(SEEN.iter().flat_map(|(group, resource)| ["get", "list"].map(|verb| (verb, *group, *resource))))
        .collect();
    let lacking = which(deployer, &needed, own, false).await?;
    if !lacking.is_empty() {
        return Err(expected(format!(
            "the pipeline's account may do in namespace {} what its deploy jobs do",
            subject.namespace
        ))
        .saw(format!("it may not {}", lacking.join(", ")))
        .because("its Role lacks something", "apply manifests/cluster as the cluster's owner"));
    }
    evidence.add(format!("in namespace {}: all {} things that the deploy jobs do", subject.namespace, needed.len()));
    let mut excess = which(deployer, &FORBIDDEN, Some(ELSEWHERE), true).await?;
    excess.extend(which(deployer, &FORBIDDEN_EVERYWHERE, None, true).await?);
    if !excess.is_empty() {
        return Err(expected("the pipeline's account may do nothing elsewhere")
            .saw(format!("it may {}", excess.join(", ")))
            .because(
                "the account has more than its Role: the article binds cluster-admin",
                "delete that binding; manifests/cluster/role.yaml is enough",
            ));
    }
    evidence.add(format!("elsewhere: none of {} things", FORBIDDEN.len() + FORBIDDEN_EVERYWHERE.len()));
    // The word of the API server about itself is one thing, what it does another.
    let secrets = Api::<Secret>::namespaced(deployer.clone(), ELSEWHERE).list(&ListParams::default()).await;
    match secrets {
        Err(kube::Error::Api(status)) if status.is_forbidden() => {
            evidence.add(format!("secrets of {ELSEWHERE}: {}", status.message));
            Ok(evidence)
        }
        Err(error) => Err(error.into()),
        Ok(_) => Err(expected(format!("403 for the secrets of {ELSEWHERE}"))
            .saw("all of them")
            .because("the API server does not ask RBAC", "start it with --authorization-mode=Node,RBAC")),
    }
}

/// Those that the account may do, or may not.
async fn which(
    client: &Client,
    all: &[(&str, &str, &str)],
    namespace: Option<&str>,
    is_allowed: bool,
) -> Result<Vec<String>, Failure> {
    let reviews = Api::<SelfSubjectAccessReview>::all(client.clone());
    let asked = all.iter().map(async |(verb, group, resource)| {
        let (name, part) = resource.split_once('/').map_or((*resource, None), |(name, part)| (name, Some(part)));
        let attributes = ResourceAttributes {
            group: Some((*group).to_owned()),
            namespace: namespace.map(str::to_owned),
            resource: Some(name.to_owned()),
            subresource: part.map(str::to_owned),
            verb: Some((*verb).to_owned()),
            ..ResourceAttributes::default()
        };
        let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
        let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
        let answer = reviews.create(&PostParams::default(), &review).await?;
        let place = namespace.map(|namespace| format!(" in {namespace}")).unwrap_or_default();
        let may = answer.status.is_some_and(|status| status.allowed);
        Ok::<_, Failure>((may == is_allowed).then(|| format!("{verb} {resource}{place}")))
    });
    Ok(try_join_all(asked).await?.into_iter().flatten().collect())
}
