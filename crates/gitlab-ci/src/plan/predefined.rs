//! The variables that GitLab computes. <https://docs.gitlab.com/ci/variables/predefined_variables/>
//!
//! `lib/gitlab/ci/variables/builder/pipeline.rb`, `app/models/concerns/ci/predefined_variables.rb`

use std::sync::LazyLock;

use regex::Regex;

use super::context::{Context, RefKind, Source};
use super::instances::Instance;
use crate::config::job::Job;
use crate::gitlab_version::GitlabVersion;
use crate::variables::slug::slugify;

/// The hash of a commit that does not exist.
const NO_COMMIT: &str = "0000000000000000000000000000000000000000";

/// The description of a commit is its whole message if the title has at least this length, in characters.
/// `CI_COMMIT_DESCRIPTION`
const MAX_TITLE_LENGTH: usize = 100;

/// The maximum length of a commit message in variables, in bytes. `lib/gitlab/ci/variables/builder/pipeline.rb`
const MAX_MESSAGE_BYTES: usize = 100_000;

/// The ID of the project, the merge request and the pipeline: a replay has one of each.
const ID: &str = "1";

/// When the variables of the pipeline are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PipelinePhase {
    /// GitLab reads `include` and `workflow:rules`. The pipeline has no number yet.
    Configuration,
    /// GitLab has numbered the pipeline (`lib/gitlab/ci/pipeline/chain/seed.rb`), and creates its jobs.
    Jobs,
}

/// Returns the variables of the pipeline, which are known before there are jobs. When the pipeline was created is known only when a job
/// runs, because GitLab saves the pipeline last.
pub(super) fn pipeline_variables(context: &Context, phase: PipelinePhase) -> Vec<(&'static str, String)> {
    let number = match phase {
        PipelinePhase::Configuration => String::new(),
        PipelinePhase::Jobs => ID.to_owned(),
    };
    let mut variables = vec![
        ("CI", "true".to_owned()),
        ("GITLAB_CI", "true".to_owned()),
        ("CI_PIPELINE_IID", number),
        ("CI_PIPELINE_SOURCE", context.source.name().to_owned()),
    ];
    match context.source {
        Source::Schedule => variables.push(("CI_PIPELINE_SCHEDULE_DESCRIPTION", String::new())),
        Source::Trigger => variables.push(("CI_PIPELINE_TRIGGERED", "true".to_owned())),
        _ => {}
    }
    variables.extend(commit_variables(context));
    match context.kind {
        RefKind::Branch => {
            variables.push(("CI_COMMIT_BRANCH", context.ref_name.clone()));
            let base = context.diff_base.clone().filter(|_| context.version >= GitlabVersion::new(19, 1));
            variables.extend(base.map(|base| ("CI_COMMIT_DEFAULT_BRANCH_BASE_SHA", base)));
        }
        RefKind::Tag => {
            variables.push(("CI_COMMIT_TAG", context.ref_name.clone()));
            variables.push(("CI_COMMIT_TAG_MESSAGE", context.tag_message.clone()));
        }
        RefKind::MergeRequest => variables.extend(merge_request_variables(context)),
    }
    if context.kubernetes {
        variables.push(("CI_KUBERNETES_ACTIVE", "true".to_owned()));
    }
    variables.extend(server_variables(context));
    variables.extend(project_variables(context));
    variables
}

fn commit_variables(context: &Context) -> Vec<(&'static str, String)> {
    let commit = &context.commit;
    let message = truncated(&commit.message);
    let title = title(message);
    // `app/models/commit.rb`: the rest starts with the empty line after the title.
    let rest = message.split_once('\n').map_or("", |(_, rest)| rest);
    let rest = rest.strip_suffix('\n').map_or(rest, |rest| rest.strip_suffix('\r').unwrap_or(rest));
    let description = if title.chars().count() < MAX_TITLE_LENGTH { rest } else { message };
    vec![
        ("CI_COMMIT_SHA", commit.sha.clone()),
        ("CI_COMMIT_SHORT_SHA", commit.sha.chars().take(8).collect()),
        ("CI_COMMIT_BEFORE_SHA", context.before.clone().unwrap_or_else(|| NO_COMMIT.to_owned())),
        ("CI_COMMIT_REF_NAME", context.ref_name.clone()),
        ("CI_COMMIT_REF_SLUG", slugify(&context.ref_name)),
        ("CI_COMMIT_TITLE", title.to_owned()),
        ("CI_COMMIT_DESCRIPTION", description.to_owned()),
        ("CI_COMMIT_MESSAGE", message.to_owned()),
        ("CI_COMMIT_MESSAGE_IS_TRUNCATED", (message.len() < commit.message.len()).to_string()),
        ("CI_COMMIT_AUTHOR", commit.author.clone()),
        // A repository does not contain the GitLab users of its authors.
        ("CI_COMMIT_USER_LOGIN", String::new()),
        ("CI_COMMIT_TIMESTAMP", commit.timestamp.clone()),
        ("CI_COMMIT_REF_PROTECTED", context.protected.to_string()),
    ]
}

