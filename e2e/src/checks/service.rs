//! Every pod answers through the Service.

use std::collections::BTreeSet;
use std::time::Duration;

use kube::ResourceExt;
use tokio::time::{Instant, sleep};

use super::check::{Evidence, Outcome};
use super::failure::expected;
use super::load::host_of;
use super::readiness::ready_pods;
use super::subject::{Subject, ask, called};

/// The pause between two requests.
const BEAT: Duration = Duration::from_millis(50);

pub(super) async fn run(subject: Subject) -> Outcome {
    let mut evidence = Evidence::default();
    let service = subject.service().await?;
    let port = service.spec.as_ref().and_then(|spec| spec.ports.as_ref()?.first()).map_or(0, |port| port.port);
    let path = format!("/api/v1/namespaces/{}/services/{}:{port}/proxy/", subject.namespace, service.name_any());
    let pods: BTreeSet<String> = subject.some_pods().await?.iter().map(ResourceExt::name_any).collect();
    let began = Instant::now();
    let (mut seen, mut last) = (BTreeSet::new(), String::new());
    while !pods.is_subset(&seen) {
        if began.elapsed() > subject.patience {
            let endpoints = ready_pods(&subject, &service.name_any()).await?;
            let joined = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(", ");
            return Err(expected(format!("answers of {}", joined(&pods)))
                .saw(if seen.is_empty() { last } else { format!("answers of {} alone", joined(&seen)) })
                .at(called(&service))
                .with(&format!("its endpoints: {}", joined(&endpoints)))
                .with(&subject.around(&service).await)
                .because(
                    "the Service's selector or targetPort fits no pod, or its pods are not ready",
                    "let it select app and ref of the Deployment, and send to port http-metrics",
                ));
        }
        match ask(&subject.client, "GET", &path).await? {
            (200, body) => _ = host_of(&body).map(|host| seen.insert(host.to_owned())),
            (status, body) => last = format!("{status}: {}", body.trim()),
        }
        sleep(BEAT).await;
    }
    evidence.add(format!("{} answers for {}", called(&service), pods.into_iter().collect::<Vec<_>>().join(" and ")));
    Ok(evidence)
}
