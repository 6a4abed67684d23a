//! Lists all objects in a namespace, of every kind that the API server serves.
//!
//! Requests only their metadata, so that no content of a Secret is read.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{APIResource, APIResourceList, ObjectMeta};
use kube::api::{DeleteParams, DynamicObject, ListParams};
use kube::core::ApiResource;
use kube::{Api, Client};

/// Maximum number of concurrent list requests.
const MAX_CONCURRENT: usize = 8;

/// Resources whose objects are not created by users: events and measurements. Their groups have other resources as well.
const NO_OBJECTS: [(&str, &str); 3] = [("", "events"), ("events.k8s.io", "events"), ("metrics.k8s.io", "pods")];

/// A namespaced kind that can be listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    resource: ApiResource,
    /// Whether its objects can be deleted.
    is_deletable: bool,
}

impl Kind {
    /// The API group and the kind's name.
    pub fn name(&self) -> (&str, &str) {
        (&self.resource.group, &self.resource.kind)
    }
}

/// The metadata of an object.
#[derive(Clone, Debug)]
pub struct Object {
    /// The kind's name, for example `Deployment`.
    pub kind: String,
    /// The API group.
    pub group: String,
    /// The object's metadata.
    pub metadata: ObjectMeta,
    from: Kind,
}

impl Object {
    fn new(kind: &Kind, metadata: ObjectMeta) -> Self {
        let ApiResource { kind: name, group, .. } = kind.resource.clone();
        Self { kind: name, group, metadata, from: kind.clone() }
    }

    fn identity(&self) -> String {
        self.metadata.uid.clone().unwrap_or_else(|| format!("{} {}", self.kind, self.name()))
    }

    /// The object's name.
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// The value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.metadata.labels.as_ref()?.get(key).map(String::as_str)
    }

    /// Whether the object has an owner, with which the cluster's garbage collector deletes it.
    pub fn is_owned(&self) -> bool {
        self.metadata.owner_references.as_ref().is_some_and(|owners| !owners.is_empty())
    }

    /// Deletes the object; its dependents follow in the background. Does nothing if it is gone already or its kind cannot be deleted.
    pub async fn delete(&self, client: &Client) -> Result<(), kube::Error> {
        let namespace = self.metadata.namespace.as_deref().unwrap_or_default();
        if !self.from.is_deletable {
            return Ok(());
        }
        let api = Api::<DynamicObject>::namespaced_with(client.clone(), namespace, &self.from.resource);
        match api.delete(self.name(), &DeleteParams::background()).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            deleted => deleted.map(drop),
        }
    }
}

/// All namespaced kinds that the API server serves, each once. Leaves out groups whose extension API server does not respond.
///
/// # Errors
/// If the API server cannot list its groups.
pub async fn kinds(client: &Client) -> Result<Vec<Kind>, kube::Error> {
    let groups = client.list_api_groups().await?.groups;
    let versions = groups.iter().flat_map(|group| {
        // The preferred version first, so that kinds that it has are listed in it.
        let preferred = group.preferred_version.as_ref().map(|it| it.group_version.clone());
        let all = group.versions.iter().map(|it| it.group_version.clone());
        let others = all.filter(|it| Some(it) != preferred.as_ref()).collect::<Vec<_>>();
        preferred.clone().into_iter().chain(others)
    });
    let lists = versions.map(|version| async move { client.list_api_group_resources(&version).await.ok() });
    let lists = join_all(lists).await;
    let core = client.list_core_api_resources("v1").await?;
    Ok(each_once(std::iter::once(core).chain(lists.into_iter().flatten())))
}

/// The first version of each kind, in the order of the lists.
fn each_once(lists: impl IntoIterator<Item = APIResourceList>) -> Vec<Kind> {
    let mut kinds = BTreeMap::new();
    for list in lists {
        let (group, version) = list.group_version.split_once('/').unwrap_or(("", &list.group_version));
        for resource in list.resources.iter().filter(|it| is_wanted(it)) {
            if NO_OBJECTS.contains(&(group, &*resource.name)) {
                continue;
            }
            if let Entry::Vacant(free) = kinds.entry((group.to_owned(), resource.name.clone())) {
                free.insert(Kind {
                    resource: ApiResource {
                        group: group.to_owned(),
                        version: version.to_owned(),
                        api_version: list.group_version.clone(),
                        kind: resource.kind.clone(),
                        plural: resource.name.clone(),
                    },
                    is_deletable: resource.verbs.iter().any(|verb| verb == "delete"),
                });
            }
        }
    }
    kinds.into_values().collect()
}

