//! What there is in an environment's namespace, and that of a stopped environment nothing is left there, and of all else everything.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use tokio::time::{Duration, sleep};

use crate::checks::extra_pod::sweep;
use crate::checks::failure::expected;
use crate::checks::http::Http;
use crate::checks::load::host_of;
use crate::checks::subject::Subject;
use crate::environment::cluster::explain::explain_all;
use crate::environment::cluster::objects;
use crate::environment::cluster::objects::Kind;
use crate::environment::cluster::objects::Listing;
use crate::environment::cluster::objects::Object;
use crate::record::{Check, Failure, Verdict};

/// The name of the check below.
pub const STOP: &str = "stop";

/// The label by which an environment's objects are found.
const LABEL: &str = "ref";

/// How often it is looked.
const BEAT: Duration = Duration::from_millis(500);

/// Kinds of which the cluster itself makes and replaces objects whenever it likes: API group and kind.
const RESTLESS: [(&str, &str); 3] =
    [("", "Endpoints"), ("discovery.k8s.io", "EndpointSlice"), ("coordination.k8s.io", "Lease")];

/// The objects of a namespace, seen from one environment in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    reference: String,
    /// By API group, kind and name.
    objects: BTreeMap<(String, String, String), Known>,
    /// The kinds that were to be seen, by API group and name.
    seen: BTreeSet<(String, String)>,
}

/// What is known of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Known {
    /// Its identity: one that is made anew has another.
    uid: String,
    /// The environment that it belongs to.
    reference: Option<String>,
    /// The identities of what it goes with.
    owners: Vec<String>,
    /// Whether it is on its way out.
    is_going: bool,
}

impl Snapshot {
    /// What there is now in the namespace of an environment.
    ///
    /// # Errors
    /// When the API server does not list it.
    pub async fn of(subject: &Subject) -> Result<Self, Failure> {
        let kinds = objects::kinds(&subject.client).await?;
        let Listing { objects, unseen } = objects::list(&subject.client, &kinds, &subject.namespace, "").await?;
        let objects = objects.into_iter().map(|object| {
            let name = object.name().to_owned();
            let known = Known::of(&object);
            ((object.group, object.kind, name), known)
        });
        let kinds = kinds.iter().filter(|kind| !unseen.contains(kind)).map(Kind::name);
        let seen = kinds.map(|(group, kind)| (group.to_owned(), kind.to_owned())).collect();
        Ok(Self { reference: subject.reference.clone(), objects: objects.collect(), seen })
    }

    /// What the environment is made of, in words; nothing where there is nothing.
    pub fn names(&self) -> Option<String> {
        let own = self.objects.iter().filter(|(_, known)| known.reference.as_ref() == Some(&self.reference));
        let names = own.map(|((_, kind, name), _)| format!("{kind} {name}")).collect::<Vec<_>>();
        (!names.is_empty()).then(|| names.join(", "))
    }

    /// What was there before an environment was stopped, does not belong to it, and is not there now: in words.
    fn missing(&self, after: &Self, stopped: &str) -> Vec<String> {
        let gone_with_it = self.gone_with(stopped);
        let mut missing = Vec::new();
        for (key, known) in &self.objects {
            let (group, kind, name) = key;
            let is_restless = RESTLESS.contains(&(group, kind));
            // Of what cannot be seen any more nobody knows.
            let is_hidden = !after.seen.contains(&(group.clone(), kind.clone()));
            if is_restless || is_hidden || known.is_going || gone_with_it.contains(&*known.uid) {
                continue;
            }
            match after.objects.get(key) {
                Some(now) if now.uid == known.uid && !now.is_going => {}
                Some(now) if now.uid == known.uid => missing.push(format!("{kind} {name} is on its way out")),
                Some(_) => missing.push(format!("{kind} {name} was made anew")),
                None => missing.push(format!("{kind} {name} is gone")),
            }
        }
        missing
    }

    /// The identities of an environment's objects, and of those that have no label and belong to one of them.
    fn gone_with(&self, stopped: &str) -> BTreeSet<&str> {
        let of_it = self.objects.values().filter(|known| known.reference.as_deref() == Some(stopped));
        let mut gone: BTreeSet<&str> = of_it.map(|known| &*known.uid).collect();
        loop {
            let owned = self.objects.values().filter(|known| known.owners.iter().any(|uid| gone.contains(&**uid)));
            let more: BTreeSet<&str> = owned.map(|known| &*known.uid).filter(|uid| !gone.contains(uid)).collect();
            if more.is_empty() {
                return gone;
            }
            gone.extend(more);
        }
    }
}

