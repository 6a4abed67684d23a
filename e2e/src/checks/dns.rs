//! Checks that a pod of the service resolves the names of Services.

use std::collections::BTreeSet;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Pod, Service};
use kube::ResourceExt;
use tokio::time::{Duration, Instant, sleep, sleep_until};

use super::check::{Evidence, Outcome, end_pod};
use super::environment::{Environment, is_of_proxy, object_ref};
use super::extra_pod::{ExtraPod, never_ready};
use super::failure::expected;
use crate::record::Failure;

/// Pause between two attempts.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Time after which all `NetworkPolicies` apply to a new pod: their enforcer may see the pod only after its start, and until then all
/// connections are allowed. kube-router took half a second.
const SETTLED: Duration = Duration::from_secs(5);

/// The value of a headless Service's `clusterIP`.
const HEADLESS: &str = "None";

pub(super) async fn run(environment: Environment) -> Outcome {
    let service = environment.service().await?;
    let pod = ExtraPod::create(&environment, "dns", |spec| {
        if let Some(container) = spec.containers.first_mut() {
            container.args.get_or_insert_default().push("--enable-faults".to_owned());
        }
        never_ready(spec);
    })
    .await?;
    let result = Box::pin(resolves(&environment, &pod.name, &service)).await;
    end_pod(pod, &environment, result).await
}

async fn resolves(environment: &Environment, pod: &str, service: &Service) -> Outcome {
    running(environment, pod).await?;
    let started = Instant::now();
    let mut evidence = Evidence::default();
    let (name, namespace) = (service.name_any(), &environment.namespace);
    let own = addresses(service);
    // The account may be limited to its namespace: then any address is right.
    let api_server = environment.api_in::<Service>("default").get_opt("kubernetes").await.ok().flatten();
    let api_server = api_server.map(|service| addresses(&service)).unwrap_or_default();
    // The short names test the search path of the pod's resolver. A dual-stack Service has an address of each family.
    let names = [
        (name.clone(), &own),
        (format!("{name}.{namespace}"), &own),
        (format!("{name}.{namespace}.svc"), &own),
        ("kubernetes.default.svc".to_owned(), &api_server),
    ];
    for (name, wanted) in names {
        evidence.add(resolve(environment, pod, &name, wanted).await?);
    }
    evidence.add(has_no_address(environment, pod, &format!("no-such-service.{namespace}.svc")).await?);
    sleep_until(started + SETTLED).await;
    let line = resolve(environment, pod, &name, &own).await?;
    evidence.add(format!("{line}, {} s after the pod's start", SETTLED.as_secs()));
    Ok(evidence)
}

/// Waits until the resolver says that the name does not exist, and returns a line of evidence.
async fn has_no_address(environment: &Environment, pod: &str, name: &str) -> Result<String, Failure> {
    let pick = |answer| match answer {
        Answer::Unknown(_) => Ok(BTreeSet::new()),
        Answer::Addresses(found) => Ok(found),
        Answer::None(reason) => Err(reason),
    };
    match ask_until(environment, pod, name, pick).await? {
        Ok(found) if found.is_empty() => Ok(format!("{name}: no address")),
        Ok(found) => Err(failure(environment, pod, format!("no address of {name}")).await?.actual(list(&found)).caused_by(
            "the cluster's DNS, or the resolver behind it, returns an address for every name",
            "look for a wildcard in the zone of the pod's search path, and in the CoreDNS configuration: `kubectl -n kube-system get configmap coredns`",
        )),
        Err(seen) => Err(failure(environment, pod, format!("the resolver says that {name} does not exist"))
            .await?
            .actual(seen)
            .hint(
                "the cluster's DNS does not respond, or not to every request",
                "look at `kubectl -n kube-system get pods -l k8s-app=kube-dns`",
            )),
    }
}

/// Asks for a name until `pick` returns a value. The inner error is the last one of `pick`, after the timeout has ended.
async fn ask_until<T>(
    environment: &Environment,
    pod: &str,
    name: &str,
    pick: impl Fn(Answer) -> Result<T, String>,
) -> Result<Result<T, String>, Failure> {
    let started = Instant::now();
    loop {
        let picked = pick(ask(environment, pod, name).await?);
        if picked.is_ok() || started.elapsed() > environment.timeout {
            return Ok(picked);
        }
        sleep(POLL_INTERVAL).await;
    }
}

/// Waits until the pod's container runs. It need not be ready.
async fn running(environment: &Environment, name: &str) -> Result<(), Failure> {
    let is_running = |pod: &Pod| {
        let mut containers = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
        containers.any(|it| it.state.as_ref().is_some_and(|state| state.running.is_some())).then_some(())
    };
    let Err(reason) = environment.watch_pod(name, is_running).await else { return Ok(()) };
    let failure = failure(environment, name, "another pod with the Deployment's template runs".to_owned()).await?;
    Err(failure.actual(reason).hint("the pod does not start", "read its events and last log lines"))
}

