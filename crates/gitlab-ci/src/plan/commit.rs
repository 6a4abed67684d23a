//! The commit that a pipeline is for.

/// A commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// Its hash, 40 digits.
    pub sha: String,
    /// `Name <address>`.
    pub author: String,
    /// When it was committed, ISO 8601.
    pub timestamp: String,
    /// All of its message.
    pub message: String,
}
