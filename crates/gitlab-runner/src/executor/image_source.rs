//! Images that do not come from a registry.

use futures_util::future::BoxFuture;

/// An image that replaces the one that a job names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The reference by which the engine knows the image.
    pub reference: String,
    /// The recipe, if the image was built on this machine.
    pub built_from: Option<String>,
}

/// Provides images for jobs from another source than a registry.
pub trait ImageSource: Send + Sync {
    /// Obtains the image that a job calls `name`. Returns `None` for an unknown name, which is then pulled. The error is a message for the
    /// user that names the image and says why it cannot be obtained.
    fn resolve<'source>(&'source self, name: &'source str) -> BoxFuture<'source, Result<Option<Resolved>, String>>;

    /// Records that a job uses `reference` for the image that it calls `name`.
    fn note_use(&self, name: &str, reference: &str);
}