impl Known {
    fn of(object: &Object) -> Self {
        let metadata = &object.metadata;
        Self {
            uid: metadata.uid.clone().unwrap_or_default(),
            reference: object.label(LABEL).map(str::to_owned),
            owners: metadata.owner_references.iter().flatten().map(|owner| owner.uid.clone()).collect(),
            is_going: metadata.deletion_timestamp.is_some(),
        }
    }
}

/// What carries an environment's label.
async fn labelled(subject: &Subject, kinds: &[Kind]) -> Result<Listing, Failure> {
    let selector = format!("{LABEL}={}", subject.reference);
    Ok(objects::list(&subject.client, kinds, &subject.namespace, &selector).await?)
}

fn in_words(objects: &[Object]) -> String {
    let names = objects.iter().map(|object| format!("{} {}", object.kind, object.name())).collect::<Vec<_>>();
    names.join(", ")
}

/// Whether nothing of an environment is left, and all else of its namespace, another environment above all, is as it was.
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
    let kinds = objects::kinds(&subject.client).await?;
    let Listing { objects: left, unseen } = settled(subject, &kinds, async |_| Ok(())).await?;
    if !left.is_empty() {
        return Err(remains(subject, &left).await.because(
            "the job that stops the environment forgets a kind, or its selector fits another label",
            "let it delete every kind that the deploy job applies, by the label `ref`",
        ));
    }
    evidence.push(format!("nothing with the label ref={} is left, of {} kinds", subject.reference, kinds.len()));
    if !unseen.is_empty() {
        let unseen = unseen.iter().map(|kind| kind.name().1).collect::<Vec<_>>().join(", ");
        evidence.push(format!("not to be seen, and not looked at: {unseen}"));
    }
    evidence.extend(unanswered(subject).await?);
    let after = Snapshot::of(other).await?;
    let missing = before.missing(&after, &subject.reference);
    if !missing.is_empty() {
        let pods = explain_all(&other.client, &other.namespace, &format!("{LABEL}={}", other.reference)).await;
        return Err(expected(format!(
            "{} is as it was, and all else in namespace {}",
            other.reference, other.namespace
        ))
        .saw(missing.join(", "))
        .at(format!("Namespace {}", other.namespace))
        .with(&pods)
        .because(
            "the job that stops an environment deletes by a label that others have, too",
            "let it select `ref` beside `app`",
        ));
    }
    let own = after.objects.values().filter(|known| known.reference.as_ref() == Some(&other.reference)).count();
    evidence.push(format!("{own} objects of {} are as they were", other.reference));
    evidence.push(format!("and so is all else in namespace {}", other.namespace));
    Ok(evidence)
}

/// What carries the environment's label once nothing does, or when patience has come to its end. Pods answer what they have been
/// asked before they go. Each time something is left, it is told.
async fn settled(
    subject: &Subject,
    kinds: &[Kind],
    tell: impl AsyncFn(&[Object]) -> Result<(), Failure>,
) -> Result<Listing, Failure> {
    let began = Instant::now();
    loop {
        let listing = labelled(subject, kinds).await?;
        if listing.objects.is_empty() || began.elapsed() > subject.patience {
            return Ok(listing);
        }
        tell(&listing.objects).await?;
        sleep(BEAT).await;
    }
}

async fn remains(subject: &Subject, left: &[Object]) -> Failure {
    let Some(first) = left.first() else { return Failure::default() };
    let namespace = &subject.namespace;
    let selector = format!("{LABEL}={}", subject.reference);
    expected(format!("nothing with the label {selector}"))
        .saw(in_words(left))
        .at(format!("{} {namespace}/{}", first.kind, first.name()))
        .with(&explain_all(&subject.client, namespace, &selector).await)
}

