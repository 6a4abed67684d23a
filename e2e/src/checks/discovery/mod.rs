//! Finds the inputs of the checks in a cluster that the harness did not create, and reports the reason for each choice. Inputs that the
//! user has given are not searched for. The search changes nothing in the cluster.
//!
//! - environments: the namespace, the environments and their hosts. ingress: the address of the Ingress controller, if necessary by
//!   forward; addresses: the addresses in the status and specification of objects.
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

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;

use self::choice::Search;
pub use self::choice::{Choice, DiscoveryError, Selection};
use self::environments::Deployed;
use self::forward::Forward;
use super::environment::Environment;
use super::need::Need;
use super::target::Target;
use crate::environment::command::quoted;

/// What was found.
pub struct Found {
    /// The environments, each with everything that its checks need.
    pub environments: Vec<Environment>,
    /// The choices, in the order in which they were made.
    pub choices: Vec<Choice>,
    /// The kubectl command for the user, with the pipeline's account, if it is known.
    pub deployer_kubectl: Option<String>,
    /// A connection to the Ingress controller, which lasts as long as this value.
    forward: Option<Forward>,
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
    // One after the other would take seconds where something does not answer.
    let (controller, prometheus, registry, account) = tokio::join!(
        unless(target.ingress.is_some(), ingress::find(&target, &deployed, selection.is_read_only)),
        unless(target.prometheus.is_some(), prometheus::find(&target)),
        unless(target.registry.is_some(), registry::find(&target, &deployments)),
        unless(!needs_account, account::find(&target, selection)),
    );
    let mut notes = Notes { choices, missing: BTreeMap::new() };
    let mut forward = None;
    if let Some(found) = notes.add("Ingress controller", Need::Ingress, controller, |it| it.address.to_string()) {
        target.ingress = Some(found.address);
        forward = found.forward;
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
    let environments = environments(&target, &deployed, selection, &missing);
    Ok(Found { environments, choices, deployer_kubectl: target.deployer_kubectl, forward })
}

impl Found {
    /// Whether the address of the Ingress controller exists only as long as this value.
    pub fn is_forwarded(&self) -> bool {
        self.forward.is_some()
    }
}

/// Searches for an input that is not given.
async fn unless<T>(is_given: bool, search: impl Future<Output = Search<T>>) -> Option<Search<T>> {
    if is_given { None } else { Some(search.await) }
}

/// What is noted of the searches.
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

/// The environments. Pods of one must not answer for the host of another.
fn environments(
    target: &Target,
    deployed: &[Deployed],
    selection: &Selection,
    missing: &BTreeMap<Need, String>,
) -> Vec<Environment> {
    let environment = |one: &Deployed| {
        let others = deployed.iter().filter(|other| other.reference != one.reference);
        Environment {
            host: one.host.clone(),
            others: others.map(|other| (other.reference.clone(), other.host.clone())).collect(),
            missing: missing.clone(),
            is_read_only: selection.is_read_only,
            ..target.environment(&one.reference, None)
        }
    };
    deployed.iter().map(environment).collect()
}
