//! The submodules of a checkout. GitLab Runner's `shells/abstract.go` (`writeSubmoduleUpdateCmd`)
//!
//! A submodule that the user's repository has checked out is copied from there, without network access. Other submodules are fetched
//! from their own addresses. As at GitLab, a relative address is relative to the address of the project.

use std::path::{Path, PathBuf};

use super::git::{SourcesError, fields, git, text};

/// `GIT_SUBMODULE_STRATEGY`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// No submodules: their directories stay empty.
    #[default]
    None,
    /// The submodules of the project.
    Normal,
    /// The submodules of the project and, recursively, their submodules.
    Recursive,
}

/// The submodules of a checkout, as jobs can choose them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Submodules {
    /// `GIT_SUBMODULE_STRATEGY`.
    pub strategy: Strategy,
    /// `GIT_SUBMODULE_PATHS`: patterns of git for paths. Empty for all submodules.
    pub paths: Vec<String>,
    /// `GIT_SUBMODULE_DEPTH`: number of commits; 0 for all.
    pub depth: u32,
    /// `GIT_SUBMODULE_UPDATE_FLAGS`.
    pub flags: Vec<String>,
}

/// The options of `git submodule update` that a job may set. git runs outside of the job's container.
const SAFE_FLAGS: [&str; 11] = [
    "--checkout",
    "--force",
    "--merge",
    "--no-fetch",
    "--no-recommend-shallow",
    "--no-single-branch",
    "--progress",
    "--rebase",
    "--recommend-shallow",
    "--remote",
    "--single-branch",
];

/// Splits `GIT_SUBMODULE_UPDATE_FLAGS` into the options that are passed to git, and those that are not.
pub fn flags(written: &str) -> (Vec<String>, Vec<String>) {
    let mut words = written.split_whitespace().map(str::to_owned).peekable();
    let (mut passed, mut ignored) = (Vec::new(), Vec::new());
    while let Some(word) = words.next() {
        // The number of jobs has no effect: submodules are updated one after the other.
        if word == "--jobs" || word == "-j" {
            words.next_if(|next| next.bytes().all(|byte| byte.is_ascii_digit()));
        } else if word.starts_with("--jobs=") {
            // It has no effect either.
        } else if SAFE_FLAGS.contains(&word.as_str()) {
            passed.push(word);
        } else {
            ignored.push(word);
        }
    }
    (passed, ignored)
}

/// An address without the login that the user's own may contain. Jobs can read it, and so can other users, on git's command line.
fn public(address: &str) -> String {
    let Some((scheme @ ("http" | "https"), rest)) = address.split_once("://") else { return address.to_owned() };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    format!("{scheme}://{host}/{path}")
}

/// A repository with submodules: its checkout, and the directory of the repositories that the user has of its submodules.
struct Level {
    checkout: PathBuf,
    modules: PathBuf,
    /// The base of relative addresses.
    address: Option<String>,
}

/// Checks out the submodules of `checkout`, whose commits come from the user's `repository`.
pub(super) async fn update(checkout: &Path, repository: &Path, options: &Submodules) -> Result<(), SourcesError> {
    if options.strategy == Strategy::None || !checkout.join(".gitmodules").exists() {
        return Ok(());
    }
    let modules = repository.join(text(&git(Some(repository), &["rev-parse", "--git-path", "modules"]).await?));
    let address = git(Some(repository), &["config", "--get", "remote.origin.url"]).await.ok();
    let address = address.map(|address| public(&text(&address)));
    let mut levels = vec![Level { checkout: checkout.to_owned(), modules, address }];
    let mut is_first = true;
    while let Some(level) = levels.pop() {
        // `GIT_SUBMODULE_PATHS` selects submodules of the project.
        let paths = if is_first { options.paths.as_slice() } else { &[] };
        is_first = false;
        for module in level.init(paths).await? {
            level.update(&module, options).await?;
            let below = level.checkout.join(&module.path);
            if options.strategy == Strategy::Recursive && below.join(".gitmodules").exists() {
                let modules = level.modules.join(&module.name).join("modules");
                levels.push(Level { checkout: below, modules, address: Some(module.address) });
            }
        }
    }
    Ok(())
}

/// A submodule that is checked out.
struct Module {
    name: String,
    path: String,
    /// The hash of its commit.
    sha: String,
    address: String,
}

