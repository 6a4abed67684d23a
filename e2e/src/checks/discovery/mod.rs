//! Finds the inputs of the checks in a cluster that the harness did not create, and reports the reason for each choice. Inputs that the user
//! has given are not searched for. The search changes nothing in the cluster.
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

pub use self::choice::{Choice, DiscoveryError, Selection};
use self::environments::Deployed;
use self::forward::Forward;
use super::environment::Environment;
use super::need::Need;
use super::target::Target;

/// What was found.
pub struct Found {
    /// The environments, each with everything that its checks need.
    pub environments: Vec<Environment>,
    /// The choices, in the order in which they were made.
    pub choices: Vec<Choice>,
    /// A connection to the Ingress controller, which lasts as long as this value.
    _forward: Option<Forward>,
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
    let mut missing = BTreeMap::new();
    let deployments: Vec<&Deployment> = deployed.iter().filter_map(|it| it.deployment.as_ref()).collect();
    // One after the other would take seconds where something does not answer.
    let (controller, prometheus, registry, account) = tokio::join!(
        async {
            if target.ingress.is_some() {
                None
            } else {
                Some(ingress::find(&target, &deployed, selection.is_read_only).await)
            }
        },
        async { if target.prometheus.is_some() { None } else { Some(prometheus::find(&target).await) } },
        async { if target.registry.is_some() { None } else { Some(registry::find(&target, &deployments).await) } },
        async {
            if target.deployer.is_some() && selection.account.is_none() {
                None
            } else {
                Some(account::find(&target, selection).await)
            }
        },
    );
    let mut note = |subject, need, value: Option<String>, reason: String| {
        if value.is_none() {
            missing.insert(need, reason.clone());
        }
        choices.push(Choice { subject, value, reason });
    };
    let mut forward = None;
    match controller {
        Some(Ok((found, reason))) => {
            note("Ingress controller", Need::Ingress, Some(found.address.to_string()), reason);
            target.ingress = Some(found.address);
            forward = found.forward;
        }
        Some(Err(reason)) => note("Ingress controller", Need::Ingress, None, reason),
        None => {}
    }
    match prometheus {
        Some(Ok((found, reason))) => {
            note("Prometheus", Need::Prometheus, Some(found.to_string()), reason);
            target.prometheus = Some(found);
        }
        Some(Err(reason)) => note("Prometheus", Need::Prometheus, None, reason),
        None => {}
    }
    match registry {
        Some(Ok((found, reason))) => {
            note("registry", Need::Registry, Some(found.host.clone()), reason);
            target.registry = Some(found);
        }
        Some(Err(reason)) => note("registry", Need::Registry, None, reason),
        None => {}
    }
    match account {
        Some(Ok((found, reason))) => {
            note("pipeline's account", Need::Deployer, Some(found.name), reason);
            target.deployer = Some(found.client);
        }
        Some(Err(reason)) => note("pipeline's account", Need::Deployer, None, reason),
        None => {}
    }
    let environments = environments(&target, &deployed, selection, &missing);
    Ok(Found { environments, choices, _forward: forward })
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
