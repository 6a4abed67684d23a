//! Observes the objects that checks depend on.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use futures_util::future::{join_all, join3, join4};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use tokio::sync::watch;

use super::{pod, traffic, workload};
use crate::checks::cause::{Cause, Part, Remedy};
use crate::checks::environment::{CHECK_LABEL, Environment, object_ref};
use crate::checks::extra_pod::is_never_ready;
use crate::environment::cluster::conditions::{is_node_ready, is_pod_ready};
use crate::environment::cluster::explain;

/// Interval between two observations.
const INTERVAL: Duration = Duration::from_secs(1);

/// The namespace and the label of the `EndpointSlice`s of the cluster's DNS.
const DNS: (&str, &str) = ("kube-system", "kubernetes.io/service-name=kube-dns");

/// How long an object must have had causes before a check stops waiting for their end. New pods have such states for a moment.
const MIN_DURATION: Duration = Duration::from_secs(3);

/// Observes an environment while checks run.
pub(crate) struct Observer {
    /// The causes of the last observation, and when each object was first seen with one.
    seen: watch::Sender<Vec<(Cause, Instant)>>,
}

impl Observer {
    pub(crate) fn new() -> Self {
        Self { seen: watch::Sender::new(Vec::new()) }
    }

    /// Observes the environment until this future is dropped.
    pub(crate) async fn watch(&self, environment: &Environment) -> Infallible {
        let mut since = BTreeMap::new();
        loop {
            tokio::time::sleep(INTERVAL).await;
            let causes = observe(environment).await;
            since.retain(|object, _| causes.iter().any(|cause| cause.object == *object));
            let dated = causes.into_iter().map(|cause| {
                let first = *since.entry(cause.object.clone()).or_insert_with(Instant::now);
                (cause, first)
            });
            self.seen.send_replace(dated.collect());
        }
    }

    /// The causes of the last observation that concern a check.
    pub(crate) fn latest(&self, concerns: impl Fn(&Cause) -> bool) -> Vec<Cause> {
        self.seen.borrow().iter().filter(|(cause, _)| concerns(cause)).map(|(cause, _)| cause.clone()).collect()
    }

    /// Waits for causes that concern a check, and that do not end by themselves.
    pub(crate) async fn lasting(&self, concerns: impl Fn(&Cause) -> bool) -> Vec<Cause> {
        let mut seen = self.seen.subscribe();
        let lasts = |(cause, since): &&(Cause, Instant)| {
            cause.remedy.is_lasting && since.elapsed() >= MIN_DURATION && concerns(cause)
        };
        let found = seen.wait_for(|all| all.iter().any(|cause| lasts(&cause))).await;
        // The sender lives as long as `self`, so this is never an error.
        found.map(|all| all.iter().filter(lasts).map(|(cause, _)| cause.clone()).collect()).unwrap_or_default()
    }
}

/// The states of objects that keep checks from passing. Leaves out objects that cannot be listed: missing permissions of the account must
/// not fail a check.
pub(crate) async fn observe(environment: &Environment) -> Vec<Cause> {
    let (workload, pods, services) =
        join3(environment.list::<Deployment>(), environment.list::<Pod>(), environment.list::<Service>()).await;
    let pods = pods.unwrap_or_default();
    let mut causes = Vec::new();
    for deployment in workload.unwrap_or_default() {
        causes.extend(
            workload::without_pods(&deployment).map(|remedy| cause(Part::Pods, object_ref(&deployment), remedy)),
        );
    }
    let (of_pods, of_nodes, of_ingress, of_dns) =
        join4(of_pods(environment, &pods), of_nodes(environment, &pods), of_ingress(environment), of_dns(environment))
            .await;
    causes.extend(of_pods);
    causes.extend(of_nodes);
    let deployed: Vec<Pod> = pods.into_iter().filter(|pod| !pod.labels().contains_key(CHECK_LABEL)).collect();
    for service in services.unwrap_or_default() {
        causes.extend(
            traffic::service(&service, &deployed).map(|remedy| cause(Part::Service, object_ref(&service), remedy)),
        );
    }
    causes.extend(of_ingress);
    causes.extend(of_dns);
    causes
}

fn cause(part: Part, object: String, remedy: Remedy) -> Cause {
    Cause { part, check: None, object, remedy }
}

