//! The definition of a check, and its outcome.

use futures_util::future::{BoxFuture, join_all};

use super::access;
use super::cause::{Cause, Part};
use super::environment::Environment;
use super::extra_pod::ExtraPod;
use super::need::Need;
use crate::record::Failure;
use crate::record::check_report::Profile;

/// The evidence that a check has collected.
#[derive(Debug, Default)]
pub struct Evidence {
    /// One sentence per line.
    pub(super) lines: Vec<String>,
    /// The pods that the check has created, has finished observing and has deleted, and that may still be terminating.
    pub(super) leaving: Vec<ExtraPod>,
}

impl Evidence {
    pub(super) fn add(&mut self, line: String) {
        self.lines.push(line);
    }
}

pub type Outcome = Result<Evidence, Failure>;

#[derive(Debug)]
pub struct Check {
    /// The check's name.
    pub name: &'static str,
    /// The claim that it verifies, in one line.
    pub proves: &'static str,
    /// The inputs that it requires.
    pub needs: &'static [Need],
    /// How it uses pods.
    pub pods: Pods,
    /// The parts of the environment that it depends on. If it fails, the cause is in one of them.
    pub parts: &'static [Part],
    pub(super) run: fn(Environment) -> BoxFuture<'static, Outcome>,
}

impl Check {
    /// Its requirements of a cluster. Changes and the creation of pods only need permissions.
    pub fn profile(&self) -> Profile {
        let is_special = |need: &Need| match need {
            Need::Registry | Need::Deployer | Need::Ingress | Need::Prometheus => true,
            Need::PullSecret | Need::Commit | Need::PodCreation | Need::Changes => false,
        };
        if self.needs.iter().any(is_special) { Profile::Extended } else { Profile::Core }
    }

    /// Whether a cause can make this check fail.
    pub(super) fn concerns(&self, cause: &Cause, environment: &Environment) -> bool {
        // Without the controller's address, `liveness` sends no requests to the host.
        let sends_none = environment.ingress.is_none() && self.parts.contains(&Part::Ingress);
        if sends_none && matches!(cause.part, Part::Service | Part::Ingress) {
            return false;
        }
        self.parts.contains(&cause.part) && cause.check.as_deref().is_none_or(|check| check == self.name)
    }
}

/// How a check uses pods, which determines what can run concurrently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pods {
    /// It only observes the deployed pods.
    Deployed,
    /// It replaces the deployed pods, so no other check may observe them at the same time.
    Replaced,
    /// It creates its own pod and observes only that one.
    Own,
}

impl Need {
    /// Whether the input is available. If the API server does not respond to an access review, assumes the permission: the check itself
    /// then reports why the API server does not respond.
    pub(super) async fn is_met(self, environment: &Environment) -> bool {
        match self {
            Self::Registry => environment.registry.is_some(),
            Self::Deployer => environment.deployer.is_some(),
            Self::Ingress => environment.ingress.is_some(),
            Self::Prometheus => environment.prometheus.is_some(),
            Self::Changes => !environment.is_read_only,
            // They are in the objects that a pipeline deploys.
            Self::PullSecret | Self::Commit => !environment.missing.contains_key(&self),
            Self::PodCreation => {
                let namespace = Some(&*environment.namespace);
                let asked = access::is_permitted(&environment.client, namespace, ("create", "", "pods"));
                // Boxed: it would otherwise enlarge the future of every check.
                Box::pin(asked).await.unwrap_or(true)
            }
        }
    }

    /// Why the check is not run without the input, and what to do.
    pub(super) fn hint(self, environment: &Environment) -> String {
        if let Some(reason) = environment.missing.get(&self) {
            return reason.clone();
        }
        let hint = match self {
            Self::Changes => "it creates or replaces pods; run without `--read-only`",
            Self::Registry => "the registry's credentials are not given (`--registry`)",
            Self::Deployer => "the pipeline's account is not given (`--deployer-kubeconfig`)",
            Self::Ingress => "the Ingress controller's address is not given (`--ingress`)",
            Self::Prometheus => "the Service of Prometheus is not given (`--prometheus`)",
            Self::PullSecret => "the pods have no pull secret",
            Self::Commit => "the commit of the image is not given (`--commit`)",
            Self::PodCreation => {
                "the account of the checks is not allowed to create pods in the namespace (`--kubeconfig`)"
            }
        };
        hint.to_owned()
    }
}

/// Deletes the pod that a check has created, and returns the check's outcome. After a success the pod may still be terminating (the
/// evidence holds it); after a failure this waits until the pod is gone.
///
/// # Errors
/// The check's failure, or else the reason why the pod cannot be deleted.
pub(super) async fn end_pod(pod: ExtraPod, environment: &Environment, outcome: Outcome) -> Outcome {
    end_pods(vec![pod], environment, outcome).await
}

/// Like [`end_pod`], for several pods at the same time.
pub(super) async fn end_pods(pods: Vec<ExtraPod>, environment: &Environment, outcome: Outcome) -> Outcome {
    let deleted = join_all(pods.iter().map(ExtraPod::delete)).await;
    match outcome {
        Ok(mut evidence) => {
            deleted.into_iter().collect::<Result<(), _>>()?;
            evidence.leaving.extend(pods);
            Ok(evidence)
        }
        Err(failure) => {
            join_all(pods.into_iter().map(|pod| pod.wait_until_gone(environment))).await;
            Err(failure)
        }
    }
}
