//! The refs and commits of a checkout: GitLab's `app/presenters/ci/build_runner_presenter.rb` (`refspecs`)

use std::path::Path;

use gitlab_ci::plan::context::RefKind;

use super::git::{SourcesError, git};
use super::options::Allowed;
use super::origin::Origin;

/// The options of `git fetch` that a job may set with `GIT_FETCH_EXTRA_FLAGS`.
const FLAGS: Allowed = Allowed {
    flags: &[
        "--atomic",
        "--force",
        "--ipv4",
        "--ipv6",
        "--no-progress",
        "--no-recurse-submodules",
        "--no-tags",
        "--progress",
        "--quiet",
        "--refetch",
        "--tags",
        "--unshallow",
        "--update-head-ok",
        "--verbose",
        "-4",
        "-6",
        "-f",
        "-n",
        "-q",
        "-t",
        "-u",
        "-v",
    ],
    settings: &["--deepen", "--depth", "--shallow-exclude", "--shallow-since"],
    // There is nothing to prune or to maintain, and submodules are not there yet.
    unused_flags: &[
        "--auto-gc",
        "--auto-maintenance",
        "--keep",
        "--no-auto-gc",
        "--no-auto-maintenance",
        "--no-prune",
        "--no-show-forced-updates",
        "--prune",
        "--prune-tags",
        "--recurse-submodules",
        "--show-forced-updates",
        "-P",
        "-k",
        "-p",
    ],
    // git would fetch what a filter leaves out when a command needs it, from a directory that a container does not have.
    unused_settings: &["--filter", "--jobs", "-j"],
};

/// Splits `GIT_FETCH_EXTRA_FLAGS` into the options that are passed to git, and those that are not. The value `none` means no options.
pub fn flags(text: &str) -> (Vec<String>, Vec<String>) {
    FLAGS.split(if text.trim() == "none" { "" } else { text })
}

/// The number of commits in `GIT_DEPTH`; 0 for all. `git_depth` calls Ruby's `to_i`: it reads the digits at the beginning, also with single
/// underscores between them, and a text without digits is 0.
pub fn depth(text: &str) -> u32 {
    let text = text.trim_start();
    let mut digits = String::new();
    for part in text.strip_prefix('+').unwrap_or(text).split('_') {
        let end = part.find(|character: char| !character.is_ascii_digit()).unwrap_or(part.len());
        digits.push_str(part.get(..end).unwrap_or_default());
        if end == 0 || end < part.len() {
            break;
        }
    }
    if digits.is_empty() { 0 } else { digits.parse().unwrap_or(u32::MAX) }
}

/// Fetches the commit into the empty repository `dir`. With a `depth`, fetches only the refs of that commit; without one, all branches and
/// tags.
pub(super) async fn fetch(
    dir: &Path,
    origin: &Origin,
    address: &str,
    depth: u32,
    flags: &[String],
) -> Result<(), SourcesError> {
    // Allows fetching a commit by its hash; by default a repository only serves branches and tags.
    let upload = "--upload-pack=git -c uploadpack.allowAnySHA1InWant=true upload-pack";
    // Store all commits in one pack, however few they are, because copies of a checkout share it. Skip maintenance, because the
    // checkout is temporary.
    let mut arguments = vec!["-c", "fetch.unpackLimit=1", "-c", "maintenance.auto=false"];
    arguments.extend(["fetch", "--quiet", "--no-write-fetch-head", upload]);
    let depth_flag = format!("--depth={depth}");
    if depth > 0 {
        arguments.push(&depth_flag);
    } else {
        // The repository may be shallow itself.
        arguments.push("--update-shallow");
    }
    arguments.extend(flags.iter().map(String::as_str));
    arguments.push(address);
    if depth == 0 {
        // Branches of the remote that are not checked out here, and then the local ones, as if they were pushed.
        for refspecs in [
            ["+refs/remotes/origin/*:refs/remotes/origin/*", "^refs/remotes/origin/HEAD"].as_slice(),
            &["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"],
        ] {
            git(Some(dir), &[&arguments, refspecs].concat()).await?;
        }
    }
    let refspecs = refspecs(origin);
    arguments.extend(refspecs.iter().map(String::as_str));
    git(Some(dir), &arguments).await?;
    Ok(())
}