fn title(message: &str) -> &str {
    message.lines().next().unwrap_or_default()
}

fn truncated(message: &str) -> &str {
    message.get(..message.floor_char_boundary(MAX_MESSAGE_BYTES)).unwrap_or(message)
}

/// `predefined_variables` of `app/models/merge_request.rb`, for a merge request within one project.
fn merge_request_variables(context: &Context) -> Vec<(&'static str, String)> {
    let path = &context.project_path;
    let url = format!("{}/{path}", context.server.trim_end_matches('/'));
    let target = context.target_branch.as_ref().unwrap_or(&context.default_branch);
    let title = title(&context.commit.message);
    let is_draft = ["draft:", "[draft]", "(draft)"]
        .iter()
        .any(|word| title.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word)));
    vec![
        ("CI_OPEN_MERGE_REQUESTS", format!("{path}!{ID}")),
        ("CI_MERGE_REQUEST_ID", ID.to_owned()),
        ("CI_MERGE_REQUEST_IID", ID.to_owned()),
        ("CI_MERGE_REQUEST_REF_PATH", format!("refs/merge-requests/{ID}/head")),
        ("CI_MERGE_REQUEST_EVENT_TYPE", "detached".to_owned()),
        ("CI_MERGE_REQUEST_PROJECT_ID", ID.to_owned()),
        ("CI_MERGE_REQUEST_PROJECT_PATH", path.clone()),
        ("CI_MERGE_REQUEST_PROJECT_URL", url.clone()),
        ("CI_MERGE_REQUEST_SOURCE_PROJECT_ID", ID.to_owned()),
        ("CI_MERGE_REQUEST_SOURCE_PROJECT_PATH", path.clone()),
        ("CI_MERGE_REQUEST_SOURCE_PROJECT_URL", url),
        ("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", context.ref_name.clone()),
        ("CI_MERGE_REQUEST_SOURCE_BRANCH_PROTECTED", context.protected.to_string()),
        // Both have a value only in a pipeline for the merged result.
        ("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA", String::new()),
        ("CI_MERGE_REQUEST_TARGET_BRANCH_SHA", String::new()),
        ("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", target.clone()),
        // GitLab protects only the default branch of a new project.
        ("CI_MERGE_REQUEST_TARGET_BRANCH_PROTECTED", (*target == context.default_branch).to_string()),
        ("CI_MERGE_REQUEST_DIFF_ID", ID.to_owned()),
        ("CI_MERGE_REQUEST_DIFF_BASE_SHA", context.diff_base.clone().unwrap_or_default()),
        ("CI_MERGE_REQUEST_TITLE", title.to_owned()),
        ("CI_MERGE_REQUEST_DESCRIPTION", String::new()),
        ("CI_MERGE_REQUEST_DESCRIPTION_IS_TRUNCATED", "false".to_owned()),
        ("CI_MERGE_REQUEST_DRAFT", is_draft.to_string()),
        ("CI_MERGE_REQUEST_SQUASH_ON_MERGE", "false".to_owned()),
    ]
}

fn server_variables(context: &Context) -> Vec<(&'static str, String)> {
    let server = context.server.trim_end_matches('/');
    let (protocol, host_and_port) = server.split_once("://").unwrap_or(("https", server));
    let default_port = if protocol == "http" { "80" } else { "443" };
    let (host, port) = host_and_port.split_once(':').unwrap_or((host_and_port, default_port));
    let [major, minor, patch] = context.version.parts();
    vec![
        ("CI_SERVER_URL", server.to_owned()),
        ("CI_SERVER_HOST", host.to_owned()),
        ("CI_SERVER_PORT", port.to_owned()),
        ("CI_SERVER_PROTOCOL", protocol.to_owned()),
        ("CI_SERVER_FQDN", host_and_port.to_owned()),
        ("CI_SERVER_SHELL_SSH_HOST", host.to_owned()),
        ("CI_SERVER_SHELL_SSH_PORT", "22".to_owned()),
        ("CI_SERVER_NAME", "GitLab".to_owned()),
        ("CI_SERVER_VERSION", format!("{major}.{minor}.{patch}")),
        ("CI_SERVER_VERSION_MAJOR", major),
        ("CI_SERVER_VERSION_MINOR", minor),
        ("CI_SERVER_VERSION_PATCH", patch),
        ("CI_SERVER_REVISION", String::new()),
        ("CI_API_V4_URL", format!("{server}/api/v4")),
        ("CI_API_GRAPHQL_URL", format!("{server}/api/graphql")),
        ("CI_TEMPLATE_REGISTRY_HOST", "registry.gitlab.com".to_owned()),
    ]
}

