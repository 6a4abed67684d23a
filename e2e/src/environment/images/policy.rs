//! The ways in which images may be obtained.

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ImagePolicy {
    /// Use a present image, or else pull it, or else build it
    Auto,
    /// Use a present image, or else pull it
    Pull,
    /// Use an image that was built on this machine, or else build it
    Build,
}

/// The prefix of the references of images that are built on this machine.
pub(super) const BUILT: &str = "gitlab-ci-k8s-demo/";
