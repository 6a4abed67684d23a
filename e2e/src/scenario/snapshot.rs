//! Compares the objects of a namespace before and after an environment is stopped: its objects must be gone, all others unchanged.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use tokio::time::{Duration, sleep};

use crate::checks::environment::Environment;
use crate::checks::extra_pod::sweep;
use crate::checks::failure::expected;
use crate::checks::http::Http;
use crate::checks::load::host_of;
use crate::environment::cluster::explain::explain_all;
use crate::environment::cluster::objects;
use crate::environment::cluster::objects::{Kind, Listing, Object};
use crate::record::{Check, Failure, Verdict};

/// The name of the check.
pub const STOP: &str = "stop";

/// The label that identifies an environment's objects.
const LABEL: &str = "ref";

/// The pause between two requests.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Kinds whose objects the cluster itself may create and replace at any time: API group and kind.
const VOLATILE: [(&str, &str); 3] =
    [("", "Endpoints"), ("discovery.k8s.io", "EndpointSlice"), ("coordination.k8s.io", "Lease")];

/// The objects of a namespace, for one environment in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    reference: String,
    /// By API group, kind and name.
    objects: BTreeMap<(String, String, String), Baseline>,
    /// The kinds that could be listed, by API group and name.
    seen: BTreeSet<(String, String)>,
}

/// The state of an object in a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Baseline {
    /// Its UID: a recreated object has another one.
    uid: String,
    /// The environment that it belongs to.
    reference: Option<String>,
    /// The UIDs of its owners.
    owners: Vec<String>,
    /// Whether it is being deleted.
    is_terminating: bool,
}

impl Snapshot {
    /// Lists the namespace of an environment.
    ///
    /// # Errors
    /// When the API server refuses to list a kind.
    pub async fn take(environment: &Environment) -> Result<Self, Failure> {
        let kinds = objects::kinds(&environment.client).await?;
        let Listing { objects, unseen } =
            objects::list(&environment.client, &kinds, &environment.namespace, "").await?;
        let objects = objects.into_iter().map(|object| {
            let name = object.name().to_owned();
            let baseline = Baseline::from_object(&object);
            ((object.group, object.kind, name), baseline)
        });
        let kinds = kinds.iter().filter(|kind| !unseen.contains(kind)).map(Kind::name);
        let seen = kinds.map(|(group, kind)| (group.to_owned(), kind.to_owned())).collect();
        Ok(Self { reference: environment.reference.clone(), objects: objects.collect(), seen })
    }

    /// The names of the environment's objects; `None` if it has none.
    pub fn names(&self) -> Option<String> {
        let own = self.objects.iter().filter(|(_, baseline)| baseline.reference.as_ref() == Some(&self.reference));
        let names = own.map(|((_, kind, name), _)| format!("{kind} {name}")).collect::<Vec<_>>();
        (!names.is_empty()).then(|| names.join(", "))
    }

    /// The objects outside of a stopped environment that the stop has removed or replaced: one phrase each.
    fn missing(&self, after: &Self, stopped: &str) -> Vec<String> {
        let deleted_with_it = self.deleted_with(stopped);
        let mut missing = Vec::new();
        for (key, baseline) in &self.objects {
            let (group, kind, name) = key;
            let is_volatile = VOLATILE.contains(&(group, kind));
            // If a kind can no longer be listed, the state of its objects is unknown.
            let is_hidden = !after.seen.contains(&(group.clone(), kind.clone()));
            if is_volatile || is_hidden || baseline.is_terminating || deleted_with_it.contains(&*baseline.uid) {
                continue;
            }
            match after.objects.get(key) {
                Some(now) if now.uid == baseline.uid && !now.is_terminating => {}
                Some(now) if now.uid == baseline.uid => missing.push(format!("{kind} {name} is being deleted")),
                Some(_) => missing.push(format!("{kind} {name} was recreated")),
                None => missing.push(format!("{kind} {name} is gone")),
            }
        }
        missing
    }

    /// The UIDs of an environment's objects, and of the objects without a label that they own.
    fn deleted_with(&self, stopped: &str) -> BTreeSet<&str> {
        let stopped_objects = self.objects.values().filter(|baseline| baseline.reference.as_deref() == Some(stopped));
        let mut gone: BTreeSet<&str> = stopped_objects.map(|baseline| &*baseline.uid).collect();
        loop {
            let owned =
                self.objects.values().filter(|baseline| baseline.owners.iter().any(|uid| gone.contains(&**uid)));
            let more: BTreeSet<&str> = owned.map(|baseline| &*baseline.uid).filter(|uid| !gone.contains(uid)).collect();
            if more.is_empty() {
                return gone;
            }
            gone.extend(more);
        }
    }
}

impl Baseline {
    fn from_object(object: &Object) -> Self {
        let metadata = &object.metadata;
        Self {
            uid: metadata.uid.clone().unwrap_or_default(),
            reference: object.label(LABEL).map(str::to_owned),
            owners: metadata.owner_references.iter().flatten().map(|owner| owner.uid.clone()).collect(),
            is_terminating: metadata.deletion_timestamp.is_some(),
        }
    }
}

