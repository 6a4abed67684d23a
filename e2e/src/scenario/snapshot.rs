//! What there is of an environment, and that nothing of it is left.

use std::collections::BTreeMap;
use std::time::Instant;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::{DeleteParams, DynamicObject, ListParams};
use kube::core::GroupVersionKind;
use kube::{Api, ResourceExt, discovery};
use tokio::time::{Duration, sleep};

use crate::checks::extra_pod::sweep;
use crate::checks::failure::expected;
use crate::checks::http::Http;
use crate::checks::load::host_of;
use crate::checks::subject::Subject;
use crate::record::{Check, Failure, Verdict};

/// The name of the check below.
pub const STOP: &str = "stop";

/// How often it is looked.
const BEAT: Duration = Duration::from_millis(250);

/// The objects of an environment by kind and name, each with its identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot(BTreeMap<(String, String), String>);

impl Snapshot {
    /// What there is now.
    ///
    /// # Errors
    /// When the API server does not list it.
    pub async fn of(subject: &Subject) -> Result<Self, Failure> {
        let mut all = BTreeMap::new();
        add(&mut all, "Deployment", &subject.list::<Deployment>().await?);
        add(&mut all, "ReplicaSet", &subject.list::<ReplicaSet>().await?);
        add(&mut all, "Pod", &subject.list::<Pod>().await?);
        add(&mut all, "Service", &subject.list::<Service>().await?);
        add(&mut all, "Ingress", &subject.list::<Ingress>().await?);
        add(&mut all, "PodDisruptionBudget", &budgets(subject).await?.list(&labelled(subject)).await?.items);
        Ok(Self(all))
    }

    /// What it is made of, in words; nothing where there is nothing.
    pub fn names(&self) -> Option<String> {
        let names = self.0.keys().map(|(kind, name)| format!("{kind} {name}")).collect::<Vec<_>>();
        (!names.is_empty()).then(|| names.join(", "))
    }

    fn in_words(&self) -> String {
        self.names().unwrap_or_else(|| "nothing".to_owned())
    }
}

fn add<K: ResourceExt>(all: &mut BTreeMap<(String, String), String>, kind: &str, objects: &[K]) {
    all.extend(objects.iter().map(|it| ((kind.to_owned(), it.name_any()), it.uid().unwrap_or_default())));
}

fn labelled(subject: &Subject) -> ListParams {
    ListParams::default().labels(&format!("ref={}", subject.reference))
}

/// Where disruption budgets are, in the version that the cluster serves.
async fn budgets(subject: &Subject) -> Result<Api<DynamicObject>, Failure> {
    let kind = |version: &str| GroupVersionKind::gvk("policy", version, "PodDisruptionBudget");
    // Kubernetes before 1.21 serves the second only.
    let (resource, _) = match discovery::pinned_kind(&subject.client, &kind("v1")).await {
        Ok(known) => known,
        Err(_) => discovery::pinned_kind(&subject.client, &kind("v1beta1")).await?,
    };
    Ok(Api::namespaced_with(subject.client.clone(), &subject.namespace, &resource))
}

/// Whether nothing of an environment is left, and another one is as it was.
pub async fn stopped(subject: &Subject, other: &Subject, before: &Snapshot, origin: Instant) -> Check {
    let start = origin.elapsed().as_secs_f64();
    let outcome = look(subject, other, before).await;
    let (verdict, evidence, failure) = match outcome {
        Ok(evidence) => (Verdict::Passed, evidence, None),
        Err(failure) => (Verdict::Failed, Vec::new(), Some(failure)),
    };
    Check {
        name: STOP.to_owned(),
        environment: subject.reference.clone(),
        proves: "nothing of a stopped environment is left, and the others are as they were".to_owned(),
        verdict,
        start,
        took: origin.elapsed().as_secs_f64() - start,
        evidence,
        not_run: String::new(),
        failure,
    }
}

async fn look(subject: &Subject, other: &Subject, before: &Snapshot) -> Result<Vec<String>, Failure> {
    let mut evidence = Vec::new();
    let began = Instant::now();
    loop {
        // Pods answer what they have been asked before they go.
        let left = Snapshot::of(subject).await?;
        if left == Snapshot::default() {
            break;
        }
        if began.elapsed() > subject.patience {
            return Err(expected(format!("nothing with the label ref={}", subject.reference))
                .saw(left.in_words())
                .because(
                    "the job that stops the environment forgets a kind, or its selector fits another label",
                    "let it delete every kind that the deploy job applies, by the label `ref`",
                ));
        }
        sleep(BEAT).await;
    }
    evidence.push(format!("nothing with the label ref={} is left", subject.reference));
    if let Some(ingress) = subject.ingress {
        let http = Http::new(ingress).map_err(|error| expected("a client").saw(error))?;
        match http.get(&subject.host, "/").await {
            Ok((status, body)) if status == 200 && host_of(&body).is_some() => {
                return Err(expected(format!("nobody answers for {}", subject.host))
                    .saw(body.trim())
                    .because("another Ingress has the same host", "delete it, or give it a host of its own"));
            }
            Ok((status, _)) => evidence.push(format!("{}: {status}", subject.host)),
            Err(why) => evidence.push(format!("{}: {why}", subject.host)),
        }
    }
    let after = Snapshot::of(other).await?;
    if after != *before {
        return Err(expected(format!("{} is as it was: {}", other.reference, before.in_words()))
            .saw(after.in_words())
            .because(
                "the job that stops an environment deletes by a label that others have, too",
                "let it select `ref` beside `app`",
            ));
    }
    evidence.push(format!("{} objects of {} are as they were", after.0.len(), other.reference));
    Ok(evidence)
}

/// Takes away all of an environment.
///
/// # Errors
/// When the API server refuses.
pub async fn remove(subject: &Subject) -> Result<(), Failure> {
    sweep(subject).await?;
    let (how, which) = (DeleteParams::default(), labelled(subject));
    subject.api::<Ingress>().delete_collection(&how, &which).await?;
    // Services were not to be deleted together before 1.23.
    for service in subject.list::<Service>().await? {
        subject.api::<Service>().delete(&service.name_any(), &how).await?;
    }
    subject.api::<Deployment>().delete_collection(&how, &which).await?;
    budgets(subject).await?.delete_collection(&how, &which).await?;
    Ok(())
}
