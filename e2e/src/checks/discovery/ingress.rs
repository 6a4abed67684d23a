//! The address at which the Ingress controller answers for the hosts of the environments.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use k8s_openapi::jiff::SignedDuration;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use tokio::net::lookup_host;
use tokio::time::{Instant, sleep, timeout};

use super::addresses::{self, Candidate, HTTP, http_port};
use super::choice::{Search, path_of};
use super::environments::Deployed;
use super::forward::Forward;
use crate::checks::causes::traffic;
use crate::checks::gateway_api::{Gateway, GatewayClass, HttpRoute};
use crate::checks::http::Http;
use crate::checks::load::host_of;
use crate::checks::route::Route;
use crate::checks::target::Target;
use crate::environment::cluster::conditions::serves;
use container_engine::error_chain::error_chain;

/// The remedy if no address is found.
const REMEDY: &str = "pass it with `--ingress ADDRESS:PORT`";

/// Time limit for a response: an address that this machine cannot reach usually does not answer at all.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Controllers need some seconds until they serve a new Ingress or route. One that is older than this is not new.
const NEW_ROUTE: SignedDuration = SignedDuration::from_mins(1);

/// The maximum time to wait until the service answers at the address of a new Ingress or route.
const NEW_ROUTE_LIMIT: Duration = Duration::from_secs(10);

/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(500);

/// Maximum number of addresses that are tried at the same time.
const PROBES: usize = 16;

/// An address of the controller.
pub(super) struct Controller {
    pub(super) address: SocketAddr,
    /// Keeps the forwarded port open, if `address` is one.
    pub(super) forward: Option<Forward>,
    /// Whether the service answers there.
    is_served: bool,
}

/// The program that answers at an address.
enum Answer {
    /// The service of this repository.
    Service,
    /// Another program, or the controller without the service.
    Other,
}

/// The entry point of requests to an environment: the controller of a class, or a Gateway.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum EntryPoint<'route> {
    Class(Option<&'route str>),
    Gateway { namespace: Option<&'route str>, name: Option<&'route str> },
}

fn entry_point(route: &Route) -> EntryPoint<'_> {
    match route {
        Route::Ingress(ingress) => EntryPoint::Class(traffic::class_name(ingress)),
        Route::HttpRoute(route) => {
            let parent = route.spec.parent_refs.first();
            EntryPoint::Gateway {
                namespace: parent.and_then(|parent| parent.namespace.as_deref()),
                name: parent.map(|parent| &*parent.name),
            }
        }
    }
}