/// The objects with an environment's label.
async fn labeled(environment: &Environment, kinds: &[Kind]) -> Result<Listing, Failure> {
    let selector = format!("{LABEL}={}", environment.reference);
    Ok(objects::list(&environment.client, kinds, &environment.namespace, &selector).await?)
}

fn describe(objects: &[Object]) -> String {
    let names = objects.iter().map(|object| format!("{} {}", object.kind, object.name())).collect::<Vec<_>>();
    names.join(", ")
}

/// Checks that nothing of a stopped environment is left, and that everything else in its namespace is unchanged, in particular the
/// other environment.
pub async fn stopped(environment: &Environment, other: &Environment, before: &Snapshot, origin: Instant) -> Check {
    let start = origin.elapsed().as_secs_f64();
    let outcome = verify_stopped(environment, other, before).await;
    let (verdict, evidence, failure) = match outcome {
        Ok(evidence) => (Verdict::Passed, evidence, None),
        Err(failure) => (Verdict::Failed, Vec::new(), Some(failure)),
    };
    Check {
        name: STOP.to_owned(),
        environment: environment.reference.clone(),
        proves: "stopping an environment removes all of its objects and no others".to_owned(),
        verdict,
        start,
        duration: origin.elapsed().as_secs_f64() - start,
        evidence,
        not_run: String::new(),
        failure,
    }
}

async fn verify_stopped(
    environment: &Environment,
    other: &Environment,
    before: &Snapshot,
) -> Result<Vec<String>, Failure> {
    let mut evidence = Vec::new();
    let kinds = objects::kinds(&environment.client).await?;
    let Listing { objects: left, unseen } = settled(environment, &kinds, async |_| Ok(())).await?;
    if !left.is_empty() {
        return Err(leftovers(environment, &left).await.hint(
            "the job that stops the environment does not delete this kind, or selects another label",
            "delete every kind that the deploy job applies, by the label `ref`",
        ));
    }
    evidence.push(format!("nothing with the label ref={} is left, of {} kinds", environment.reference, kinds.len()));
    if !unseen.is_empty() {
        let unseen = unseen.iter().map(|kind| kind.name().1).collect::<Vec<_>>().join(", ");
        evidence.push(format!("not checked, because they cannot be listed: {unseen}"));
    }
    evidence.extend(unanswered(environment).await?);
    let after = Snapshot::take(other).await?;
    let missing = before.missing(&after, &environment.reference);
    if !missing.is_empty() {
        let pods = explain_all(&other.client, &other.namespace, &format!("{LABEL}={}", other.reference)).await;
        return Err(expected(format!(
            "{} and all other objects in namespace {} are unchanged",
            other.reference, other.namespace
        ))
        .actual(missing.join(", "))
        .at(format!("Namespace {}", other.namespace))
        .with(&pods)
        .hint(
            "the job that stops an environment deletes by a label that other objects have too",
            "select the label `ref` in addition to `app`",
        ));
    }
    let own = after.objects.values().filter(|baseline| baseline.reference.as_ref() == Some(&other.reference)).count();
    evidence.push(format!("{own} objects of {} are unchanged", other.reference));
    evidence.push(format!("everything else in namespace {} is unchanged", other.namespace));
    Ok(evidence)
}

/// Waits until no object has the environment's label, and returns those that still have it after the timeout. Pods first answer the
/// requests that they have accepted.
async fn settled(
    environment: &Environment,
    kinds: &[Kind],
    notify: impl AsyncFn(&[Object]) -> Result<(), Failure>,
) -> Result<Listing, Failure> {
    let started = Instant::now();
    loop {
        let listing = labeled(environment, kinds).await?;
        if listing.objects.is_empty() || started.elapsed() > environment.timeout {
            return Ok(listing);
        }
        notify(&listing.objects).await?;
        sleep(POLL_INTERVAL).await;
    }
}

async fn leftovers(environment: &Environment, left: &[Object]) -> Failure {
    let Some(first) = left.first() else { return Failure::default() };
    let namespace = &environment.namespace;
    let selector = format!("{LABEL}={}", environment.reference);
    expected(format!("nothing with the label {selector}"))
        .actual(describe(left))
        .at(format!("{} {namespace}/{}", first.kind, first.name()))
        .with(&explain_all(&environment.client, namespace, &selector).await)
}

/// Checks that no pod answers for the environment's host.
async fn unanswered(environment: &Environment) -> Result<Option<String>, Failure> {
    let Some(ingress) = environment.ingress else { return Ok(None) };
    let http = Http::new(ingress).map_err(|error| expected("a client").actual(error))?;
    Ok(Some(match http.get(&environment.host, "/").await {
        Ok((status, body)) if status == 200 && host_of(&body).is_some() => {
            return Err(expected(format!("no answer for {}", environment.host))
                .actual(body.trim())
                .at(format!("the Ingress controller at {ingress}"))
                .with("no object of the environment is left in its namespace")
                .hint("another Ingress has the same host", "delete it, or give it a host of its own"));
        }
        Ok((status, _)) => format!("{}: {status}", environment.host),
        Err(reason) => format!("{}: {reason}", environment.host),
    }))
}

