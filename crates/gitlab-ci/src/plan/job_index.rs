//! Indexes of the jobs of a plan.

use std::fmt;
use std::ops::{Index, IndexMut};

use super::{Plan, PlannedJob};

/// The position of a job in a plan. It indexes the plan (the result is the job) or a [`PerJob`] (the job's value).
///
/// ```
/// # use std::collections::BTreeMap;
/// # use gitlab_ci::include::Environment;
/// # use gitlab_ci::plan::{build, commit::Commit, context::Context, job_variables::ProjectVariables};
/// # use gitlab_ci::{glob, lint};
/// # let files = BTreeMap::from([(".gitlab-ci.yml", "a: {script: x}\nb: {script: x}\n")]);
/// # let configuration = lint::lint(".gitlab-ci.yml", &Environment::new(&files)).configuration.unwrap();
/// # let project = build::Project {
/// #     project_variables: &ProjectVariables::default(),
/// #     matches: &glob::any_matches,
/// #     exists: &|_| true,
/// #     changed: &|_| true,
/// #     compare: &|_| Ok(None),
/// # };
/// let plan = build::build(&configuration, &Context::push("main", Commit::default()), &project)?;
/// let names: Vec<_> = plan.indexes().map(|job| &*plan[job].name).collect();
/// assert_eq!(names, ["a", "b"]);
/// # Ok::<(), gitlab_ci::plan::error::PlanError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobIndex(usize);

impl JobIndex {
    /// The position of the job in the plan, from 0 on.
    pub fn position(self) -> usize {
        self.0
    }
}

impl fmt::Display for JobIndex {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl Plan {
    /// The jobs, in order.
    pub fn indexes(&self) -> impl Iterator<Item = JobIndex> + use<> {
        (0..self.jobs.len()).map(JobIndex)
    }

    /// The job with this name.
    pub fn find(&self, name: &str) -> Option<JobIndex> {
        self.jobs.iter().position(|job| *job.name == *name).map(JobIndex)
    }
}

impl Index<JobIndex> for Plan {
    type Output = PlannedJob;

    fn index(&self, job: JobIndex) -> &PlannedJob {
        &self.jobs[job.0]
    }
}

/// A value for each job of a plan.
#[derive(Clone, Debug)]
pub struct PerJob<T>(Vec<T>);

impl<T> PerJob<T> {
    /// The values that `value` returns for the jobs of `plan`, in order.
    pub fn new(plan: &Plan, value: impl FnMut(JobIndex) -> T) -> Self {
        Self(plan.indexes().map(value).collect())
    }

    /// The jobs and their values, in order.
    pub fn entries(&self) -> impl Iterator<Item = (JobIndex, &T)> {
        self.0.iter().enumerate().map(|(index, value)| (JobIndex(index), value))
    }

    /// The values, in order.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }

    /// Mutable references to the values, in order.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut()
    }

    /// The jobs, in order.
    pub fn indexes(&self) -> impl Iterator<Item = JobIndex> + use<T> {
        (0..self.0.len()).map(JobIndex)
    }
}

impl<T> Index<JobIndex> for PerJob<T> {
    type Output = T;

    fn index(&self, job: JobIndex) -> &T {
        &self.0[job.0]
    }
}

impl<T> IndexMut<JobIndex> for PerJob<T> {
    fn index_mut(&mut self, job: JobIndex) -> &mut T {
        &mut self.0[job.0]
    }
}
