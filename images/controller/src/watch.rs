//! Copies of a cluster's objects, each kept up to date by a task of its own.

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

use futures_util::StreamExt;
pub use kube::runtime::reflector::Store;
pub use kube::runtime::reflector::store::WriterDropped;
use kube::runtime::{WatchStreamExt, reflector, watcher};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;

/// Copies the objects of `api` that `config` selects, and notifies `changed` after every change. Interruptions are waited
/// out and repeated with growing pauses, for ever.
pub fn follow<K>(api: Api<K>, config: watcher::Config, changed: &Arc<Notify>) -> Store<K>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    K::DynamicType: Clone + Debug + Default + Eq + Hash + Send + Sync,
{
    let (store, writer) = reflector::store();
    let changed = Arc::clone(changed);
    tokio::spawn(async move {
        let events = watcher(api, config).default_backoff().modify(|object: &mut K| {
            // The larger half of most objects, and nobody here reads it.
            object.managed_fields_mut().clear();
        });
        let mut events = std::pin::pin!(reflector::reflector(writer, events));
        while let Some(event) = events.next().await {
            match event {
                Ok(_) => changed.notify_one(),
                Err(error) => tracing::warn!(kind = %K::kind(&K::DynamicType::default()), %error, "watch interrupted"),
            }
        }
    });
    store
}