/// Waits until the name has these addresses, and returns a line of evidence. Without `wanted`, any address is right: the Service is
/// headless, or cannot be read.
async fn resolve(
    environment: &Environment,
    pod: &str,
    name: &str,
    wanted: &BTreeSet<IpAddr>,
) -> Result<String, Failure> {
    let pick = |answer| match answer {
        Answer::Addresses(found) if wanted.is_empty() || found == *wanted => Ok(found),
        Answer::Addresses(found) => Err(list(&found)),
        Answer::Unknown(reason) | Answer::None(reason) => Err(reason),
    };
    match ask_until(environment, pod, name, pick).await? {
        Ok(found) => Ok(format!("{name}: {}", list(&found))),
        Err(seen) => {
            let what = if wanted.is_empty() { "an address".to_owned() } else { list(wanted) };
            Err(failure(environment, pod, format!("{name} is {what}")).await?.actual(seen).hint(
                "one of: a NetworkPolicy blocks port 53; the cluster's DNS does not know Services; the name server does not respond",
                "look at the logs of `kubectl -n kube-system get pods -l k8s-app=kube-dns`",
            ))
        }
    }
}

/// The response to a request for a name's addresses.
enum Answer {
    /// At least one address.
    Addresses(BTreeSet<IpAddr>),
    /// The resolver's text for a name that does not exist.
    Unknown(String),
    /// Why there is no response of the resolver: it has not reached a server, or the request has not reached the pod.
    None(String),
}

/// The texts of C libraries for `EAI_AGAIN`: no name server has responded.
const NO_SERVER: [&str; 2] = ["Temporary failure", "Try again"];

/// Asks the pod's resolver for a name's addresses.
async fn ask(environment: &Environment, pod: &str, name: &str) -> Result<Answer, Failure> {
    let (status, body) = environment.ask_pod(pod, "GET", &format!("/fault/resolve?name={name}")).await?;
    if let Some(answer) = answer(name, status, &body) {
        return Ok(answer);
    }
    Err(failure(environment, pod, "/fault/resolve returns 200 or 404".to_owned())
        .await?
        .actual(format!("{status}: {}", body.trim()))
        .caused_by("the image's service has no /fault/resolve", "deploy this repository's service"))
}

/// The service returns one address per line, or `NAME: the resolver's error`. `None` for another response.
fn answer(name: &str, status: u16, body: &str) -> Option<Answer> {
    if status == 200 {
        let found: BTreeSet<IpAddr> = body.lines().filter_map(|line| line.parse().ok()).collect();
        return Some(if found.is_empty() {
            Answer::Unknown("no address".to_owned())
        } else {
            Answer::Addresses(found)
        });
    }
    if let Some(reason) = body.trim().strip_prefix(&format!("{name}: ")) {
        let is_known = !NO_SERVER.iter().any(|text| reason.contains(text));
        let reason = reason.to_owned();
        return Some(if is_known { Answer::Unknown(reason) } else { Answer::None(reason) });
    }
    // Only the service itself says that it does not have the path.
    let is_unanswered = is_of_proxy(status, body) || status != 404;
    is_unanswered.then(|| Answer::None(format!("no response: {status}: {}", body.trim())))
}

async fn failure(environment: &Environment, pod: &str, wanted: String) -> Result<Failure, Failure> {
    let pod = environment.api::<Pod>().get(pod).await?;
    Ok(expected(wanted).at(object_ref(&pod)).with(&environment.explain_pod(&pod).await))
}

/// The addresses of a Service; none for a headless one.
fn addresses(service: &Service) -> BTreeSet<IpAddr> {
    let spec = service.spec.clone().unwrap_or_default();
    let all = spec.cluster_ips.into_iter().flatten().chain(spec.cluster_ip);
    all.filter(|address| address != HEADLESS).filter_map(|address| address.parse().ok()).collect()
}

fn list(addresses: &BTreeSet<IpAddr>) -> String {
    if addresses.is_empty() {
        return "no address".to_owned();
    }
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    #[rstest]
    #[case::addresses(200, "10.96.0.1\nfd00::1\n", "addresses 10.96.0.1 and fd00::1")]
    #[case::no_such_name(404, "web: failed to lookup address information: Name or service not known\n", "unknown")]
    #[case::no_server(404, "web: failed to lookup address information: Temporary failure in name resolution\n", "none")]
    #[case::no_server_with_musl(404, "web: failed to lookup address information: Try again\n", "none")]
    #[case::no_pod(503, "error trying to reach service: dial tcp 10.244.0.7:8000: connect: connection refused", "none")]
    #[case::a_slow_server(504, "the server was unable to return a response in the time allotted", "none")]
    #[case::another_service(404, "404 page not found", "not an answer")]
    fn the_response_of_the_service(#[case] status: u16, #[case] body: &str, #[case] expected: &str) {
        let seen = match answer("web", status, body) {
            Some(Answer::Addresses(found)) => format!("addresses {}", list(&found)),
            Some(Answer::Unknown(_)) => "unknown".to_owned(),
            Some(Answer::None(_)) => "none".to_owned(),
            None => "not an answer".to_owned(),
        };
        assert_eq!(seen, expected);
    }

    #[rstest]
    #[case::one_family(json!({"clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1"]}), "10.96.0.1")]
    #[case::two_families(json!({"clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1", "fd00::1"]}), "10.96.0.1 and fd00::1")]
    #[case::headless(json!({"clusterIP": "None", "clusterIPs": ["None"]}), "no address")]
    #[case::external(json!({"type": "ExternalName"}), "no address")]
    fn the_addresses_of_a_service(#[case] spec: Value, #[case] expected: &str) {
        let service = serde_json::from_value(json!({"spec": spec})).unwrap();
        assert_eq!(list(&addresses(&service)), expected);
    }
}
