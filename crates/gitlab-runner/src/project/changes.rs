//! The changed files of a pipeline. They are determined when the first rule uses them, because git runs as a separate process.

use std::cell::OnceCell;

use crate::project::git::{Renames, Repository};
use gitlab_ci::changes::{Compared, NoSuchRef};
use gitlab_ci::glob;
use gitlab_ci::plan::context::Context;

/// The files changed by a pipeline's push, or compared with other refs.
pub struct Changes<'pipeline> {
    /// `None` outside of a repository, where changes are unknown.
    pipeline: Option<(&'pipeline Repository, &'pipeline Context)>,
    files: OnceCell<Option<Vec<String>>>,
}

impl<'pipeline> Changes<'pipeline> {
    /// The changes of a pipeline; `None` outside of a repository.
    pub fn new(pipeline: Option<(&'pipeline Repository, &'pipeline Context)>) -> Self {
        Self { pipeline, files: OnceCell::new() }
    }

    /// Whether one of the patterns matches a changed file. If the changes are unknown, the result is `true`, as in GitLab.
    pub fn any(&self, patterns: &[String]) -> bool {
        let files = self.files.get_or_init(|| {
            let (repository, context) = self.pipeline?;
            repository.changed(context.changed_since()?, &context.commit.sha, Renames::BothPaths).ok()
        });
        files.as_ref().is_none_or(|files| glob::any_matches(patterns, files))
    }

    /// The files that differ from the ref `name`; `None` if that cannot be determined.
    ///
    /// # Errors
    /// The ref does not exist. GitLab does not create the pipeline then.
    pub fn against(&self, name: &str) -> Compared {
        let Some((repository, context)) = self.pipeline else { return Ok(None) };
        let found = repository.pushed(name).map_err(|_| NoSuchRef)?;
        let base = repository.merge_base(&found.sha, &context.commit.sha).ok();
        Ok(base.and_then(|base| repository.changed(&base, &context.commit.sha, Renames::NewPath).ok()))
    }
}
