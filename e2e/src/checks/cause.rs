//! The cause of a failure, as the cluster shows it.

/// A part of the environment that a check depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The Deployment, its pods, and the nodes that they run on.
    Pods,
    /// The creation of new pods by the Deployment. Its old pods may still work.
    Update,
    /// The pods that the check itself has created.
    Own,
    Service,
    /// The cluster's DNS.
    Dns,
    /// The Ingress, its class, and the class's controller.
    Ingress,
}

/// The problem of an object, and the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remedy {
    pub(crate) what: String,
    pub(crate) fix: String,
    /// Whether the state lasts until a user or a job changes something.
    pub(crate) is_lasting: bool,
    /// Whether requests may succeed all the same, for example by a controller that was not found. If some have succeeded, the state is
    /// not the cause.
    pub(crate) is_uncertain: bool,
}

impl Remedy {
    pub(crate) fn new(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { what: what.into(), fix: fix.into(), is_lasting: false, is_uncertain: false }
    }

    pub(crate) fn uncertain(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { is_uncertain: true, ..Self::new(what, fix) }
    }

    pub(crate) fn lasting(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { is_lasting: true, ..Self::new(what, fix) }
    }
}

/// A state of an object that keeps checks from passing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    pub(crate) part: Part,
    /// The only check that this concerns: for [`Part::Own`], the one that created the pod.
    pub(crate) check: Option<String>,
    /// The object, for example `Pod gitlab/gitlab-k8s-demo-dev-1`.
    pub(crate) object: String,
    pub(crate) remedy: Remedy,
}
