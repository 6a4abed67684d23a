//! Determines whether an engine is still creating containers.

use std::collections::BTreeSet;

use bollard::Docker;
use bollard::errors::Error;
use bollard::query_parameters::{ListContainersOptionsBuilder, ListVolumesOptionsBuilder};

/// Whether the engine is creating a container with an anonymous volume, for any client.
///
/// An engine completes a request even if its client was killed. It lists a container only when the container is complete. Before that,
/// it copies files from the image to the container's anonymous volumes, which takes seconds for the image of a Kubernetes node. The
/// volumes exist already during that time: a volume that is in use, but by no listed container, belongs to a container that will
/// appear.
///
/// A caller that removes the resources of a killed program calls this *before* it lists them. Otherwise it would miss a container that
/// the engine completes between the two calls.
///
/// # Errors
/// The engine does not answer.
///
/// # Examples
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let engine = container_engine::connect().await?;
/// if container_engine::creating::is_creating(&engine).await? {
///     println!("a container will appear");
/// }
/// # Ok(())
/// # }
/// ```
pub async fn is_creating(engine: &Docker) -> Result<bool, Error> {
    // List the volumes first: a container that the engine completes after this request is in the answer to the next one.
    let in_use = std::collections::HashMap::from([("dangling", vec!["false"])]);
    let volumes = engine.list_volumes(Some(ListVolumesOptionsBuilder::new().filters(&in_use).build())).await?;
    let volumes: BTreeSet<String> = volumes.volumes.into_iter().flatten().map(|volume| volume.name).collect();
    if volumes.is_empty() {
        return Ok(false);
    }
    let containers = engine.list_containers(Some(ListContainersOptionsBuilder::new().all(true).build())).await?;
    let mounts = containers.into_iter().flat_map(|container| container.mounts.unwrap_or_default());
    let mounted: BTreeSet<String> = mounts.filter_map(|mount| mount.name).collect();
    Ok(!volumes.is_subset(&mounted))
}
