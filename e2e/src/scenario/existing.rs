//! Checks that a run replaces no environment in an existing cluster, and no image tag that another program may have pushed.

use super::definition::ScenarioError;
use super::project::{self, Project};
use super::replay::EnvironmentJobs;
use super::snapshot::Snapshot;
use crate::checks::target::Target;

/// Fails if the pipeline would replace objects of the cluster or tags of the registry.
pub(super) async fn nothing_replaced(
    target: &Target,
    project: &Project,
    environments: &[&EnvironmentJobs],
) -> Result<(), ScenarioError> {
    for jobs in environments {
        let environment = target.environment(&jobs.slug, None);
        let there = Snapshot::take(&environment).await.map_err(|failure| ScenarioError::from(&failure))?;
        if let Some(names) = there.names() {
            let help = "choose another namespace with `--namespace`";
            return Err(ScenarioError::Taken(format!("namespace {} has {names}", target.namespace), help));
        }
    }
    let Some(registry) = &target.registry else { return Ok(()) };
    let image = registry.image_of(&project.path);
    let repository = image.strip_prefix(&format!("{}/", registry.host)).unwrap_or(&image);
    let digest = async |tag: &str| registry.api.find(repository, tag).await.map_err(ScenarioError::Broken);
    // If `latest` is the image of the default tag, an earlier run has pushed both, and this run may replace them.
    let (tagged, latest) = (digest(project::TAG).await?, digest("latest").await?);
    if latest.is_some() && latest != tagged {
        let help = "choose another image with `--registry-image`";
        return Err(ScenarioError::Taken(format!("{image}:latest exists"), help));
    }
    if project.tag != project::TAG && digest(&project.tag).await?.is_some() {
        let help = "choose another tag with `--tag`, or another image with `--registry-image`";
        return Err(ScenarioError::Taken(format!("{image}:{} exists", project.tag), help));
    }
    Ok(())
}
