//! The objects that the deploy jobs apply.

use serde_json::Value;

use super::manifest;
use super::plans::{self, Push};
use super::project::Project;
use super::rehearsal::Rehearsal;
use super::verdict::Unsolved;

/// Each deploy job, with a push whose pipeline has it.
pub(super) const DEPLOYS: [(&str, Push<'static>); 3] = [
    ("deploy_dev", Push::DefaultBranch),
    ("deploy_review", Push::Branch(&["README.md"])),
    ("deploy_live", Push::Tag("v1.0.0")),
];

/// The objects that a job deploys, and the slug of its environment.
pub(super) struct Deployed {
    pub(super) objects: Vec<Value>,
    pub(super) slug: String,
}

impl Deployed {
    /// Rehearses each deploy job: a solution must work for every environment.
    pub(super) fn each(project: &Project) -> Result<Vec<Self>, Unsolved> {
        DEPLOYS.into_iter().map(|(name, push)| Self::read(project, name, push)).collect()
    }

    fn read(project: &Project, name: &str, push: Push<'_>) -> Result<Self, Unsolved> {
        let plan = plans::plan(project, push)?;
        let job = plans::job(&plan, name)?;
        let environment = job.environment.as_ref();
        let slug = environment.ok_or_else(|| Unsolved(format!("job {name} has no environment")))?.slug.clone();
        let objects = Rehearsal::run(project, job)?.applied()?;
        Ok(Self { objects, slug })
    }

    pub(super) fn only(&self, kind: &str) -> Result<&Value, Unsolved> {
        manifest::only(&self.objects, kind)
    }

    /// The container of the Deployment.
    pub(super) fn container(&self) -> Result<&Value, Unsolved> {
        let containers = &self.only("Deployment")?["spec"]["template"]["spec"]["containers"];
        let containers = containers.as_array().map(Vec::as_slice).unwrap_or_default();
        let app = containers.iter().find(|container| container["name"] == "app");
        app.ok_or_else(|| Unsolved::new("the Deployment has no container `app`"))
    }
}
