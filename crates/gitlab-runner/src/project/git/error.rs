//! Why git did not answer.

/// A question that git did not answer.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// git cannot be run.
    #[error("git cannot be run")]
    NotRun(#[source] std::io::Error),
    /// It ended with an error.
    #[error("`git {line}`: {said}")]
    Failed {
        /// The arguments.
        line: String,
        /// What it said.
        said: String,
    },
    /// There is no such branch, tag or commit.
    #[error("there is no {kind} `{name}` here{}", nearest.as_ref().map(|it| format!(", did you mean `{it}`?")).unwrap_or_default())]
    NoSuchRef {
        /// Branch, tag or commit.
        kind: &'static str,
        /// What was asked for.
        name: String,
        /// The name that is nearest.
        nearest: Option<String>,
    },
}

impl GitError {
    /// Whether it is about a name that somebody gave.
    pub fn is_input(&self) -> bool {
        matches!(self, Self::NoSuchRef { .. })
    }
}
