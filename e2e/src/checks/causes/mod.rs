//! The causes of failures, as the cluster shows them: states of objects that keep a check from passing.

mod observer;
mod pod;
mod refused;
mod traffic;
mod workload;

pub(super) use self::observer::{Observer, observe};
pub(super) use self::refused::refused;

/// A part of the environment that a check depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The Deployment, its pods, and the nodes that they run on.
    Pods,
    /// The pods that the check itself has created.
    Own,
    Service,
    /// The cluster's DNS.
    Dns,
    /// The Ingress, its class, and the class's controller.
    Ingress,
}

/// What is wrong with an object, and the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Remedy {
    pub(super) what: String,
    pub(super) fix: String,
    /// Whether it stays so until somebody changes something.
    pub(super) is_lasting: bool,
}

impl Remedy {
    fn new(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { what: what.into(), fix: fix.into(), is_lasting: false }
    }

    fn lasting(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { is_lasting: true, ..Self::new(what, fix) }
    }
}

/// A state of an object that keeps checks from passing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cause {
    pub(super) part: Part,
    /// The check whose pod it is, for [`Part::Own`].
    pub(super) check: Option<String>,
    /// The object, for example `Pod gitlab/gitlab-k8s-demo-dev-1`.
    pub(super) object: String,
    pub(super) remedy: Remedy,
}
