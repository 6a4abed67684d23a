//! The namespace, its environments and their hosts.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::ListParams;
use kube::{Api, ResourceExt};

use super::choice::{Choice, DiscoveryError, LABELS, Selection, path_of};
use crate::checks::gateway_api::HttpRoute;
use crate::checks::route::Route;
use crate::checks::target::Target;
use crate::environment::cluster::owner;

/// The beginning of the names of the namespaces that `e2e check --deploy` creates.
pub const TEMPORARY_PREFIX: &str = "e2e-check-";

/// A deployed environment, or a selected one that is not deployed: its checks report that.
pub(super) struct Deployed {
    pub(super) namespace: String,
    /// The value of the label `ref`.
    pub(super) reference: String,
    pub(super) deployment: Option<Deployment>,
    pub(super) route: Option<Route>,
    pub(super) host: String,
}

/// Finds the environments, in the order of their names.
pub(super) async fn find(
    target: &Target,
    selection: &Selection,
    choices: &mut Vec<Choice>,
) -> Result<Vec<Deployed>, DiscoveryError> {
    let (namespace, deployments) = match &selection.namespace {
        Some(namespace) => (namespace.clone(), list(target, Some(namespace)).await?),
        None => in_one_namespace(target, choices).await?,
    };
    let parameters = ListParams::default().labels(LABELS);
    let ingresses = Api::<Ingress>::namespaced(target.client.clone(), &namespace).list(&parameters).await;
    let ingresses = ingresses.into_iter().flatten();
    let ingresses = ingresses.filter_map(|it| Some((reference_of(&it)?, Route::Ingress(Box::new(it)))));
    // Without the Gateway API, there is no such kind.
    let routes = Api::<HttpRoute>::namespaced(target.client.clone(), &namespace).list(&parameters).await;
    let routes = routes.into_iter().flatten();
    let routes = routes.filter_map(|it| Some((reference_of(&it)?, Route::HttpRoute(Box::new(it)))));
    // An Ingress replaces a route, as in the checks.
    let mut routes: BTreeMap<String, Route> = routes.chain(ingresses).collect();
    let mut deployments: BTreeMap<String, Deployment> =
        deployments.into_iter().filter_map(|deployment| Some((reference_of(&deployment)?, deployment))).collect();
    let references: BTreeSet<String> = match &*selection.references {
        [] => deployments.keys().cloned().collect(),
        selected => selected.iter().cloned().collect(),
    };
    if references.is_empty() {
        return Err(DiscoveryError::Nothing { place: place_of(Some(&namespace)) });
    }
    let mut deployed = Vec::new();
    for reference in references {
        let (deployment, route) = (deployments.remove(&reference), routes.remove(&reference));
        let route_host =
            route.as_ref().and_then(host_of).filter(|_| !selection.has_known_hosts && selection.host.is_none());
        let mut reason = match &deployment {
            Some(deployment) => format!("Deployment {}", path_of(deployment)),
            None => "selected with `--ref`; it has no Deployment".to_owned(),
        };
        if let (Some(route), Some(_)) = (&route, &route_host) {
            reason = format!("{reason}; the host is that of {}", route.object_ref());
        }
        let host = selection.host.clone().or(route_host).unwrap_or_else(|| target.host(&reference));
        choices.push(Choice { subject: "environment", value: Some(format!("{reference}: {host}")), reason });
        deployed.push(Deployed { namespace: namespace.clone(), reference, deployment, route, host });
    }
    Ok(deployed)
}

/// The only namespace with environments. Temporary ones of other runs do not count.
async fn in_one_namespace(
    target: &Target,
    choices: &mut Vec<Choice>,
) -> Result<(String, Vec<Deployment>), DiscoveryError> {
    let mut note = |value: &str, reason: &str| {
        choices.push(Choice { subject: "namespace", value: Some(value.to_owned()), reason: reason.to_owned() });
    };
    let all = match list(target, None).await {
        Ok(all) => all,
        Err(DiscoveryError::Api { source, .. }) if source.is_forbidden() => {
            let (namespace, reason) = match target.connection.namespace() {
                Some(namespace) => {
                    (namespace, "the namespace of the context, because the account cannot list Deployments elsewhere")
                }
                None => (
                    owner::NAMESPACE,
                    "the default, because the account cannot list the Deployments of the whole cluster",
                ),
            };
            note(namespace, reason);
            return Ok((namespace.to_owned(), list(target, Some(namespace)).await?));
        }
        Err(error) => return Err(error),
    };
    let mut by_namespace = by_namespace(all);
    if by_namespace.len() > 1 {
        let name = |it: &Deployment| reference_of(it).unwrap_or_default();
        let names = by_namespace.iter().map(|(namespace, deployments)| {
            format!("{namespace} ({})", deployments.iter().map(name).collect::<Vec<_>>().join(", "))
        });
        return Err(DiscoveryError::Several(names.collect::<Vec<_>>().join(", ")));
    }
    let Some((namespace, deployments)) = by_namespace.pop_first() else {
        return Err(DiscoveryError::Nothing { place: place_of(None) });
    };
    note(&namespace, &format!("the only one with Deployments that have the labels {LABELS}"));
    Ok((namespace, deployments))
}

/// The Deployments of each namespace that is not temporary.
fn by_namespace(deployments: Vec<Deployment>) -> BTreeMap<String, Vec<Deployment>> {
    let mut groups: BTreeMap<String, Vec<Deployment>> = BTreeMap::new();
    for deployment in deployments {
        let namespace = deployment.namespace().unwrap_or_default();
        if !namespace.starts_with(TEMPORARY_PREFIX) {
            groups.entry(namespace).or_default().push(deployment);
        }
    }
    groups
}

async fn list(target: &Target, namespace: Option<&str>) -> Result<Vec<Deployment>, DiscoveryError> {
    let client = target.client.clone();
    let api: Api<Deployment> =
        namespace.map_or_else(|| Api::all(client.clone()), |namespace| Api::namespaced(client.clone(), namespace));
    let found = api.list(&ListParams::default().labels(LABELS)).await;
    let place = place_of(namespace);
    Ok(found.map_err(|error| DiscoveryError::Api { place, source: error.into() })?.items)
}

fn place_of(namespace: Option<&str>) -> String {
    namespace.map_or_else(|| "in the cluster".to_owned(), |namespace| format!("in namespace {namespace}"))
}

fn reference_of(object: &impl ResourceExt) -> Option<String> {
    object.labels().get("ref").cloned()
}

/// The first host of a route that is not a pattern.
fn host_of(route: &Route) -> Option<String> {
    route.hosts().into_iter().find(|host| !host.starts_with('*'))
}

#[cfg(test)]
mod tests {
    use kube::core::ObjectMeta;

    use super::*;

    #[test]
    fn temporary_namespaces_of_other_runs_do_not_count() {
        let deployment = |namespace: &str| Deployment {
            metadata: ObjectMeta { namespace: Some(namespace.to_owned()), ..ObjectMeta::default() },
            ..Deployment::default()
        };
        let found = by_namespace(["gitlab", "e2e-check-0a1b2c", "gitlab"].map(deployment).into());
        let found: Vec<_> = found.iter().map(|(namespace, all)| (namespace.as_str(), all.len())).collect();
        assert_eq!(found, [("gitlab", 2)]);
    }
}
