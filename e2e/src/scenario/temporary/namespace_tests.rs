//! Tests of the removal of namespaces, with an API server that only has namespaces.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use container_engine::labels::{OWNER, RENEWED, TEMPORARY};
use http::{Request, Response};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

use super::namespace::{InUse, Swept, sweep};

/// A process of another machine: there is no lock that shows whether it runs.
const OWNER_ID: &str = "elsewhere.1.0123456789abcdef";

/// The namespaces by their names.
#[derive(Clone, Default)]
struct FakeApi {
    namespaces: Arc<Mutex<BTreeMap<String, Value>>>,
    /// The name of a namespace that gets a heartbeat as soon as its deletion is requested.
    alive: Option<&'static str>,
}

impl FakeApi {
    /// Adds a namespace whose owner has last shown that it runs before this time.
    fn add(&self, name: &str, age: SignedDuration) -> String {
        let renewed = (Timestamp::now() - age).to_string();
        let annotations = json!({OWNER: OWNER_ID, RENEWED: renewed});
        let metadata = json!({"name": name, "uid": format!("uid-{name}"), "resourceVersion": "1",
            "labels": {TEMPORARY: "check"}, "annotations": annotations});
        self.namespaces.lock().unwrap().insert(name.to_owned(), json!({"metadata": metadata}));
        renewed
    }

    fn names(&self) -> Vec<String> {
        self.namespaces.lock().unwrap().keys().cloned().collect()
    }

    fn client(&self) -> Client {
        let api = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let api = api.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = serde_json::from_slice(&body.collect_bytes().await.unwrap()).unwrap_or(Value::Null);
                let (code, answer) = api.answer(parts.method.as_str(), parts.uri.path(), &body);
                let answer = Body::from(serde_json::to_vec(&answer).unwrap());
                Ok::<_, Infallible>(Response::builder().status(code).body(answer).unwrap())
            }
        });
        Client::new(service, "default")
    }

    fn answer(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let status =
            |code: u16, reason: &str| (code, json!({"kind": "Status", "code": code, "reason": reason, "message": ""}));
        let mut namespaces = self.namespaces.lock().unwrap();
        let name = path.strip_prefix("/api/v1/namespaces").unwrap().trim_start_matches('/');
        if name.is_empty() {
            let items: Vec<Value> = namespaces.values().cloned().collect();
            return (200, json!({"kind": "NamespaceList", "apiVersion": "v1", "metadata": {}, "items": items}));
        }
        let Some(found) = namespaces.get_mut(name) else { return status(404, "NotFound") };
        if method != "DELETE" {
            return (200, found.clone());
        }
        if self.alive == Some(name) {
            found["metadata"]["resourceVersion"] = json!("2");
        }
        for field in ["uid", "resourceVersion"] {
            let wanted = &body["preconditions"][field];
            if !wanted.is_null() && *wanted != found["metadata"][field] {
                return status(409, "Conflict");
            }
        }
        namespaces.remove(name);
        (200, json!({"kind": "Status", "status": "Success"}))
    }
}

#[tokio::test]
async fn only_namespaces_without_a_recent_heartbeat_are_removed() {
    let api = FakeApi::default();
    api.add("e2e-check-old", SignedDuration::from_mins(11));
    let renewed = api.add("e2e-check-new", SignedDuration::from_mins(1));
    api.add("another-name", SignedDuration::from_hours(1));
    let swept = sweep(&api.client()).await.unwrap();
    let in_use = InUse { namespace: "e2e-check-new".into(), owner: OWNER_ID.into(), renewed };
    assert_eq!(swept, Swept { removed: vec!["e2e-check-old".into()], in_use: vec![in_use] });
    assert_eq!(api.names(), ["another-name", "e2e-check-new"]);
}

#[tokio::test]
async fn a_namespace_with_a_heartbeat_before_its_deletion_remains() {
    let api = FakeApi { alive: Some("e2e-check-old"), ..FakeApi::default() };
    api.add("e2e-check-old", SignedDuration::from_mins(11));
    assert_eq!(sweep(&api.client()).await.unwrap(), Swept::default());
    assert_eq!(api.names(), ["e2e-check-old"]);
}