fn project_variables(context: &Context) -> Vec<(&'static str, String)> {
    let path = &context.project_path;
    let (namespace, name) = path.rsplit_once('/').unwrap_or(("", path));
    let server = context.server.trim_end_matches('/');
    let host = server.split_once("://").map_or(server, |(_, host)| host);
    let config = &context.config_path;
    let root = namespace.split('/').next().unwrap_or_default();
    // The variables that came with later versions: the table of <https://docs.gitlab.com/ci/variables/predefined_variables/>.
    let later = [
        (GitlabVersion::new(18, 0), "CI_DEFAULT_BRANCH_SLUG", slugify(&context.default_branch)),
        (GitlabVersion::new(18, 3), "CI_PROJECT_TOPICS", String::new()),
        (GitlabVersion::new(19, 0), "CI_PROJECT_ROOT_NAMESPACE_SLUG", slugify(root)),
    ];
    let later = later.into_iter().filter(|(since, ..)| context.version >= *since).map(|(_, key, value)| (key, value));
    let kind = if context.kind == RefKind::Tag { "tags" } else { "heads" };
    let always = [
        ("GITLAB_FEATURES", String::new()),
        ("CI_PROJECT_ID", ID.to_owned()),
        ("CI_PROJECT_NAME", name.to_owned()),
        ("CI_PROJECT_TITLE", name.to_owned()),
        ("CI_PROJECT_DESCRIPTION", String::new()),
        ("CI_PROJECT_PATH", path.clone()),
        ("CI_PROJECT_PATH_SLUG", slugify(path)),
        ("CI_PROJECT_NAMESPACE", namespace.to_owned()),
        ("CI_PROJECT_NAMESPACE_ID", ID.to_owned()),
        ("CI_PROJECT_NAMESPACE_SLUG", slugify(namespace)),
        ("CI_PROJECT_ROOT_NAMESPACE", root.to_owned()),
        ("CI_PROJECT_URL", format!("{server}/{path}")),
        ("CI_PROJECT_VISIBILITY", "private".to_owned()),
        ("CI_PROJECT_REPOSITORY_LANGUAGES", String::new()),
        ("CI_PROJECT_CLASSIFICATION_LABEL", String::new()),
        ("CI_DEFAULT_BRANCH", context.default_branch.clone()),
        ("CI_CONFIG_PATH", config.clone()),
        ("CI_CONFIG_REF_URI", format!("{host}/{path}//{config}@refs/{kind}/{}", context.ref_name)),
    ];
    always.into_iter().chain(later).collect()
}

/// Returns the variables of a job. `predefined_variables_from_job_attr` of `lib/gitlab/ci/variables/builder.rb`
pub(super) fn job_variables(job: &Job, instance: &Instance) -> impl Iterator<Item = (&'static str, String)> {
    let total = instance.node.map_or(1, |(_, total)| total);
    let list = [
        ("CI_JOB_NAME", instance.name.to_string()),
        ("CI_JOB_NAME_SLUG", slugify(&instance.name)),
        ("CI_JOB_GROUP_NAME", group_name(&instance.name).to_owned()),
        ("CI_JOB_STAGE", job.stage.value.to_string()),
        ("CI_NODE_TOTAL", total.to_string()),
    ];
    list.into_iter().chain(instance.node.map(|(index, _)| ("CI_NODE_INDEX", index.to_string())))
}

/// Returns the name of a job without the suffix that distinguishes instances.
/// `gems/gitlab-utils/lib/gitlab/utils/job.rb`
fn group_name(name: &str) -> &str {
    // In Ruby, `\b` in a character class is a backspace.
    static SUFFIX: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"([\x08\s:]+((\[.*\])|(\d+[\s:/\\]+\d+))){1,3}\s*\z").ok());
    // Most names cannot have a suffix, and compiling the expression takes longer than planning a small pipeline.
    let is_break = |character: char| character.is_whitespace() || matches!(character, ':' | '\x08');
    let can_have = name.trim_end().ends_with(|last: char| last == ']' || last.is_numeric()) && name.contains(is_break);
    let suffix = if can_have { SUFFIX.as_ref() } else { None };
    let start = suffix.and_then(|suffix| suffix.find(name)).map(|found| found.start());
    start.and_then(|start| name.get(..start)).unwrap_or(name)
}

