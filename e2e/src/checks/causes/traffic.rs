//! Determines from Service, Ingress, `IngressClass` and controller why requests do not reach pods.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec, Service};
use k8s_openapi::api::networking::v1::{Ingress, IngressClass, ServiceBackendPort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::{Resource, ResourceExt};

use crate::checks::cause::Remedy;
use crate::checks::ingress_class;

/// The annotation with an Ingress's class before `ingressClassName` existed. Controllers still read it, without an `IngressClass`.
/// <https://kubernetes.io/docs/concepts/services-networking/ingress/#deprecated-annotation>
const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";

/// The label that names the program of a workload.
pub(in crate::checks) const NAME: &str = "app.kubernetes.io/name";

/// Whether the Service selects a pod of its namespace. A Service without a selector selects none.
pub(in crate::checks) fn selects(service: &Service, pod: &Pod) -> bool {
    let selector = service.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    selector.is_some_and(|selector| {
        !selector.is_empty() && selector.iter().all(|(key, value)| pod.labels().get(key) == Some(value))
    })
}

/// Why the Service reaches none of the environment's pods: its selector, or its named targetPort.
pub(super) fn service(service: &Service, pods: &[Pod]) -> Option<Remedy> {
    let spec = service.spec.as_ref()?;
    let selected: Vec<&Pod> = pods.iter().filter(|pod| selects(service, pod)).collect();
    let first = pods.first()?;
    if selected.is_empty() {
        let selector = spec.selector.clone().unwrap_or_default();
        let labels: BTreeMap<_, _> = first
            .labels()
            .iter()
            .filter(|(key, _)| *key == "app" || *key == "ref" || selector.contains_key(*key))
            .collect();
        return Some(Remedy::lasting(
            format!("its selector {} matches no pod of the environment: they have {}", pairs(&selector), pairs(labels)),
            "make it select `app` and `ref` of the Deployment's template",
        ));
    }
    let names: Vec<&str> = selected
        .iter()
        .flat_map(|pod| pod.spec.iter())
        // Sidecars are init containers.
        .flat_map(|spec| spec.containers.iter().chain(spec.init_containers.iter().flatten()))
        .flat_map(|container| container.ports.iter().flatten())
        .filter_map(|port| port.name.as_deref())
        .collect();
    spec.ports.iter().flatten().find_map(|port| match &port.target_port {
        Some(IntOrString::String(name)) if !names.contains(&&**name) => Some(Remedy::lasting(
            format!("its targetPort {name} is not a port of the pods, which have {}", list(names.iter().copied())),
            "make targetPort the name of the container's port: http-metrics",
        )),
        _ => None,
    })
}

/// Why the Ingress is not served. `classes` are those of the cluster, `services` those of the namespace.
pub(super) fn ingress(ingress: &Ingress, classes: &[IngressClass], services: &[Service]) -> Option<Remedy> {
    let spec = ingress.spec.as_ref()?;
    let is_annotated = spec.ingress_class_name.is_none() && ingress.annotations().contains_key(CLASS_ANNOTATION);
    if !is_annotated && class(ingress, classes).is_none() {
        let existing = list(classes.iter().filter_map(|class| class.metadata.name.as_deref()));
        let fix = "set ingressClassName to an existing class: `kubectl get ingressclass`";
        return Some(match &spec.ingress_class_name {
            Some(name) => Remedy::lasting(format!("there is no IngressClass {name}; existing: {existing}"), fix),
            // Some controllers serve it all the same.
            None => Remedy::uncertain(
                format!("it names no IngressClass, and none is the default; existing: {existing}"),
                fix,
            ),
        });
    }
    let paths = spec.rules.iter().flatten().filter_map(|rule| rule.http.as_ref()).flat_map(|http| &http.paths);
    let backends = paths.filter_map(|path| path.backend.service.as_ref());
    backends.into_iter().find_map(|backend| {
        let Some(service) = services.iter().find(|service| service.name_any() == backend.name) else {
            return Some(Remedy::lasting(
                format!("there is no Service {}, its backend", backend.name),
                "make the Ingress name the environment's Service",
            ));
        };
        let port = backend.port.clone().unwrap_or_default();
        let ports = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
        let ports: Vec<(Option<&str>, i32)> = ports.map(|port| (port.name.as_deref(), port.port)).collect();
        let matches = |(name, number): &(Option<&str>, i32)| match &port {
            ServiceBackendPort { number: Some(wanted), .. } => wanted == number,
            ServiceBackendPort { name: wanted, .. } => wanted.as_deref() == *name,
        };
        (!ports.iter().any(matches)).then(|| {
            let wanted = port.number.map(|number| number.to_string()).or_else(|| port.name.clone()).unwrap_or_default();
            let existing = ports.iter().map(|(name, number)| match name {
                Some(name) => format!("{name} ({number})"),
                None => number.to_string(),
            });
            Remedy::lasting(
                format!("its backend, Service {}, has no port {wanted}; existing: {}", backend.name, list(existing)),
                "make the Ingress name the Service's port: http-metrics",
            )
        })
    })
}

/// The name of the class that an Ingress has. Without one, it has the default class.
pub(in crate::checks) fn class_name(ingress: &Ingress) -> Option<&str> {
    let annotated = ingress.annotations().get(CLASS_ANNOTATION);
    ingress.spec.as_ref()?.ingress_class_name.as_deref().or(annotated.map(String::as_str))
}

/// The class of an Ingress.
pub(in crate::checks) fn class<'class>(
    ingress: &Ingress,
    classes: &'class [IngressClass],
) -> Option<&'class IngressClass> {
    let named = class_name(ingress);
    classes.iter().find(|class| match named {
        Some(name) => class.metadata.name.as_deref() == Some(name),
        None => ingress_class::is_default(class),
    })
}

