//! The objects of the Gateway API that checks read. <https://gateway-api.sigs.k8s.io/reference/spec/>

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta};
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope};
use kube::Resource;
use serde::Deserialize;

/// A route for HTTP requests.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct HttpRoute {
    #[serde(default)]
    pub(super) metadata: ObjectMeta,
    #[serde(default)]
    pub(super) spec: HttpRouteSpec,
    #[serde(default)]
    status: HttpRouteStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct HttpRouteSpec {
    pub(super) parent_refs: Vec<Parent>,
    pub(super) hostnames: Vec<String>,
}

/// A reference to a Gateway.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Parent {
    pub(super) namespace: Option<String>,
    pub(super) name: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct HttpRouteStatus {
    parents: Vec<ParentStatus>,
}

/// The status of a route that the controller of a Gateway has written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ParentStatus {
    parent_ref: Parent,
    conditions: Vec<Condition>,
}

impl HttpRoute {
    /// Why no Gateway routes requests: a Gateway, and the message of its controller. `None` if one does, or its controller has not decided
    /// yet.
    pub(super) fn refusal(&self) -> Option<(String, String)> {
        let mut refusals = self.status.parents.iter().map(|parent| {
            let refused = parent.conditions.iter().find(|condition| {
                ["Accepted", "ResolvedRefs"].contains(&&*condition.type_) && condition.status == "False"
            })?;
            let Parent { namespace, name } = &parent.parent_ref;
            let namespace = namespace.as_deref().or(self.metadata.namespace.as_deref()).unwrap_or_default();
            Some((format!("{namespace}/{name}"), refused.message.clone()))
        });
        let first = refusals.next()??;
        refusals.all(|refusal| refusal.is_some()).then_some(first)
    }

    /// Whether no controller has decided about the route: that of its Gateway does not exist, or does not run.
    pub(super) fn is_undecided(&self) -> bool {
        self.status.parents.is_empty()
    }
}

/// An entry point for requests.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Gateway {
    #[serde(default)]
    pub(super) metadata: ObjectMeta,
    #[serde(default)]
    pub(super) spec: GatewaySpec,
    #[serde(default)]
    pub(super) status: GatewayStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct GatewaySpec {
    pub(super) gateway_class_name: String,
    pub(super) listeners: Vec<Listener>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Listener {
    pub(super) port: u16,
    pub(super) protocol: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct GatewayStatus {
    pub(super) addresses: Vec<Address>,
}

/// An IP address or a name.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Address {
    pub(super) value: String,
}

/// The program that serves Gateways.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct GatewayClass {
    #[serde(default)]
    pub(super) metadata: ObjectMeta,
    #[serde(default)]
    pub(super) spec: GatewayClassSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct GatewayClassSpec {
    pub(super) controller_name: String,
}

/// Identifies a kind of this API group and version.
macro_rules! resource {
    ($type:ident, $scope:ident, $kind:literal, $plural:literal) => {
        impl Resource for $type {
            type DynamicType = ();
            type Scope = $scope;

            fn kind(_: &()) -> Cow<'_, str> {
                $kind.into()
            }

            fn group(_: &()) -> Cow<'_, str> {
                "gateway.networking.k8s.io".into()
            }

            fn version(_: &()) -> Cow<'_, str> {
                "v1".into()
            }

            fn plural(_: &()) -> Cow<'_, str> {
                $plural.into()
            }

            fn meta(&self) -> &ObjectMeta {
                &self.metadata
            }

            fn meta_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        }
    };
}

resource!(HttpRoute, NamespaceResourceScope, "HTTPRoute", "httproutes");
resource!(Gateway, NamespaceResourceScope, "Gateway", "gateways");
resource!(GatewayClass, ClusterResourceScope, "GatewayClass", "gatewayclasses");

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn route(conditions: &serde_json::Value) -> HttpRoute {
        serde_json::from_value(json!({
            "metadata": {"name": "demo", "namespace": "gitlab"},
            "spec": {"parentRefs": [{"name": "web"}], "hostnames": ["dev.test"]},
            "status": {"parents": [{"parentRef": {"name": "web"}, "controllerName": "x", "conditions": conditions}]}
        }))
        .unwrap()
    }

    #[test]
    fn the_refusal_of_a_controller_is_found() {
        let condition = |kind: &str, status: &str| {
            json!({"type": kind, "status": status, "message": format!("{kind}!"), "reason": "R",
                "lastTransitionTime": "2026-01-01T00:00:00Z"})
        };
        let accepted = route(&json!([condition("Accepted", "True"), condition("ResolvedRefs", "True")]));
        assert_eq!(accepted.refusal(), None);
        let refused = route(&json!([condition("Accepted", "True"), condition("ResolvedRefs", "False")]));
        assert_eq!(refused.refusal(), Some(("gitlab/web".to_owned(), "ResolvedRefs!".to_owned())));
        assert!(!refused.is_undecided() && HttpRoute::default().is_undecided());
    }
}