/// The environments of each controller. Those without an Ingress or a route are in the first group, or in the only one.
pub(super) fn by_controller(deployed: &[Deployed]) -> Vec<Vec<&Deployed>> {
    let mut groups: BTreeMap<EntryPoint<'_>, Vec<&Deployed>> = BTreeMap::new();
    let mut others = Vec::new();
    for one in deployed {
        match &one.route {
            Some(route) => groups.entry(entry_point(route)).or_default().push(one),
            None => others.push(one),
        }
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    match groups.first_mut() {
        Some(first) => first.extend(others),
        None => groups.push(others),
    }
    groups
}

/// Finds an address for environments of one controller, and the controller's images, which have its version.
pub(super) async fn find(target: &Target, deployed: &[&Deployed], is_read_only: bool) -> Search<Controller> {
    let hosts: Vec<&str> = deployed.iter().map(|it| &*it.host).collect();
    let route =
        deployed.iter().find_map(|it| it.route.as_ref()).ok_or("no environment has an Ingress or an HTTPRoute")?;
    let info = match route {
        Route::Ingress(ingress) => class_controller(target, ingress).await,
        Route::HttpRoute(route) => gateway_controller(target, route).await?,
    };
    let images = images(&info.pods);
    let deployments = deployed.iter().filter_map(|it| it.deployment.as_ref()?.status.as_ref());
    let is_available = deployments.into_iter().any(|status| status.available_replicas > Some(0));
    let deadline = Instant::now() + NEW_ROUTE_LIMIT;
    let (controller, reason) = loop {
        let found = reach(target, &info, &hosts, is_read_only).await;
        let is_served = found.as_ref().is_ok_and(|(controller, _)| controller.is_served);
        let may_change = is_available && route.is_younger_than(NEW_ROUTE) && Instant::now() < deadline;
        if is_served || !may_change {
            break found?;
        }
        sleep(PAUSE).await;
    };
    Ok((controller, if images.is_empty() { reason } else { format!("{reason}; its image is {images}") }))
}

/// The images of pods: `traefik:v3.7.15`.
fn images(pods: &[Pod]) -> String {
    let containers = pods.iter().flat_map(|pod| pod.spec.iter().flat_map(|spec| &spec.containers));
    let images: BTreeSet<&str> = containers.filter_map(|container| container.image.as_deref()).collect();
    images.into_iter().collect::<Vec<_>>().join(" or ")
}

/// Finds an address of a controller; prefers one at which the service answers.
async fn reach(target: &Target, info: &ControllerInfo, hosts: &[&str], is_read_only: bool) -> Search<Controller> {
    let ControllerInfo { candidates, ports, pods } = info;
    let mut candidates = candidates.clone();
    let services = services_of(target, pods).await;
    let nodes = Api::<Node>::all(target.client.clone()).list(&ListParams::default()).await;
    let nodes: Vec<Node> = nodes.into_iter().flatten().collect();
    candidates.extend(services.iter().flat_map(|service| addresses::from_service(service, &nodes, ports)));
    candidates.extend(pods.iter().flat_map(|pod| addresses::from_host_ports(pod, ports)));
    let mut other = None;
    // Addresses that do not answer would take seconds one after the other.
    let probes = stream::iter(&candidates).map(async |candidate| (candidate, probe(candidate, hosts).await));
    let mut probes = std::pin::pin!(probes.buffered(PROBES));
    while let Some((candidate, answer)) = probes.next().await {
        match answer {
            Some((address, Answer::Service)) => {
                let reason = format!("{}; the service answers there", candidate.source);
                return Ok((Controller { address, forward: None, is_served: true }, reason));
            }
            Some((address, Answer::Other)) => {
                other.get_or_insert((address, candidate.source.clone()));
            }
            None => {}
        }
    }
    let tried: Vec<String> = candidates.iter().map(|it| format!("{}:{}", it.host, it.port)).collect();
    let tried = if tried.is_empty() { String::new() } else { format!("; nothing answers at {}", tried.join(", ")) };
    if is_read_only {
        return other.map(answered_by_another).ok_or_else(|| {
            format!(
                "this machine reaches no address of the controller, and --read-only forwards no port{tried}; {REMEDY}"
            )
        });
    }
    let forwarded = forward(target, pods, |pod| port_of(pod, &services, ports), hosts).await;
    let is_served = matches!(forwarded, Some((_, _, Some(Answer::Service))));
    match (forwarded, other) {
        (Some((controller, pod, _)), None) => {
            Ok((controller, format!("a local port, forwarded through the API server to Pod {pod}{tried}")))
        }
        (Some((controller, pod, _)), Some((address, source))) if is_served => {
            let reason =
                format!("a local port, forwarded through the API server to Pod {pod}; the service answers there");
            Ok((controller, format!("{reason}, but not at {address}: {source}")))
        }
        (_, Some(other)) => Ok(answered_by_another(other)),
        (None, None) => Err(format!("no ready pod of the controller is found{tried}; {REMEDY}")),
    }
}

/// An address at which something answers, but not the service: the controller without the service, or another program.
fn answered_by_another((address, source): (SocketAddr, String)) -> (Controller, String) {
    let controller = Controller { address, forward: None, is_served: false };
    (controller, format!("{source}; a program other than the service answers there"))
}

/// The known data about a controller.
struct ControllerInfo {
    candidates: Vec<Candidate>,
    /// The ports for HTTP of its Services or pods.
    ports: Vec<u16>,
    /// Its ready pods.
    pods: Vec<Pod>,
}

/// The controller of the class of an Ingress.
async fn class_controller(target: &Target, ingress: &Ingress) -> ControllerInfo {
    let classes = Api::<IngressClass>::all(target.client.clone()).list(&ListParams::default()).await;
    let classes: Vec<IngressClass> = classes.into_iter().flatten().collect();
    let class = traffic::class(ingress, &classes).and_then(|class| class.spec.as_ref());
    let pods = match class.and_then(|class| class.controller.as_deref()) {
        Some(controller) => controller_pods(target, controller).await,
        None => Vec::new(),
    };
    ControllerInfo { candidates: addresses::from_status(ingress), ports: vec![HTTP], pods }
}

/// The controller of the Gateway that a route names.
async fn gateway_controller(target: &Target, route: &HttpRoute) -> Result<ControllerInfo, String> {
    let parent = route.spec.parent_refs.first().ok_or("the HTTPRoute names no Gateway")?;
    let namespace = parent.namespace.as_deref().unwrap_or(&target.namespace);
    let gateway = Api::<Gateway>::namespaced(target.client.clone(), namespace).get_opt(&parent.name).await;
    let gateway = gateway.map_err(|error| {
        format!("the account cannot read Gateway {namespace}/{} ({}); {REMEDY}", parent.name, error_chain(&error))
    })?;
    let gateway = gateway.ok_or_else(|| format!("there is no Gateway {namespace}/{}", parent.name))?;
    // Controllers that start a program for each Gateway label it: <https://gateway-api.sigs.k8s.io/geps/gep-1762/>
    let mut pods = labeled(target, &format!("gateway.networking.k8s.io/gateway-name={}", parent.name)).await;
    if pods.is_empty() {
        let class = Api::<GatewayClass>::all(target.client.clone()).get_opt(&gateway.spec.gateway_class_name).await;
        if let Ok(Some(class)) = class {
            pods = controller_pods(target, &class.spec.controller_name).await;
        }
    }
    let mut ports = addresses::listeners(&gateway);
    ports.push(HTTP);
    Ok(ControllerInfo { candidates: addresses::from_gateway(&gateway), ports, pods })
}

/// The ready pods of all controllers that may have this name in a class: several installations of one program have the same.
async fn controller_pods(target: &Target, controller: &str) -> Vec<Pod> {
    let names = traffic::controller_names(controller).join(",");
    let mut pods = Vec::new();
    for label in [traffic::NAME, "app"] {
        pods.extend(labeled(target, &format!("{label} in ({names})")).await);
    }
    pods.sort_by_key(path_of);
    pods.dedup_by_key(|pod| path_of(pod));
    pods
}

/// The ready pods of the whole cluster with a label.
async fn labeled(target: &Target, selector: &str) -> Vec<Pod> {
    let pods = Api::<Pod>::all(target.client.clone()).list(&ListParams::default().labels(selector)).await;
    pods.into_iter().flatten().filter(|pod| pod.metadata.deletion_timestamp.is_none() && serves(pod)).collect()
}

/// The Services that select one of the pods, with a port for HTTP.
async fn services_of(target: &Target, pods: &[Pod]) -> Vec<Service> {
    let namespaces: BTreeSet<String> = pods.iter().filter_map(ResourceExt::namespace).collect();
    let mut found = Vec::new();
    for namespace in &namespaces {
        let services = Api::<Service>::namespaced(target.client.clone(), namespace).list(&ListParams::default()).await;
        found.extend(services.into_iter().flatten().filter(|service| pods.iter().any(|pod| selects(service, pod))));
    }
    found
}

fn selects(service: &Service, pod: &Pod) -> bool {
    service.namespace() == pod.namespace() && traffic::selects(service, pod)
}

/// Determines which program answers at a candidate's address, for any of the hosts.
async fn probe(candidate: &Candidate, hosts: &[&str]) -> Option<(SocketAddr, Answer)> {
    let looked_up = timeout(TIMEOUT, lookup_host((&*candidate.host, candidate.port))).await.ok()?.ok()?;
    let address = looked_up.into_iter().next()?;
    Some((address, answer(address, hosts).await?))
}

async fn answer(address: SocketAddr, hosts: &[&str]) -> Option<Answer> {
    let http = Http::new(address).ok()?;
    let mut found = None;
    for host in hosts {
        match timeout(TIMEOUT, http.get(host, "/")).await {
            Ok(Ok((200, body))) if host_of(&body).is_some() => return Some(Answer::Service),
            Ok(Ok(_)) => found = Some(Answer::Other),
            _ => return found,
        }
    }
    found
}

/// The port for HTTP of a pod.
fn port_of(pod: &Pod, services: &[Service], ports: &[u16]) -> Option<u16> {
    let services: Vec<&Service> = services.iter().filter(|service| selects(service, pod)).collect();
    http_port(pod, &services, ports)
}

/// A port of this machine that leads to a pod of the controller: the one that serves the hosts, or else the first.
async fn forward(
    target: &Target,
    pods: &[Pod],
    port_of: impl Fn(&Pod) -> Option<u16>,
    hosts: &[&str],
) -> Option<(Controller, String, Option<Answer>)> {
    let mut first = None;
    for pod in pods {
        let (Some(namespace), Some(port)) = (pod.namespace(), port_of(pod)) else { continue };
        let api = Api::namespaced(target.client.clone(), &namespace);
        let Ok((forward, address)) = Forward::begin(api, pod.name_any(), port).await else { continue };
        let answer = answer(address, hosts).await;
        let is_served = matches!(answer, Some(Answer::Service));
        let found = (Controller { address, forward: Some(forward), is_served }, path_of(pod), answer);
        if is_served {
            return Some(found);
        }
        first.get_or_insert(found);
    }
    first
}
