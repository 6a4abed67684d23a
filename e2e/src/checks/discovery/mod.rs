//! Finds the inputs of the checks in a cluster that the harness did not create, and reports the reason for each choice. Inputs that the
//! user has given are not searched for. The search changes nothing in the cluster.
//!
//! - environments: the namespace, the environments and their hosts. ingress: the address of the Ingress controller. forward: a local port
//!   that leads to the controller. addresses: the addresses in the status and specification of objects.
//! - choice: the user's selection, and each choice with its reason.
//! - prometheus, registry, account: the Service of Prometheus, the login to the registry, the account of the pipeline.

mod account;
mod addresses;
mod choice;
mod environments;
mod forward;
mod ingress;
mod prometheus;
mod registry;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use futures_util::future::join_all;
use k8s_openapi::api::apps::v1::Deployment;

use self::choice::Search;
pub use self::choice::{Choice, DiscoveryError, Selection};
use self::environments::Deployed;
pub use self::environments::TEMPORARY_PREFIX;
use self::forward::Forward;
use super::environment::Environment;
use super::need::Need;
use super::route::Route;
use super::target::Target;
use crate::environment::command::quoted;

/// The result of the search.
pub struct Found {
    /// The environments, each with everything that its checks need.
    pub environments: Vec<Environment>,
    /// The choices, in the order in which they were made.
    pub choices: Vec<Choice>,
    /// The kubectl command for the user, with the pipeline's account, if it is known.
    pub deployer_kubectl: Option<String>,
    /// The environments that have an `HTTPRoute`, by their `ref`.
    pub(super) with_http_route: BTreeSet<String>,
    /// Connections to the Ingress controllers, which are closed when this value is dropped.
    forwards: Vec<Forward>,
}

/// Finds the environments, and what is missing in `target`.
///
/// # Errors
/// If the environments cannot be determined. Everything else that is not found only keeps checks from running.
pub async fn discover(target: &Target, selection: &Selection) -> Result<Found, DiscoveryError> {
    let mut choices = Vec::new();
    let deployed = environments::find(target, selection, &mut choices).await?;
    let mut target = target.clone();
    deployed.iter().take(1).for_each(|first| target.namespace.clone_from(&first.namespace));
    let deployments: Vec<&Deployment> = deployed.iter().filter_map(|it| it.deployment.as_ref()).collect();
    let needs_account = target.deployer.is_none() || selection.account.is_some();
    let groups = ingress::by_controller(&deployed);
    let is_only = groups.len() == 1;
    let controllers = groups
        .iter()
        .map(|group| unless(target.ingress.is_some(), ingress::find(&target, group, selection.is_read_only)));
    // One after the other would take seconds where something does not answer.
    let (controllers, prometheus, registry, account) = tokio::join!(
        join_all(controllers),
        unless(target.prometheus.is_some(), prometheus::find(&target)),
        unless(target.registry.is_some(), registry::find(&target, &deployments)),
        unless(!needs_account, account::find(&target, selection)),
    );
    let mut notes = Notes { choices, missing: BTreeMap::new() };
    let (mut entries, mut forwards) = (Vec::new(), Vec::new());
    for (group, controller) in groups.into_iter().zip(controllers) {
        let controller = controller.map(|search| if is_only { search } else { for_group(&group, search) });
        let found = notes.add("Ingress controller", Need::Ingress, controller, |it| it.address.to_string());
        let address = found.as_ref().map(|it| it.address).or(target.ingress);
        forwards.extend(found.and_then(|it| it.forward));
        entries.push(ControllerGroup { group, address, missing: notes.missing.remove(&Need::Ingress) });
    }
    if let Some(found) = notes.add("Prometheus", Need::Prometheus, prometheus, ToString::to_string) {
        target.prometheus = Some(found);
    }
    if let Some(found) = notes.add("registry", Need::Registry, registry, |it| it.host.clone()) {
        target.registry = Some(found);
    }
    if let Some(found) = notes.add("pipeline's account", Need::Deployer, account, |it| it.name.clone()) {
        target.deployer_kubectl = Some(format!("{} --as {}", target.kubectl, quoted(&found.name)));
        target.deployer = Some(found.client);
    }
    let Notes { choices, missing } = notes;
    let environments = environments(&target, &entries, selection, &missing);
    let with_http_route = deployed.iter().filter(|it| matches!(it.route, Some(Route::HttpRoute(_))));
    let with_http_route = with_http_route.map(|it| it.reference.clone()).collect();
    Ok(Found { environments, choices, deployer_kubectl: target.deployer_kubectl, with_http_route, forwards })
}

impl Found {
    /// Whether the address of an Ingress controller is invalid after this value is dropped.
    pub fn is_forwarded(&self) -> bool {
        !self.forwards.is_empty()
    }
}

/// The environments of one controller, and its address.
struct ControllerGroup<'deployed> {
    group: Vec<&'deployed Deployed>,
    address: Option<SocketAddr>,
    /// Why there is no address.
    missing: Option<String>,
}

/// Adds the names of the environments to the reason of a search's result.
fn for_group<T>(group: &[&Deployed], search: Search<T>) -> Search<T> {
    let names: Vec<&str> = group.iter().map(|one| &*one.reference).collect();
    let reason = |reason: String| format!("for {}: {reason}", names.join(", "));
    match search {
        Ok((found, why)) => Ok((found, reason(why))),
        Err(why) => Err(reason(why)),
    }
}

/// Searches for an input that is not given.
async fn unless<T>(is_given: bool, search: impl Future<Output = Search<T>>) -> Option<Search<T>> {
    if is_given { None } else { Some(search.await) }
}

/// The results of the searches.
struct Notes {
    choices: Vec<Choice>,
    missing: BTreeMap<Need, String>,
}

impl Notes {
    /// Notes the result of a search, and returns what was found. `shown` is its text for people.
    fn add<T>(
        &mut self,
        subject: &'static str,
        need: Need,
        search: Option<Search<T>>,
        shown: impl Fn(&T) -> String,
    ) -> Option<T> {
        let (found, reason) = match search? {
            Ok((found, reason)) => (Some(found), reason),
            Err(reason) => {
                self.missing.insert(need, reason.clone());
                (None, reason)
            }
        };
        self.choices.push(Choice { subject, value: found.as_ref().map(shown), reason });
        found
    }
}

/// The environments, in the order of their names. Pods of one must not answer for the host of another.
fn environments(
    target: &Target,
    entries: &[ControllerGroup<'_>],
    selection: &Selection,
    missing: &BTreeMap<Need, String>,
) -> Vec<Environment> {
    let deployed = || entries.iter().flat_map(|entry| &entry.group);
    let environment = |entry: &ControllerGroup<'_>, one: &Deployed| {
        let others = deployed().filter(|other| other.reference != one.reference);
        let no_address = entry.missing.iter().map(|reason| (Need::Ingress, reason.clone()));
        Environment {
            host: one.host.clone(),
            others: others.map(|other| (other.reference.clone(), other.host.clone())).collect(),
            ingress: entry.address,
            missing: missing.clone().into_iter().chain(no_address).collect(),
            is_read_only: selection.is_read_only,
            ..target.environment(&one.reference, None)
        }
    };
    let all = entries.iter().flat_map(|entry| entry.group.iter().map(move |one| environment(entry, one)));
    let mut all: Vec<Environment> = all.collect();
    all.sort_by(|one, other| one.reference.cmp(&other.reference));
    all
}
