//! Checks that the environment's own pods respond to its host, and that no pod responds to an unknown host.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::ListParams;
use tokio::time::{Instant, sleep};

use super::check::{Evidence, Outcome};
use super::environment::Environment;
use super::failure::expected;
use super::http::Http;
use super::load::host_of;
use super::route::Route;
use crate::record::Failure;

/// Number of requests to each host.
const REQUESTS: usize = 20;

/// Used instead of the environment's name for pods without the label `ref`.
const NO_ENVIRONMENT: &str = "no environment";

/// Pause between two attempts.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

pub(super) async fn run(environment: Environment) -> Outcome {
    // Always given, because `CHECKS` lists it as a need.
    let Some(address) = environment.ingress else { return Ok(Evidence::default()) };
    let http = Http::new(address).map_err(|error| expected("an HTTP client").actual(error))?;
    let route = Route::find(&environment).await?;
    let hosts = route.hosts();
    if !hosts.contains(&environment.host) {
        let failure = expected(format!("a rule for {}", environment.host)).actual(hosts.join(", ")).caused_by(
            "it has no rule for this host",
            "set the host in manifests/ingress.yaml or http-route.yaml, or KUBE_INGRESS_BASE_DOMAIN for the job, or pass the host with `--host`",
        );
        return Err(route.with_diagnostics(failure, &environment).await);
    }
    // Without pods, no waiting helps.
    environment.some_pods().await?;
    let started = Instant::now();
    // The controller needs a moment to process a new Ingress.
    if let Err(last) = http.wait_until_served(&environment.host, environment.timeout).await {
        let failure = expected(format!("{} returns 200", environment.host)).actual(last).hint(
            "one of: no Ingress controller serves the Ingress' class; its Service has no endpoints; the controller has another address",
            "list the classes with `kubectl get ingressclass`; pass the controller's address with `--ingress`",
        );
        return Err(route.with_diagnostics(failure, &environment).await);
    }
    match verify_hosts(&environment, &http, started).await? {
        Ok(evidence) => Ok(evidence),
        Err(failure) => Err(route.with_diagnostics(failure.after_success(), &environment).await),
    }
}

/// Verifies which pods respond to the environment's host, to an unknown host, and to the hosts of other environments. The outer error is an
/// error of the API server, the inner one a wrong response.
async fn verify_hosts(environment: &Environment, http: &Http, started: Instant) -> Result<Outcome, Failure> {
    let (mut pods, mut evidence) = (Pods::default(), Evidence::default());
    let own = match answering(environment, http, &mut pods, started).await? {
        Ok(own) => own,
        Err(failure) => return Ok(Err(failure)),
    };
    evidence.add(format!("{}: responses from {}", environment.host, own.into_iter().collect::<Vec<_>>().join(" and ")));
    match verify_unknown_host(environment, http).await {
        Ok(line) => evidence.add(line),
        Err(failure) => return Ok(Err(failure)),
    }
    for (reference, host) in &environment.others {
        match verify_other_host(environment, http, &mut pods, reference, host).await? {
            Ok(line) => evidence.add(line),
            Err(failure) => return Ok(Err(failure)),
        }
    }
    Ok(Ok(evidence))
}

/// The pods that respond to the environment's host, which must be its own. `started` is when the check has begun to wait. The outer error
/// is an error of the API server, the inner one a wrong response.
async fn answering(
    environment: &Environment,
    http: &Http,
    pods: &mut Pods,
    started: Instant,
) -> Result<Result<BTreeSet<String>, Failure>, Failure> {
    let Environment { host, reference, .. } = environment;
    let deployed: BTreeSet<String> = environment.some_pods().await?.iter().map(ResourceExt::name_any).collect();
    loop {
        let seen = match responding(environment, http, pods).await? {
            Ok(seen) => seen,
            Err(failure) => return Ok(Err(failure)),
        };
        if let Some(stranger) = pods.stranger(&seen, reference) {
            return Ok(Err(mixed(host, reference, &stranger)));
        }
        // Pods that other checks have created respond, too, and may be ready before the deployed ones.
        let own: BTreeSet<String> = seen.intersection(&deployed).cloned().collect();
        if !own.is_empty() {
            return Ok(Ok(own));
        }
        if started.elapsed() > environment.timeout {
            let seen = seen.into_iter().collect::<Vec<_>>().join(", ");
            let failure =
                expected(format!("responses from the deployed pods for {host}")).actual(format!("only from {seen}"));
            return Ok(Err(failure.hint("the deployed pods are not ready", "see the check `deployment`")));
        }
        sleep(POLL_INTERVAL).await;
    }
}

/// The pods that respond to some requests to the host. The inner error is a wrong response.
async fn responding(
    environment: &Environment,
    http: &Http,
    pods: &mut Pods,
) -> Result<Result<BTreeSet<String>, Failure>, Failure> {
    let host = &environment.host;
    pods.update(environment).await?;
    let mut seen = BTreeSet::new();
    for _ in 0..REQUESTS {
        let (status, body) = match http.get(host, "/").await {
            Ok(answer) => answer,
            Err(reason) => {
                return Ok(Err(expected(format!("{REQUESTS} responses from {host}")).actual(reason).hint(
                    "a pod exits with unanswered requests, or the Ingress controller was replaced in the meantime",
                    "look at the controller's log, and make the service drain connections after SIGTERM (--shutdown-delay)",
                )));
            }
        };
        let Some(pod) = host_of(&body).filter(|_| status == 200) else {
            let seen = format!("{status}: {}", body.trim());
            return Ok(Err(expected(format!("a response of the service from {host}")).actual(seen).hint(
                "the Ingress routes to another Service, or to pods that are not ready",
                "make the Ingress name the environment's Service, and the readinessProbe request /health",
            )));
        };
        seen.insert(pod.to_owned());
    }
    pods.update(environment).await?;
    Ok(Ok(seen))
}

