//! Lists the resources of an engine by label.

use std::collections::HashMap;

use bollard::Docker;
use bollard::errors::Error;
use bollard::query_parameters::{ListContainersOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder};

use crate::labels;

/// The containers, networks and volumes with a label.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labeled {
    /// Running and stopped containers.
    pub containers: Vec<Resource>,
    /// Networks.
    pub networks: Vec<Resource>,
    /// Volumes.
    pub volumes: Vec<Resource>,
}

/// A resource of an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// The ID with which the engine removes it. The ID of a volume is its name.
    pub id: String,
    /// The name for people, without the slash before the name of a container.
    pub name: String,
    /// The value of the label.
    pub value: Option<String>,
}

/// Lists the resources that have the label `key` with this value, or with any value. Sends one request per kind, all concurrently.
///
/// # Errors
/// The engine does not answer.
///
/// # Examples
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use container_engine::{labeled, labels};
///
/// let engine = container_engine::connect().await?;
/// let found = labeled::list(&engine, labels::CLUSTER, Some("demo")).await?;
/// println!("{} containers", found.containers.len());
/// # Ok(())
/// # }
/// ```
pub async fn list(engine: &Docker, key: &str, value: Option<&str>) -> Result<Labeled, Error> {
    let filter = labels::filter(key, value);
    let containers = ListContainersOptionsBuilder::new().all(true).filters(&filter).build();
    let networks = ListNetworksOptionsBuilder::new().filters(&filter).build();
    let volumes = ListVolumesOptionsBuilder::new().filters(&filter).build();
    let (containers, networks, volumes) = tokio::try_join!(
        engine.list_containers(Some(containers)),
        engine.list_networks(Some(networks)),
        engine.list_volumes(Some(volumes)),
    )?;
    let value = |labels: Option<HashMap<String, String>>| labels.and_then(|mut labels| labels.remove(key));
    let containers = containers.into_iter().filter_map(|it| {
        let name = it.names.into_iter().flatten().next().unwrap_or_default();
        Some(Resource { id: it.id?, name: name.trim_start_matches('/').to_owned(), value: value(it.labels) })
    });
    let networks = networks
        .into_iter()
        .filter_map(|it| Some(Resource { id: it.id?, name: it.name.unwrap_or_default(), value: value(it.labels) }));
    let volumes = volumes.volumes.into_iter().flatten();
    let volumes = volumes.map(|it| Resource { id: it.name.clone(), name: it.name, value: value(Some(it.labels)) });
    Ok(Labeled { containers: containers.collect(), networks: networks.collect(), volumes: volumes.collect() })
}
