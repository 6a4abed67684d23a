//! The objects that the job for a branch deploys.

use serde_json::Value;

use super::manifest;
use super::plans::{self, Push};
use super::project::Project;
use super::rehearsal::Rehearsal;
use super::verdict::Unsolved;

/// The objects that the job for a branch deploys, and the slug of its environment.
pub(super) struct Deployed {
    pub(super) objects: Vec<Value>,
    pub(super) slug: String,
}

impl Deployed {
    /// Rehearses the job.
    pub(super) fn read(project: &Project) -> Result<Self, Unsolved> {
        let plan = plans::plan(project, Push::Branch(&["README.md"]))?;
        let job = plans::job(&plan, "deploy_review")?;
        let environment = job.environment.as_ref();
        let slug = environment.ok_or_else(|| Unsolved::new("job deploy_review has no environment"))?.slug.clone();
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
