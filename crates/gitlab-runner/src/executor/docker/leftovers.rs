//! Removes what killed pipelines have left at an engine.

use std::collections::{BTreeSet, HashMap};

use bollard::errors::Error;
use bollard::query_parameters::{ListContainersOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder};

use super::made::sweep;
use container_engine::labels;
use container_engine::labels::PIPELINE;
use container_engine::ownership;

/// Removes the containers, networks and volumes of pipelines that ran on this machine and whose processes no longer exist. Returns how
/// many it removed.
///
/// # Errors
/// The engine does not answer, or something cannot be removed. It is safe to call this again.
pub async fn sweep_gone(engine: &bollard::Docker) -> Result<usize, Error> {
    let mut count = 0;
    for owner in owners(engine).await?.iter().filter(|owner| ownership::owner_is_gone(owner)) {
        count += sweep(engine, Some(owner)).await?;
    }
    Ok(count)
}

/// The owner IDs of all pipelines that have something at an engine.
async fn owners(engine: &bollard::Docker) -> Result<BTreeSet<String>, Error> {
    let filter = labels::filter(PIPELINE, None);
    let containers = ListContainersOptionsBuilder::new().all(true).filters(&filter).build();
    let networks = ListNetworksOptionsBuilder::new().filters(&filter).build();
    let volumes = ListVolumesOptionsBuilder::new().filters(&filter).build();
    let (containers, networks, volumes) = tokio::try_join!(
        engine.list_containers(Some(containers)),
        engine.list_networks(Some(networks)),
        engine.list_volumes(Some(volumes)),
    )?;
    let owner = |labels: HashMap<String, String>| labels.get(PIPELINE).cloned();
    let containers = containers.into_iter().filter_map(|container| container.labels.and_then(owner));
    let networks = networks.into_iter().filter_map(|network| network.labels.and_then(owner));
    let volumes = volumes.volumes.unwrap_or_default().into_iter().filter_map(|volume| owner(volume.labels));
    Ok(containers.chain(networks).chain(volumes).collect())
}
