//! The submodules of a checkout. GitLab Runner's `shells/abstract.go` (`writeSubmoduleUpdateCmd`)
//!
//! A submodule that the user's repository has checked out is copied from there, without network access. Other submodules are fetched
//! from their own addresses. As at GitLab, a relative address is relative to the address of the project.

use std::path::{Path, PathBuf};

use super::git::{SourcesError, fields, git, text};
use super::options::Allowed;

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

/// The options of `git submodule update` that a job may set with `GIT_SUBMODULE_UPDATE_FLAGS`. `--recursive` is not among them: it would
/// fetch from any directory that a `.gitmodules` file names.
const FLAGS: Allowed = Allowed {
    flags: &[
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
        "-N",
        "-f",
    ],
    settings: &["--depth"],
    // The submodules are initialized one after the other, and git writes nothing.
    unused_flags: &["--init", "--quiet", "-q"],
    unused_settings: &["--filter", "--jobs", "-j"],
};

/// Splits `GIT_SUBMODULE_UPDATE_FLAGS` into the options that are passed to git, and those that are not.
pub fn flags(text: &str) -> (Vec<String>, Vec<String>) {
    FLAGS.split(text)
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

    #[rstest]
    #[case::of_the_update("--remote --depth 2 -f --init", "--remote --depth=2 -f", "")]
    #[case::number_of_jobs("--jobs 4 -j 2 --jobs=3", "", "")]
    #[case::other_repository("--reference /home/me/private", "", "--reference /home/me/private")]
    #[case::any_directory("--recursive --remote", "--remote", "--recursive")]
    fn only_options_that_stay_with_the_submodules_are_passed_to_git(
        #[case] text: &str,
        #[case] passed: &str,
        #[case] ignored: &str,
    ) {
        let found = flags(text);
        assert_eq!((found.0.join(" "), found.1.join(" ")), (passed.to_owned(), ignored.to_owned()));
    }
}
