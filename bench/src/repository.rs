//! Repositories with a pipeline.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Context, Error};

/// A repository of one commit with this pipeline, on branch `main`.
pub(crate) fn create(dir: &Path, name: &str, pipeline: &str) -> Result<PathBuf, Error> {
    let dir = dir.join(name);
    fs::create_dir_all(&dir).context(dir.display())?;
    fs::write(dir.join(".gitlab-ci.yml"), pipeline).context(name)?;
    // `e2e` and gitlab-ci-local create files there that do not belong to the repository.
    fs::write(dir.join(".gitignore"), ".gitlab-ci-local/\ntarget/\n").context(name)?;
    let lines: [&[&str]; 4] = [
        &["-c", "init.defaultBranch=main", "init", "--quiet"],
        &["add", "."],
        &["-c", "user.name=Bench", "-c", "user.email=bench@gitlab.test", "commit", "--quiet", "--message", "Pipeline"],
        &["remote", "add", "origin", "https://gitlab.test/course/demo.git"],
    ];
    for line in lines {
        let status = Command::new("git").arg("-C").arg(&dir).args(line).status().context("git")?;
        if !status.success() {
            return Err(Error::Measurement(format!("git {}: {status}", line.join(" "))));
        }
    }
    Ok(dir)
}
