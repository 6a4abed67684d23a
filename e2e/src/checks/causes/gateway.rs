//! Determines from an `HTTPRoute` why requests do not reach pods.

use crate::checks::cause::Remedy;
use crate::checks::gateway_api::HttpRoute;

/// Why no Gateway routes requests, according to the status that the Gateways' controllers write.
/// <https://gateway-api.sigs.k8s.io/api-types/httproute/#routestatus>
pub(super) fn unrouted(route: &HttpRoute) -> Option<Remedy> {
    if let Some((gateway, message)) = route.refusal() {
        let fix = "make parentRefs name a Gateway that allows routes of this namespace, and backendRefs the environment's Service";
        return Some(Remedy::lasting(format!("Gateway {gateway} does not route its requests: {message}"), fix));
    }
    // A controller that runs decides within a moment.
    let fix =
        "set KUBE_GATEWAY to an existing Gateway: `kubectl get gateways --all-namespaces`, and look at its controller";
    route.is_undecided().then(|| {
        Remedy::new("no controller has accepted it: its Gateway does not exist, or has no controller that runs", fix)
    })
}
