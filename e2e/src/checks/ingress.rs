//! The environment's host is answered by its own pods, another one by nobody.

use std::collections::BTreeSet;
use std::time::Duration;

use kube::ResourceExt;
use tokio::time::{Instant, sleep};

use super::failure::expected;
use super::http::Http;
use super::load::host_of;
use super::subject::{Subject, called};
use super::{Evidence, Outcome};
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
        return Err(expected(format!("a rule for {}", subject.host))
            .saw(hosts.join(", "))
            .at(called(&ingress))
            .because(
                "the base domain of the deploy job is another one",
                "set KUBE_INGRESS_BASE_DOMAIN, or say `--host`",
            ));
    }
    let own = answering(&subject, &http, &subject.host, &subject.reference, &called(&ingress)).await?;
    evidence.add(format!("{} is answered by {}", subject.host, own.into_iter().collect::<Vec<_>>().join(" and ")));
    let unknown = format!("no-such-environment.{}", subject.host.split_once('.').map_or("test", |(_, domain)| domain));
    match http.get(&unknown, "/").await {
        Ok((status, body)) if status == 200 && host_of(&body).is_some() => {
            return Err(expected(format!("404 for {unknown}"))
                .saw(format!("{status}: {}", body.trim()))
                .at(called(&ingress))
                .because(
                    "an Ingress without a host, or with a wildcard, answers for every host",
                    "give each rule its host, and the controller no default backend",
                ));
        }
        Ok((status, _)) => evidence.add(format!("{unknown}: {status}")),
        Err(why) => evidence.add(format!("{unknown}: {why}")),
    }
    for (reference, host) in &subject.others {
        answering(&subject, &http, host, reference, &called(&ingress)).await?;
        evidence.add(format!("{host} is answered by pods of {reference} alone"));
    }
    Ok(evidence)
}

/// The pods that answer for a host: those of the environment alone.
async fn answering(
    subject: &Subject,
    http: &Http,
    host: &str,
    reference: &str,
    ingress: &str,
) -> Result<BTreeSet<String>, Failure> {
    let began = Instant::now();
    // The controller learns of an Ingress a moment after it is made.
    let mut last = String::new();
    while began.elapsed() < subject.patience {
        match http.get(host, "/").await {
            Ok((200, _)) => {
                last.clear();
                break;
            }
            Ok((status, body)) => last = format!("{status}: {}", body.trim()),
            Err(why) => last = why,
        }
        sleep(BEAT).await;
    }
    if !last.is_empty() {
        return Err(expected(format!("{host} is answered")).saw(last).at(ingress).because(
            "no Ingress controller serves the Ingress' class, its Service has no endpoints, or the controller's address is another one",
            "kubectl get ingressclass shows the classes that there are; `--ingress` says where the controller answers",
        ));
    }
    let mut seen = BTreeSet::new();
    for _ in 0..REQUESTS {
        let (status, body) =
            http.get(host, "/").await.map_err(|why| expected(format!("{host} is answered")).saw(why))?;
        let pod = host_of(&body).filter(|_| status == 200);
        let Some(pod) = pod else {
            return Err(expected(format!("{host} is answered by the service"))
                .saw(format!("{status}: {}", body.trim()))
                .at(ingress));
        };
        seen.insert(pod.to_owned());
    }
    for pod in &seen {
        let known = subject.api::<k8s_openapi::api::core::v1::Pod>().get_opt(pod).await?;
        let label =
            known.and_then(|pod| pod.labels().get("ref").cloned()).unwrap_or_else(|| "no pod that is there".to_owned());
        if label != reference {
            return Err(expected(format!("{host} is answered by pods of {reference}"))
                .saw(format!("{pod}, of {label}"))
                .at(ingress)
                .because(
                    "two Services select the same pods, or an Ingress names the Service of another environment",
                    "let Deployments and Services select `ref` beside `app`",
                ));
        }
    }
    Ok(seen)
}
