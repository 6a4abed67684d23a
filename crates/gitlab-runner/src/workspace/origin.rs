//! Where a checkout comes from.

use std::path::{Path, PathBuf};

use gitlab_ci::plan::context::RefKind;

/// The source of a checkout.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The directory of the repository.
    pub repository: PathBuf,
    /// The hash of the commit.
    pub sha: String,
    /// Whether the pipeline is for a branch, a tag or a merge request.
    pub kind: RefKind,
    /// The name of the branch or tag.
    pub name: String,
    /// The pipeline's number: `CI_PIPELINE_ID`.
    pub pipeline: u64,
    /// Whether the checkout includes uncommitted changes.
    pub has_worktree: bool,
}

impl Origin {
    /// The commit `sha` of the branch, tag or merge request `name`, for the pipeline with the number `pipeline`.
    pub fn new(repository: &Path, sha: &str, kind: RefKind, name: &str, pipeline: u64, has_worktree: bool) -> Self {
        Self {
            repository: repository.to_owned(),
            sha: sha.to_owned(),
            kind,
            name: name.to_owned(),
            pipeline,
            has_worktree,
        }
    }

    /// Whether the repository has SHA-256 hashes, which have 64 digits. SHA-1 hashes have 40.
    pub(super) fn is_sha256(&self) -> bool {
        self.sha.len() == 64
    }
}

/// The URL of a directory. git decodes `%` and two digits in a URL.
pub(super) fn address(dir: &Path) -> String {
    format!("file://{}", dir.display().to_string().replace('%', "%25"))
}
