//! What a check is, and how it ends.

use futures_util::future::BoxFuture;

use super::access;
use super::extra_pod::ExtraPod;
use super::subject::Subject;
use crate::record::Failure;

/// What a check saw.
#[derive(Debug, Default)]
pub struct Evidence {
    /// In words, a line each.
    pub(super) lines: Vec<String>,
    /// A pod that the check has made: nothing is to be learnt from it any more, and it has been told to end.
    pub(super) leaving: Option<ExtraPod>,
}

impl Evidence {
    pub(super) fn add(&mut self, line: String) {
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
    pub(super) run: fn(Subject) -> BoxFuture<'static, Outcome>,
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
    pub(super) async fn is_met(self, subject: &Subject) -> bool {
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
    pub(super) fn hint(self) -> &'static str {
        match self {
            Self::Registry => "the registry's login is not known (`--registry`)",
            Self::Deployer => "the pipeline's account is not known (`--deployer-kubeconfig`)",
            Self::Ingress => "the Ingress controller's address is not known (`--ingress`)",
            Self::Prometheus => "there is no Prometheus (`--prometheus`)",
            Self::PodCreation => "the account of the checks may not create pods in the namespace (`--kubeconfig`)",
        }
    }
}

/// Tells the pod that a check has made to end, when the check has come to its own end, and returns that. After a success the pod
/// is on its way out, with what was seen; after a failure it is gone.
///
/// # Errors
/// Why the check failed, or else why the API server does not take the pod away.
pub(super) async fn end_pod(pod: ExtraPod, subject: &Subject, outcome: Outcome) -> Outcome {
    let told = pod.tell_to_end().await;
    match outcome {
        Ok(mut evidence) => {
            told?;
            evidence.leaving = Some(pod);
            Ok(evidence)
        }
        Err(failure) => {
            let _ = pod.gone(subject).await;
            Err(failure)
        }
    }
}
