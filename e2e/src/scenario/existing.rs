//! An existing cluster and registry: a run replaces nothing there.

use super::definition::ScenarioError;
use super::project::{self, Project};
use super::replay::EnvironmentJobs;
use super::snapshot::Snapshot;
use crate::checks::target::Target;

/// Refuses to run where the pipeline would replace what is there already.
pub(super) async fn nothing_replaced(
    target: &Target,
    project: &Project,
    environments: &[&EnvironmentJobs],
) -> Result<(), ScenarioError> {
    for jobs in environments {
        let environment = target.environment(&jobs.slug, None);
        let there = Snapshot::take(&environment).await.map_err(|failure| ScenarioError::from(&failure))?;
        if let Some(names) = there.names() {
            let help = "expected a namespace without it (`--namespace`)";
            return Err(ScenarioError::Taken(format!("namespace {} has {names}", target.namespace), help));
        }
    }
    let Some(registry) = &target.registry else { return Ok(()) };
    let image = registry.image_of(&project.path);
    let repository = image.strip_prefix(&format!("{}/", registry.host)).unwrap_or(&image);
    let digest = async |tag: &str| registry.api.find(repository, tag).await.map_err(ScenarioError::Broken);
    // An image that an earlier run has pushed may be pushed again, with the tag `latest`.
    let (tagged, latest) = (digest(project::TAG).await?, digest("latest").await?);
    if latest.is_some() && latest != tagged {
        let help = "expected an image of the story's own (`--registry-image`)";
        return Err(ScenarioError::Taken(format!("{image}:latest is there"), help));
    }
    if project.tag != project::TAG && digest(&project.tag).await?.is_some() {
        let help = "expected a tag that was not pushed yet (`--tag`), or another image (`--registry-image`)";
        return Err(ScenarioError::Taken(format!("{image}:{} is there", project.tag), help));
    }
    Ok(())
}
