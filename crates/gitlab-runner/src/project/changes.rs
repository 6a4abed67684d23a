//! Which files have changed. Asked for by the first rule that wants to know: git is a program of its own.

use std::cell::OnceCell;

use crate::project::git::Repository;
use gitlab_ci::changes::Compared;
use gitlab_ci::changes::NoSuchRef;
use gitlab_ci::glob;
use gitlab_ci::plan::context::Context;

/// The changes of a pipeline's push, or against other refs.
pub struct Changes<'pipeline> {
    /// Nothing outside of a repository, where nothing is known.
    of: Option<(&'pipeline Repository, &'pipeline Context)>,
    files: OnceCell<Option<Vec<String>>>,
}

impl<'pipeline> Changes<'pipeline> {
    /// Those of a pipeline, if there may be one.
    pub fn new(of: Option<(&'pipeline Repository, &'pipeline Context)>) -> Self {
        Self { of, files: OnceCell::new() }
    }

    /// Whether one of these patterns fits a file that has changed. Where GitLab would not know, all have.
    pub fn any(&self, patterns: &[String]) -> bool {
        let files = self.files.get_or_init(|| {
            let (repository, context) = self.of?;
            repository.changed(context.changed_since()?, &context.commit.sha).ok()
        });
        files.as_ref().is_none_or(|files| glob::any_fits(patterns, files))
    }

    /// The files that differ from a ref.
    ///
    /// # Errors
    /// When there is no such ref.
    pub fn against(&self, name: &str) -> Compared {
        let Some((repository, context)) = self.of else { return Ok(None) };
        // A branch may be the remote's alone.
        let found = repository.commit(name).or_else(|_| repository.branch(name)).map_err(|_| NoSuchRef)?;
        let base = repository.merge_base(&found.sha, &context.commit.sha).ok();
        Ok(base.and_then(|base| repository.changed(&base, &context.commit.sha).ok()))
    }
}
