//! Waits until a pod runs, or until it is clear that it will not.

use std::time::Duration;

use tokio::sync::watch::Receiver;
use tokio::time::{Instant, interval, sleep, timeout};

use super::api::ApiError;
use super::failure::{PodFailure, before_running, gone, is_running, pending};
use super::state::{Observed, Watch, until};
use crate::executor::request::ExecutorError;
use crate::log::JobLog;

/// The pause between two messages about a pod that does not run yet: `executors/kubernetes/util.go`.
const REPORT_INTERVAL: Duration = Duration::from_secs(3);

/// Maximum time for what may still appear or recover. The kubelet repeats an attempt to create a container after 10 to 20 s, so this is
/// enough for two attempts.
const GRACE: Duration = Duration::from_secs(30);

/// The pause between two attempts to create a pod whose account does not exist: GitLab Runner's `resource_availability_check`.
const ACCOUNT_INTERVAL: Duration = Duration::from_secs(5);

/// Waits until the pod `name` runs, at most for `limit`. `title` is the pod's name with its namespace.
pub(super) async fn wait(
    watch: &Watch,
    name: &str,
    title: &str,
    limit: Duration,
    log: &JobLog,
) -> Result<(), PodFailure> {
    let report = async {
        let mut ticks = interval(REPORT_INTERVAL);
        loop {
            ticks.tick().await;
            let pod = watch.now().pod;
            let reasons = pod.map(|pod| pending(&pod).join("; ")).filter(|it| !it.is_empty());
            let reasons = reasons.map(|reasons| format!(" ({reasons})")).unwrap_or_default();
            log.say(&format!("Waiting for pod {title} to be running, status is Pending{reasons}"));
        }
    };
    let started = Instant::now();
    let result = tokio::select! {
        result = timeout(limit, settled(watch.subscribe(), name, GRACE, log)) => result,
        () = report => return Ok(()),
    };
    let pod = watch.now().pod;
    let Ok(result) = result else {
        let reasons = pod.map(|pod| pending(&pod)).unwrap_or_default().join("; ");
        let reasons = if reasons.is_empty() { "no reason is known".to_owned() } else { reasons };
        return Err(PodFailure::Final(ExecutorError::system(format!(
            "pod {title} does not run after {} s (`poll_timeout`): {reasons}",
            limit.as_secs()
        ))));
    };
    result?;
    let node = pod.and_then(|pod| pod.spec.as_ref()?.node_name.clone()).unwrap_or_default();
    log.say(&format!("Running on {name} via node {node}, after {:.1} s ...", started.elapsed().as_secs_f32()));
    Ok(())
}

/// Waits until the pod runs or has failed. A failure that may be temporary counts if there still is one after `grace`.
async fn settled(changes: Receiver<Observed>, name: &str, grace: Duration, log: &JobLog) -> Result<(), PodFailure> {
    let first = until(changes.clone(), |observed| state(observed, name)).await;
    let Err(PodFailure::Temporary(error)) = first else { return first };
    log.warn(&format!("{}; waiting up to {} s for the next attempts", error.message, grace.as_secs()));
    let is_temporary = |state: &Result<(), PodFailure>| matches!(state, Err(PodFailure::Temporary(_)));
    let recovered = until(changes.clone(), |observed| state(observed, name).filter(|state| !is_temporary(state)));
    match timeout(grace, recovered).await {
        Ok(state) => state,
        Err(_) => until(changes, |observed| state(observed, name)).await,
    }
}

/// Whether the pod runs, or why it does not. `None` while it starts.
fn state(observed: &Observed, name: &str) -> Option<Result<(), PodFailure>> {
    let pod = observed.pod.as_ref();
    let failure = || pod.and_then(|pod| before_running(pod));
    if observed.is_gone {
        let last = failure().and_then(|failure| match failure {
            PodFailure::Final(error) | PodFailure::Temporary(error) => Some(error),
            PodFailure::Pull { .. } => None,
        });
        return Some(Err(PodFailure::Final(gone(name, last))));
    }
    if pod.is_some_and(|pod| is_running(pod)) {
        return Some(Ok(()));
    }
    failure().map(Err)
}

