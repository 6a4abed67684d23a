//! Errors of git commands.

use std::path::PathBuf;

/// A failed git command.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// git cannot be started.
    #[error("cannot run git")]
    NotRun(#[source] std::io::Error),
    /// git ended with an error.
    #[error("`git {line}` failed: {message}")]
    Failed {
        /// The arguments of git, separated by spaces.
        line: String,
        /// The output on standard error.
        message: String,
    },
    /// The directory does not exist, or is not a directory.
    #[error("there is no directory `{}`", .0.display())]
    NoDirectory(PathBuf),
    /// The directory is not in the working tree of a repository.
    #[error("`{}` is not in a git repository; run `git init` and commit the pipeline file, or use `e2e lint`, which needs no repository",
        .0.display())]
    NoRepository(PathBuf),
    /// The branch, tag or commit does not exist.
    #[error("no such {kind}: `{name}`{}", nearest.as_ref().map(|it| format!("; did you mean `{it}`?")).unwrap_or_default())]
    NoSuchRef {
        /// `branch`, `tag` or `commit`.
        kind: &'static str,
        /// The requested name.
        name: String,
        /// The most similar existing name.
        nearest: Option<String>,
    },
}

impl GitError {
    /// Whether the user's input caused the error.
    pub fn is_input(&self) -> bool {
        matches!(self, Self::NoSuchRef { .. } | Self::NoDirectory(_) | Self::NoRepository(_))
    }
}
