//! The ref and the event for which GitLab creates a pipeline.

use super::commit::Commit;
use crate::gitlab_version::GitlabVersion;

/// The kind of ref.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefKind {
    /// A branch.
    Branch,
    /// A tag.
    Tag,
    /// A merge request. The ref is its source branch.
    MergeRequest,
}

/// The event that starts a pipeline.
/// <https://docs.gitlab.com/ci/jobs/job_rules/#ci_pipeline_source-predefined-variable>
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum), value(rename_all = "snake_case"))]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A push of commits or of a tag
    Push,
    /// The button `New pipeline`
    Web,
    /// A schedule
    Schedule,
    /// The API
    Api,
    /// A trigger token
    Trigger,
    /// Another project's pipeline
    Pipeline,
    /// A parent pipeline
    ParentPipeline,
    /// A merge request
    MergeRequestEvent,
}

impl Source {
    /// The value of `CI_PIPELINE_SOURCE`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Web => "web",
            Self::Schedule => "schedule",
            Self::Api => "api",
            Self::Trigger => "trigger",
            Self::Pipeline => "pipeline",
            Self::ParentPipeline => "parent_pipeline",
            Self::MergeRequestEvent => "merge_request_event",
        }
    }

    /// Whether `only: [word]` selects this source: `word` is its name without `_event`, in the singular or the plural.
    /// `lib/gitlab/ci/build/policy/refs.rb`
    pub fn is_called(self, word: &str) -> bool {
        let name = self.name();
        let name = name.strip_suffix("_event").unwrap_or(name);
        // ActiveSupport's plural of these names ends with `s`, and of `push` with `es`.
        word == name || word.strip_suffix('s') == Some(name) || (name == "push" && word == "pushes")
    }
}

/// The ref, the commit, the event and the project of a pipeline: what a plan depends on, in addition to the file.
#[derive(Clone, Debug)]
pub struct Context {
    /// The short name of the ref: `main`.
    pub ref_name: String,
    /// The kind of the ref.
    pub kind: RefKind,
    /// The event that starts the pipeline.
    pub source: Source,
    /// The commit of the ref.
    pub commit: Commit,
    /// The previous commit of the branch, if it is known.
    pub before: Option<String>,
    /// The message of an annotated tag, otherwise empty.
    pub tag_message: String,
    /// The project's default branch.
    pub default_branch: String,
    /// The path of the project: `group/project`.
    pub project_path: String,
    /// The URL of the GitLab instance: `https://host`.
    pub server: String,
    /// The version of the GitLab instance.
    pub version: GitlabVersion,
    /// The target branch of a merge request.
    pub target_branch: Option<String>,
    /// The merge base of a merge request and its target branch, or of another branch and the default branch.
    pub diff_base: Option<String>,
    /// The path of the pipeline file.
    pub config_path: String,
    /// Whether the ref is protected. Only jobs of protected refs get protected variables.
    pub protected: bool,
    /// Whether `only:kubernetes` is true.
    pub kubernetes: bool,
    /// The name and the email address of the user who starts the pipeline.
    pub user: (String, String),
}

/// The phrases in a commit message that skip the pipeline, in any case. `lib/gitlab/ci/pipeline/chain/skip.rb`
const SKIP: [&str; 6] = ["[ci skip]", "[ci_skip]", "[ci-skip]", "[skip ci]", "[skip_ci]", "[skip-ci]"];

impl Context {
    /// The context of a push to `branch`, as on a new branch of a project `group/project` with the default branch `main` on
    /// GitLab.com. Nothing is protected, and no user is known.
    pub fn push(branch: &str, commit: Commit) -> Self {
        Self {
            ref_name: branch.to_owned(),
            kind: RefKind::Branch,
            source: Source::Push,
            commit,
            before: None,
            tag_message: String::new(),
            default_branch: "main".to_owned(),
            project_path: "group/project".to_owned(),
            server: "https://gitlab.com".to_owned(),
            version: GitlabVersion::default(),
            target_branch: None,
            diff_base: None,
            config_path: ".gitlab-ci.yml".to_owned(),
            protected: false,
            kubernetes: false,
            user: (String::new(), String::new()),
        }
    }

    /// Returns the phrase of the commit message that skips the pipeline. It applies only to pushes and merge requests
    /// (`ignore_skip_ci`).
    pub fn skipped_by(&self) -> Option<&'static str> {
        if !matches!(self.source, Source::Push | Source::MergeRequestEvent) {
            return None;
        }
        let message = self.commit.message.to_ascii_lowercase();
        SKIP.into_iter().find(|words| message.contains(words))
    }

    /// Returns the commit with which changes are compared, or `None` where GitLab does not know the changed files and
    /// treats every file as changed: for tags, new branches and pipelines without a push.
    /// <https://docs.gitlab.com/ci/yaml/#ruleschanges>
    pub fn changed_since(&self) -> Option<&str> {
        match self.kind {
            RefKind::Branch => self.before.as_deref(),
            RefKind::MergeRequest => self.diff_base.as_deref(),
            RefKind::Tag => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::pushes(Source::Push, "pushes", true)]
    #[case::push(Source::Push, "push", true)]
    #[case::web(Source::Web, "webs", true)]
    #[case::schedules(Source::Schedule, "schedules", true)]
    #[case::merge_requests(Source::MergeRequestEvent, "merge_requests", true)]
    #[case::not_with_event(Source::MergeRequestEvent, "merge_request_events", false)]
    #[case::parent(Source::ParentPipeline, "parent_pipelines", true)]
    #[case::another_source(Source::Push, "schedules", false)]
    fn matches_words_of_only(#[case] source: Source, #[case] word: &str, #[case] expected: bool) {
        assert_eq!(source.is_called(word), expected);
    }
}
