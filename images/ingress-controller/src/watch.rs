//! Keeps a copy of the objects that matter, and tells when it has changed.

use std::sync::Arc;

use controller::watch::{Store, WriterDropped, follow};
use k8s_openapi::api::core::v1::{Endpoints, Secret, Service};
use k8s_openapi::api::networking::v1::Ingress;
use kube::runtime::watcher::Config;
use kube::{Api, Client};
use tokio::sync::Notify;

use crate::state::State;

/// The copies.
#[derive(Debug)]
pub struct Watch {
    ingresses: Store<Ingress>,
    services: Store<Service>,
    endpoints: Store<Endpoints>,
    secrets: Store<Secret>,
    changed: Arc<Notify>,
}

impl Watch {
    /// Starts to watch.
    pub fn start(client: &Client) -> Self {
        let changed = Arc::new(Notify::new());
        Self {
            ingresses: follow(Api::all(client.clone()), Config::default(), &changed),
            services: follow(Api::all(client.clone()), Config::default(), &changed),
            endpoints: follow(Api::all(client.clone()), Config::default(), &changed),
            // Other Secrets are none of our business: they are not even asked for.
            secrets: follow(Api::all(client.clone()), Config::default().fields("type=kubernetes.io/tls"), &changed),
            changed,
        }
    }

    /// Waits until every copy is complete.
    ///
    /// # Errors
    ///
    /// When a watching task is gone.
    pub async fn ready(&self) -> Result<(), WriterDropped> {
        self.ingresses.wait_until_ready().await?;
        self.services.wait_until_ready().await?;
        self.endpoints.wait_until_ready().await?;
        self.secrets.wait_until_ready().await
    }

    /// Waits until something has changed since the last time.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The copies of this moment.
    pub fn state(&self) -> State {
        State {
            ingresses: self.ingresses.state(),
            services: self.services.state(),
            endpoints: self.endpoints.state(),
            secrets: self.secrets.state(),
        }
    }
}
