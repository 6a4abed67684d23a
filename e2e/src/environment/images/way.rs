//! The ways by which an image may come.

/// Which ways an image may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Way {
    /// Here already, else pulled, else built
    Auto,
    /// Here already, else pulled
    Pull,
    /// Built already, else built
    Build,
}

/// What the references of images begin with that were built here.
pub(super) const BUILT: &str = "gitlab-ci-k8s-demo/";