/// Candidates for the label [`NAME`] of the controller that a class names: the first part of its domain, and its path.
/// `traefik.io/ingress-controller` is labeled `traefik`, `k8s.io/ingress-nginx` is labeled `ingress-nginx`.
pub(in crate::checks) fn controller_names(controller: &str) -> Vec<String> {
    let (domain, path) = controller.split_once('/').unwrap_or((controller, ""));
    let names = [domain.split('.').next().unwrap_or_default(), path];
    names.into_iter().filter(|name| !name.is_empty() && !name.contains('/')).map(str::to_owned).collect()
}

/// A program that may be the class's controller: a Deployment, or a `DaemonSet` with a pod on each node.
pub(super) trait Workload: Resource<DynamicType = ()> {
    /// The number of ready pods, and that of wanted ones.
    fn pods(&self) -> (i32, i32);

    fn template(&self) -> Option<&PodTemplateSpec>;
}

impl Workload for Deployment {
    fn pods(&self) -> (i32, i32) {
        let ready = self.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or_default();
        (ready, self.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1))
    }

    fn template(&self) -> Option<&PodTemplateSpec> {
        self.spec.as_ref().map(|spec| &spec.template)
    }
}

impl Workload for DaemonSet {
    fn pods(&self) -> (i32, i32) {
        self.status.as_ref().map_or((0, 0), |status| (status.number_ready, status.desired_number_scheduled))
    }

    fn template(&self) -> Option<&PodTemplateSpec> {
        self.spec.as_ref().map(|spec| &spec.template)
    }
}

/// The arguments, in lower case, with which controllers serve only some namespaces: those of Traefik and of ingress-nginx.
const NAMESPACES: [&str; 2] = ["--providers.kubernetesingress.namespaces", "--watch-namespace"];

