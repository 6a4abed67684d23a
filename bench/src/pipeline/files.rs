//! The pipelines that both programs read, each in its own repository.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Context, Error};

/// The article's pipeline in the style of 2019.
pub(super) const ARTICLE: &str = include_str!("../../../e2e/tests/pipeline/fixtures/of-2019.gitlab-ci.yml");

/// `count` jobs in three stages, with the features of larger files: `extends`, variables, rules with expressions, needs.
pub(super) fn mixed(count: usize) -> String {
    let mut text = String::from(
        "stages: [build, test, deploy]\n\
         variables: {LEVEL: top, IMAGE: alpine}\n\
         .base:\n  image: $IMAGE\n  before_script: [echo before]\n  variables: {KIND: base, WHERE: $CI_COMMIT_REF_SLUG}\n",
    );
    for number in 0..count {
        let stage = ["build", "test", "deploy"].get(number * 3 / count.max(1)).copied().unwrap_or("deploy");
        // Writing to a `String` cannot fail.
        let _ = write!(
            text,
            "job-{number}:\n  extends: .base\n  stage: {stage}\n  script: [echo {number}]\n  variables: {{NUMBER: \"{number}\"}}\n  \
             rules:\n    - if: $CI_COMMIT_BRANCH == \"main\" && $LEVEL =~ /^t/\n      variables: {{CHOSEN: \"yes\"}}\n    \
             - if: $CI_COMMIT_TAG\n      when: manual\n"
        );
        if number >= count / 3 && number % 2 == 0 {
            let _ = writeln!(text, "  needs: [job-{}]", number % (count / 3).max(1));
        }
    }
    text
}

/// `count` jobs that do nothing.
pub(super) fn trivial(count: usize) -> String {
    (0..count).map(|number| format!("job-{number}: {{script: \"true\"}}\n")).collect::<Vec<_>>().concat()
}

/// A repository of one commit with this pipeline, on branch `main`.
pub(super) fn repository(dir: &Path, name: &str, pipeline: &str) -> Result<PathBuf, Error> {
    let dir = dir.join(name);
    fs::create_dir_all(&dir).context(dir.display())?;
    fs::write(dir.join(".gitlab-ci.yml"), pipeline).context(name)?;
    // Both programs create files there that do not belong to the repository.
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
