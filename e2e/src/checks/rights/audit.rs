//! Computes permissions from the audit log of an API server: those that an account needs for the requests that it has made.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::rbac::v1::PolicyRule;
use serde::Deserialize;
use serde_json::Value;

/// A request, as the audit log describes it. <https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/>
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    verb: String,
    #[serde(rename = "requestURI")]
    uri: String,
    user: User,
    impersonated_user: Option<User>,
    object_ref: Option<ObjectRef>,
    request_object: Option<Value>,
    response_status: Option<Status>,
}

#[derive(Debug, Deserialize)]
struct User {
    username: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ObjectRef {
    resource: String,
    namespace: Option<String>,
    name: Option<String>,
    api_group: String,
    subresource: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Status {
    code: Option<u16>,
}

/// The object of a permission.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Object {
    pub(super) group: String,
    /// With the subresource, after a slash.
    pub(super) resource: String,
    /// The only object, if its name is known before.
    pub(super) name: Option<String>,
}

/// The verbs, by object.
pub(super) type Verbs = BTreeMap<Object, BTreeSet<String>>;

/// The permissions that an account needs.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// In all namespaces, and for objects without one.
    pub(super) cluster: Verbs,
    /// In single namespaces.
    pub(super) namespaces: BTreeMap<String, Verbs>,
}

/// A line of the log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    #[error("line {line} of the audit log is not an event")]
    NotAnEvent {
        line: usize,
        #[source]
        source: serde_json::Error,
    },
    #[error("line {line} of the audit log: no rule is known for {verb} {uri}")]
    Unknown { line: usize, verb: String, uri: String },
}

/// The resources whose objects have names that are known before: of others, the names are different in each run.
const NAMED: [&str; 3] = ["namespaces", "secrets", "serviceaccounts"];

/// The verbs that a name can restrict.
const OF_ONE: [&str; 2] = ["get", "impersonate"];

/// The requests that Kubernetes permits to every account: ask about itself, and discover the API (`system:basic-user` and
/// `system:discovery`).
const OF_ALL: [&str; 3] = ["selfsubjectaccessreviews", "selfsubjectreviews", "selfsubjectrulesreviews"];
const OF_ALL_PATHS: [&str; 6] = ["/api", "/apis", "/healthz", "/livez", "/readyz", "/version"];

impl Rights {
    /// The permissions for all requests of the account `user` in an audit log, one event per line. Requests that were denied count, too.
    /// Namespaces that begin with `temporary` exist only in one run: permissions there are permissions in all namespaces.
    ///
    /// # Errors
    /// A line is not an event, or describes a request that no rule is known for.
    pub fn from_audit_log(log: &str, user: &str, temporary: &str) -> Result<Self, AuditError> {
        let mut rights = Self::default();
        for (index, text) in log.lines().enumerate() {
            let line = index + 1;
            let event: Event = serde_json::from_str(text).map_err(|source| AuditError::NotAnEvent { line, source })?;
            if event.user.username != user {
                continue;
            }
            if !rights.add_event(&event, temporary) {
                return Err(AuditError::Unknown { line, verb: event.verb, uri: event.uri });
            }
        }
        rights.remove_repeated();
        Ok(rights)
    }

