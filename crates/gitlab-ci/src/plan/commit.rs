//! The commit that a pipeline is for.

/// A commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// The hash in hexadecimal digits: 40 for SHA-1, 64 for SHA-256.
    pub sha: String,
    /// The author: `Name <address>`.
    pub author: String,
    /// The commit date in ISO 8601.
    pub timestamp: String,
    /// The complete message.
    pub message: String,
}
