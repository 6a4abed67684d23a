//! The definition of an exercise.

use std::fmt;

use futures_util::future::BoxFuture;

use super::project::Project;
use crate::checks::environment::Environment;
use crate::record::Failure;

/// The page of the course, and the number of the exercise on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id {
    pub page: u8,
    pub number: u8,
}

impl fmt::Display for Id {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.page, self.number)
    }
}

#[derive(Debug)]
pub struct Exercise {
    pub id: Id,
    /// As in the heading on the page.
    pub title: &'static str,
    /// What the student must achieve, in one line.
    pub goal: &'static str,
    /// A question or a place to look at, which does not contain the answer.
    pub hint: &'static str,
    pub verifier: Verifier,
}

impl Exercise {
    /// Whether only the cluster shows the result.
    pub fn needs_cluster(&self) -> bool {
        matches!(self.verifier, Verifier::Cluster(_))
    }
}

/// Looks at the student's result.
#[derive(Clone, Copy)]
pub enum Verifier {
    /// Reads the files and commits of the project.
    Project(fn(&Project) -> Verdict),
    /// Builds and starts the project's service.
    Service(fn(&Project) -> BoxFuture<'_, Verdict>),
    /// Examines an environment in the cluster.
    Cluster(for<'a> fn(&'a Project, &'a Environment) -> BoxFuture<'a, Verdict>),
}

impl fmt::Debug for Verifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Project(_) => "Project",
            Self::Service(_) => "Service",
            Self::Cluster(_) => "Cluster",
        })
    }
}

/// The error is the difference between the actual state and the goal.
pub type Verdict = Result<(), Unsolved>;

/// What the verifier has seen instead of the goal, as one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsolved(pub String);

impl Unsolved {
    pub(super) fn new(seen: impl Into<String>) -> Self {
        Self(seen.into())
    }

    /// An error unless `is_met` holds. `seen` describes the actual state.
    pub(super) fn unless(is_met: bool, seen: impl FnOnce() -> String) -> Verdict {
        if is_met { Ok(()) } else { Err(Self(seen())) }
    }
}

/// The cluster lacks an object, or did not answer.
impl From<Failure> for Unsolved {
    fn from(failure: Failure) -> Self {
        Self(format!("expected {}, found {}", failure.expected, failure.seen))
    }
}
