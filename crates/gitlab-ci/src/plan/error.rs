//! Why GitLab does not create a pipeline, in GitLab's words.

use std::fmt;
use std::sync::Arc;

use super::admission::Reason;
use crate::changes::NoSuchRef;
use crate::config::root::MAX_NAME_LENGTH;
use crate::source::Span;
use crate::variables::expand::ExpansionError;

/// Why GitLab does not create the pipeline. The messages are GitLab's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// `workflow:rules` exclude the pipeline. Contains the rule that does, or the first one if none matches.
    #[error("The pipeline did not run. Review the workflow:rules configuration for the pipeline.")]
    Workflow(Reason),
    /// The pipeline would have no jobs. Contains the jobs of the file with the reasons.
    #[error("The resulting pipeline would have been empty. Review the rules configuration for the relevant jobs.")]
    Empty(Vec<(Arc<str>, Reason)>),
    /// `workflow:name` has become too long. `lib/gitlab/ci/pipeline/chain/populate_metadata.rb`
    #[error("Failed to build pipeline metadata! Name is too long (maximum is {} characters)", MAX_NAME_LENGTH)]
    Name,
    /// The variables of a job form a cycle or become too large.
    #[error("{job}: {error}")]
    Variables {
        /// The name of the job, or `workflow`.
        job: Arc<str>,
        /// The problem with the variables.
        error: ExpansionError,
    },
    /// A rule compares with a ref that does not exist. `rules_errors` of `lib/gitlab/ci/pipeline/seed/build.rb`
    #[error("Failed to parse rule for {job}: {error}")]
    Rule {
        /// The name of the job, or `workflow`.
        job: Arc<str>,
        /// Where the ref is written.
        span: Span,
        /// The error about the ref.
        error: NoSuchRef,
    },
    /// Jobs need other jobs that are not in the pipeline. Contains all of them. `needs_errors` of
    /// `lib/gitlab/ci/pipeline/seed/build.rb`
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Needs(Vec<MissingNeed>),
}

/// A need of a job that is not in the pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingNeed {
    /// The job that has the need.
    pub job: Arc<str>,
    /// The needed job.
    pub need: Arc<str>,
    /// Where the need is written.
    pub span: Span,
    /// Why the needed job is not in the pipeline.
    pub reason: Option<Reason>,
}

impl fmt::Display for MissingNeed {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let Self { job, need, .. } = self;
        write!(
            formatter,
            "'{job}' job needs '{need}' job, but '{need}' does not exist in the pipeline. This might be because of the \
             only, except, or rules keywords. To need a job that sometimes does not exist in the pipeline, use \
             needs:optional."
        )
    }
}

/// Why rules or policies cannot be evaluated.
#[derive(Clone, Debug)]
pub(super) enum RuleError {
    /// The variables form a cycle or become too large.
    Expansion(ExpansionError),
    /// The ref at this place does not exist.
    Rule(Span, NoSuchRef),
}

impl From<ExpansionError> for RuleError {
    fn from(error: ExpansionError) -> Self {
        Self::Expansion(error)
    }
}

impl RuleError {
    /// Converts the error to one about the job.
    pub(super) fn into_plan_error(self, job: &Arc<str>) -> PlanError {
        let job = Arc::clone(job);
        match self {
            Self::Expansion(error) => PlanError::Variables { job, error },
            Self::Rule(span, error) => PlanError::Rule { job, span, error },
        }
    }
}
