//! An API server for tests, which keeps objects by their paths.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

/// The objects of an API server.
#[derive(Clone, Default)]
pub(super) struct FakeApi(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// By path: `/api/v1/namespaces/n/pods/p`.
    objects: BTreeMap<String, Value>,
    /// The last UID or version.
    last: u32,
    /// Runs before the next deletion of this path.
    before_deletion: Option<(String, Value)>,
    /// Methods that the account may not use.
    forbidden: Vec<&'static str>,
}

impl FakeApi {
    pub(super) fn client(&self) -> Client {
        let api = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let api = api.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect_bytes().await.unwrap();
                let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
                let (code, answer) = api.answer(parts.method.as_str(), parts.uri.path(), &body);
                let answer = Body::from(serde_json::to_vec(&answer).unwrap());
                Ok::<_, Infallible>(Response::builder().status(code).body(answer).unwrap())
            }
        });
        Client::new(service, "n")
    }

    /// Adds an object, with a UID and a version of its own.
    pub(super) fn add(&self, path: &str, object: &Value) {
        self.0.lock().unwrap().add(path, object);
    }

    /// Replaces the object at `path` as soon as its deletion is requested: what another program may do between two requests.
    pub(super) fn replace_before_deletion(&self, path: &str, object: Value) {
        self.0.lock().unwrap().before_deletion = Some((path.to_owned(), object));
    }

    pub(super) fn forbid(&self, method: &'static str) {
        self.0.lock().unwrap().forbidden.push(method);
    }

    pub(super) fn object(&self, path: &str) -> Option<Value> {
        self.0.lock().unwrap().objects.get(path).cloned()
    }

    pub(super) fn remove(&self, path: &str) {
        self.0.lock().unwrap().objects.remove(path);
    }

    /// The last parts of all paths.
    pub(super) fn names(&self) -> Vec<String> {
        let state = self.0.lock().unwrap();
        state.objects.keys().map(|path| path.rsplit('/').next().unwrap().to_owned()).collect()
    }

    fn answer(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let mut state = self.0.lock().unwrap();
        if state.forbidden.contains(&method) {
            return status(403, "Forbidden", "no");
        }
        match method {
            "GET" => match state.objects.get(path) {
                Some(object) => (200, object.clone()),
                None if ["pods", "secrets", "configmaps"].iter().any(|kind| path.ends_with(kind)) => {
                    let kind = path.rsplit('/').next().unwrap();
                    let part = format!("/{kind}/");
                    let items = state.objects.iter().filter(|(key, _)| key.contains(&part));
                    let items: Vec<_> = items.map(|(_, object)| object).collect();
                    (200, json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": items}))
                }
                None => status(404, "NotFound", "not found"),
            },
            "POST" => {
                let path = format!("{path}/{}", body["metadata"]["name"].as_str().unwrap());
                if state.objects.contains_key(&path) {
                    return status(409, "AlreadyExists", "already exists");
                }
                state.add(&path, body);
                (201, state.objects[&path].clone())
            }
            "PATCH" => {
                let Some(mut object) = state.objects.get(path).cloned() else {
                    return status(404, "NotFound", "not found");
                };
                if body["metadata"]["uid"] != object["metadata"]["uid"] {
                    return status(409, "Conflict", "Precondition failed: UID in precondition");
                }
                for (key, value) in body["metadata"]["annotations"].as_object().unwrap() {
                    object["metadata"]["annotations"][key] = value.clone();
                }
                state.last += 1;
                object["metadata"]["resourceVersion"] = state.last.to_string().into();
                state.objects.insert(path.to_owned(), object.clone());
                (200, object)
            }
            "DELETE" => {
                if let Some((_, object)) = state.before_deletion.take_if(|(other, _)| other == path) {
                    state.objects.remove(path);
                    state.add(path, &object);
                }
                let Some(object) = state.objects.get(path) else { return status(404, "NotFound", "not found") };
                for (key, name) in [("uid", "UID"), ("resourceVersion", "ResourceVersion")] {
                    let expected = &body["preconditions"][key];
                    if !expected.is_null() && *expected != object["metadata"][key] {
                        return status(409, "Conflict", &format!("Precondition failed: {name} in precondition"));
                    }
                }
                state.objects.remove(path);
                (200, json!({"kind": "Status", "apiVersion": "v1", "status": "Success"}))
            }
            _ => panic!("{method} {path}"),
        }
    }
}

impl State {
    fn add(&mut self, path: &str, object: &Value) {
        let mut object = object.clone();
        let parts: Vec<_> = path.rsplit('/').collect();
        self.last += 1;
        let own = json!({"name": parts[0], "namespace": parts[2], "uid": format!("uid-{}", self.last),
            "resourceVersion": self.last.to_string()});
        for (key, value) in own.as_object().unwrap() {
            // A changed object keeps its UID.
            if object["metadata"][key].is_null() {
                object["metadata"][key] = value.clone();
            }
        }
        self.objects.insert(path.to_owned(), object);
    }
}

fn status(code: u16, reason: &str, message: &str) -> (u16, Value) {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code,
        "message": message});
    (code, status)
}
