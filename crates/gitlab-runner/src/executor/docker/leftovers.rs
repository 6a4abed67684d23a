//! Removes the resources of killed pipelines from an engine.

use std::collections::BTreeSet;

use bollard::errors::Error;

use super::resources::sweep;
use container_engine::labels::PIPELINE;
use container_engine::{labeled, ownership};

/// Removes the containers, networks and volumes of pipelines of this user whose processes have ended. Returns how
/// many it removed.
///
/// # Errors
/// The engine does not answer, or a resource cannot be removed. It is safe to call this again.
pub async fn sweep_gone(engine: &bollard::Docker) -> Result<usize, Error> {
    let mut count = 0;
    for owner in owners(engine).await?.iter().filter(|owner| ownership::owner_is_gone(owner)) {
        count += sweep(engine, Some(owner)).await?;
    }
    ownership::forget_gone_owners();
    Ok(count)
}

/// The owner IDs of all pipelines that have resources at an engine.
async fn owners(engine: &bollard::Docker) -> Result<BTreeSet<String>, Error> {
    let found = labeled::list(engine, PIPELINE, None).await?;
    let all = found.containers.into_iter().chain(found.networks).chain(found.volumes);
    Ok(all.filter_map(|resource| resource.value).collect())
}
