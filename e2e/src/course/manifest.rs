//! Kubernetes objects in files.

use serde_json::Value;

use super::exercise::Unsolved;
use super::plans::{self, Push};
use super::project::Project;
use super::rehearsal::Rehearsal;

/// The objects in a YAML file.
pub(super) fn parse(file: &str, text: &str) -> Result<Vec<Value>, Unsolved> {
    let objects: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|error| {
        let line = error.to_string().lines().next().unwrap_or_default().to_owned();
        Unsolved(format!("{file}: {line}"))
    })?;
    Ok(objects.into_iter().filter(|object| !object.is_null()).collect())
}

/// The only object of a kind.
pub(super) fn only<'a>(objects: &'a [Value], kind: &str) -> Result<&'a Value, Unsolved> {
    let mut found = objects.iter().filter(|object| object["kind"] == kind);
    match (found.next(), found.next()) {
        (Some(object), None) => Ok(object),
        (Some(_), Some(_)) => Err(Unsolved(format!("the job applies more than one {kind}"))),
        (None, _) => Err(Unsolved(format!("the job applies no {kind}"))),
    }
}

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
        only(&self.objects, kind)
    }

    /// The container of the Deployment.
    pub(super) fn container(&self) -> Result<&Value, Unsolved> {
        let containers = &self.only("Deployment")?["spec"]["template"]["spec"]["containers"];
        let containers = containers.as_array().map(Vec::as_slice).unwrap_or_default();
        let app = containers.iter().find(|container| container["name"] == "app");
        app.ok_or_else(|| Unsolved::new("the Deployment has no container `app`"))
    }
}
