//! Objects for tests.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::state::State;

/// `object` with that name, in the namespace `n`.
pub(crate) fn named(name: &str, mut object: Value) -> Value {
    object["metadata"] = json!({"namespace": "n", "name": name});
    object
}

/// A state of those objects.
pub(crate) fn state(services: &[Value], endpoints: &[Value]) -> State {
    State {
        services: services.iter().map(|it| Arc::new(serde_json::from_value(it.clone()).unwrap())).collect(),
        endpoints: endpoints.iter().map(|it| Arc::new(serde_json::from_value(it.clone()).unwrap())).collect(),
    }
}
