use rstest::rstest;
use serde_json::{Value, json};

use super::failure::{PodFailure, before_running, gone, is_running, pending, while_running};
use crate::executor::request::FailureReason::{self, JobExecutionTimeout, RunnerSystemFailure, ScriptFailure};
use k8s_openapi::api::core::v1::Pod;

fn pod(status: &Value) -> Pod {
    let spec = json!({"containers": [
        {"name": "build", "resources": {"limits": {"memory": "64Mi"}}}, {"name": "helper"}, {"name": "svc-0"}
    ]});
    serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": spec, "status": status})).unwrap()
}

fn container(name: &str, state: &Value) -> Value {
    json!({"name": name, "image": "i:1", "imageID": "", "ready": false, "restartCount": 0, "state": state})
}

fn with_build(state: &Value) -> Value {
    let helper = container("helper", &json!({"running": {}}));
    json!({"phase": "Running", "containerStatuses": [container("build", state), helper]})
}

fn waiting(reason: &str, message: &str) -> Value {
    json!({"phase": "Pending", "containerStatuses": [
        container("build", &json!({"waiting": {"reason": reason, "message": message}}))
    ]})
}

#[test]
fn a_pod_runs_when_its_own_containers_have_started() {
    assert!(is_running(&pod(&with_build(&json!({"running": {}})))));
    assert!(!is_running(&pod(&with_build(&json!({"waiting": {"reason": "ContainerCreating"}})))));
    assert!(!is_running(&pod(&json!({"phase": "Running"}))));
    assert!(!is_running(&pod(&json!({"phase": "Pending"}))));
}

#[rstest]
#[case::starting(waiting("ContainerCreating", ""), None)]
#[case::pod_initializing(waiting("PodInitializing", ""), None)]
#[case::first_pull(waiting("ErrImagePull", "not found\n"), Some("build: ErrImagePull: not found"))]
#[case::later_pull(waiting("ImagePullBackOff", "Back-off"), Some("build: ImagePullBackOff: Back-off"))]
#[case::never(waiting("ErrImageNeverPull", ""), Some("build: ErrImageNeverPull"))]
fn a_pull_that_fails_is_reported_at_once(#[case] status: Value, #[case] expected: Option<&str>) {
    let failure = before_running(&pod(&status)).map(|failure| match failure {
        PodFailure::Pull { container, message } => format!("{container}: {message}"),
        PodFailure::Final(error) | PodFailure::Temporary(error) => panic!("{error}"),
    });
    assert_eq!(failure.as_deref(), expected);
}

#[rstest]
#[case::image_name(
    waiting("InvalidImageName", "couldn't parse"),
    ScriptFailure,
    "does not start: InvalidImageName: couldn't parse"
)]
#[case::root(
    waiting("CreateContainerConfigError", "container has runAsNonRoot and image will run as root"),
    ScriptFailure,
    "runAsNonRoot"
)]
#[case::no_shell(
    waiting("RunContainerError", "exec: \"sh\": executable file not found in $PATH"),
    ScriptFailure,
    "the job's image has no shell"
)]
#[case::no_shell_any_more(
    with_build(&json!({"terminated": {"exitCode": 128, "reason": "StartError",
        "message": "exec: \"sh\": executable file not found in $PATH"}})),
    ScriptFailure,
    "the job's image has no shell"
)]
#[case::no_sleep(
    with_build(&json!({"terminated": {"exitCode": 127, "reason": "Error"}})),
    ScriptFailure,
    "its image has no `sleep`"
)]
#[case::unknown_user(
    waiting(
        "CreateContainerError",
        "failed to generate spec: unable to find user app: no matching entries in passwd file"
    ),
    ScriptFailure,
    "unable to find user app"
)]
#[case::helper_without_shell(
    json!({"phase": "Pending", "containerStatuses": [container("helper", &json!({"waiting":
        {"reason": "CreateContainerError", "message": "exec: \"sh\": executable file not found in $PATH"}}))]}),
    RunnerSystemFailure,
    "the image of container helper has no shell; set `helper_image`"
)]
#[case::helper_of_another_platform(
    json!({"phase": "Pending", "containerStatuses": [container("helper", &json!({"waiting":
        {"reason": "RunContainerError", "message": "exec format error"}}))]}),
    RunnerSystemFailure,
    "container helper of image i:1 does not start: RunContainerError"
)]
fn a_pod_that_cannot_start_fails_at_once(#[case] status: Value, #[case] reason: FailureReason, #[case] expected: &str) {
    let Some(PodFailure::Final(error)) = before_running(&pod(&status)) else { panic!("no final failure") };
    assert_eq!(error.reason, reason);
    assert!(error.message.contains(expected), "{error}");
}