/// Why the class's controller does not serve an Ingress of a namespace: it has no ready pod, or serves only others.
pub(super) fn controller(workload: &impl Workload, namespace: &str) -> Option<Remedy> {
    let (ready, wanted) = workload.pods();
    if ready == 0 {
        let what = format!("the Ingress controller has no ready pod: 0 of {wanted}");
        // A pod that is wanted may be about to start.
        let remedy = Remedy::new(what, "scale the controller up, or read the events of its pods");
        return Some(Remedy { is_lasting: wanted == 0, ..remedy });
    }
    let containers = workload.template().and_then(|template| template.spec.as_ref()).map(|spec| &spec.containers);
    let arguments = containers.into_iter().flatten().flat_map(|container| container.args.iter().flatten());
    let pairs = arguments.filter_map(|argument| argument.split_once('='));
    let mut lists = pairs.filter(|(name, _)| NAMESPACES.contains(&&*name.to_lowercase()));
    let (argument, served) = lists.find(|(_, served)| !served.is_empty())?;
    // Not lasting: another controller, which does not have the label, may serve the class.
    (!served.split(',').any(|one| one == namespace)).then(|| {
        Remedy::uncertain(
            format!("the Ingress controller serves only the namespaces {}: {argument}", served.replace(',', ", ")),
            format!(
                "remove this argument of the controller, or add {namespace}; or use a class whose controller serves all"
            ),
        )
    })
}

fn pairs<'pair>(labels: impl IntoIterator<Item = (&'pair String, &'pair String)>) -> String {
    list(labels.into_iter().map(|(key, value)| format!("{key}={value}")))
}