/// Returns the variables of the user who started the pipeline. YAML cannot override them.
pub fn user_variables(context: &Context) -> Vec<(&'static str, String)> {
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

    use rstest::rstest;

    use super::*;
    use crate::plan::commit::Commit;

    fn context(kind: RefKind, ref_name: &str) -> Context {
        Context {
            ref_name: ref_name.to_owned(),
            kind,
            source: Source::Push,
            commit: Commit {
                sha: "0123456789abcdef0123456789abcdef01234567".to_owned(),
                author: "A B <a@b.test>".to_owned(),
                timestamp: "2026-01-31T10:20:30+01:00".to_owned(),
                message: "Title\n\nMore of it.\n".to_owned(),
            },
            before: None,
            tag_message: "good".to_owned(),
            default_branch: "main".to_owned(),
            project_path: "group/Sub_Group/demo".to_owned(),
            version: crate::gitlab_version::GitlabVersion::default(),
            server: "https://gitlab.test:8443".to_owned(),
            target_branch: None,
            diff_base: (kind == RefKind::MergeRequest).then(|| "76543210".repeat(5)),
            config_path: ".gitlab-ci.yml".to_owned(),
            protected: false,
            kubernetes: false,
            user: ("A B".to_owned(), "a@b.test".to_owned()),
        }
    }

    fn lines(context: &Context) -> String {
        let variables: BTreeMap<_, _> = pipeline_variables(context, PipelinePhase::Jobs).into_iter().collect();
        variables.iter().map(|(key, value)| format!("{key}={value:?}")).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn variables_of_a_branch() {
        insta::assert_snapshot!(lines(&context(RefKind::Branch, "feature/ABC_1")));
    }

    #[test]
    fn variables_of_a_merge_request() {
        insta::assert_snapshot!(lines(&context(RefKind::MergeRequest, "feature/ABC_1")));
    }

    // `gems/gitlab-utils/spec/gitlab/utils/job_spec.rb`
    #[rstest]
    #[case::no_suffix("rspec1", "rspec1")]
    #[case::count("rspec 1/2", "rspec")]
    #[case::colon("rspec:1 : 2", "rspec")]
    #[case::matrix("rspec: [aws, app1]", "rspec")]
    #[case::two_suffixes("rspec: [aws, app1]: 1/2", "rspec")]
    #[case::one_number("rspec 1", "rspec 1")]
    #[case::not_at_the_end("rspec 1/2 more", "rspec 1/2 more")]
    fn strips_instances_from_group_names(#[case] name: &str, #[case] group: &str) {
        assert_eq!(group_name(name), group);
    }

    #[test]
    fn long_messages_are_cut() {
        let mut context = context(RefKind::Branch, "main");
        context.commit.message = "ä".repeat(MAX_MESSAGE_BYTES);
        let variables: BTreeMap<_, _> = pipeline_variables(&context, PipelinePhase::Jobs).into_iter().collect();
        assert_eq!(variables["CI_COMMIT_MESSAGE"].len(), MAX_MESSAGE_BYTES);
        assert_eq!(variables["CI_COMMIT_MESSAGE_IS_TRUNCATED"], "true");
    }

    #[rstest]
    #[case::earlier_version(RefKind::Branch, GitlabVersion::new(19, 0), false)]
    #[case::branch(RefKind::Branch, GitlabVersion::new(19, 1), true)]
    #[case::merge_request(RefKind::MergeRequest, GitlabVersion::new(19, 1), false)]
    fn branches_have_a_base(#[case] kind: RefKind, #[case] version: GitlabVersion, #[case] expected: bool) {
        let context = Context { version, diff_base: Some("b".repeat(40)), ..context(kind, "feature") };
        let found = pipeline_variables(&context, PipelinePhase::Jobs)
            .iter()
            .any(|(key, _)| *key == "CI_COMMIT_DEFAULT_BRANCH_BASE_SHA");
        assert_eq!(found, expected);
    }

    #[test]
    fn tags_and_merge_requests_have_no_branch() {
        let keys = |kind| {
            pipeline_variables(&context(kind, "v1"), PipelinePhase::Jobs)
                .into_iter()
                .map(|(key, _)| key)
                .collect::<Vec<_>>()
        };
        let (tag, merge_request) = (keys(RefKind::Tag), keys(RefKind::MergeRequest));
        assert!(tag.contains(&"CI_COMMIT_TAG") && !tag.contains(&"CI_COMMIT_BRANCH"));
        assert!(merge_request.contains(&"CI_MERGE_REQUEST_IID") && !merge_request.contains(&"CI_COMMIT_BRANCH"));
    }
}
