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

mod access;
mod bindings;
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

use futures_util::future::BoxFuture;

use self::extra_pod::ExtraPod;
pub use self::registry::image as image_of;
use self::subject::Subject;
use crate::record::Failure;

/// What a check saw.
#[derive(Debug, Default)]
pub struct Evidence {
    /// In words, a line each.
    lines: Vec<String>,
    /// A pod that the check has made: nothing is to be learnt from it any more, and it has been told to end.
    leaving: Option<ExtraPod>,
}

impl Evidence {
    fn add(&mut self, line: String) {
        self.lines.push(line);
    }
}

/// How a check ends.
pub type Outcome = Result<Evidence, Failure>;

/// A check.
#[derive(Debug)]
pub struct Check {
    /// Its name.
    pub name: &'static str,
    /// What it proves, in one line.
    pub proves: &'static str,
    /// What it cannot do without.
    pub needs: &'static [Need],
    /// What it has to do with pods.
    pub pods: Pods,
    run: fn(Subject) -> BoxFuture<'static, Outcome>,
}

/// What a check has to do with pods, which says what may go on beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pods {
    /// It looks at those that were deployed.
    Deployed,
    /// It replaces those, so that no other may look at them at the same time.
    Replaced,
    /// It makes one that is its own, and looks at that alone.
    Own,
}

/// Something that not everybody can give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The registry's address and login.
    Registry,
    /// The pipeline's account.
    Deployer,
    /// The Ingress controller's address.
    Ingress,
    /// Prometheus.
    Prometheus,
    /// The right to create pods in the namespace.
    PodCreation,
}

impl Need {
    /// Whether it is there. A right that the API server cannot be asked about is taken for granted: the check itself then reports
    /// why the API server does not answer.
    async fn is_met(self, subject: &Subject) -> bool {
        match self {
            Self::Registry => subject.registry.is_some(),
            Self::Deployer => subject.deployer.is_some(),
            Self::Ingress => subject.ingress.is_some(),
            Self::Prometheus => subject.prometheus.is_some(),
            Self::PodCreation => {
                let namespace = Some(&*subject.namespace);
                let asked = access::may(&subject.client, namespace, ("create", "", "pods"));
                // On the heap: it would be in the future of every check.
                Box::pin(asked).await.unwrap_or(true)
            }
        }
    }

    /// How it is given.
    fn hint(self) -> &'static str {
        match self {
            Self::Registry => "the registry's login is not known (`--registry`)",
            Self::Deployer => "the pipeline's account is not known (`--deployer-kubeconfig`)",
            Self::Ingress => "the Ingress controller's address is not known (`--ingress`)",
            Self::Prometheus => "there is no Prometheus (`--prometheus`)",
            Self::PodCreation => "the account of the checks may not create pods in the namespace (`--kubeconfig`)",
        }
    }
}

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
