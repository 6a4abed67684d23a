//! Determines whether an engine is still creating containers, or still removing the volumes of containers that it will not complete.

use std::collections::{BTreeSet, HashMap};

use bollard::Docker;
use bollard::errors::Error;
use bollard::query_parameters::{ListContainersOptionsBuilder, ListVolumesOptionsBuilder};

/// The containers with anonymous volumes that an engine is creating, for any client.
///
/// An engine completes a request even if its client was killed. It lists a container only when the container is complete. Before that,
/// it copies files from the image to the container's anonymous volumes, which takes seconds for the image of a Kubernetes node. These
/// volumes exist already. So a volume that is in use, but by none of the listed containers, belongs to a container that will appear. If
/// the client has closed its connection, the engine may instead remove the volume, which also takes time. During the removal, the volume
/// is no longer in use. This type therefore remembers the volumes that it has found in use until they are mounted or removed.
#[derive(Clone, Debug, Default)]
pub struct Creation {
    volumes: BTreeSet<String>,
}

impl Creation {
    /// Asks the engine again. Returns whether a container may appear, or a volume may disappear.
    ///
    /// A caller that removes the resources of a killed program must call this *before* it lists them. Otherwise, it would miss a container
    /// that the engine completes between the two calls.
    ///
    /// # Errors
    /// The engine does not answer.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let engine = container_engine::connect().await?;
    /// let mut creation = container_engine::creating::Creation::default();
    /// while creation.is_pending(&engine).await? {
    ///     tokio::time::sleep(std::time::Duration::from_millis(250)).await;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn is_pending(&mut self, engine: &Docker) -> Result<bool, Error> {
        // List the volumes first: if the engine completes a container after this request, the last request returns the container.
        let in_use = volumes(engine, &HashMap::from([("dangling", vec!["false"])])).await?;
        self.volumes.extend(in_use);
        if self.volumes.is_empty() {
            return Ok(false);
        }
        let existing = volumes(engine, &HashMap::new()).await?;
        let containers = engine.list_containers(Some(ListContainersOptionsBuilder::new().all(true).build())).await?;
        let mounts = containers.into_iter().flat_map(|container| container.mounts.unwrap_or_default());
        let mounted: BTreeSet<String> = mounts.filter_map(|mount| mount.name).collect();
        self.volumes.retain(|volume| existing.contains(volume) && !mounted.contains(volume));
        Ok(!self.volumes.is_empty())
    }
}

/// The names of the volumes that a filter selects.
async fn volumes(engine: &Docker, filter: &HashMap<&str, Vec<&str>>) -> Result<BTreeSet<String>, Error> {
    let volumes = engine.list_volumes(Some(ListVolumesOptionsBuilder::new().filters(filter).build())).await?;
    Ok(volumes.volumes.into_iter().flatten().map(|volume| volume.name).collect())
}