fn list<Text: AsRef<str>>(texts: impl IntoIterator<Item = Text>) -> String {
    let all: Vec<String> = texts.into_iter().map(|text| text.as_ref().to_owned()).collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::*;

    fn object<T: DeserializeOwned>(value: Value) -> T {
        serde_json::from_value(value).unwrap()
    }

    fn demo(selector: &Value, target: &Value) -> Service {
        let port = json!({"name": "http-metrics", "port": 8000, "targetPort": target});
        object(json!({"metadata": {"name": "demo"}, "spec": {"selector": selector, "ports": [port]}}))
    }

    #[rstest]
    #[case::right(json!({"app": "demo", "ref": "dev"}), json!("http-metrics"), None)]
    #[case::a_number(json!({"ref": "dev"}), json!(8000), None)]
    #[case::another_label(
        json!({"ref": "dev", "track": "canary"}), json!(8000),
        Some("its selector ref=dev, track=canary matches no pod of the environment: they have app=demo, ref=dev, track=stable")
    )]
    #[case::no_selector(json!({}), json!(8000), Some("its selector none matches no pod of the environment: they have app=demo, ref=dev"))]
    #[case::no_such_port(json!({"ref": "dev"}), json!("http"), Some("its targetPort http is not a port of the pods, which have http-metrics"))]
    fn a_service_without_its_pods(#[case] selector: Value, #[case] target: Value, #[case] expected: Option<&str>) {
        let container = json!({"name": "app", "ports": [{"name": "http-metrics", "containerPort": 8000}]});
        let labels = json!({"app": "demo", "ref": "dev", "track": "stable", "pod-template-hash": "1"});
        let pods =
            [object(json!({"metadata": {"name": "web-1", "labels": labels}, "spec": {"containers": [container]}}))];
        assert_eq!(service(&demo(&selector, &target), &pods).map(|it| it.what).as_deref(), expected);
    }

    fn an_ingress(class: &Value, backend: &Value) -> Ingress {
        let http = json!({"paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": backend}}]});
        object(
            json!({"metadata": {}, "spec": {"ingressClassName": class, "rules": [{"host": "x.test", "http": http}]}}),
        )
    }

    #[rstest]
    #[case::right(json!("traefik"), json!({"name": "demo", "port": {"name": "http-metrics"}}), None)]
    #[case::by_number(json!("traefik"), json!({"name": "demo", "port": {"number": 8000}}), None)]
    #[case::no_such_class(
        json!("nginx"), json!({"name": "demo", "port": {"number": 8000}}),
        Some("there is no IngressClass nginx; existing: traefik")
    )]
    #[case::no_class(
        json!(null), json!({"name": "demo", "port": {"number": 8000}}),
        Some("it names no IngressClass, and none is the default; existing: traefik")
    )]
    #[case::no_such_service(json!("traefik"), json!({"name": "other", "port": {"number": 8000}}), Some("there is no Service other, its backend"))]
    #[case::no_such_port(
        json!("traefik"), json!({"name": "demo", "port": {"number": 9999}}),
        Some("its backend, Service demo, has no port 9999; existing: http-metrics (8000)")
    )]
    fn an_ingress_that_is_not_served(#[case] class: Value, #[case] backend: Value, #[case] expected: Option<&str>) {
        let classes =
            [object(json!({"metadata": {"name": "traefik"}, "spec": {"controller": "traefik.io/ingress-controller"}}))];
        let services = [demo(&json!({"ref": "dev"}), &json!(8000))];
        assert_eq!(ingress(&an_ingress(&class, &backend), &classes, &services).map(|it| it.what).as_deref(), expected);
    }

    #[test]
    fn the_default_class_is_found() {
        let default =
            json!({"metadata": {"name": "t", "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}}});
        let classes = [object(json!({"metadata": {"name": "other"}})), object(default)];
        let backend = json!({"name": "demo", "port": {"number": 8000}});
        assert_eq!(class(&an_ingress(&json!(null), &backend), &classes).unwrap().name_any(), "t");
    }

    #[rstest]
    #[case::traefik("traefik.io/ingress-controller", &["traefik", "ingress-controller"])]
    #[case::nginx("k8s.io/ingress-nginx", &["k8s", "ingress-nginx"])]
    fn a_controller_has_names(#[case] controller: &str, #[case] expected: &[&str]) {
        assert_eq!(controller_names(controller), expected);
    }

    #[test]
    fn an_annotated_class_needs_no_ingress_class() {
        let backend = json!({"name": "demo", "port": {"number": 8000}});
        let mut annotated = an_ingress(&json!(null), &backend);
        annotated.metadata.annotations = Some(BTreeMap::from([(CLASS_ANNOTATION.to_owned(), "nginx".to_owned())]));
        let services = [demo(&json!({"ref": "dev"}), &json!(8000))];
        assert_eq!(ingress(&annotated, &[], &services), None);
    }

    #[test]
    fn a_controller_needs_a_ready_pod() {
        let deployment = |ready: i32| -> Deployment {
            object(
                json!({"metadata": {}, "spec": {"replicas": 0, "selector": {}, "template": {}}, "status": {"readyReplicas": ready}}),
            )
        };
        assert_eq!(
            controller(&deployment(0), "gitlab").unwrap().what,
            "the Ingress controller has no ready pod: 0 of 0"
        );
        assert_eq!(controller(&deployment(1), "gitlab"), None);
        let daemon_set = |ready: i32| -> DaemonSet {
            let status = json!({"currentNumberScheduled": 2, "desiredNumberScheduled": 2, "numberMisscheduled": 0, "numberReady": ready});
            object(json!({"metadata": {}, "status": status}))
        };
        assert_eq!(
            controller(&daemon_set(0), "gitlab").unwrap().what,
            "the Ingress controller has no ready pod: 0 of 2"
        );
        assert_eq!(controller(&daemon_set(1), "gitlab"), None);
    }

    #[rstest]
    #[case::all(json!(["--providers.kubernetesIngress"]), None)]
    #[case::this_one(json!(["--providers.kubernetesIngress.namespaces=a,shop"]), None)]
    #[case::others(
        json!(["--ping", "--providers.kubernetesIngress.namespaces=gitlab,monitoring"]),
        Some("the Ingress controller serves only the namespaces gitlab, monitoring: --providers.kubernetesIngress.namespaces")
    )]
    #[case::another(
        json!(["--watch-namespace=gitlab"]),
        Some("the Ingress controller serves only the namespaces gitlab: --watch-namespace")
    )]
    #[case::empty(json!(["--watch-namespace="]), None)]
    fn a_controller_may_serve_only_some_namespaces(#[case] arguments: Value, #[case] expected: Option<&str>) {
        let template = json!({"spec": {"containers": [{"name": "c", "args": arguments}]}});
        let spec = json!({"replicas": 1, "selector": {}, "template": template});
        let deployment: Deployment = object(json!({"metadata": {}, "spec": spec, "status": {"readyReplicas": 1}}));
        assert_eq!(controller(&deployment, "shop").map(|it| it.what).as_deref(), expected);
    }
}