/// Deletes all objects of an environment, and waits until they are gone.
///
/// # Errors
/// When the API server refuses, or an object stays.
pub async fn remove(environment: &Environment) -> Result<(), Failure> {
    sweep(environment).await?;
    let kinds = objects::kinds(&environment.client).await?;
    let delete = async |left: &[Object]| {
        // Objects with an owner are deleted with it, and EndpointSlices with their Service.
        let is_own = |it: &&Object| !it.is_owned() && !VOLATILE.contains(&(&*it.group, &*it.kind));
        for object in left.iter().filter(is_own).filter(|it| it.metadata.deletion_timestamp.is_none()) {
            object.delete(&environment.client).await?;
        }
        Ok(())
    };
    let left = settled(environment, &kinds, delete).await?.objects;
    if left.is_empty() {
        return Ok(());
    }
    Err(leftovers(environment, &left).await.hint(
        "a pod does not end after SIGTERM, or a finalizer waits for an object that is gone",
        "run `kubectl get` with --output=yaml for the object, and look at its metadata.finalizers",
    ))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    type Row<'row> = (&'row str, &'row str, &'row str, Option<&'row str>);

    /// Kind, name, UID, `ref`.
    const BEFORE: [Row<'_>; 6] = [
        ("Deployment", "dev", "1", Some("dev")),
        ("Deployment", "live", "2", Some("live")),
        ("ConfigMap", "settings", "3", None),
        ("Endpoints", "live", "4", Some("live")),
        ("Pod", "live-1", "5", Some("live")),
        ("Pod", "third-1", "6", Some("third")),
    ];

    fn snapshot(rows: &[Row<'_>]) -> Snapshot {
        let objects = rows.iter().map(|(kind, name, uid, reference)| {
            let reference = reference.map(str::to_owned);
            let baseline = Baseline { uid: (*uid).to_owned(), reference, ..Baseline::default() };
            ((String::new(), (*kind).to_owned(), (*name).to_owned()), baseline)
        });
        let kinds = ["Deployment", "ConfigMap", "Endpoints", "Pod", "StatefulSet", "ControllerRevision", "Secret"];
        let seen = kinds.map(|kind| (String::new(), kind.to_owned())).into();
        Snapshot { reference: "live".to_owned(), objects: objects.collect(), seen }
    }

    fn without<'row>(gone: &[&str]) -> Vec<Row<'row>> {
        BEFORE.into_iter().filter(|(_, name, _, _)| !gone.contains(name)).collect()
    }

    #[rstest]
    #[case::just_it(without(&["dev"]), &[])]
    #[case::another_one_too(without(&["dev", "live"]), &["Deployment live is gone"])]
    #[case::an_object_of_a_third_environment(without(&["dev", "third-1"]), &["Pod third-1 is gone"])]
    #[case::something_without_a_label(without(&["dev", "settings"]), &["ConfigMap settings is gone"])]
    #[case::recreated(
        [without(&["dev", "live-1"]), vec![("Pod", "live-1", "7", Some("live"))]].concat(),
        &["Pod live-1 was recreated"]
    )]
    #[case::something_new([without(&["dev"]), vec![("Pod", "live-2", "7", Some("live"))]].concat(), &[])]
    fn objects_removed_by_mistake_are_listed(#[case] after: Vec<Row<'_>>, #[case] expected: &[&str]) {
        assert_eq!(snapshot(&BEFORE).missing(&snapshot(&after), "dev"), expected);
    }

    #[test]
    fn owned_and_terminating_objects_are_not_missing() {
        let mut before = snapshot(&[
            ("StatefulSet", "dev", "1", Some("dev")),
            ("ControllerRevision", "dev-1", "2", None),
            ("Secret", "of-the-revision", "3", None),
            ("Pod", "live-0", "4", Some("live")),
            ("Pod", "live-1", "5", Some("live")),
        ]);
        for (baseline, owner) in before.objects.values_mut().zip(["1", "", "", "2", ""]) {
            // In the order of their keys: ControllerRevision, Pod, Pod, Secret, StatefulSet.
            baseline.owners = vec![owner.to_owned()];
            baseline.is_terminating = baseline.uid == "4";
        }
        let after = snapshot(&[]);
        assert_eq!(before.missing(&after, "dev"), ["Pod live-1 is gone"]);
    }

    #[test]
    fn a_kind_that_can_no_longer_be_listed_is_not_missing() {
        let mut after = snapshot(&without(&["dev", "settings", "live"]));
        after.seen.remove(&(String::new(), "ConfigMap".to_owned()));
        assert_eq!(snapshot(&BEFORE).missing(&after, "dev"), ["Deployment live is gone"]);
    }

    #[test]
    fn names_of_the_objects_of_an_environment() {
        assert_eq!(snapshot(&BEFORE).names().as_deref(), Some("Deployment live, Endpoints live, Pod live-1"));
        assert_eq!(snapshot(&without(&["live", "live-1"])).names(), None);
    }
}
