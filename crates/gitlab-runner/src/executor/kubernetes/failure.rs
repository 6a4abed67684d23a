//! The reason why a pod does not run, from what the API server shows of it.

use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod};

use super::layout::{BUILD, HELPER};
use crate::executor::request::{ExecutorError, FailureReason};

/// Time without contact to the harness after which the containers end themselves, in seconds.
const CONTACT_TIMEOUT: i64 = 600;

/// The state of a pod that cannot run the job.
#[derive(Clone, Debug)]
pub(super) enum PodFailure {
    /// The image of a container cannot be pulled. Another pull policy may help.
    Pull {
        /// The name of the container.
        container: String,
        /// The reason and the message of the kubelet.
        message: String,
    },
    /// The job cannot run in this pod, unless the kubelet, which repeats the attempt, succeeds soon.
    Temporary(ExecutorError),
    /// The job cannot run in this pod.
    Final(ExecutorError),
}

/// Reasons of a waiting container whose image cannot be obtained with the container's pull policy.
const PULL_REASONS: &[&str] = &["ErrImageNeverPull", "ErrImagePull", "ErrRegistryUnavailable", "ImagePullBackOff"];

/// Reasons of a waiting container that waiting longer does not change.
const FINAL_REASONS: &[&str] = &["CrashLoopBackOff", "InvalidImageName", "PostStartHookError", "RunContainerError"];

/// Reasons of a waiting container that may be gone at the kubelet's next attempt: a Secret or `ConfigMap` that does not exist yet, or a
/// container runtime that was too slow. GitLab Runner gives up at the first `CreateContainerConfigError`, and waits until `poll_timeout`
/// for the others. `executors/kubernetes/internal/watchers/pod.go`
const TEMPORARY_REASONS: &[&str] = &[
    "CreateContainerConfigError",
    "CreateContainerError",
    "CreatePodSandboxError",
    "ImageInspectError",
    "PreCreateHookError",
];

/// Parts of messages about an image or its user that cannot run here. Only these come from the job, and no later attempt changes them.
/// `k8s.io/kubernetes/pkg/kubelet/kuberuntime/security_context.go`, containerd's `pkg/oci/spec_opts.go`
const IMAGE_FAULTS: &[&str] = &[
    "runAsNonRoot",
    "no command specified",
    "no users found",
    "unable to find user",
    "unable to find group",
    "no matching entries in passwd file",
    "exec format error",
];

fn script(message: String) -> ExecutorError {
    ExecutorError { reason: FailureReason::ScriptFailure, message }
}

/// Whether all containers of the pod have started.
pub(super) fn is_running(pod: &Pod) -> bool {
    let has_started = |name: &str| {
        let own = statuses(pod).filter(|status| status.name == name);
        own.filter_map(|status| status.state.as_ref()).any(|state| state.running.is_some())
    };
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    phase == Some("Running") && has_started(BUILD) && has_started(HELPER)
}

/// Why a pod that does not run yet will never run the job.
pub(super) fn before_running(pod: &Pod) -> Option<PodFailure> {
    let mut temporary = None;
    for status in statuses(pod) {
        let Some(waiting) = status.state.as_ref().and_then(|state| state.waiting.as_ref()) else { continue };
        let reason = waiting.reason.as_deref().unwrap_or_default();
        let message = waiting.message.as_deref().unwrap_or_default().trim();
        let detail = if message.is_empty() { reason.to_owned() } else { format!("{reason}: {message}") };
        if PULL_REASONS.contains(&reason) {
            return Some(PodFailure::Pull { container: status.name.clone(), message: detail });
        }
        let is_temporary = TEMPORARY_REASONS.contains(&reason);
        if is_temporary || FINAL_REASONS.contains(&reason) {
            let (error, is_known) = not_started(status, reason, &detail);
            if !is_temporary || is_known {
                return Some(PodFailure::Final(error));
            }
            temporary.get_or_insert(PodFailure::Temporary(error));
        }
    }
    while_running(pod).map(PodFailure::Final).or(temporary)
}

