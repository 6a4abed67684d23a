//! Images that come from elsewhere than a registry.

use futures_util::future::BoxFuture;

/// An image that takes the place of another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The reference by which the engine knows it.
    pub reference: String,
    /// What it was built from, if it was built here.
    pub built_from: Option<String>,
}

/// Provides images that jobs name, where they do not come from a registry.
pub trait ImageSource: Send + Sync {
    /// Gets the image that a job calls `name`, and returns nothing if it does not know that name. The error is a sentence that names the
    /// image and says why it cannot be obtained.
    fn resolve<'source>(&'source self, name: &'source str) -> BoxFuture<'source, Result<Option<Resolved>, String>>;

    /// Notes that a container is made of `reference` for what a job calls `name`.
    fn note_use(&self, name: &str, reference: &str);
}