fn is_wanted(resource: &APIResource) -> bool {
    // A slash marks a subresource, such as `pods/log`.
    resource.namespaced && !resource.name.contains('/') && resource.verbs.iter().any(|verb| verb == "list")
}

/// The result of [`list`].
#[derive(Clone, Debug, Default)]
pub struct Listing {
    pub objects: Vec<Object>,
    /// The kinds that could not be listed: the account has no permission, or their extension API server does not respond.
    pub unseen: Vec<Kind>,
}

/// Lists the objects of these kinds in a namespace that match a label selector. An object that two groups serve is listed once.
pub async fn list(client: &Client, kinds: &[Kind], namespace: &str, selector: &str) -> Result<Listing, kube::Error> {
    let parameters = ListParams::default().labels(selector);
    let lists = stream::iter(kinds.to_vec()).map(|kind| {
        let api = Api::<DynamicObject>::namespaced_with(client.clone(), namespace, &kind.resource);
        let parameters = parameters.clone();
        async move {
            let list = match api.list_metadata(&parameters).await {
                Ok(list) => list.items,
                Err(kube::Error::Api(status)) if matches!(status.code, 403 | 500 | 503) => return Ok(Err(kind)),
                Err(kube::Error::Api(status)) if has_no_objects(status.code) => Vec::new(),
                Err(error) => return Err(error),
            };
            Ok(Ok(list.into_iter().map(|it| Object::new(&kind, it.metadata)).collect::<Vec<_>>()))
        }
    });
    let lists: Vec<_> = lists.buffered(MAX_CONCURRENT).try_collect().await?;
    let mut listing = Listing::default();
    let mut known = BTreeMap::new();
    for list in lists {
        match list {
            Ok(objects) => known.extend(objects.into_iter().map(|object| (object.identity(), object))),
            Err(kind) => listing.unseen.push(kind),
        }
    }
    listing.objects = known.into_values().collect();
    Ok(listing)
}

/// Whether the kind has been removed since discovery, or its objects have no metadata.
fn has_no_objects(status: u16) -> bool {
    matches!(status, 404..=406 | 415)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_kind_is_listed_once_in_its_first_version() {
        let resource = |name: &str, kind: &str, namespaced: bool, verbs: &[&str]| json!({"name": name, "singularName": "", "kind": kind, "namespaced": namespaced, "verbs": verbs});
        let all = ["get", "list", "delete"];
        let list = |version: &str, resources: Vec<serde_json::Value>| {
            serde_json::from_value(json!({"groupVersion": version, "resources": resources})).unwrap()
        };
        let lists: Vec<APIResourceList> = vec![
            list(
                "v1",
                vec![
                    resource("pods", "Pod", true, &all),
                    resource("pods/log", "Pod", true, &["get"]),
                    resource("bindings", "Binding", true, &["create"]),
                    resource("nodes", "Node", false, &all),
                    resource("events", "Event", true, &all),
                ],
            ),
            list("batch/v1", vec![resource("jobs", "Job", true, &all)]),
            list(
                "batch/v1beta1",
                vec![resource("cronjobs", "CronJob", true, &all), resource("jobs", "Job", true, &all)],
            ),
            list("shop.test/v1", vec![resource("pods", "Pod", true, &["list"])]),
            list("metrics.k8s.io/v1beta1", vec![resource("pods", "PodMetrics", true, &["list"])]),
        ];
        let kinds = each_once(lists);
        let found: Vec<_> =
            kinds.iter().map(|it| (&*it.resource.api_version, &*it.resource.plural, it.is_deletable)).collect();
        assert_eq!(
            found,
            [
                ("v1", "pods", true),
                ("batch/v1beta1", "cronjobs", true),
                ("batch/v1", "jobs", true),
                ("shop.test/v1", "pods", false)
            ]
        );
    }
}