/// Why a pod can no longer run the job.
pub(super) fn while_running(pod: &Pod) -> Option<ExecutorError> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let status = pod.status.clone().unwrap_or_default();
    let text = |part: Option<&String>| part.map(|text| format!(": {}", text.trim())).unwrap_or_default();
    let disruption =
        status.conditions.iter().flatten().find(|it| it.type_ == "DisruptionTarget" && it.status == "True");
    if let Some(condition) = disruption {
        let reason = condition.reason.as_deref().unwrap_or("DisruptionTarget");
        return Some(ExecutorError::system(format!(
            "pod {name} is disrupted ({reason}){}",
            text(condition.message.as_ref())
        )));
    }
    if status.reason.as_deref() == Some("DeadlineExceeded") {
        return Some(ExecutorError {
            reason: FailureReason::JobExecutionTimeout,
            message: format!("pod {name} exceeded its deadline{}", text(status.message.as_ref())),
        });
    }
    if let Some(reason) = &status.reason {
        // `Evicted`, `NodeLost`, `Preempting`, `UnexpectedAdmissionError`, …
        return Some(ExecutorError::system(format!("pod {name}: {reason}{}", text(status.message.as_ref()))));
    }
    if pod.metadata.deletion_timestamp.is_some() {
        return Some(ExecutorError::system(format!("pod {name} is being deleted by another program or user")));
    }
    for container in [BUILD, HELPER] {
        let status = statuses(pod).find(|status| status.name == container);
        let terminated = status.and_then(|status| status.state.as_ref()?.terminated.as_ref());
        if let Some(terminated) = terminated {
            return Some(ended(pod, container, terminated));
        }
    }
    let is_over = matches!(status.phase.as_deref(), Some("Failed" | "Succeeded"));
    is_over.then(|| {
        let phase = status.phase.as_deref().unwrap_or_default();
        ExecutorError::system(format!("pod {name} has ended, phase {phase}{}", text(status.message.as_ref())))
    })
}

/// The error about a pod that no longer exists. `last` is the reason that its last known state gave.
pub(super) fn gone(name: &str, last: Option<ExecutorError>) -> ExecutorError {
    last.unwrap_or_else(|| ExecutorError::system(format!("pod {name} was deleted by another program or user")))
}

/// Why a pod does not run yet: the reasons of its conditions and of its waiting containers.
pub(super) fn pending(pod: &Pod) -> Vec<String> {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let conditions = conditions.filter(|it| it.type_ == "PodScheduled" && it.status != "True").map(|condition| {
        let reason = condition.reason.as_deref().unwrap_or("not scheduled");
        format!("{reason}: {}", condition.message.as_deref().unwrap_or_default().trim())
    });
    let waiting = statuses(pod).filter_map(|status| {
        let waiting = status.state.as_ref()?.waiting.as_ref()?;
        Some(format!("container {}: {}", status.name, waiting.reason.as_deref().unwrap_or("waiting")))
    });
    conditions.chain(waiting).collect()
}

/// The containers that are neither `build` nor `helper` and have ended, with their exit codes.
pub(super) fn ended_services(pod: &Pod) -> Vec<(String, i32)> {
    let services = statuses(pod).filter(|status| status.name != BUILD && status.name != HELPER);
    services
        .filter_map(|status| Some((status.name.clone(), status.state.as_ref()?.terminated.as_ref()?.exit_code)))
        .collect()
}

/// Whether the container that reads the output has ended.
pub(super) fn helper_has_ended(pod: &Pod) -> bool {
    let mut helper = statuses(pod).filter(|status| status.name == HELPER);
    helper.any(|status| status.state.as_ref().is_some_and(|state| state.terminated.is_some()))
}

/// Whether all containers have ended, after the pod was deleted.
pub(super) fn has_ended(pod: &Pod) -> bool {
    let mut states = statuses(pod).map(|status| status.state.as_ref());
    pod.metadata.deletion_timestamp.is_some() && states.all(|state| state.is_some_and(|state| state.running.is_none()))
}

fn statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten())
}