/// Nobody answers for the environment's host any more.
async fn unanswered(subject: &Subject) -> Result<Option<String>, Failure> {
    let Some(ingress) = subject.ingress else { return Ok(None) };
    let http = Http::new(ingress).map_err(|error| expected("a client").saw(error))?;
    Ok(Some(match http.get(&subject.host, "/").await {
        Ok((status, body)) if status == 200 && host_of(&body).is_some() => {
            return Err(expected(format!("nobody answers for {}", subject.host))
                .saw(body.trim())
                .at(format!("the Ingress controller at {ingress}"))
                .with("nothing of the environment is left in its namespace")
                .because("another Ingress has the same host", "delete it, or give it a host of its own"));
        }
        Ok((status, _)) => format!("{}: {status}", subject.host),
        Err(why) => format!("{}: {why}", subject.host),
    }))
}

/// Takes away all of an environment, and waits until it is gone.
///
/// # Errors
/// When the API server refuses, or something stays.
pub async fn remove(subject: &Subject) -> Result<(), Failure> {
    sweep(subject).await?;
    let kinds = objects::kinds(&subject.client).await?;
    let delete = async |left: &[Object]| {
        // What belongs to something goes with it, and what the cluster makes of a Service with that.
        let is_own = |it: &&Object| !it.is_owned() && !RESTLESS.contains(&(&*it.group, &*it.kind));
        for object in left.iter().filter(is_own).filter(|it| it.metadata.deletion_timestamp.is_none()) {
            object.delete(&subject.client).await?;
        }
        Ok(())
    };
    let left = settled(subject, &kinds, delete).await?.objects;
    if left.is_empty() {
        return Ok(());
    }
    Err(remains(subject, &left).await.because(
        "a pod does not end after SIGTERM, or a finalizer waits for something that is gone",
        "kubectl get the object --output=yaml, and look at its metadata.finalizers",
    ))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    type Row<'row> = (&'row str, &'row str, &'row str, Option<&'row str>);

    /// Kind, name, identity, `ref`.
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
            let known = Known { uid: (*uid).to_owned(), reference, ..Known::default() };
            ((String::new(), (*kind).to_owned(), (*name).to_owned()), known)
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
    #[case::one_that_nobody_asked_about(without(&["dev", "third-1"]), &["Pod third-1 is gone"])]
    #[case::something_without_a_label(without(&["dev", "settings"]), &["ConfigMap settings is gone"])]
    #[case::made_anew(
        [without(&["dev", "live-1"]), vec![("Pod", "live-1", "7", Some("live"))]].concat(),
        &["Pod live-1 was made anew"]
    )]
    #[case::something_new([without(&["dev"]), vec![("Pod", "live-2", "7", Some("live"))]].concat(), &[])]
    fn what_was_taken_too_much(#[case] after: Vec<Row<'_>>, #[case] expected: &[&str]) {
        assert_eq!(snapshot(&BEFORE).missing(&snapshot(&after), "dev"), expected);
    }

    #[test]
    fn what_belongs_to_it_goes_with_it_and_what_was_going_is_gone() {
        let mut before = snapshot(&[
            ("StatefulSet", "dev", "1", Some("dev")),
            ("ControllerRevision", "dev-1", "2", None),
            ("Secret", "of-the-revision", "3", None),
            ("Pod", "live-0", "4", Some("live")),
            ("Pod", "live-1", "5", Some("live")),
        ]);
        for (known, owner) in before.objects.values_mut().zip(["1", "", "", "2", ""]) {
            // In the order of their keys: ControllerRevision, Pod, Pod, Secret, StatefulSet.
            known.owners = vec![owner.to_owned()];
            known.is_going = known.uid == "4";
        }
        let after = snapshot(&[]);
        assert_eq!(before.missing(&after, "dev"), ["Pod live-1 is gone"]);
    }

    #[test]
    fn a_kind_that_cannot_be_seen_any_more_is_not_missed() {
        let mut after = snapshot(&without(&["dev", "settings", "live"]));
        after.seen.remove(&(String::new(), "ConfigMap".to_owned()));
        assert_eq!(snapshot(&BEFORE).missing(&after, "dev"), ["Deployment live is gone"]);
    }

    #[test]
    fn what_an_environment_is_made_of() {
        assert_eq!(snapshot(&BEFORE).names().as_deref(), Some("Deployment live, Endpoints live, Pod live-1"));
        assert_eq!(snapshot(&without(&["live", "live-1"])).names(), None);
    }
}