async fn of_pods(environment: &Environment, pods: &[Pod]) -> Vec<Cause> {
    // The check `pull-secret` creates a pod that must not be able to pull.
    let is_denied = |pod: &Pod| {
        pod.labels().get(CHECK_LABEL).is_some_and(|check| check == "pull-secret")
            && pod.spec.as_ref().is_none_or(|spec| spec.image_pull_secrets.iter().flatten().count() == 0)
    };
    let unready = pods.iter().filter(|pod| !is_pod_ready(pod) && !is_denied(pod)).map(async |pod| {
        let events = explain::pod_events(&environment.client, pod).await;
        let check = pod.labels().get(CHECK_LABEL).cloned();
        let part = if check.is_some() { Part::Own } else { Part::Pods };
        let is_made_so = pod.spec.as_ref().is_some_and(is_never_ready);
        let remedy = pod::not_ready(pod, &events).filter(|remedy| remedy.is_lasting || !is_made_so);
        remedy.map(|remedy| Cause { part, check, object: object_ref(pod), remedy })
    });
    join_all(unready).await.into_iter().flatten().collect()
}

async fn of_nodes(environment: &Environment, pods: &[Pod]) -> Vec<Cause> {
    let nodes = Api::<Node>::all(environment.client.clone()).list(&ListParams::default()).await;
    let nodes = nodes.map(|list| list.items).unwrap_or_default();
    let has_pods = |node: &Node| {
        let name = node.name_any();
        pods.iter().any(|pod| pod.spec.as_ref().is_some_and(|spec| spec.node_name.as_deref() == Some(&*name)))
    };
    let broken = nodes.into_iter().filter(|node| !is_node_ready(node) && has_pods(node)).map(|node| {
        let remedy =
            Remedy::new("the node is not Ready", "look at its conditions and its kubelet: `kubectl describe node`");
        cause(Part::Pods, format!("Node {}", node.name_any()), remedy)
    });
    broken.collect()
}

async fn of_ingress(environment: &Environment) -> Vec<Cause> {
    let (ingresses, services, classes) = join3(
        environment.list::<Ingress>(),
        async { environment.api::<Service>().list(&ListParams::default()).await.map(|list| list.items) },
        async {
            Api::<IngressClass>::all(environment.client.clone())
                .list(&ListParams::default())
                .await
                .map(|list| list.items)
        },
    )
    .await;
    // Without the right to list them, a class or Service that exists would be missed.
    let (Ok(ingresses), Ok(services), Ok(classes)) = (ingresses, services, classes) else { return Vec::new() };
    let mut causes = Vec::new();
    for ingress in &ingresses {
        if let Some(remedy) = traffic::ingress(ingress, &classes, &services) {
            causes.push(cause(Part::Ingress, object_ref(ingress), remedy));
        } else if let Some(class) = traffic::class(ingress, &classes) {
            causes.extend(of_controller(environment, class).await);
        }
    }
    causes
}

/// The cluster's DNS is the Service `kube-dns`, whichever program it is.
/// <https://github.com/kubernetes/dns/blob/master/docs/specification.md>
async fn of_dns(environment: &Environment) -> Vec<Cause> {
    let slices = environment.api_in::<EndpointSlice>(DNS.0).list(&ListParams::default().labels(DNS.1)).await;
    // Without slices, the account may not list them, or the cluster's DNS is another Service.
    let slices = slices.map(|list| list.items).unwrap_or_default();
    let is_ready = |endpoint: &Endpoint| endpoint.conditions.as_ref().is_some_and(|it| it.ready != Some(false));
    if slices.is_empty() || slices.iter().flat_map(|slice| &slice.endpoints).any(is_ready) {
        return Vec::new();
    }
    let fix = "scale it up, or read the events of its pods: `kubectl -n kube-system get pods -l k8s-app=kube-dns`";
    vec![cause(
        Part::Dns,
        "Service kube-system/kube-dns".to_owned(),
        Remedy::lasting("the cluster's DNS has no ready pod", fix),
    )]
}

async fn of_controller(environment: &Environment, class: &IngressClass) -> Vec<Cause> {
    let selector = format!("{} in ({})", traffic::NAME, traffic::controller_names(class).join(","));
    let deployments =
        Api::<Deployment>::all(environment.client.clone()).list(&ListParams::default().labels(&selector)).await;
    let deployments = deployments.map(|list| list.items).unwrap_or_default();
    // Another installation of the same program may serve the class.
    let remedies: Vec<_> =
        deployments.iter().map(|it| traffic::controller(it).map(|remedy| (object_ref(it), remedy))).collect();
    if remedies.iter().any(Option::is_none) {
        return Vec::new();
    }
    remedies.into_iter().flatten().map(|(object, remedy)| cause(Part::Ingress, object, remedy)).collect()
}
