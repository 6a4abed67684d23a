//! A copy of what the program knows of the cluster.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{EndpointSubset, Endpoints, Service};

/// Everything that decides the records, at one moment.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Every Service.
    pub services: Vec<Arc<Service>>,
    /// Every Endpoints object; only those of headless Services are read.
    pub endpoints: Vec<Arc<Endpoints>>,
}

impl State {
    /// What is behind the Service of that name.
    pub fn subsets(&self, namespace: &str, name: &str) -> impl Iterator<Item = &EndpointSubset> {
        let fits = move |it: &&Arc<Endpoints>| {
            it.metadata.namespace.as_deref() == Some(namespace) && it.metadata.name.as_deref() == Some(name)
        };
        self.endpoints.iter().filter(fits).flat_map(|it| it.subsets.iter().flatten())
    }
}
