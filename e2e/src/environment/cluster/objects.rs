//! The objects of a namespace, of every kind that its API server serves, whatever that is.
//!
//! Of each the metadata alone is asked for: what is in a Secret is nobody's business here.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{APIResource, APIResourceList, ObjectMeta};
use kube::api::{DeleteParams, DynamicObject, ListParams};
use kube::core::ApiResource;
use kube::{Api, Client};

/// How many kinds are asked for at the same time.
const AT_ONCE: usize = 8;

/// Kinds of which nobody has made an object: what happened, what was measured. Their groups have other kinds as well.
const NO_OBJECTS: [(&str, &str); 3] = [("", "events"), ("events.k8s.io", "events"), ("metrics.k8s.io", "pods")];

/// A kind that lives in namespaces and can be listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    resource: ApiResource,
    /// Whether its objects can be deleted.
    is_deletable: bool,
}

impl Kind {
    /// Its API group and name.
    pub fn name(&self) -> (&str, &str) {
        (&self.resource.group, &self.resource.kind)
    }
}

/// An object, as far as its metadata tells.
#[derive(Clone, Debug)]
pub struct Object {
    /// What it is: `Deployment`.
    pub kind: String,
    /// Its API group.
    pub group: String,
    /// Its metadata.
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

    /// Its name.
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// The value of one of its labels.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.metadata.labels.as_ref()?.get(key).map(String::as_str)
    }

    /// Whether another object answers for it, and takes it away when it goes itself.
    pub fn is_owned(&self) -> bool {
        self.metadata.owner_references.as_ref().is_some_and(|owners| !owners.is_empty())
    }

    /// Deletes it, and what it owns after it. That it is gone already is no error, nor that its kind is never deleted.
    ///
    /// # Errors
    /// When the API server refuses.
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

/// Every kind that the API server serves in namespaces, each once. A group whose own server does not answer is left out.
///
/// # Errors
/// When it does not tell its groups.
pub async fn kinds(client: &Client) -> Result<Vec<Kind>, kube::Error> {
    let groups = client.list_api_groups().await?.groups;
    let versions = groups.iter().flat_map(|group| {
        // The preferred one first: a kind is asked for in that version, if it is in it.
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
    // What has a slash in its name is a part of another object: `pods/log`
    resource.namespaced && !resource.name.contains('/') && resource.verbs.iter().any(|verb| verb == "list")
}

/// What was listed.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// The objects.
    pub objects: Vec<Object>,
    /// The kinds that were not to be seen: this account may not list them, or their own server does not answer.
    pub unseen: Vec<Kind>,
}

/// All objects of these kinds in a namespace that a label selector selects. What two groups serve is one object.
///
/// # Errors
/// When the API server does not answer.
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
    let lists: Vec<_> = lists.buffered(AT_ONCE).try_collect().await?;
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

/// The kind is gone since it was asked for, or is made of nothing that has metadata.
fn has_no_objects(status: u16) -> bool {
    matches!(status, 404..=406 | 415)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_kind_once_and_in_its_first_version() {
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
        let told: Vec<_> =
            kinds.iter().map(|it| (&*it.resource.api_version, &*it.resource.plural, it.is_deletable)).collect();
        assert_eq!(
            told,
            [
                ("v1", "pods", true),
                ("batch/v1beta1", "cronjobs", true),
                ("batch/v1", "jobs", true),
                ("shop.test/v1", "pods", false)
            ]
        );
    }
}
