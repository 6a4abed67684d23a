use k8s_openapi::jiff::{SignedDuration, Timestamp};
use rstest::rstest;
use serde_json::{Value, json};

use super::anchor::{Anchors, labels};
use super::fake_api::FakeApi;
use super::leftovers::{sweep, sweep_gone};
use super::names::anchor;
use container_engine::labels::{OWNER, RENEWED};

/// A process of another machine: there is no lock that shows whether it runs.
const OWNER_ID: &str = "elsewhere.1.0123456789abcdef/1";

const PODS: &str = "/api/v1/namespaces/n/pods";

fn anchor_path() -> String {
    format!("/api/v1/namespaces/n/configmaps/{}", anchor(OWNER_ID))
}

fn anchor_object(heartbeat_age: Option<SignedDuration>) -> Value {
    let mut annotations = json!({OWNER: OWNER_ID});
    if let Some(age) = heartbeat_age {
        annotations[RENEWED] = (Timestamp::now() - age).to_string().into();
    }
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"labels": labels(OWNER_ID), "annotations": annotations}})
}

fn owned(kind: &str) -> Value {
    let owner = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": anchor(OWNER_ID), "uid": "u"}]);
    json!({"apiVersion": "v1", "kind": kind, "metadata": {"labels": labels(OWNER_ID), "ownerReferences": owner}})
}

/// A pipeline with a pod, a Secret and an anchor.
fn pipeline(heartbeat_age: Option<SignedDuration>) -> FakeApi {
    let api = FakeApi::default();
    api.add(&anchor_path(), &anchor_object(heartbeat_age));
    api.add(&format!("{PODS}/p"), &owned("Pod"));
    api.add("/api/v1/namespaces/n/secrets/s", &owned("Secret"));
    api
}

#[tokio::test]
async fn everything_of_a_pipeline_is_removed() {
    let api = pipeline(None);
    assert_eq!(sweep(&api.client(), "n", OWNER_ID).await.unwrap(), 1);
    assert_eq!(api.names(), [""; 0]);
}

#[tokio::test]
async fn an_object_that_only_has_the_label_is_kept() {
    let api = pipeline(None);
    api.add(
        &format!("{PODS}/copied"),
        &json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": labels(OWNER_ID)}}),
    );
    assert_eq!(sweep(&api.client(), "n", OWNER_ID).await.unwrap(), 1);
    assert_eq!(api.names(), ["copied"]);
}

/// Another program has deleted the object that was read, and has created one of the same name.
#[rstest]
#[case::pod(format!("{PODS}/p"), json!({"apiVersion": "v1", "kind": "Pod", "metadata": {}}))]
#[case::secret("/api/v1/namespaces/n/secrets/s".to_owned(), json!({"apiVersion": "v1", "kind": "Secret", "metadata": {}}))]
#[case::anchor(anchor_path(), json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}}))]
#[tokio::test]
async fn another_object_of_the_same_name_is_kept(#[case] path: String, #[case] other: Value) {
    let api = pipeline(None);
    api.replace_before_deletion(&path, other);
    sweep(&api.client(), "n", OWNER_ID).await.unwrap();
    assert_eq!(api.names(), [path.rsplit('/').next().unwrap()]);
}

#[rstest]
#[case::yesterday(Some(SignedDuration::from_hours(25)), true)]
#[case::today(Some(SignedDuration::from_hours(23)), false)]
#[case::a_fast_clock(Some(SignedDuration::from_hours(-48)), false)]
#[case::no_heartbeat(None, false)]
#[tokio::test]
async fn the_anchor_of_another_machine_expires(#[case] age: Option<SignedDuration>, #[case] is_removed: bool) {
    let api = pipeline(age);
    assert_eq!(sweep_gone(&api.client(), "n").await.unwrap(), usize::from(is_removed));
    assert_eq!(api.names().is_empty(), is_removed, "{:?}", api.names());
}

#[tokio::test]
async fn an_anchor_with_a_new_heartbeat_is_kept() {
    let api = pipeline(Some(SignedDuration::from_hours(25)));
    let mut changed = anchor_object(Some(SignedDuration::ZERO));
    changed["metadata"]["uid"] = api.object(&anchor_path()).unwrap()["metadata"]["uid"].clone();
    api.replace_before_deletion(&anchor_path(), changed);
    assert_eq!(sweep_gone(&api.client(), "n").await.unwrap(), 0);
    assert_eq!(api.names().len(), 3);
}

#[tokio::test]
async fn without_the_right_to_delete_leftovers_of_others_are_ignored() {
    let api = pipeline(Some(SignedDuration::from_hours(25)));
    api.forbid("DELETE");
    assert_eq!(sweep_gone(&api.client(), "n").await.unwrap(), 0);
    assert_eq!(api.names().len(), 3);
}

/// Waits until `is_true` holds.
async fn eventually(is_true: impl AsyncFn() -> bool) {
    for _ in 0..500 {
        if is_true().await {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the condition is still false after 5 s");
}

fn heartbeat(api: &FakeApi) -> Option<Timestamp> {
    api.object(&anchor_path())?["metadata"]["annotations"][RENEWED].as_str()?.parse().ok()
}

#[tokio::test]
async fn a_running_pipeline_stores_heartbeats_in_its_anchor() {
    let api = FakeApi::default();
    let anchors = Anchors::new(api.client(), OWNER_ID.to_owned(), None);
    let owner = anchors.in_namespace("n").await.unwrap();
    assert_eq!(owner.uid, api.object(&anchor_path()).unwrap()["metadata"]["uid"]);
    eventually(async || heartbeat(&api).is_some()).await;
    assert!(Timestamp::now().duration_since(heartbeat(&api).unwrap()) < SignedDuration::from_mins(1));
}

/// A time stored at its creation would say nothing about a process that cannot store a later one.
#[tokio::test]
async fn an_anchor_is_created_without_a_heartbeat_and_does_not_expire_without_one() {
    let api = FakeApi::default();
    api.forbid("PATCH");
    let anchors = Anchors::new(api.client(), OWNER_ID.to_owned(), None);
    anchors.in_namespace("n").await.unwrap();
    assert_eq!(heartbeat(&api), None);
    assert_eq!(sweep_gone(&api.client(), "n").await.unwrap(), 0);
    assert_eq!(api.names(), [anchor(OWNER_ID)]);
}

#[tokio::test]
async fn a_deleted_anchor_is_created_again_for_the_next_job() {
    let api = FakeApi::default();
    let anchors = Anchors::new(api.client(), OWNER_ID.to_owned(), None);
    let first = anchors.in_namespace("n").await.unwrap();
    // Before the first heartbeat, which finds no anchor.
    api.remove(&anchor_path());
    eventually(async || anchors.namespaces().await.is_empty()).await;
    assert_ne!(anchors.in_namespace("n").await.unwrap().uid, first.uid);
}