    /// Returns `false` if no rule is known for the request.
    fn add_event(&mut self, event: &Event, temporary: &str) -> bool {
        if let Some(other) = &event.impersonated_user {
            // The other account needs the permission for the request itself.
            return self.add_impersonation(&other.username, temporary);
        }
        let Some(object) = event.object_ref.as_ref().filter(|object| !object.resource.is_empty()) else {
            let path = event.uri.split('?').next().unwrap_or_default();
            let is_below = |rest: &str| rest.is_empty() || rest.starts_with('/');
            return OF_ALL_PATHS.iter().any(|known| path.strip_prefix(known).is_some_and(is_below));
        };
        if OF_ALL.contains(&&*object.resource) {
            return true;
        }
        let resource = match object.subresource.as_deref().filter(|part| !part.is_empty()) {
            Some(part) => format!("{}/{part}", object.resource),
            None => object.resource.clone(),
        };
        let wanted = Object { group: object.api_group.clone(), resource, name: object.name.clone() };
        let mut add = |verb: &str| self.add(object.namespace.as_deref(), verb, wanted.clone(), temporary);
        add(&event.verb);
        // Server-side apply of a new object needs both, and so does an upgraded connection since Kubernetes 1.35.
        let is_created = event.response_status.as_ref().is_some_and(|status| status.code == Some(201));
        let is_upgraded =
            event.verb == "get" && matches!(&*wanted.resource, "pods/portforward" | "pods/exec" | "pods/attach");
        if (event.verb == "patch" && is_created) || is_upgraded {
            add("create");
        }
        // Only who has the permissions of a Role may create it.
        if wanted.resource == "roles" {
            let rules = event.request_object.as_ref().and_then(|role| role.get("rules"));
            let rules: Vec<PolicyRule> =
                rules.and_then(|it| serde_json::from_value(it.clone()).ok()).unwrap_or_default();
            for rule in rules {
                self.add_rule(object.namespace.as_deref(), &rule, temporary);
            }
        }
        true
    }

    fn add_impersonation(&mut self, user: &str, temporary: &str) -> bool {
        let account = user.strip_prefix("system:serviceaccount:").and_then(|account| account.split_once(':'));
        let Some((namespace, name)) = account else { return false };
        let resource = "serviceaccounts".to_owned();
        let account = Object { group: String::new(), resource, name: Some(name.to_owned()) };
        self.add(Some(namespace), "impersonate", account, temporary);
        true
    }

    fn add_rule(&mut self, namespace: Option<&str>, rule: &PolicyRule, temporary: &str) {
        for group in rule.api_groups.iter().flatten() {
            for resource in rule.resources.iter().flatten() {
                for verb in &rule.verbs {
                    let object = Object { group: group.clone(), resource: resource.clone(), name: None };
                    self.add(namespace, verb, object, temporary);
                }
            }
        }
    }

    /// Adds a permission. Only names that are known before the run restrict it.
    fn add(&mut self, namespace: Option<&str>, verb: &str, object: Object, temporary: &str) {
        let is_named = NAMED.contains(&&*object.resource) && OF_ONE.contains(&verb);
        // The API server reports a namespace as one in itself.
        let is_inside = object.resource != "namespaces";
        let namespace = namespace.filter(|it| is_inside && !it.is_empty() && !it.starts_with(temporary));
        let name = object.name.filter(|name| is_named && !name.is_empty() && !name.starts_with(temporary));
        let verbs = match namespace {
            Some(namespace) => self.namespaces.entry(namespace.to_owned()).or_default(),
            None => &mut self.cluster,
        };
        verbs.entry(Object { name, ..object }).or_default().insert(verb.to_owned());
    }

    /// Removes the permissions that a wider one includes.
    fn remove_repeated(&mut self) {
        let cluster = self.cluster.clone();
        for verbs in self.namespaces.values_mut() {
            for (object, verbs) in verbs.iter_mut() {
                verbs.retain(|verb| !includes(&cluster, object, verb));
            }
            verbs.retain(|_, verbs| !verbs.is_empty());
            remove_named(verbs);
        }
        self.namespaces.retain(|_, verbs| !verbs.is_empty());
        remove_named(&mut self.cluster);
    }
}

fn includes(all: &Verbs, object: &Object, verb: &str) -> bool {
    let has = |object: &Object| all.get(object).is_some_and(|verbs| verbs.contains(verb));
    has(object) || has(&Object { name: None, ..object.clone() })
}

/// Removes permissions for one object, if there is the same one for all.
fn remove_named(all: &mut Verbs) {
    let before = all.clone();
    for (object, verbs) in all.iter_mut().filter(|(object, _)| object.name.is_some()) {
        let every = Object { name: None, ..object.clone() };
        verbs.retain(|verb| !includes(&before, &every, verb));
    }
    all.retain(|_, verbs| !verbs.is_empty());
}
