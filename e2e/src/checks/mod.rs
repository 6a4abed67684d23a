//! The checks: one file each, and one list of all of them.
//!
//! A check waits for what it wants to see, with a deadline, and explains what it saw instead. It takes away what it made.
//!
//! - [`subject`]: what is checked. [`failure`]: why something is not as it should be.
//! - [`http`], [`load`], [`registry_api`], [`extra_pod`]: what checks are made with.

pub mod extra_pod;
pub mod failure;
pub mod http;
pub mod load;
pub mod registry_api;
pub mod run;
pub mod subject;
pub mod target;

mod access;
mod bindings;
mod check;
mod deployment;
mod ingress;
mod liveness;
mod pod_security;
mod pull_secret;
mod rbac;
mod readiness;
mod refusal;
mod registry;
mod rollout;
mod scraping;
mod service;
mod version;

pub use self::check::{Check, Evidence, Need, Outcome, Pods};
pub use self::registry::image as image_of;

macro_rules! check {
    ($module:ident, $name:literal, $proves:literal, $needs:expr, $pods:ident) => {
        Check {
            name: $name,
            proves: $proves,
            needs: $needs,
            pods: Pods::$pods,
            run: |subject| Box::pin($module::run(subject)),
        }
    };
}

/// All of them.
pub static CHECKS: &[Check] = &[
    check!(
        registry,
        "registry",
        "the registry asks for a login, and the pods run what the tag stands for",
        &[Need::Registry],
        Deployed
    ),
    check!(pull_secret, "pull-secret", "pods pull with the pull secret, and without it nobody does", &[], Own),
    check!(
        rbac,
        "rbac",
        "the pipeline's account may do what its jobs do, and nothing elsewhere",
        &[Need::Deployer],
        Deployed
    ),
    check!(pod_security, "pod-security", "the namespace refuses a privileged pod", &[Need::PodCreation], Deployed),
    check!(
        deployment,
        "deployment",
        "every replica is available, with its labels and without privileges",
        &[],
        Deployed
    ),
    check!(readiness, "readiness", "a pod gets no traffic before /health is 200, and gets it then", &[], Own),
    check!(liveness, "liveness", "a pod that hangs is started again, and traffic does not notice", &[], Own),
    check!(service, "service", "every pod answers through the Service", &[], Deployed),
    check!(
        scraping,
        "scraping",
        "Prometheus has every pod up by its annotations, and counts every request",
        &[Need::Prometheus],
        Deployed
    ),
    check!(
        ingress,
        "ingress",
        "the host answers, an unknown one does not, environments never mix",
        &[Need::Ingress],
        Deployed
    ),
    check!(version, "version", "what runs is the commit that was pushed, and its log says so", &[], Deployed),
    check!(rollout, "rollout", "an update and a deleted pod cost no request", &[Need::Ingress], Replaced),
];

/// The check of this name, or the name that is nearest to it.
///
/// # Errors
/// The nearest name, when there is none of this one.
pub fn find(name: &str) -> Result<&'static Check, &'static str> {
    if let Some(check) = CHECKS.iter().find(|check| check.name == name) {
        return Ok(check);
    }
    let likeness = |check: &Check| strsim::jaro_winkler(check.name, name);
    let nearest = CHECKS.iter().max_by(|one, other| likeness(one).total_cmp(&likeness(other)));
    Err(nearest.map_or("", |check| check.name))
}
