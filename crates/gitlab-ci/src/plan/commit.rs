//! The commit that a pipeline is for.

/// A commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// The SHA-1 in 40 hexadecimal digits.
    pub sha: String,
    /// The author: `Name <address>`.
    pub author: String,
    /// The commit date in ISO 8601.
    pub timestamp: String,
    /// The complete message.
    pub message: String,
}
