//! The variables that GitLab computes. <https://docs.gitlab.com/ci/variables/predefined_variables/>
//!
//! `lib/gitlab/ci/variables/builder/pipeline.rb`, `app/models/concerns/ci/predefined_variables.rb`

use super::context::{Context, RefKind};
use crate::pipeline::variables::slug::slugify;

/// A commit's hash where there is none.
const NO_COMMIT: &str = "0000000000000000000000000000000000000000";

/// How long a title may be for the rest of the message to be the description. `CI_COMMIT_DESCRIPTION`
const LONGEST_TITLE: usize = 100;

/// Those of the pipeline: known before there is a job.
pub fn of_pipeline(context: &Context) -> Vec<(&'static str, String)> {
    let commit = &context.commit;
    let title = commit.message.lines().next().unwrap_or_default().to_owned();
    let rest = commit.message.split_once('\n').map_or("", |(_, rest)| rest).trim_start_matches('\n');
    let description = if title.chars().count() < LONGEST_TITLE { rest } else { &commit.message };
    let mut variables = vec![
        ("CI", "true".to_owned()),
        ("GITLAB_CI", "true".to_owned()),
        ("CI_PIPELINE_SOURCE", context.source.name().to_owned()),
        ("CI_COMMIT_SHA", commit.sha.clone()),
        ("CI_COMMIT_SHORT_SHA", commit.sha.chars().take(8).collect()),
        ("CI_COMMIT_BEFORE_SHA", context.before.clone().unwrap_or_else(|| NO_COMMIT.to_owned())),
        ("CI_COMMIT_REF_NAME", context.ref_name.clone()),
        ("CI_COMMIT_REF_SLUG", slugify(&context.ref_name)),
        ("CI_COMMIT_TITLE", title.clone()),
        ("CI_COMMIT_DESCRIPTION", description.to_owned()),
        ("CI_COMMIT_MESSAGE", commit.message.clone()),
        ("CI_COMMIT_AUTHOR", commit.author.clone()),
        ("CI_COMMIT_TIMESTAMP", commit.timestamp.clone()),
        ("CI_COMMIT_REF_PROTECTED", "false".to_owned()),
    ];
    match context.kind {
        RefKind::Branch => variables.push(("CI_COMMIT_BRANCH", context.ref_name.clone())),
        RefKind::Tag => {
            variables.push(("CI_COMMIT_TAG", context.ref_name.clone()));
            variables.push(("CI_COMMIT_TAG_MESSAGE", context.tag_message.clone()));
        }
        RefKind::MergeRequest => {
            let target = context.target_branch.clone().unwrap_or_else(|| context.default_branch.clone());
            variables.extend([
                ("CI_MERGE_REQUEST_IID", "1".to_owned()),
                ("CI_MERGE_REQUEST_ID", "1".to_owned()),
                ("CI_MERGE_REQUEST_EVENT_TYPE", "detached".to_owned()),
                ("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", context.ref_name.clone()),
                ("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA", commit.sha.clone()),
                ("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", target),
                ("CI_MERGE_REQUEST_TITLE", title),
                ("CI_MERGE_REQUEST_PROJECT_PATH", context.project_path.clone()),
            ]);
        }
    }
    if context.kubernetes {
        variables.push(("CI_KUBERNETES_ACTIVE", "true".to_owned()));
    }
    variables.extend(of_project(context));
    variables
}

fn of_project(context: &Context) -> Vec<(&'static str, String)> {
    let path = &context.project_path;
    let (namespace, name) = path.rsplit_once('/').unwrap_or(("", path));
    let server = context.server.trim_end_matches('/');
    let (protocol, host_and_port) = server.split_once("://").unwrap_or(("https", server));
    let default_port = if protocol == "http" { "80" } else { "443" };
    let (host, port) = host_and_port.split_once(':').unwrap_or((host_and_port, default_port));
    vec![
        ("CI_PROJECT_ID", "1".to_owned()),
        ("CI_PROJECT_NAME", name.to_owned()),
        ("CI_PROJECT_TITLE", name.to_owned()),
        ("CI_PROJECT_PATH", path.clone()),
        ("CI_PROJECT_PATH_SLUG", slugify(path)),
        ("CI_PROJECT_NAMESPACE", namespace.to_owned()),
        ("CI_PROJECT_NAMESPACE_SLUG", slugify(namespace)),
        ("CI_PROJECT_ROOT_NAMESPACE", namespace.split('/').next().unwrap_or_default().to_owned()),
        ("CI_PROJECT_URL", format!("{server}/{path}")),
        ("CI_PROJECT_VISIBILITY", "private".to_owned()),
        ("CI_DEFAULT_BRANCH", context.default_branch.clone()),
        ("CI_CONFIG_PATH", ".gitlab-ci.yml".to_owned()),
        ("CI_SERVER_URL", server.to_owned()),
        ("CI_SERVER_HOST", host.to_owned()),
        ("CI_SERVER_PORT", port.to_owned()),
        ("CI_SERVER_PROTOCOL", protocol.to_owned()),
        ("CI_SERVER_FQDN", host_and_port.to_owned()),
        ("CI_SERVER_NAME", "GitLab".to_owned()),
        ("CI_API_V4_URL", format!("{server}/api/v4")),
    ]
}

/// Who started the pipeline. YAML cannot override these.
pub fn of_user(context: &Context) -> Vec<(&'static str, String)> {
    let (name, address) = &context.user;
    let login = address.split('@').next().unwrap_or_default();
    vec![
        ("GITLAB_USER_ID", "1".to_owned()),
        ("GITLAB_USER_LOGIN", login.to_owned()),
        ("GITLAB_USER_NAME", name.clone()),
        ("GITLAB_USER_EMAIL", address.clone()),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::context::Source;
    use super::*;
    use crate::pipeline::git::Commit;

    fn context(kind: RefKind, ref_name: &str) -> Context {
        Context {
            ref_name: ref_name.to_owned(),
            kind,
            source: Source::Push,
            commit: Commit {
                sha: "0123456789abcdef0123456789abcdef01234567".to_owned(),
                author: "A B <a@b.test>".to_owned(),
                timestamp: "2026-01-31T10:20:30+01:00".to_owned(),
                message: "Title\n\nMore of it.".to_owned(),
            },
            before: None,
            tag_message: "good".to_owned(),
            default_branch: "main".to_owned(),
            project_path: "group/Sub_Group/demo".to_owned(),
            server: "https://gitlab.test:8443".to_owned(),
            target_branch: None,
            kubernetes: false,
            changed: None,
            user: ("A B".to_owned(), "a@b.test".to_owned()),
        }
    }

    #[test]
    fn of_a_branch() {
        let variables: BTreeMap<_, _> = of_pipeline(&context(RefKind::Branch, "feature/ABC_1")).into_iter().collect();
        let lines: Vec<_> = variables.iter().map(|(key, value)| format!("{key}={value:?}")).collect();
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn a_tag_is_no_branch_and_a_merge_request_neither() {
        let of = |kind| of_pipeline(&context(kind, "v1")).into_iter().map(|(key, _)| key).collect::<Vec<_>>();
        let (tag, merge_request) = (of(RefKind::Tag), of(RefKind::MergeRequest));
        assert!(tag.contains(&"CI_COMMIT_TAG") && !tag.contains(&"CI_COMMIT_BRANCH"));
        assert!(merge_request.contains(&"CI_MERGE_REQUEST_IID") && !merge_request.contains(&"CI_COMMIT_BRANCH"));
    }
}