/// The error about a container that has ended although its first process does not end by itself.
fn ended(pod: &Pod, container: &str, terminated: &ContainerStateTerminated) -> ExecutorError {
    let reason = terminated.reason.as_deref().unwrap_or("unknown reason");
    let (code, message) = (terminated.exit_code, terminated.message.as_deref().unwrap_or_default().trim());
    if reason == "OOMKilled" {
        let limit = memory_limit(pod, container);
        let limit = limit.map_or_else(
            || "it has no limit of its own: the memory of the node or the namespace is exhausted".to_owned(),
            |limit| format!("its limit is {limit}"),
        );
        return ExecutorError::system(format!(
            "container {container} ran out of memory (OOMKilled, exit code {code}); {limit}. Set `memory_limit` in \
             [runners.kubernetes], or use less"
        ));
    }
    if let Some(explained) = without_shell(container, message) {
        return explained;
    }
    match (code, reason) {
        (0, _) if is_older(terminated, CONTACT_TIMEOUT) => ExecutorError::system(format!(
            "container {container} ended itself: it had no contact with the harness for ten minutes"
        )),
        (0 | 127, _) if container == HELPER => ExecutorError::system(format!(
            "container {container} ended with exit code {code}: its image has no usable `sh` and `sleep`, or another program stopped it; \
             set `helper_image` in [runners.kubernetes] to an image with sh, tar and the standard utilities"
        )),
        (0, _) => script(format!(
            "container {container} ended with exit code 0: the job has stopped its first process, or the image's entrypoint does not run \
             its arguments (FF_KUBERNETES_HONOR_ENTRYPOINT)"
        )),
        (127, _) => script(format!(
            "container {container} ended with exit code 127: its image has no `sleep`; use an image with the standard utilities"
        )),
        _ if message.is_empty() => {
            ExecutorError::system(format!("container {container} ended: exit code {code}, reason {reason}"))
        }
        _ => {
            ExecutorError::system(format!("container {container} ended: exit code {code}, reason {reason}: {message}"))
        }
    }
}

/// Whether the container has run for at least `seconds`.
fn is_older(terminated: &ContainerStateTerminated, seconds: i64) -> bool {
    let (started, finished) = (terminated.started_at.as_ref(), terminated.finished_at.as_ref());
    started.zip(finished).is_none_or(|(started, finished)| finished.0.duration_since(started.0).as_secs() >= seconds)
}

/// The error about a container that the kubelet cannot start, and whether its cause is known to be permanent.
fn not_started(status: &ContainerStatus, reason: &str, detail: &str) -> (ExecutorError, bool) {
    if let Some(explained) = without_shell(&status.name, detail) {
        return (explained, true);
    }
    let message = format!("container {} of image {} does not start: {detail}", status.name, status.image);
    let is_of_image = reason == "InvalidImageName" || IMAGE_FAULTS.iter().any(|fault| detail.contains(fault));
    // Only the names of images and the users of containers come from the job, and only for containers of its own.
    let is_of_job = (is_of_image || reason == "RunContainerError") && status.name != HELPER;
    (if is_of_job { script(message) } else { ExecutorError::system(message) }, is_of_image)
}

/// Explains that an image has no shell: to the job's author, or for the helper to the operator.
fn without_shell(container: &str, message: &str) -> Option<ExecutorError> {
    let is_missing = message.contains("executable file not found") || message.contains("no such file or directory");
    if !is_missing || !message.contains("\"sh\"") {
        return None;
    }
    Some(match container {
        HELPER => ExecutorError::system(
            "the image of container helper has no shell; set `helper_image` in [runners.kubernetes] to an image with sh, \
             tar and the standard utilities",
        ),
        BUILD => script(
            "the job's image has no shell: `sh` runs a job's commands; use an image with a shell, such as a variant of this one whose tag \
             ends in `debug`, `alpine` or `slim`"
                .to_owned(),
        ),
        _ => script(format!("the image of service container {container} has no shell, but its command needs `sh`")),
    })
}

fn memory_limit<'pod>(pod: &'pod Pod, container: &str) -> Option<&'pod str> {
    let container = pod.spec.as_ref()?.containers.iter().find(|it| it.name == container)?;
    Some(container.resources.as_ref()?.limits.as_ref()?.get("memory")?.0.as_str())
}
