//! The environment's host is answered by its own pods, another one by nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::Ingress;
use kube::ResourceExt;
use kube::api::ListParams;
use tokio::time::{Instant, sleep};

use super::check::{Evidence, Outcome};
use super::failure::expected;
use super::http::Http;
use super::load::host_of;
use super::subject::{Subject, called};
use crate::record::Failure;

/// How many requests are made to each host.
const REQUESTS: usize = 20;

/// The pause between two attempts.
const BEAT: Duration = Duration::from_millis(200);

pub(super) async fn run(subject: Subject) -> Outcome {
    // Only where it is given: the list of checks says so.
    let Some(address) = subject.ingress else { return Ok(Evidence::default()) };
    let http = Http::new(address).map_err(|error| expected("a client").saw(error))?;
    let mut evidence = Evidence::default();
    let ingress = subject.only_ingress().await?;
    let rules = ingress.spec.as_ref().and_then(|spec| spec.rules.clone()).unwrap_or_default();
    let hosts: Vec<String> = rules.into_iter().filter_map(|rule| rule.host).collect();
    if !hosts.contains(&subject.host) {
        let failure = expected(format!("a rule for {}", subject.host)).saw(hosts.join(", ")).because(
            "the base domain of the deploy job is another one",
            "set KUBE_INGRESS_BASE_DOMAIN, or say `--host`",
        );
        return Err(told(failure, &subject, &ingress).await);
    }
    let mut pods = Pods::default();
    let own = match answering(&subject, &http, &mut pods).await? {
        Ok(own) => own,
        Err(failure) => return Err(told(failure, &subject, &ingress).await),
    };
    evidence.add(format!("{} is answered by {}", subject.host, own.into_iter().collect::<Vec<_>>().join(" and ")));
    match unknown(&subject, &http).await {
        Ok(line) => evidence.add(line),
        Err(failure) => return Err(told(failure, &subject, &ingress).await),
    }
    for (reference, host) in &subject.others {
        match other(&subject, &http, &mut pods, reference, host).await? {
            Ok(line) => evidence.add(line),
            Err(failure) => return Err(told(failure, &subject, &ingress).await),
        }
    }
    Ok(evidence)
}

async fn told(failure: Failure, subject: &Subject, ingress: &Ingress) -> Failure {
    failure.at(called(ingress)).with(&subject.around(ingress).await)
}

/// The pods that answer for the environment's host: its own alone. The first error is one of the cluster, the second what is wrong
/// with the answers.
async fn answering(
    subject: &Subject,
    http: &Http,
    pods: &mut Pods,
) -> Result<Result<BTreeSet<String>, Failure>, Failure> {
    let Subject { host, reference, .. } = subject;
    let began = Instant::now();
    // The controller learns of an Ingress a moment after it is made.
    loop {
        let last = match http.get(host, "/").await {
            Ok((200, _)) => break,
            Ok((status, body)) => format!("{status}: {}", body.trim()),
            Err(why) => why,
        };
        if began.elapsed() > subject.patience {
            return Ok(Err(expected(format!("{host} is answered")).saw(last).because(
                "no Ingress controller serves the Ingress' class, its Service has no endpoints, or the controller's address is another one",
                "kubectl get ingressclass shows the classes that there are; `--ingress` says where the controller answers",
            )));
        }
        sleep(BEAT).await;
    }
    pods.look(subject).await?;
    let mut seen = BTreeSet::new();
    for _ in 0..REQUESTS {
        let (status, body) = match http.get(host, "/").await {
            Ok(answer) => answer,
            Err(why) => {
                return Ok(Err(expected(format!("{host} is answered {REQUESTS} times")).saw(why).because(
                    "a pod ends with requests unanswered, or the Ingress controller was replaced meanwhile",
                    "look at the controller's log, and let the service drain after SIGTERM (--shutdown-delay)",
                )));
            }
        };
        let Some(pod) = host_of(&body).filter(|_| status == 200) else {
            let seen = format!("{status}: {}", body.trim());
            return Ok(Err(expected(format!("{host} is answered by the service")).saw(seen).because(
                "the Ingress leads to something else, or to pods that are not ready",
                "let it name the environment's Service, and readinessProbe ask /health",
            )));
        };
        seen.insert(pod.to_owned());
    }
    pods.look(subject).await?;
    Ok(match pods.stranger(&seen, reference) {
        Some(stranger) => Err(mixed(host, reference, &stranger)),
        None => Ok(seen),
    })
}