/// Creates a pod. If its account does not exist, which another program may be creating, tries again for a while.
pub(super) async fn with_account<Creation: Future<Output = Result<(), ApiError>>>(
    create: impl Fn() -> Creation,
    log: &JobLog,
) -> Result<(), ApiError> {
    let (started, mut is_reported) = (Instant::now(), false);
    loop {
        match create().await {
            Err(error) if lacks_account(&error) && started.elapsed() < GRACE => {
                if !std::mem::replace(&mut is_reported, true) {
                    log.warn(&format!("{}; trying again for up to {} s", error.message, GRACE.as_secs()));
                }
                sleep(ACCOUNT_INTERVAL).await;
            }
            created => return created,
        }
    }
}

/// Whether the API server refuses a pod because its account does not exist: `plugin/pkg/admission/serviceaccount/admission.go`.
fn lacks_account(error: &ApiError) -> bool {
    error.code == Some(403) && error.message.contains("error looking up service account")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rstest::rstest;
    use serde_json::{Value, json};
    use tokio::sync::watch::channel;

    use super::*;
    use crate::log::testing::log;

    fn observed(state: &Value) -> Observed {
        let container = |name: &str| json!({"name": name, "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state});
        let statuses = json!([container("build"), container("helper")]);
        let pod = json!({"metadata": {"name": "p"}, "status": {"phase": "Running", "containerStatuses": statuses}});
        Observed { pod: Some(Arc::new(serde_json::from_value(pod).unwrap())), is_gone: false }
    }

    fn waiting(reason: &str, message: &str) -> Value {
        json!({"waiting": {"reason": reason, "message": message}})
    }

    #[rstest]
    #[case::the_secret_appears(json!({"running": {}}), None)]
    #[case::the_container_is_created_slowly(waiting("ContainerCreating", ""), None)]
    #[case::nothing_changes(
        waiting("CreateContainerConfigError", "secret \"s\" not found"),
        Some("secret \"s\" not found")
    )]
    #[case::another_failure(waiting("InvalidImageName", "i"), Some("InvalidImageName: i"))]
    #[tokio::test]
    async fn a_failure_that_may_be_temporary_gets_a_grace(#[case] next: Value, #[case] expected: Option<&str>) {
        let (_dir, log) = log(&[]);
        let (sender, receiver) = channel(observed(&waiting("CreateContainerConfigError", "secret \"s\" not found")));
        let change = async {
            sleep(Duration::from_millis(100)).await;
            sender.send_replace(observed(&next));
            sleep(Duration::from_millis(600)).await;
            if expected.is_none() {
                sender.send_replace(observed(&json!({"running": {}})));
            }
        };
        // The change first: however late both are polled, it is not later than the end of the grace.
        let ((), result) = tokio::join!(change, settled(receiver, "p", Duration::from_millis(300), &log));
        match (result, expected) {
            (Ok(()), None) => {}
            (Err(PodFailure::Final(error) | PodFailure::Temporary(error)), Some(expected)) => {
                assert!(error.message.contains(expected), "{error}");
            }
            (result, _) => panic!("{result:?}"),
        }
        assert!(log.last_lines().concat().contains("waiting up to"), "{:?}", log.last_lines());
    }

    #[rstest]
    #[case::missing(
        403,
        "pods \"p\" is forbidden: error looking up service account n/a: serviceaccount \"a\" not found",
        true
    )]
    #[case::quota(403, "pods \"p\" is forbidden: exceeded quota: q", false)]
    fn a_missing_account_is_recognized(#[case] code: u16, #[case] message: &str, #[case] expected: bool) {
        let error = ApiError { code: Some(code), ..ApiError::without_answer(message.to_owned(), false) };
        assert_eq!(lacks_account(&error), expected);
    }
}
