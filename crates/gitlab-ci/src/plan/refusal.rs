//! Why there is no pipeline, in GitLab's words.

use std::fmt;
use std::sync::Arc;

use super::admission::Reason;
use crate::changes::NoSuchRef;
use crate::source::Span;
use crate::variables::expand::ExpansionError;

/// Why there is no pipeline.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// `workflow:rules` say so.
    #[error("The pipeline did not run. Review the workflow:rules configuration for the pipeline.")]
    Workflow(Option<Reason>),
    /// No job is in it.
    #[error("The resulting pipeline would have been empty. Review the rules configuration for the relevant jobs.")]
    Empty(Vec<(Arc<str>, Reason)>),
    /// A job's variables lead in a circle, or become too large.
    #[error("{job}: {error}")]
    Variables {
        /// The job, or `workflow`.
        job: Arc<str>,
        /// What is wrong with them.
        error: ExpansionError,
    },
    /// A rule compares with a ref that there is not. `rules_errors` of `lib/gitlab/ci/pipeline/seed/build.rb`
    #[error("Failed to parse rule for {job}: {error}")]
    Rule {
        /// The job, or `workflow`.
        job: Arc<str>,
        /// Where the ref is named.
        span: Span,
        /// What is wrong with it.
        error: NoSuchRef,
    },
    /// Jobs need others that are not in it: all of them. `needs_errors` of `lib/gitlab/ci/pipeline/seed/build.rb`
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Needs(Vec<MissingNeed>),
}

/// A need of a job that is not in the pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingNeed {
    /// The job that needs it.
    pub job: Arc<str>,
    /// The job that is not there.
    pub need: Arc<str>,
    /// Where the need is written.
    pub span: Span,
    /// Why it is not there.
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

/// Why rules or policies cannot decide.
#[derive(Clone, Debug)]
pub(super) enum Undecided {
    /// Variables lead in a circle, or become too large.
    Expansion(ExpansionError),
    /// There is no such ref at that place.
    Rule(Span, NoSuchRef),
}

impl From<ExpansionError> for Undecided {
    fn from(error: ExpansionError) -> Self {
        Self::Expansion(error)
    }
}

impl Undecided {
    /// What that means for the pipeline, if it is about that job.
    pub(super) fn of(self, job: &Arc<str>) -> Refusal {
        let job = Arc::clone(job);
        match self {
            Self::Expansion(error) => Refusal::Variables { job, error },
            Self::Rule(span, error) => Refusal::Rule { job, span, error },
        }
    }
}
