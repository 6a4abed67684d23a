//! The definition of an exercise.

use std::fmt;

use futures_util::future::BoxFuture;

use super::project::Project;
use super::verdict::Verdict;
use crate::checks::environment::Environment;

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
    /// The student's goal, in one line.
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