/// What a host gets that nobody has.
async fn unknown(subject: &Subject, http: &Http) -> Result<String, Failure> {
    let domain = subject.host.split_once('.').map_or("test", |(_, domain)| domain);
    let unknown = format!("no-such-environment.{domain}");
    match http.get(&unknown, "/").await {
        Ok((200, body)) if host_of(&body).is_some() => {
            Err(expected(format!("404 for {unknown}")).saw(format!("200: {}", body.trim())).because(
                "an Ingress without a host, or with a wildcard, answers for every host",
                "give each rule its host, and the controller no default backend",
            ))
        }
        Ok((status, _)) => Ok(format!("{unknown}, which no Ingress has, gets {status}, and not from the service")),
        Err(why) => Ok(format!("{unknown}, which no Ingress has, gets no answer: {why}")),
    }
}

/// What another environment's host gets. It may be replaced or taken away while it is asked: that is nothing against this one.
async fn other(
    subject: &Subject,
    http: &Http,
    pods: &mut Pods,
    reference: &str,
    host: &str,
) -> Result<Result<String, Failure>, Failure> {
    pods.look(subject).await?;
    let (mut seen, mut last) = (BTreeSet::new(), String::new());
    for _ in 0..REQUESTS {
        match http.get(host, "/").await {
            Ok((200, body)) => seen.extend(host_of(&body).map(str::to_owned)),
            Ok((status, _)) => last = format!("{status}"),
            Err(why) => last = why,
        }
    }
    pods.look(subject).await?;
    Ok(match pods.stranger(&seen, reference) {
        Some(stranger) => Err(mixed(host, reference, &stranger)),
        None if seen.is_empty() => Ok(format!("{host} is not there now ({last})")),
        None => Ok(format!("{host} is answered by pods of {reference} alone")),
    })
}

fn mixed(host: &str, reference: &str, stranger: &str) -> Failure {
    expected(format!("{host} is answered by pods of {reference}")).saw(stranger).because(
        "two Services select the same pods, or an Ingress names the Service of another environment",
        "let Deployments and Services select `ref` beside `app`",
    )
}

/// The pods that are or were there, each with its label `ref`: one that has answered may be gone when it is asked about.
#[derive(Default)]
struct Pods(BTreeMap<String, String>);

impl Pods {
    async fn look(&mut self, subject: &Subject) -> Result<(), Failure> {
        let all = subject.api::<Pod>().list(&ListParams::default()).await?;
        self.0.extend(all.into_iter().map(|pod| {
            let reference = pod.labels().get("ref").cloned().unwrap_or_else(|| "no environment".to_owned());
            (pod.name_any(), reference)
        }));
        Ok(())
    }

    /// One that belongs to another environment.
    fn stranger(&self, seen: &BTreeSet<String>, reference: &str) -> Option<String> {
        let label = |pod: &String| self.0.get(pod).map_or("no pod that is there", String::as_str).to_owned();
        let mut all = seen.iter().map(|pod| (pod, label(pod)));
        let (pod, label) = all.find(|(_, label)| label != reference)?;
        Some(format!("{pod}, of {label}"))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::own(&["web-1", "web-2"], None)]
    #[case::gone_meanwhile(&["web-0"], None)]
    #[case::of_another(&["web-1", "live-1"], Some("live-1, of live"))]
    #[case::of_none(&["job-1"], Some("job-1, of no environment"))]
    #[case::of_another_namespace(&["web-9"], Some("web-9, of no pod that is there"))]
    fn strangers(#[case] seen: &[&str], #[case] expected: Option<&str>) {
        let known =
            [("web-0", "dev"), ("web-1", "dev"), ("web-2", "dev"), ("live-1", "live"), ("job-1", "no environment")];
        let pods = Pods(known.iter().map(|(pod, reference)| ((*pod).to_owned(), (*reference).to_owned())).collect());
        let seen = seen.iter().map(ToString::to_string).collect();
        assert_eq!(pods.stranger(&seen, "dev").as_deref(), expected);
    }
}
