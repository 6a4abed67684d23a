//! A copy of what the controller knows of the cluster, and who of it is ours.

use std::cmp::Ordering;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Endpoints, Secret, Service};
use k8s_openapi::api::networking::v1::Ingress;
use kube::{Resource, ResourceExt};

/// The annotation that named the class before `spec.ingressClassName` existed.
const LEGACY_CLASS: &str = "kubernetes.io/ingress.class";

/// Everything that decides the configuration, at one moment.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Every Ingress of the cluster, of whatever class.
    pub ingresses: Vec<Arc<Ingress>>,
    /// Every Service.
    pub services: Vec<Arc<Service>>,
    /// Every Endpoints object; cluster version 1.20 has no `EndpointSlice` of version v1.
    pub endpoints: Vec<Arc<Endpoints>>,
    /// Every Secret of type `kubernetes.io/tls`.
    pub secrets: Vec<Arc<Secret>>,
}

impl State {
    /// The Ingresses of `class`, oldest first: of two that claim the same path, the older one has it.
    pub fn ingresses_of(&self, class: &str) -> Vec<&Ingress> {
        let mut ours: Vec<&Ingress> = self.ingresses.iter().map(AsRef::as_ref).filter(|it| is_of(it, class)).collect();
        ours.sort_by(|left, right| by_age(left, right));
        ours
    }

    /// The Service of that name.
    pub fn service(&self, namespace: &str, name: &str) -> Option<&Service> {
        find(&self.services, namespace, name)
    }

    /// The Endpoints of that name.
    pub fn endpoints(&self, namespace: &str, name: &str) -> Option<&Endpoints> {
        find(&self.endpoints, namespace, name)
    }

    /// The TLS Secret of that name.
    pub fn secret(&self, namespace: &str, name: &str) -> Option<&Secret> {
        find(&self.secrets, namespace, name)
    }
}

fn find<'state, K: Resource>(objects: &'state [Arc<K>], namespace: &str, name: &str) -> Option<&'state K> {
    objects.iter().map(AsRef::as_ref).find(|object| {
        object.meta().namespace.as_deref() == Some(namespace) && object.meta().name.as_deref() == Some(name)
    })
}

/// Whether `ingress` asks for the class. An Ingress without any is nobody's: a default class is filled in by the API
/// server when the Ingress is created.
fn is_of(ingress: &Ingress, class: &str) -> bool {
    let legacy = ingress.annotations().get(LEGACY_CLASS);
    let asked = legacy.or_else(|| ingress.spec.as_ref().and_then(|spec| spec.ingress_class_name.as_ref()));
    asked.is_some_and(|asked| asked == class)
}

fn by_age(left: &Ingress, right: &Ingress) -> Ordering {
    left.metadata
        .creation_timestamp
        .cmp(&right.metadata.creation_timestamp)
        .then_with(|| left.metadata.namespace.cmp(&right.metadata.namespace))
        .then_with(|| left.metadata.name.cmp(&right.metadata.name))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::fixtures::{ingress, object, state};

    #[rstest]
    #[case::field(json!({}), json!({"ingressClassName": "traefik"}), true)]
    #[case::annotation(json!({LEGACY_CLASS: "traefik"}), json!({}), true)]
    #[case::none(json!({}), json!({}), false)]
    #[case::other_field(json!({}), json!({"ingressClassName": "nginx"}), false)]
    #[case::other_annotation(json!({LEGACY_CLASS: "nginx"}), json!({}), false)]
    #[case::annotation_before_field(json!({LEGACY_CLASS: "traefik"}), json!({"ingressClassName": "nginx"}), true)]
    #[case::other_annotation_before_field(json!({LEGACY_CLASS: "nginx"}), json!({"ingressClassName": "traefik"}), false)]
    #[case::empty_annotation_before_field(json!({LEGACY_CLASS: ""}), json!({"ingressClassName": "traefik"}), false)]
    #[case::another_case(json!({}), json!({"ingressClassName": "Traefik"}), false)]
    fn class(#[case] annotations: Value, #[case] spec: Value, #[case] ours: bool) {
        let ingress: Ingress = object(json!({"metadata": {"annotations": annotations}, "spec": spec}));
        let state = State { ingresses: vec![Arc::new(ingress)], ..State::default() };
        assert_eq!(state.ingresses_of("traefik").len(), usize::from(ours));
    }

    #[test]
    fn oldest_first_then_by_name() {
        let ingresses =
            [("younger", 2), ("b", 1), ("a", 1), ("oldest", 0)].map(|(name, age)| ingress(name, age, json!({})));
        let state = state(&ingresses, &[], &[]);
        let names: Vec<_> =
            state.ingresses_of("traefik").into_iter().filter_map(|it| it.metadata.name.clone()).collect();
        assert_eq!(names, ["oldest", "a", "b", "younger"]);
    }

    #[test]
    fn found_by_both_names() {
        let services = [("n", "a"), ("m", "b")]
            .map(|(namespace, name)| Arc::new(object(json!({"metadata": {"namespace": namespace, "name": name}}))));
        let state = State { services: services.into(), ..State::default() };
        assert!(state.service("n", "a").is_some());
        assert!(state.service("m", "a").is_none());
        assert!(state.service("n", "b").is_none());
    }
}
