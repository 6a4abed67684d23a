//! Files with uncommitted changes.

use std::path::Path;
use std::process::Command;

use super::command::{command, output};
use super::error::GitError;
use super::repository::Repository;

/// The settings that name a program which converts a file before git compares it with the commit.
const FILTERS: &str = r"^filter\..*\.(clean|process)$";

impl Repository {
    /// The number of files with uncommitted changes, ignored files excluded. No filter program is run, because the repository decides which
    /// files it would get: if only a filter makes a file equal to the commit, it may be counted.
    ///
    /// # Errors
    /// git cannot be run or fails.
    pub fn uncommitted(&self) -> Result<usize, GitError> {
        // git would run the filters of a submodule's own configuration.
        let arguments = ["status", "--porcelain", "-z", "--no-renames", "--ignore-submodules=dirty"];
        let mut status = command(self.dir(), &arguments);
        disable(&filters(self.dir())?, &mut status);
        Ok(output(status, &arguments)?.split_terminator('\0').count())
    }
}

/// The names of the settings that start filter programs.
fn filters(dir: &Path) -> Result<Vec<String>, GitError> {
    // git fails if there are none.
    let listed = command(dir, &["config", "--null", "--name-only", "--get-regexp", FILTERS]).output();
    let listed = listed.map_err(GitError::NotRun)?.stdout;
    Ok(String::from_utf8_lossy(&listed).split_terminator('\0').map(str::to_owned).collect())
}

/// Overrides settings by environment variables: git would split the value of `-c` at the first `=`, which a name may contain.
/// <https://git-scm.com/docs/git-config#Documentation/git-config.txt-GITCONFIGCOUNT>
fn disable(filters: &[String], command: &mut Command) {
    // The user may have set some in the same way.
    let mut count = std::env::var("GIT_CONFIG_COUNT").ok().and_then(|count| count.parse().ok()).unwrap_or(0_usize);
    for name in filters {
        let filter = name.rsplit_once('.').map_or("", |(filter, _)| filter);
        for (key, value) in [(name.clone(), ""), (format!("{filter}.required"), "false")] {
            command.env(format!("GIT_CONFIG_KEY_{count}"), key).env(format!("GIT_CONFIG_VALUE_{count}"), value);
            count += 1;
        }
    }
    command.env("GIT_CONFIG_COUNT", count.to_string());
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::repository::tests::run;
    use super::*;

    #[test]
    fn changed_new_and_deleted_files_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        run(dir.path(), "init --quiet");
        for name in ["changed", "deleted", "same", "moved"] {
            fs::write(dir.path().join(name), "a file of some length, so that git could detect a renamed one\n")
                .unwrap();
        }
        fs::write(dir.path().join(".gitignore"), "ignored\n").unwrap();
        run(dir.path(), "add .");
        run(dir.path(), "commit --quiet --message first");
        let repository = Repository::open(dir.path()).unwrap();
        assert_eq!(repository.uncommitted().unwrap(), 0);
        fs::write(dir.path().join("changed"), "2").unwrap();
        fs::remove_file(dir.path().join("deleted")).unwrap();
        fs::write(dir.path().join("new\nline"), "").unwrap();
        fs::write(dir.path().join("ignored"), "").unwrap();
        run(dir.path(), "mv moved to");
        assert_eq!(repository.uncommitted().unwrap(), 5);
    }

    /// A filter of the user's configuration gets the file that the repository selects.
    #[test]
    fn no_filter_program_is_run() {
        let dir = tempfile::tempdir().unwrap();
        run(dir.path(), "init --quiet");
        let names = ["plain", "a=b.c"];
        let attributes = names.map(|name| format!("{name} filter={name}\n")).concat();
        fs::write(dir.path().join(".gitattributes"), attributes).unwrap();
        for name in names {
            fs::write(dir.path().join(name), "1").unwrap();
        }
        run(dir.path(), "add .");
        run(dir.path(), "commit --quiet --message first");
        for name in names {
            fs::write(dir.path().join(name), "2").unwrap();
        }
        let section =
            |name| format!("[filter \"{name}\"]\nclean = touch ran; cat\nprocess = touch ran\nrequired = true\n");
        let config = names.map(section).concat();
        let path = dir.path().join(".git/config");
        fs::write(&path, fs::read_to_string(&path).unwrap() + &config).unwrap();
        let repository = Repository::open(dir.path()).unwrap();
        assert_eq!(repository.uncommitted().unwrap(), 2);
        assert!(!dir.path().join("ran").exists());
        // The test would notice a filter.
        command(dir.path(), &["status"]).output().unwrap();
        assert!(dir.path().join("ran").exists());
    }
}
