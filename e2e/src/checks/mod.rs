//! The checks: one file each, and one list of all of them.
//!
//! A check waits, with a deadline, for the state that it expects, and reports the actual state instead. It removes the resources that it
//! has created.
//!
//! - [`environment`]: the environment under test. [`failure`]: why a check failed.
//! - [`connection`]: the cluster and the account. [`discovery`]: finds what the checks need in a cluster of others.
//! - [`report`]: the report of all checks, with [`about`] the cluster and how to [`reproduce`] each result.
//! - [`rights`]: the permissions that the checks need in each mode.
//! - [`http`], [`load`], [`registry_api`], [`extra_pod`]: tools for checks.

pub mod about;
pub mod connection;
pub mod discovery;
pub mod environment;
pub mod extra_pod;
pub mod failure;
pub mod http;
pub mod load;
pub mod registry_api;
pub mod report;
pub mod reproduce;
pub mod rights;
pub mod run;
pub mod target;

mod access;
mod bindings;
mod cause;
mod causes;
mod check;
mod deployment;
mod dns;
mod gateway_api;
mod ingress;
pub(crate) mod ingress_class;
mod liveness;
mod need;
mod pod_security;
mod pull_denial;
mod pull_secret;
mod rbac;
mod readiness;
mod registry;
mod rollout;
mod route;
mod scrape_targets;
mod scraping;
mod service;
mod version;

pub use self::cause::Part;
pub use self::check::{Check, Evidence, Outcome, Pods};
pub use self::need::Need;
pub use self::registry::image as image_of;
use gitlab_ci::suggest;

macro_rules! check {
    ($module:ident, $name:literal, $proves:literal, $needs:expr, $pods:ident, $parts:expr) => {
        Check {
            name: $name,
            proves: $proves,
            needs: $needs,
            pods: Pods::$pods,
            parts: $parts,
            run: |environment| Box::pin($module::run(environment)),
        }
    };
}

pub static CHECKS: &[Check] = &[
    check!(
        registry,
        "registry",
        "the registry requires a login, and the pods run the image that the tag refers to",
        &[Need::Registry],
        Deployed,
        &[Part::Pods]
    ),
    check!(
        pull_secret,
        "pull-secret",
        "pods pull the image with the pull secret, and cannot pull it without one",
        &[Need::Changes, Need::PullSecret],
        Own,
        &[Part::Own]
    ),
    check!(
        rbac,
        "rbac",
        "the pipeline's account has the permissions that its jobs need, and none elsewhere",
        &[Need::Deployer],
        Deployed,
        &[]
    ),
    check!(
        pod_security,
        "pod-security",
        "the namespace rejects privileged pods",
        &[Need::Changes, Need::PodCreation],
        Deployed,
        &[]
    ),
    check!(
        deployment,
        "deployment",
        "all replicas are available, with their labels and without privileges",
        &[],
        Deployed,
        &[Part::Pods, Part::Update]
    ),
    check!(
        readiness,
        "readiness",
        "a pod gets no traffic until /health returns 200, and gets traffic afterwards",
        &[Need::Changes],
        Own,
        &[Part::Own, Part::Service]
    ),
    check!(
        liveness,
        "liveness",
        "a hanging pod is restarted, and no request fails",
        &[Need::Changes],
        Own,
        &[Part::Own, Part::Service, Part::Ingress]
    ),
    check!(
        dns,
        "dns",
        "a pod resolves the names of Services, and gets no address for a missing one",
        &[Need::Changes],
        Own,
        &[Part::Own, Part::Dns]
    ),
    check!(service, "service", "every pod responds through the Service", &[], Deployed, &[Part::Pods, Part::Service]),
    check!(
        scraping,
        "scraping",
        "Prometheus scrapes every pod because of the annotations, and counts every request",
        &[Need::Prometheus],
        Deployed,
        &[Part::Pods]
    ),
    check!(
        ingress,
        "ingress",
        "the host responds, an unknown host does not, and pods of one environment never respond for the host of another",
        &[Need::Ingress],
        Deployed,
        &[Part::Service, Part::Ingress]
    ),
    check!(
        version,
        "version",
        "the pods run the pushed commit, and their logs say so",
        &[Need::Commit],
        Deployed,
        &[Part::Pods]
    ),
    check!(
        rollout,
        "rollout",
        "no request fails during an update and after a pod is deleted",
        &[Need::Changes, Need::Ingress],
        Replaced,
        &[Part::Pods, Part::Update, Part::Service, Part::Ingress]
    ),
];

/// Finds the check with this name.
///
/// # Errors
/// The most similar name, if no check has this name.
pub fn find(name: &str) -> Result<&'static Check, &'static str> {
    if let Some(check) = CHECKS.iter().find(|check| check.name == name) {
        return Ok(check);
    }
    Err(suggest::nearest(name, CHECKS.iter().map(|check| check.name)).unwrap_or_default())
}
