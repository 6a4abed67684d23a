//! Objects for tests.

use std::sync::Arc;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::state::State;

/// The object that `json` describes.
pub(crate) fn object<K: DeserializeOwned>(json: Value) -> K {
    serde_json::from_value(json).unwrap()
}

/// An Ingress of class `traefik` in the namespace `n`, created in that second of a minute.
pub(crate) fn ingress(name: &str, second: u8, mut spec: Value) -> Value {
    spec["ingressClassName"] = json!("traefik");
    let created = format!("2026-01-01T00:00:{second:02}Z");
    json!({"metadata": {"namespace": "n", "name": name, "creationTimestamp": created}, "spec": spec})
}

/// One path of a rule, to the port `http` of that Service.
pub(crate) fn path(kind: &str, path: &str, service: &str) -> Value {
    json!({"pathType": kind, "path": path, "backend": {"service": {"name": service, "port": {"name": "http"}}}})
}

/// A rule with those paths.
pub(crate) fn rule(host: &str, paths: &[Value]) -> Value {
    json!({"host": host, "http": {"paths": paths}})
}

/// A Service and its Endpoints, with that one address behind its port `http`.
pub(crate) fn service(name: &str, ip: &str) -> (Value, Value) {
    let metadata = json!({"namespace": "n", "name": name});
    let subsets = json!([{"addresses": [{"ip": ip}], "ports": [{"name": "http", "port": 8080}]}]);
    (
        json!({"metadata": metadata, "spec": {"ports": [{"name": "http", "port": 80}]}}),
        json!({"metadata": metadata, "subsets": subsets}),
    )
}

/// A TLS Secret in the namespace `n` with those entries.
pub(crate) fn secret(name: &str, entries: &[(&str, &str)]) -> Secret {
    let mut secret: Secret = object(json!({"metadata": {"namespace": "n", "name": name}, "type": "kubernetes.io/tls"}));
    let entries = entries.iter().map(|(name, text)| ((*name).to_owned(), ByteString(text.as_bytes().to_vec())));
    secret.data = Some(entries.collect());
    secret
}

/// A state of those objects.
pub(crate) fn state(ingresses: &[Value], services: &[(Value, Value)], secrets: &[Secret]) -> State {
    State {
        ingresses: ingresses.iter().map(|it| Arc::new(object(it.clone()))).collect(),
        services: services.iter().map(|(service, _)| Arc::new(object(service.clone()))).collect(),
        endpoints: services.iter().map(|(_, endpoints)| Arc::new(object(endpoints.clone()))).collect(),
        secrets: secrets.iter().cloned().map(Arc::new).collect(),
    }
}
