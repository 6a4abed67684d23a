//! Asks the API server's authorizers what an account is allowed to do.

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};

/// Whether the client's account is allowed this action: verb, API group and resource, with a subresource after a `/`. Without a
/// namespace, asks for the whole cluster.
pub(super) async fn is_permitted(
    client: &Client,
    namespace: Option<&str>,
    (verb, group, resource): (&str, &str, &str),
) -> Result<bool, kube::Error> {
    let (name, part) = resource.split_once('/').map_or((resource, None), |(name, part)| (name, Some(part)));
    let attributes = ResourceAttributes {
        group: Some(group.to_owned()),
        namespace: namespace.map(str::to_owned),
        resource: Some(name.to_owned()),
        subresource: part.map(str::to_owned),
        verb: Some(verb.to_owned()),
        ..ResourceAttributes::default()
    };
    let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
    let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
    let reviews = Api::<SelfSubjectAccessReview>::all(client.clone());
    let answer = reviews.create(&PostParams::default(), &review).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}
