//! The ref that a pipeline is for: a branch, a tag or a merge request, with its commit.

use std::path::Path;

use crate::project::git::{GitError, Repository};
use gitlab_ci::gitlab_version::GitlabVersion;
use gitlab_ci::plan::context::{Context, RefKind, Source};

/// The ref that the pipeline is for, and its circumstances.
#[derive(Debug)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
pub struct Reference {
    /// Branch; the default without `--tag` is the branch that is checked out
    #[cfg_attr(feature = "clap", arg(long, value_name = "BRANCH", conflicts_with = "tag"))]
    pub branch: Option<String>,

    /// Tag
    #[cfg_attr(feature = "clap", arg(long, value_name = "TAG"))]
    pub tag: Option<String>,

    /// Source of the pipeline
    #[cfg_attr(feature = "clap", arg(long, default_value = "push", value_name = "SOURCE"))]
    pub source: Source,

    /// Commit of the branch before the push (default: the remote branch's commit)
    #[cfg_attr(feature = "clap", arg(long, value_name = "COMMIT"))]
    pub before: Option<String>,

    /// Target branch of a merge request (default: the default branch)
    #[cfg_attr(feature = "clap", arg(long, value_name = "BRANCH"))]
    pub target_branch: Option<String>,

    /// Default branch of the project (default: the remote's default branch)
    #[cfg_attr(feature = "clap", arg(long, value_name = "BRANCH"))]
    pub default_branch: Option<String>,

    /// Treat the ref as protected: its jobs receive protected variables
    #[cfg_attr(feature = "clap", arg(long))]
    pub protected: bool,

    /// Use the working tree, including uncommitted changes
    #[cfg_attr(feature = "clap", arg(long))]
    pub worktree: bool,
}

impl Reference {
    /// The working tree of the branch that is checked out, including uncommitted changes.
    pub fn from_checkout() -> Self {
        Self {
            branch: None,
            tag: None,
            source: Source::Push,
            before: None,
            target_branch: None,
            default_branch: None,
            protected: false,
            worktree: true,
        }
    }

    /// The context that a plan depends on in addition to the pipeline file. `file` is the path of the pipeline file.
    ///
    /// # Errors
    /// A ref or commit does not exist, or git failed.
    pub fn context(&self, repository: &Repository, file: &str) -> Result<Context, GitError> {
        let default_branch = self
            .default_branch
            .as_deref()
            .map_or_else(|| repository.default_branch(), |name| branch_name(name).to_owned());
        let target_branch = self.target_branch.as_deref().map(branch_name);
        let branch = self.branch.as_deref().map(branch_name);
        let tag = self.tag.as_deref().map(|tag| tag.strip_prefix("refs/tags/").unwrap_or(tag));
        let (ref_name, commit, tag_message) = match (branch, tag) {
            (_, Some(tag)) => {
                let (commit, message) = repository.tag(tag)?;
                (tag.to_owned(), commit, message)
            }
            (Some(branch), None) => (branch.to_owned(), repository.branch(branch)?, String::new()),
            // With a detached HEAD, use the name of the default branch.
            (None, None) => {
                let branch = repository.current_branch().unwrap_or_else(|| default_branch.clone());
                (branch, repository.commit("HEAD")?, String::new())
            }
        };
        let kind = match (&self.tag, self.source) {
            (Some(_), _) => RefKind::Tag,
            (None, Source::MergeRequestEvent) => RefKind::MergeRequest,
            (None, _) => RefKind::Branch,
        };
        let before = match (&self.before, kind, self.source) {
            (Some(before), _, _) => Some(repository.pushed(before)?.sha),
            // As if the branch were pushed now.
            (None, RefKind::Branch, Source::Push) => {
                repository.commit(&format!("refs/remotes/origin/{ref_name}")).ok().map(|commit| commit.sha)
            }
            _ => None,
        };
        let diff_base = match kind {
            RefKind::MergeRequest => {
                let target = target_branch.unwrap_or(&default_branch);
                Some(repository.merge_base(&repository.branch(target)?.sha, &commit.sha)?)
            }
            // The default branch may not exist, and the branches may have nothing in common.
            RefKind::Branch if ref_name != default_branch => repository
                .branch(&default_branch)
                .and_then(|default| repository.merge_base(&default.sha, &commit.sha))
                .ok(),
            RefKind::Branch | RefKind::Tag => None,
        };
        let (server, project_path) = project_of(repository.remote().as_deref(), repository.dir());
        Ok(Context {
            ref_name,
            kind,
            source: self.source,
            commit,
            before,
            tag_message,
            default_branch,
            project_path,
            server,
            version: GitlabVersion::default(),
            target_branch: target_branch.map(str::to_owned),
            diff_base,
            config_path: file.to_owned(),
            protected: self.protected,
            kubernetes: false,
            user: repository.user(),
        })
    }
}

/// A branch may be given by its full name.
fn branch_name(name: &str) -> &str {
    name.strip_prefix("refs/heads/").unwrap_or(name)
}

/// The server's URL and the project's path, from the URL of the remote. Without a usable remote, the path is `local/` and the name of
/// the directory.
///
/// ```
/// use gitlab_runner::project::reference::project_of;
///
/// let (server, project) = project_of(Some("git@gitlab.example.com:group/demo.git"), "/src/demo".as_ref());
/// assert_eq!((&*server, &*project), ("https://gitlab.example.com", "group/demo"));
/// ```
pub fn project_of(remote: Option<&str>, dir: &Path) -> (String, String) {
    let own = || {
        let name = dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        ("https://gitlab.test".to_owned(), format!("local/{name}"))
    };
    let Some(remote) = remote else { return own() };
    let bare = remote.trim_end_matches('/').trim_end_matches(".git");
    if let Some((protocol, rest)) = bare.split_once("://") {
        // Drop the user name and the password.
        let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
        if let Some((host, path)) = rest.split_once('/').filter(|(host, _)| !host.is_empty()) {
            let protocol = if protocol == "http" { "http" } else { "https" };
            return (format!("{protocol}://{host}"), path.to_owned());
        }
    } else if let Some((host, path)) = bare.split_once(':').filter(|(host, _)| !host.contains('/')) {
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        return (format!("https://{host}"), path.trim_start_matches('/').to_owned());
    }
    own()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::https(Some("https://gitlab.test/group/sub/demo.git"), "https://gitlab.test", "group/sub/demo")]
    #[case::with_a_password(
        Some("https://me:secret@gitlab.test:8443/group/demo"),
        "https://gitlab.test:8443",
        "group/demo"
    )]
    #[case::ssh(Some("git@gitlab.test:group/demo.git"), "https://gitlab.test", "group/demo")]
    #[case::ssh_url(Some("ssh://git@gitlab.test/group/demo.git"), "https://gitlab.test", "group/demo")]
    #[case::local_directory(Some("/srv/git/demo"), "https://gitlab.test", "local/work")]
    #[case::no_remote(None, "https://gitlab.test", "local/work")]
    fn the_project_follows_from_the_remote(#[case] remote: Option<&str>, #[case] server: &str, #[case] path: &str) {
        assert_eq!(project_of(remote, Path::new("/x/work")), (server.to_owned(), path.to_owned()));
    }
}
