//! Observes the objects that checks depend on.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use futures_util::future::{join, join_all, join3, join5};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use k8s_openapi::api::networking::v1::{Ingress, IngressClass, NetworkPolicy};
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use super::{gateway, node, pod, policy, traffic, workload};
use crate::checks::cause::{Cause, Part, Remedy};
use crate::checks::environment::{CHECK_LABEL, Environment, is_replaced, object_ref};
use crate::checks::extra_pod::is_never_ready;
use crate::checks::gateway_api::HttpRoute;
use crate::environment::cluster::conditions::{is_endpoint_ready, is_pod_ready};
use crate::environment::cluster::explain;

/// Interval between two observations.
const INTERVAL: Duration = Duration::from_secs(1);

/// The namespace and the label of the `EndpointSlice`s of the cluster's DNS.
const DNS: (&str, &str) = ("kube-system", "kubernetes.io/service-name=kube-dns");

/// Minimum duration of a cause before a check stops waiting for its end. New pods have such states for a moment.
const MIN_DURATION: Duration = Duration::from_secs(3);

/// Observes an environment while checks run.
pub(crate) struct Observer {
    /// The causes of the last observation, and those of the checks' own pods that are gone. With each, when it was first seen.
    seen: watch::Sender<Vec<(Cause, Instant)>>,
}

impl Observer {
    pub(crate) fn new() -> Self {
        Self { seen: watch::Sender::new(Vec::new()) }
    }

    /// Observes the environment until this future is dropped.
    pub(crate) async fn watch(&self, environment: &Environment) -> Infallible {
        loop {
            tokio::time::sleep(INTERVAL).await;
            let observation = Box::pin(observe(environment)).await;
            self.seen.send_modify(|seen| *seen = merged(seen, observation, Instant::now()));
        }
    }

    /// The latest causes that concern a check.
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

/// The causes of an observation, each with the time when it was first seen. A check's own pod is deleted before the check reports its
/// failure, so its cause outlives it.
fn merged(before: &[(Cause, Instant)], observation: Observation, now: Instant) -> Vec<(Cause, Instant)> {
    // The message may count restarts, so the remedy identifies a cause.
    let is_same = |one: &Cause, other: &Cause| one.object == other.object && one.remedy.fix == other.remedy.fix;
    let gone =
        before.iter().filter(|(cause, _)| cause.part == Part::Own && !observation.own_pods.contains(&cause.object));
    // The check is about to report its failure: it needs no other end.
    let ended = |(cause, since): &(Cause, Instant)| {
        (Cause { remedy: Remedy { is_lasting: false, ..cause.remedy.clone() }, ..cause.clone() }, *since)
    };
    let mut all: Vec<_> = gone.map(ended).collect();
    all.extend(observation.causes.into_iter().map(|cause| {
        let since = before.iter().find(|(known, _)| is_same(known, &cause)).map_or(now, |(_, since)| *since);
        (cause, since)
    }));
    all
}

/// The state of an environment at one moment.
#[derive(Default)]
pub(crate) struct Observation {
    /// The states of objects that keep checks from passing.
    pub(crate) causes: Vec<Cause>,
    /// The pods that checks have created, in the form of [`Cause::object`].
    own_pods: BTreeSet<String>,
}

/// Looks for causes. Leaves out objects that cannot be listed: missing permissions of the account must not fail a check.
pub(crate) async fn observe(environment: &Environment) -> Observation {
    let (workload, pods, services) =
        join3(environment.list::<Deployment>(), environment.list::<Pod>(), environment.list::<Service>()).await;
    let pods = pods.unwrap_or_default();
    let mut causes = Vec::new();
    for deployment in workload.unwrap_or_default() {
        let found = workload::without_pods(&deployment).into_iter();
        let found = found.chain(workload::own_resolver(&deployment).map(|remedy| (Part::Dns, remedy)));
        causes.extend(found.map(|(part, remedy)| cause(part, object_ref(&deployment), remedy)));
    }
    let (own, deployed): (Vec<Pod>, _) = pods.into_iter().partition(|pod| pod.labels().contains_key(CHECK_LABEL));
    let (pod_causes, node_causes, ingress_causes, dns_causes, policy_causes) = join5(
        pod_causes(environment, own.iter().chain(&deployed)),
        node_causes(environment, own.iter().chain(&deployed)),
        ingress_causes(environment),
        dns_causes(environment),
        policy_causes(environment, deployed.first()),
    )
    .await;
    causes.extend(pod_causes);
    causes.extend(node_causes);
    for service in services.unwrap_or_default() {
        causes.extend(
            traffic::service(&service, &deployed).map(|remedy| cause(Part::Service, object_ref(&service), remedy)),
        );
    }
    causes.extend(ingress_causes);
    causes.extend(dns_causes);
    causes.extend(policy_causes);
    // The kubelet ends the containers of a terminating pod: its states say nothing about the check.
    let own = own.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
    Observation { causes, own_pods: own.map(object_ref).collect() }
}

fn cause(part: Part, object: String, remedy: Remedy) -> Cause {
    Cause { part, check: None, object, remedy }
}

async fn pod_causes(environment: &Environment, pods: impl Iterator<Item = &Pod>) -> Vec<Cause> {
    // The check `pull-secret` creates a pod that must not be able to pull.
    let is_denied = |pod: &Pod| {
        pod.labels().get(CHECK_LABEL).is_some_and(|check| check == "pull-secret")
            && pod.spec.as_ref().is_none_or(|spec| spec.image_pull_secrets.iter().flatten().count() == 0)
    };
    let is_ending = |pod: &Pod| pod.metadata.deletion_timestamp.is_some() || is_replaced(pod);
    let unready = pods.filter(|pod| !is_pod_ready(pod) && !is_denied(pod) && !is_ending(pod));
    let unready = unready.map(async |pod| {
        let events = explain::pod_events(&environment.client, pod).await;
        let check = pod.labels().get(CHECK_LABEL).cloned();
        let part = if check.is_some() { Part::Own } else { Part::Pods };
        // Some checks create pods that never get ready, and `liveness` makes its pod hang until it is restarted.
        let is_hung = check.as_deref() == Some("liveness") && has_restarted(pod);
        let is_intended = is_hung || pod.spec.as_ref().is_some_and(is_never_ready);
        let remedy = if is_intended { pod::not_started(pod, &events) } else { pod::not_ready(pod, &events) };
        remedy.map(|remedy| Cause { part, check, object: object_ref(pod), remedy })
    });
    join_all(unready).await.into_iter().flatten().collect()
}

fn has_restarted(pod: &Pod) -> bool {
    pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten()).any(|it| it.restart_count > 0)
}

