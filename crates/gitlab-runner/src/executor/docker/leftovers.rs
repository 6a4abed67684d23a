//! What pipelines have left at an engine whose programs were killed.

use std::collections::{BTreeSet, HashMap};

use bollard::errors::Error;
use bollard::query_parameters::{ListContainersOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder};

use super::made::sweep;
use container_engine::labels;
use container_engine::labels::PIPELINE;
use container_engine::ownership;

/// Takes away what belongs to pipelines whose programs were of this machine and are gone. Returns how much there was.
///
/// # Errors
/// When the engine does not tell what there is.
pub async fn sweep_gone(engine: &bollard::Docker) -> Result<usize, Error> {
    let mut count = 0;
    for mark in marks(engine).await?.iter().filter(|mark| ownership::owner_is_gone(mark)) {
        count += sweep(engine, Some(mark)).await?;
    }
    Ok(count)
}

/// The marks of all pipelines that have something at an engine.
async fn marks(engine: &bollard::Docker) -> Result<BTreeSet<String>, Error> {
    let filter = labels::filter(PIPELINE, None);
    let containers = ListContainersOptionsBuilder::new().all(true).filters(&filter).build();
    let networks = ListNetworksOptionsBuilder::new().filters(&filter).build();
    let volumes = ListVolumesOptionsBuilder::new().filters(&filter).build();
    let (containers, networks, volumes) = tokio::try_join!(
        engine.list_containers(Some(containers)),
        engine.list_networks(Some(networks)),
        engine.list_volumes(Some(volumes)),
    )?;
    let mark = |labels: HashMap<String, String>| labels.get(PIPELINE).cloned();
    let containers = containers.into_iter().filter_map(|container| container.labels.and_then(mark));
    let networks = networks.into_iter().filter_map(|network| network.labels.and_then(mark));
    let volumes = volumes.volumes.unwrap_or_default().into_iter().filter_map(|volume| mark(volume.labels));
    Ok(containers.chain(networks).chain(volumes).collect())
}
