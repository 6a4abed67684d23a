//! Applies solutions to a project, and verifies them with the real program.

#![expect(clippy::unwrap_used, reason = "test helpers fail by panicking")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::{e2e, project, run};

/// A solution of an exercise: `6.1.patch` changes files, `10.2.sh` has commands.
pub(crate) fn solution(exercise: &str, suffix: &str) -> PathBuf {
    let dir = project().join("docs/course/teacher");
    let names = ["patch", "sh"].map(|extension| dir.join(format!("{exercise}{suffix}.{extension}")));
    let found: Vec<PathBuf> = names.into_iter().filter(|path| path.is_file()).collect();
    assert_eq!(found.len(), 1, "{exercise}{suffix}: expected one solution in {}", dir.display());
    found[0].clone()
}

/// A student's project.
pub(crate) struct Student {
    pub(crate) dir: PathBuf,
    _temporary: Option<tempfile::TempDir>,
}

impl Student {
    /// A new project in a temporary directory.
    pub(crate) fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let Self { dir, .. } = Self::at(&temporary.path().join("project"));
        Self { dir, _temporary: Some(temporary) }
    }

    /// A new project in this directory.
    pub(crate) fn at(dir: &Path) -> Self {
        run(e2e(&["course", "reset", "--directory"]).arg(dir));
        Self { dir: dir.to_owned(), _temporary: None }
    }

    /// Applies a solution as a user would.
    pub(crate) fn apply(&self, solution: &Path) {
        self.apply_with(solution, &[]);
    }

    /// The same, with other paths than those that the pages of the course use.
    pub(crate) fn apply_with(&self, solution: &Path, paths: &[(&str, String)]) {
        if solution.extension().is_some_and(|extension| extension == "patch") {
            run(Command::new("git").arg("-C").arg(&self.dir).arg("apply").arg(solution));
            return;
        }
        let mut script = std::fs::read_to_string(solution).unwrap();
        for (path, replacement) in paths {
            script = script.replace(path, replacement);
        }
        self.run_script(&script);
    }

    /// Runs commands of a page, as a user with a name and an email address.
    pub(crate) fn run_script(&self, script: &str) {
        let script = script.replace("target/course/project", &self.dir.to_string_lossy());
        let mut command = Command::new("bash");
        command.current_dir(project()).args(["-euc", &script]);
        for (variable, value) in [("NAME", "A Student"), ("EMAIL", "student@gitlab.test")] {
            command.env(format!("GIT_AUTHOR_{variable}"), value).env(format!("GIT_COMMITTER_{variable}"), value);
        }
        run(&mut command);
    }

    /// Verifies an exercise.
    pub(crate) fn verify(&self, exercise: &str) -> Command {
        let mut command = e2e(&["course", "verify", exercise, "--directory"]);
        command.arg(&self.dir);
        command
    }
}

/// Asserts that the verifier refuses the exercise with a hint, and returns what it found instead of the goal.
pub(crate) fn refusal(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("\n  hint:  "), "{text}");
    text.lines().find_map(|line| line.strip_prefix("  found: ")).unwrap_or(&text).to_owned()
}

/// Asserts that the exercise is done.
pub(crate) fn assert_done(exercise: &str, output: &Output) {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}{stderr}");
    assert!(text.starts_with(&format!("✔ {exercise} ")) && text.ends_with(": done\n1 of 1 done\n"), "{text}");
}
