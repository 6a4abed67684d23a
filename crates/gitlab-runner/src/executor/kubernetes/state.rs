//! Watches the pod of a job.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::api::{ApiError, call};
use super::failure::{ended_services, gone, helper_has_ended, while_running};
use crate::executor::request::ExecutorError;

/// The pause between two requests if the account may not watch pods: `executors/kubernetes/util.go`.
const POLL_INTERVAL: Duration = Duration::from_secs(3);

/// The observed state of a pod.
#[derive(Clone, Debug, Default)]
pub(super) struct Observed {
    /// Its last state.
    pub(super) pod: Option<Arc<Pod>>,
    /// Whether it no longer exists.
    pub(super) is_gone: bool,
}

impl Observed {
    /// Why the pod can no longer run the job.
    pub(super) fn failure(&self, name: &str) -> Option<ExecutorError> {
        let failure = self.pod.as_ref().and_then(|pod| while_running(pod));
        if self.is_gone { Some(gone(name, failure)) } else { failure }
    }

    /// Whether no output can be read any more.
    pub(super) fn helper_has_ended(&self) -> bool {
        self.is_gone || self.pod.as_ref().is_some_and(|pod| helper_has_ended(pod))
    }

    /// The services that have ended, by the names of their containers, with their exit codes.
    pub(super) fn ended_services(&self) -> Vec<(String, i32)> {
        self.pod.as_ref().map(|pod| ended_services(pod)).unwrap_or_default()
    }
}

/// A watch of one pod, which ends when this is dropped.
pub(super) struct Watch {
    receiver: watch::Receiver<Observed>,
    task: JoinHandle<()>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watch {
    /// Watches a pod that exists.
    pub(super) fn new(api: Api<Pod>, name: String) -> Self {
        let (sender, receiver) = watch::channel(Observed::default());
        let task = tokio::spawn(async move {
            if !follow(&api, &name, &sender).await {
                poll(&api, &name, &sender).await;
            }
        });
        Self { receiver, task }
    }

    /// The pod's changes, for another task.
    pub(super) fn subscribe(&self) -> watch::Receiver<Observed> {
        self.receiver.clone()
    }

    /// The latest observed state.
    pub(super) fn now(&self) -> Observed {
        self.receiver.borrow().clone()
    }

    /// Waits until `pick` returns a value for the state of the pod.
    pub(super) async fn until<T>(&self, pick: impl Fn(&Observed) -> Option<T>) -> T {
        until(self.receiver.clone(), pick).await
    }
}

/// Waits until `pick` returns a value for the state of the pod.
pub(super) async fn until<T>(mut receiver: watch::Receiver<Observed>, pick: impl Fn(&Observed) -> Option<T>) -> T {
    loop {
        if let Some(picked) = pick(&receiver.borrow_and_update()) {
            return picked;
        }
        if receiver.changed().await.is_err() {
            // The watch has ended with the job: no one waits for this result.
            std::future::pending::<()>().await;
        }
    }
}

/// Follows the pod until it is deleted, and across lost connections. Returns `false` if the account may not list or watch pods.
async fn follow(api: &Api<Pod>, name: &str, sender: &watch::Sender<Observed>) -> bool {
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut events = std::pin::pin!(watcher(api.clone(), config).default_backoff());
    let mut is_listed = false;
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => is_listed = false,
            Ok(Event::InitApply(pod)) => {
                is_listed = true;
                note(sender, pod);
            }
            Ok(Event::Apply(pod)) => note(sender, pod),
            // The pod existed before the watch began.
            Ok(Event::InitDone) if is_listed => {}
            Ok(Event::InitDone) => sender.send_modify(|observed| observed.is_gone = true),
            Ok(Event::Delete(pod)) => {
                note(sender, pod);
                sender.send_modify(|observed| observed.is_gone = true);
            }
            Err(error) if is_forbidden(&error) => return false,
            // The watcher connects again.
            Err(_) => {}
        }
    }
    true
}

fn is_forbidden(error: &watcher::Error) -> bool {
    let (watcher::Error::InitialListFailed(kube::Error::Api(status))
    | watcher::Error::WatchStartFailed(kube::Error::Api(status))
    | watcher::Error::WatchError(status)) = error
    else {
        return false;
    };
    status.code == 403
}

async fn poll(api: &Api<Pod>, name: &str, sender: &watch::Sender<Observed>) {
    loop {
        match call(api.get(name)).await {
            Ok(pod) => note(sender, pod),
            Err(ApiError { code: Some(404), .. }) => sender.send_modify(|observed| observed.is_gone = true),
            Err(_) => {}
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

fn note(sender: &watch::Sender<Observed>, pod: Pod) {
    sender.send_modify(|observed| observed.pod = Some(Arc::new(pod)));
}