/// The refspecs of the pipeline's own commit. GitLab keeps the ref of a pipeline apart from branches and tags.
fn refspecs(origin: &Origin) -> Vec<String> {
    let Origin { sha, kind, name, pipeline, .. } = origin;
    let mut refspecs = vec![format!("+{sha}:refs/pipelines/{pipeline}")];
    match kind {
        // Fetch the tag object as well: `git describe` uses annotated tags.
        RefKind::Tag => refspecs.push(format!("+refs/tags/{name}:refs/tags/{name}")),
        RefKind::Branch => refspecs.push(format!("+{sha}:refs/remotes/origin/{name}")),
        // `branch?` of a merge request's pipeline is false.
        RefKind::MergeRequest => {}
    }
    refspecs
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::number("50", 50)]
    #[case::all("0", 0)]
    #[case::empty("", 0)]
    #[case::with_a_unit("5 commits", 5)]
    #[case::word("all", 0)]
    #[case::negative("-1", 0)]
    #[case::too_large("99999999999", u32::MAX)]
    #[case::with_a_sign(" +5", 5)]
    #[case::with_two_signs("++5", 0)]
    #[case::with_underscores("1_0_0", 100)]
    #[case::with_two_underscores("1__0", 1)]
    #[case::with_an_underscore_first("_1", 0)]
    #[case::with_an_underscore_last("1_", 1)]
    fn depths_are_read_as_in_ruby(#[case] text: &str, #[case] expected: u32) {
        assert_eq!(depth(text), expected);
    }

    // GitLab's `spec/presenters/ci/build_runner_presenter_spec.rb` (`#refspecs`)
    #[rstest]
    #[case::branch(RefKind::Branch, &["+abc:refs/pipelines/7", "+abc:refs/remotes/origin/v1"])]
    #[case::tag(RefKind::Tag, &["+abc:refs/pipelines/7", "+refs/tags/v1:refs/tags/v1"])]
    #[case::merge_request(RefKind::MergeRequest, &["+abc:refs/pipelines/7"])]
    fn every_checkout_has_the_ref_of_its_pipeline(#[case] kind: RefKind, #[case] expected: &[&str]) {
        assert_eq!(refspecs(&Origin::new(Path::new("/"), "abc", kind, "v1", 7, false)), expected);
    }

    #[rstest]
    #[case::safe("--tags  --prune --depth=3", &["--tags", "--depth=3"], &[])]
    #[case::none(" none ", &[], &[])]
    #[case::value_in_the_next_word("--depth 3 --shallow-since 2.days -q", &["--depth=3", "--shallow-since=2.days", "-q"], &[])]
    #[case::option_as_a_value("--depth --tags", &["--depth=--tags"], &[])]
    #[case::missing_value("--tags --depth", &["--tags"], &["--depth"])]
    #[case::without_an_effect("--filter=blob:none --filter tree:0 -j 4 --recurse-submodules=yes -p --keep", &[], &[])]
    #[case::short_form_of_a_program("--upl=/tmp/x --upload-pack /tmp/x", &[], &["--upl=/tmp/x", "--upload-pack", "/tmp/x"])]
    #[case::other_repositories("--all --multiple --stdin", &[], &["--all", "--multiple", "--stdin"])]
    #[case::refspec("+refs/heads/x:refs/heads/x --", &[], &["+refs/heads/x:refs/heads/x", "--"])]
    #[case::a_program("--upload-pack=/tmp/x -o --tags", &["--tags"], &["--upload-pack=/tmp/x", "-o"])]
    fn only_safe_options_are_passed_to_git(#[case] text: &str, #[case] safe: &[&str], #[case] unsafe_flags: &[&str]) {
        let (passed, ignored) = flags(text);
        assert_eq!(
            (passed, ignored),
            (safe.iter().map(ToString::to_string).collect(), unsafe_flags.iter().map(ToString::to_string).collect())
        );
    }
}
