//! What a pipeline is for: a branch, a tag or a merge request, and what git knows of it.

use std::path::Path;
use std::time::SystemTime;

use crate::project::git::GitError;
use crate::project::git::Repository;
use gitlab_ci::plan::context::Context;
use gitlab_ci::plan::context::RefKind;
use gitlab_ci::plan::context::Source;

/// What the pipeline is for.
#[derive(Debug)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
pub struct Reference {
    /// A branch; the one that is checked out if neither is given
    #[cfg_attr(feature = "clap", arg(long, value_name = "BRANCH", conflicts_with = "tag"))]
    pub branch: Option<String>,

    /// A tag
    #[cfg_attr(feature = "clap", arg(long, value_name = "TAG"))]
    pub tag: Option<String>,

    /// What starts the pipeline
    #[cfg_attr(feature = "clap", arg(long, default_value = "push", value_name = "SOURCE"))]
    pub source: Source,

    /// The commit that was the branch's before the push; its remote's if not given
    #[cfg_attr(feature = "clap", arg(long, value_name = "COMMIT"))]
    pub before: Option<String>,

    /// The branch that a merge request is for; the default branch if not given
    #[cfg_attr(feature = "clap", arg(long, value_name = "BRANCH"))]
    pub target_branch: Option<String>,

    /// The project's default branch; its remote's if not given
    #[cfg_attr(feature = "clap", arg(long, value_name = "BRANCH"))]
    pub default_branch: Option<String>,

    /// The ref is protected: its jobs get protected variables
    #[cfg_attr(feature = "clap", arg(long))]
    pub protected: bool,

    /// Read the files as they lie here, with changes that are not committed
    #[cfg_attr(feature = "clap", arg(long))]
    pub worktree: bool,
}

impl Reference {
    /// What is checked out, as it lies there.
    pub fn of_checkout() -> Self {
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

    /// Everything that a plan depends on beside the file.
    ///
    /// # Errors
    /// When there is no such ref, or git does not answer.
    pub fn context(&self, repository: &Repository, file: &str) -> Result<Context, GitError> {
        let default_branch = self.default_branch.clone().unwrap_or_else(|| repository.default_branch());
        let (ref_name, commit, tag_message) = match (&self.branch, &self.tag) {
            (_, Some(tag)) => {
                let (commit, message) = repository.tag(tag)?;
                (tag.clone(), commit, message)
            }
            (Some(branch), None) => (branch.clone(), repository.branch(branch)?, String::new()),
            // Also where a commit is checked out and no branch.
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
            (Some(before), _, _) => Some(repository.commit(before)?.sha),
            // The push that would be made now.
            (None, RefKind::Branch, Source::Push) => {
                repository.commit(&format!("refs/remotes/origin/{ref_name}")).ok().map(|commit| commit.sha)
            }
            _ => None,
        };
        let diff_base = if kind == RefKind::MergeRequest {
            let target = self.target_branch.as_ref().unwrap_or(&default_branch);
            Some(repository.merge_base(&repository.branch(target)?.sha, &commit.sha)?)
        } else {
            None
        };
        let (server, project_path) = project_of(repository.remote().as_deref(), repository.folder());
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
            target_branch: self.target_branch.clone(),
            diff_base,
            config_path: file.to_owned(),
            created_at: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            protected: self.protected,
            kubernetes: false,
            user: repository.user(),
        })
    }
}

/// Server and path of a project, from the address that git knows it by; of one without, its folder's name.
pub fn project_of(remote: Option<&str>, folder: &Path) -> (String, String) {
    let own = || {
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        ("https://gitlab.test".to_owned(), format!("local/{name}"))
    };
    let Some(remote) = remote else { return own() };
    let bare = remote.trim_end_matches('/').trim_end_matches(".git");
    if let Some((protocol, rest)) = bare.split_once("://") {
        // Whoever is named before the host, with a password or not, is nobody's business.
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
    #[case::a_folder(Some("/srv/git/demo"), "https://gitlab.test", "local/work")]
    #[case::none(None, "https://gitlab.test", "local/work")]
    fn projects(#[case] remote: Option<&str>, #[case] server: &str, #[case] path: &str) {
        assert_eq!(project_of(remote, Path::new("/x/work")), (server.to_owned(), path.to_owned()));
    }
}
