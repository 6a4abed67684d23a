//! Determines the `IngressClass` of Ingresses that name none.

use k8s_openapi::api::networking::v1::IngressClass;
use kube::ResourceExt;

/// The annotation of the `IngressClass` of Ingresses that name none.
const DEFAULT_CLASS: &str = "ingressclass.kubernetes.io/is-default-class";

/// Whether this is the class of Ingresses that name none.
/// <https://kubernetes.io/docs/concepts/services-networking/ingress/#default-ingress-class>
pub(crate) fn is_default(class: &IngressClass) -> bool {
    class.annotations().get(DEFAULT_CLASS).is_some_and(|value| value == "true")
}