async fn node_causes(environment: &Environment, pods: impl Iterator<Item = &Pod>) -> Vec<Cause> {
    let nodes = Api::<Node>::all(environment.client.clone()).list(&ListParams::default()).await;
    let nodes = nodes.map(|list| list.items).unwrap_or_default();
    let used: BTreeSet<&str> = pods.filter_map(|pod| pod.spec.as_ref()?.node_name.as_deref()).collect();
    let used = nodes.into_iter().filter(|it| used.contains(&*it.name_any()));
    used.filter_map(|it| Some(cause(Part::Pods, format!("Node {}", it.name_any()), node::unhealthy(&it)?))).collect()
}

async fn ingress_causes(environment: &Environment) -> Vec<Cause> {
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
    // Without the permission to list them, a class or Service that exists would be missed.
    let (Ok(ingresses), Ok(services), Ok(classes)) = (ingresses, services, classes) else { return Vec::new() };
    let mut causes = if ingresses.is_empty() { route_causes(environment).await } else { Vec::new() };
    for ingress in &ingresses {
        if let Some(remedy) = traffic::ingress(ingress, &classes, &services) {
            causes.push(cause(Part::Ingress, object_ref(ingress), remedy));
        } else if let Some(class) = traffic::class(ingress, &classes) {
            causes.extend(controller_causes(environment, class).await);
        }
    }
    causes
}

/// The causes that the controllers of Gateways report in the environment's routes. Without the Gateway API, there are none.
async fn route_causes(environment: &Environment) -> Vec<Cause> {
    let routes = environment.list_if_known::<HttpRoute>().await.unwrap_or_default();
    let refused =
        routes.iter().filter_map(|route| Some(cause(Part::Ingress, object_ref(route), gateway::unrouted(route)?)));
    refused.collect()
}