impl Level {
    /// Registers the submodules below `paths`, and returns them.
    async fn init(&self, paths: &[String]) -> Result<Vec<Module>, SourcesError> {
        let dir = Some(self.checkout.as_path());
        let base = self.address.as_ref().map(|address| format!("remote.origin.url={address}"));
        let mut arguments: Vec<&str> = base.iter().flat_map(|base| ["-c", base]).collect();
        arguments.extend(["submodule", "--quiet", "init", "--"]);
        arguments.extend(paths.iter().map(String::as_str));
        git(dir, &arguments).await?;
        // `KEY LF VALUE NUL`
        let listed =
            git(dir, &["config", "--file", ".gitmodules", "-z", "--get-regexp", r"^submodule\..*\.path$"]).await?;
        let mut modules = Vec::new();
        for field in fields(&listed) {
            let field = String::from_utf8_lossy(field);
            let Some((key, path)) = field.split_once('\n') else { continue };
            let name = key.strip_prefix("submodule.").and_then(|name| name.strip_suffix(".path")).unwrap_or_default();
            // Not among the paths, or not registered for another reason.
            let Ok(address) = git(dir, &["config", "--get", &format!("submodule.{name}.url")]).await else { continue };
            let literal = format!(":(literal){path}");
            let staged = git(dir, &["ls-files", "--stage", "-z", "--", &literal]).await?;
            let staged = String::from_utf8_lossy(&staged);
            // `160000 HASH 0<tab>PATH`
            let Some(sha) = staged.strip_prefix("160000 ").and_then(|rest| rest.split(' ').next()) else { continue };
            let (name, path, sha) = (name.to_owned(), path.to_owned(), sha.to_owned());
            modules.push(Module { name, path, sha, address: text(&address) });
        }
        Ok(modules)
    }

    /// Checks out a submodule.
    async fn update(&self, module: &Module, options: &Submodules) -> Result<(), SourcesError> {
        let dir = Some(self.checkout.as_path());
        let Module { name, path, sha, address } = module;
        let url = format!("submodule.{name}.url");
        let local = self.modules.join(name);
        let commit = format!("{sha}^{{commit}}");
        let is_here = !options.flags.iter().any(|flag| flag == "--remote")
            && local.is_dir()
            && git(Some(&local), &["cat-file", "-e", &commit]).await.is_ok();
        let mut arguments = Vec::new();
        if is_here {
            git(dir, &["config", &url, &super::origin::address(&local)]).await?;
            // By default, git refuses addresses of directories, because `.gitmodules` may name any directory. This one was found in the
            // user's repository.
            arguments.extend(["-c", "protocol.file.allow=always"]);
        }
        let depth = format!("--depth={}", options.depth);
        arguments.extend(["submodule", "--quiet", "update"]);
        if options.depth > 0 {
            arguments.push(&depth);
        }
        arguments.extend(options.flags.iter().map(String::as_str));
        let literal = format!(":(literal){path}");
        arguments.extend(["--", &literal]);
        git(dir, &arguments).await.map_err(|error| unreachable(module, &error))?;
        if is_here {
            git(dir, &["config", &url, address]).await?;
            git(Some(&self.checkout.join(path)), &["remote", "set-url", "origin", address]).await?;
        }
        Ok(())
    }
}

/// The error for a submodule that cannot be fetched.
fn unreachable(Module { path, address, .. }: &Module, error: &SourcesError) -> SourcesError {
    // git tries twice, and repeats its message.
    let reason = error.reason.lines().find(|line| line.starts_with("fatal:")).unwrap_or(&error.reason);
    let reason = reason.trim_start_matches("fatal: ");
    SourcesError {
        step: format!("cannot fetch the submodule `{path}` from {address}"),
        reason: format!(
            "{reason}; run `git submodule update --init --recursive` in the repository: jobs get the submodules that it has checked out"
        ),
        is_unreachable: true,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::with_a_login("https://me:secret@gitlab.test/g/p.git", "https://gitlab.test/g/p.git")]
    #[case::ssh("ssh://git@gitlab.test/g/p.git", "ssh://git@gitlab.test/g/p.git")]
    #[case::short_form_of_ssh("git@gitlab.test:g/p.git", "git@gitlab.test:g/p.git")]
    #[case::an_at_sign_in_the_path("https://gitlab.test/g/@p", "https://gitlab.test/g/@p")]
    fn logins_are_removed_from_addresses(#[case] address: &str, #[case] expected: &str) {
        assert_eq!(public(address), expected);
    }

    #[test]
    fn options_that_name_other_repositories_are_left_out() {
        let (passed, ignored) = flags("--remote --jobs 4 -j 2 --jobs=3 --reference /home/me/private");
        assert_eq!(
            (passed.join(" "), ignored.join(" ")),
            ("--remote".to_owned(), "--reference /home/me/private".to_owned())
        );
    }
}
