//! What a pipeline is created for: a ref, and how it came about.

use super::commit::Commit;

/// What kind of ref a pipeline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefKind {
    /// A branch.
    Branch,
    /// A tag.
    Tag,
    /// A merge request: its source branch.
    MergeRequest,
}

/// What started a pipeline. <https://docs.gitlab.com/ci/jobs/job_rules/#ci_pipeline_source-predefined-variable>
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

    /// Whether `only: [word]` means this source: its name without `_event`, in the singular or the plural.
    /// `lib/gitlab/ci/build/policy/refs.rb`
    pub fn is_called(self, word: &str) -> bool {
        let name = self.name();
        let name = name.strip_suffix("_event").unwrap_or(name);
        // ActiveSupport's plural of these: `push` alone takes `es`.
        word == name || word.strip_suffix('s') == Some(name) || (name == "push" && word == "pushes")
    }
}

/// Everything that a plan depends on beside the file.
#[derive(Clone, Debug)]
pub struct Context {
    /// The short name of the ref.
    pub ref_name: String,
    /// What it is.
    pub kind: RefKind,
    /// What started the pipeline.
    pub source: Source,
    /// The commit.
    pub commit: Commit,
    /// The commit that was the branch's before, if that is known.
    pub before: Option<String>,
    /// A tag's own message.
    pub tag_message: String,
    /// The project's default branch.
    pub default_branch: String,
    /// `group/project`.
    pub project_path: String,
    /// `https://host`.
    pub server: String,
    /// The branch that a merge request is to be merged into.
    pub target_branch: Option<String>,
    /// The commit that a merge request parts from its target at.
    pub diff_base: Option<String>,
    /// The pipeline's file.
    pub config_path: String,
    /// When the pipeline is created, ISO 8601.
    pub created_at: String,
    /// Whether the ref is protected: only then do jobs get protected variables.
    pub protected: bool,
    /// Whether `only:kubernetes` holds.
    pub kubernetes: bool,
    /// Name and address of whoever started it.
    pub user: (String, String),
}

/// What in a commit's message skips its pipeline, whatever the case. `lib/gitlab/ci/pipeline/chain/skip.rb`
const SKIP: [&str; 6] = ["[ci skip]", "[ci_skip]", "[ci-skip]", "[skip ci]", "[skip_ci]", "[skip-ci]"];

impl Context {
    /// The words of the commit's message that skip the pipeline. Only a push hears them: who starts a pipeline otherwise
    /// wants it (`ignore_skip_ci`).
    pub fn skipped_by(&self) -> Option<&'static str> {
        if !matches!(self.source, Source::Push | Source::MergeRequestEvent) {
            return None;
        }
        let message = self.commit.message.to_ascii_lowercase();
        SKIP.into_iter().find(|words| message.contains(words))
    }

    /// The commit that changes are looked for since; nothing where GitLab does not know, and takes every file for changed:
    /// tags, new branches, and what nobody pushed. <https://docs.gitlab.com/ci/yaml/#ruleschanges>
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
    #[case::another(Source::Push, "schedules", false)]
    fn words(#[case] source: Source, #[case] word: &str, #[case] expected: bool) {
        assert_eq!(source.is_called(word), expected);
    }
}