/// The cluster's DNS is the Service `kube-dns`, whichever program it is.
/// <https://github.com/kubernetes/dns/blob/master/docs/specification.md>
async fn dns_causes(environment: &Environment) -> Vec<Cause> {
    let slices = environment.api_in::<EndpointSlice>(DNS.0).list(&ListParams::default().labels(DNS.1)).await;
    // Without slices, the account may not list them, or the cluster's DNS is another Service.
    let slices = slices.map(|list| list.items).unwrap_or_default();
    let endpoints: Vec<&Endpoint> = slices.iter().flat_map(|slice| &slice.endpoints).collect();
    if slices.is_empty() || endpoints.iter().any(|endpoint| is_endpoint_ready(endpoint)) {
        return Vec::new();
    }
    let fix = "scale it up, or read the events of its pods: `kubectl -n kube-system get pods -l k8s-app=kube-dns`";
    // Pods that exist may be about to start.
    let remedy = Remedy { is_lasting: endpoints.is_empty(), ..Remedy::new("the cluster's DNS has no ready pod", fix) };
    vec![cause(Part::Dns, "Service kube-system/kube-dns".to_owned(), remedy)]
}

async fn controller_causes(environment: &Environment, class: &IngressClass) -> Vec<Cause> {
    let controller = class.spec.as_ref().and_then(|spec| spec.controller.as_deref()).unwrap_or_default();
    let selector = format!("{} in ({})", traffic::NAME, traffic::controller_names(controller).join(","));
    let (deployments, daemon_sets) =
        join(controllers::<Deployment>(environment, &selector), controllers::<DaemonSet>(environment, &selector)).await;
    let remedies = [deployments, daemon_sets].concat();
    // Another installation of the same program may serve the class.
    if remedies.iter().any(|(_, remedy)| remedy.is_none()) {
        return Vec::new();
    }
    let without_pod = remedies.into_iter().filter_map(|(object, remedy)| Some((object, remedy?)));
    without_pod.map(|(object, remedy)| cause(Part::Ingress, object, remedy)).collect()
}

/// The workloads of a kind in all namespaces that match a selector, with what is wrong with each.
async fn controllers<K>(environment: &Environment, selector: &str) -> Vec<(String, Option<Remedy>)>
where
    K: traffic::Workload + Clone + std::fmt::Debug + DeserializeOwned,
{
    let found = Api::<K>::all(environment.client.clone()).list(&ListParams::default().labels(selector)).await;
    let remedy = |it: &K| (object_ref(it), traffic::controller(it, &environment.namespace));
    found.map(|list| list.iter().map(remedy).collect()).unwrap_or_default()
}

async fn policy_causes(environment: &Environment, deployed: Option<&Pod>) -> Vec<Cause> {
    let Some(pod) = deployed else { return Vec::new() };
    let policies = environment.api::<NetworkPolicy>().list(&ListParams::default()).await;
    policies.map(|list| policy::denials(pod, &list.items)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(object: &str, fix: &str) -> Cause {
        Cause { check: Some("dns".to_owned()), ..cause(Part::Own, object.to_owned(), Remedy::lasting("what", fix)) }
    }

    fn observation(causes: &[Cause], own_pods: &[&str]) -> Observation {
        Observation { causes: causes.to_vec(), own_pods: own_pods.iter().map(ToString::to_string).collect() }
    }

    #[test]
    fn a_cause_keeps_its_time_and_another_cause_of_the_object_gets_its_own() {
        let (first, second) = (Instant::now(), Instant::now() + INTERVAL);
        let (pulls, crashes) = (own("Pod gitlab/a", "push the image"), own("Pod gitlab/a", "read the log"));
        let seen = merged(&[], observation(std::slice::from_ref(&pulls), &["Pod gitlab/a"]), first);
        let counted = Cause { remedy: Remedy { what: "again".to_owned(), ..pulls.remedy.clone() }, ..pulls };
        let seen = merged(&seen, observation(std::slice::from_ref(&counted), &["Pod gitlab/a"]), second);
        assert_eq!(seen, [(counted, first)]);
        let seen = merged(&seen, observation(std::slice::from_ref(&crashes), &["Pod gitlab/a"]), second);
        assert_eq!(seen, [(crashes, second)]);
    }

    #[test]
    fn the_cause_of_a_checks_own_pod_outlives_it_unless_it_recovered() {
        let (now, found) = (Instant::now(), own("Pod gitlab/a", "push the image"));
        let seen = merged(&[], observation(std::slice::from_ref(&found), &["Pod gitlab/a"]), now);
        let ended = Cause { remedy: Remedy { is_lasting: false, ..found.remedy.clone() }, ..found };
        assert_eq!(merged(&seen, observation(&[], &[]), now), [(ended, now)]);
        assert_eq!(merged(&seen, observation(&[], &["Pod gitlab/a"]), now), []);
    }
}