/// The kubelet tries again. Only the message distinguishes a Secret that does not exist yet from an image that cannot run.
#[rstest]
#[case::no_secret(waiting("CreateContainerConfigError", "secret \"s\" not found"), "secret \"s\" not found")]
#[case::slow_runtime(waiting("CreateContainerError", "context deadline exceeded"), "context deadline exceeded")]
#[case::sandbox(waiting("CreatePodSandboxError", "cni"), "CreatePodSandboxError: cni")]
fn a_pod_that_may_start_later_is_given_time(#[case] status: Value, #[case] expected: &str) {
    let Some(PodFailure::Temporary(error)) = before_running(&pod(&status)) else { panic!("no temporary failure") };
    assert_eq!(error.reason, RunnerSystemFailure);
    assert!(error.message.contains(expected), "{error}");
}

/// The job has no influence on the helper.
#[rstest]
#[case::stopped(0)]
#[case::no_sleep(127)]
#[case::killed(137)]
fn a_helper_that_ends_is_a_system_failure(#[case] code: i32) {
    let ended = json!({"terminated": {"exitCode": code, "reason": "Error", "startedAt": "2026-01-31T10:00:00Z",
        "finishedAt": "2026-01-31T10:00:01Z"}});
    let build = container("build", &json!({"running": {}}));
    let status = json!({"phase": "Running", "containerStatuses": [build, container("helper", &ended)]});
    let error = while_running(&pod(&status)).unwrap();
    assert_eq!(error.reason, RunnerSystemFailure);
    assert!(error.message.contains("container helper ended"), "{error}");
}

#[rstest]
#[case::out_of_memory(
    with_build(&json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}})),
    RunnerSystemFailure,
    "container build ran out of memory (OOMKilled, exit code 137); its limit is 64Mi"
)]
#[case::killed(
    with_build(&json!({"terminated": {"exitCode": 137, "reason": "Error"}})),
    RunnerSystemFailure,
    "container build ended: exit code 137, reason Error"
)]
#[case::without_contact(
    with_build(&json!({"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": "2026-01-31T10:00:00Z",
        "finishedAt": "2026-01-31T10:11:00Z"}})),
    RunnerSystemFailure,
    "no contact with the harness"
)]
#[case::ended_early(
    with_build(&json!({"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": "2026-01-31T10:00:00Z",
        "finishedAt": "2026-01-31T10:00:02Z"}})),
    ScriptFailure,
    "the image's entrypoint does not run its arguments"
)]
#[case::evicted(
    json!({"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory. "}),
    RunnerSystemFailure,
    "pod p: Evicted: The node was low on resource: memory."
)]
#[case::eviction_api(
    json!({"phase": "Running", "conditions": [{"type": "DisruptionTarget", "status": "True",
        "reason": "EvictionByEvictionAPI", "message": "Eviction API: evicting"}]}),
    RunnerSystemFailure,
    "pod p is disrupted (EvictionByEvictionAPI): Eviction API: evicting"
)]
#[case::deadline(
    json!({"phase": "Failed", "reason": "DeadlineExceeded", "message": "Pod was active on the node longer than …"}),
    JobExecutionTimeout,
    "pod p exceeded its deadline: Pod was active"
)]
#[case::phase(json!({"phase": "Failed"}), RunnerSystemFailure, "pod p has ended, phase Failed")]
fn a_pod_that_ends_is_explained(#[case] status: Value, #[case] reason: FailureReason, #[case] expected: &str) {
    let error = while_running(&pod(&status)).unwrap();
    assert_eq!(error.reason, reason);
    assert!(error.message.contains(expected), "{error}");
}

#[test]
fn a_running_pod_is_no_failure() {
    assert!(while_running(&pod(&with_build(&json!({"running": {}})))).is_none());
}

#[test]
fn a_deleted_pod_is_a_system_failure() {
    let mut deleted = pod(&with_build(&json!({"running": {}})));
    let time = json!("2026-01-01T00:00:00Z");
    deleted.metadata.deletion_timestamp = Some(serde_json::from_value(time).unwrap());
    let error = while_running(&deleted).unwrap();
    assert_eq!(error.message, "pod p is being deleted by another program or user");
    assert_eq!(gone("p", None).reason, RunnerSystemFailure);
    assert_eq!(gone("p", Some(error)).message, "pod p is being deleted by another program or user");
}

#[test]
fn a_pending_pod_is_explained() {
    let status = json!({"phase": "Pending", "conditions": [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available"}
    ]});
    assert_eq!(pending(&pod(&status)), ["Unschedulable: 0/1 nodes are available"]);
    assert_eq!(pending(&pod(&waiting("ContainerCreating", ""))), ["container build: ContainerCreating"]);
}
