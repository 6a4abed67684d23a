//! A repository that is removed at the end of a test.

#![expect(clippy::unwrap_used, reason = "test helpers fail by panicking")]

use std::path::Path;
use std::process::Command;

use crate::support::{e2e, run};

/// A repository with one commit, to which the default branch, a branch `feature/x` and a tag `v1.0.0` point.
pub(crate) struct Repository(tempfile::TempDir);

impl Repository {
    pub(crate) fn new(default_branch: &str, pipeline: &str) -> Self {
        let repository = Self(tempfile::tempdir().unwrap());
        std::fs::write(repository.path().join(".gitlab-ci.yml"), pipeline).unwrap();
        let initial = format!("init.defaultBranch={default_branch}");
        repository.git(&["-c", &initial, "init", "--quiet"]);
        repository.git(&["add", "."]);
        repository.git(&["commit", "--quiet", "--message", "Pipeline"]);
        repository.git(&["branch", "feature/x"]);
        repository.git(&["tag", "v1.0.0"]);
        repository.git(&["remote", "add", "origin", "https://gitlab.test/course/demo.git"]);
        repository
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn git(&self, arguments: &[&str]) {
        let mut command = Command::new("git");
        command.arg("-C").arg(self.path()).args(["-c", "user.name=A B", "-c", "user.email=a@b.test"]).args(arguments);
        // A fixed date, so that the commit has the same hash on every machine and every day.
        let date = "2026-01-31T10:20:30Z";
        run(command.env("GIT_AUTHOR_DATE", date).env("GIT_COMMITTER_DATE", date));
    }

    /// The harness on this repository.
    pub(crate) fn e2e(&self, arguments: &[&str]) -> Command {
        let mut command = e2e(arguments);
        command.arg("-C").arg(self.path());
        command
    }
}