/// Checks the response to a host that no Ingress has.
async fn verify_unknown_host(environment: &Environment, http: &Http) -> Result<String, Failure> {
    let domain = environment.host.split_once('.').map_or("test", |(_, domain)| domain);
    let unknown = format!("no-such-environment.{domain}");
    match http.get(&unknown, "/").await {
        Ok((200, body)) if host_of(&body).is_some() => {
            Err(expected(format!("404 for {unknown}")).actual(format!("200: {}", body.trim())).hint(
                "an Ingress has no host or a wildcard host, or the controller has a default backend",
                "set a host in each Ingress rule, and remove the controller's default backend",
            ))
        }
        Ok((status, _)) => Ok(format!("{unknown}, which no Ingress has: {status}, not from the service")),
        Err(reason) => Ok(format!("{unknown}, which no Ingress has: no response ({reason})")),
    }
}

/// Checks the responses to another environment's host. The other environment may be replaced or removed during the check, which is
/// not a failure of this one.
async fn verify_other_host(
    environment: &Environment,
    http: &Http,
    pods: &mut Pods,
    reference: &str,
    host: &str,
) -> Result<Result<String, Failure>, Failure> {
    pods.update(environment).await?;
    let (mut seen, mut last) = (BTreeSet::new(), String::new());
    for _ in 0..REQUESTS {
        match http.get(host, "/").await {
            Ok((200, body)) => seen.extend(host_of(&body).map(str::to_owned)),
            Ok((status, _)) => last = format!("{status}"),
            Err(reason) => last = reason,
        }
    }
    pods.update(environment).await?;
    Ok(match pods.stranger(&seen, reference) {
        Some(stranger) => Err(mixed(host, reference, &stranger)),
        None if seen.is_empty() => Ok(format!("{host}: currently no response from a pod ({last})")),
        None => Ok(format!("{host}: responses only from pods of {reference}")),
    })
}

fn mixed(host: &str, reference: &str, stranger: &Stranger) -> Failure {
    let failure = expected(format!("responses from pods of {reference} for {host}")).actual(&stranger.text);
    if !stranger.is_of_environment {
        return failure.hint(
            "one of: an Ingress of another namespace has the same host; the Service selects pods of another program",
            "look at the Ingresses of all namespaces: `kubectl get ingress --all-namespaces`",
        );
    }
    failure.caused_by(
        "two Services select the same pods, or an Ingress names the Service of another environment",
        "make Deployments and Services select `ref` in addition to `app`",
    )
}

/// A pod that responded, and does not belong to the environment.
struct Stranger {
    text: String,
    /// Whether it belongs to another environment.
    is_of_environment: bool,
}

/// All pods seen so far, each with its label `ref`: a pod that has responded may be gone by the time it is looked up.
#[derive(Default)]
struct Pods(BTreeMap<String, String>);

impl Pods {
    async fn update(&mut self, environment: &Environment) -> Result<(), Failure> {
        let all = environment.api::<Pod>().list(&ListParams::default()).await?;
        self.0.extend(all.into_iter().map(|pod| {
            let reference = pod.labels().get("ref").cloned().unwrap_or_else(|| NO_ENVIRONMENT.to_owned());
            (pod.name_any(), reference)
        }));
        Ok(())
    }

    /// A pod in `seen` that does not belong to this environment.
    fn stranger(&self, seen: &BTreeSet<String>, reference: &str) -> Option<Stranger> {
        let mut all = seen.iter().map(|pod| (pod, self.0.get(pod)));
        let (pod, label) = all.find(|(_, label)| label.is_none_or(|label| label != reference))?;
        let text = match label {
            Some(label) => format!("{pod}, of {label}"),
            None => format!("{pod}, which is not in the namespace"),
        };
        Some(Stranger { text, is_of_environment: label.is_some_and(|label| label != NO_ENVIRONMENT) })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::own(&["web-1", "web-2"], None)]
    #[case::deleted_in_the_meantime(&["web-0"], None)]
    #[case::of_another_environment(&["web-1", "live-1"], Some("live-1, of live"))]
    #[case::of_no_environment(&["job-1"], Some("job-1, of no environment"))]
    #[case::of_another_namespace(&["web-9"], Some("web-9, which is not in the namespace"))]
    fn pods_of_other_environments_are_found(#[case] seen: &[&str], #[case] expected: Option<&str>) {
        let known =
            [("web-0", "dev"), ("web-1", "dev"), ("web-2", "dev"), ("live-1", "live"), ("job-1", "no environment")];
        let pods = Pods(known.iter().map(|(pod, reference)| ((*pod).to_owned(), (*reference).to_owned())).collect());
        let seen = seen.iter().map(ToString::to_string).collect();
        assert_eq!(pods.stranger(&seen, "dev").map(|stranger| stranger.text).as_deref(), expected);
    }
}
