//! A job of the kubernetes executor, from its preparation to its cleanup.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::exec::{Input, PodRef};
use super::layout::{BUILD, END, ENDED, FIRST_HEARTBEAT, HEARTBEAT_INTERVAL, HELPER, SCRIPTS};
use super::resources::{Containers, JobObjects, REMOVAL_TIMEOUT};
use super::script::Follower;
use super::service::Service;
use super::state::Watch;
use super::{failure, health};
use crate::executor::request::{ExecutorError, StepState};
use crate::job_settings::shows_services;
use crate::log::JobLog;
use crate::workspace::archive::Packed;
use crate::workspace::checkout::Checkout;
use crate::workspace::draft::DraftWriter;
use crate::workspace::job_dirs::JobDirs;
use crate::workspace::selection::Selection;
use gitlab_ci::variables::collection::Variable;

/// Maximum time without further output after the pod has failed, while the helper runs.
const OUTPUT_TIMEOUT: Duration = Duration::from_secs(4);

/// The same after the end of the helper: only output that was sent before can still arrive.
const LATE_OUTPUT_TIMEOUT: Duration = Duration::from_secs(1);

/// Time to read the output after the pod has failed, beyond the grace period of the pod.
const EXTRA_OUTPUT_TIME: Duration = Duration::from_secs(5);

/// Maximum time to stop a script. Its processes have five seconds after SIGTERM.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// Maximum time to end a container.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum time to send a heartbeat. A silently lost connection would otherwise delay all later ones.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(20);

/// A job that runs in a pod.
pub struct Session {
    pod: PodRef,
    watch: Watch,
    objects: JobObjects,
    job_dirs: JobDirs,
    /// The shell of the runner configuration.
    shell: Option<String>,
    /// The grace period of the pod.
    grace_period: Duration,
    /// The number of the last script.
    number: u32,
    /// The last script, and the log for its output.
    follower: Option<(Follower, Arc<JobLog>)>,
    /// Tasks that watch services or send heartbeats. They are aborted with the session.
    tasks: Tasks,
}

/// Background tasks, which are aborted when this is dropped.
#[derive(Default)]
struct Tasks(std::sync::Mutex<Vec<JoinHandle<()>>>);

impl Drop for Tasks {
    fn drop(&mut self) {
        for task in self.0.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner) {
            task.abort();
        }
    }
}

impl Session {
    pub(super) fn new(
        pod: PodRef,
        watch: Watch,
        objects: JobObjects,
        job_dirs: JobDirs,
        shell: Option<String>,
        grace_period: Duration,
    ) -> Self {
        let session = Self {
            pod,
            watch,
            objects,
            job_dirs,
            shell,
            grace_period,
            number: 0,
            follower: None,
            tasks: Tasks::default(),
        };
        session.add(tokio::spawn(send_heartbeats(session.pod.clone())));
        session
    }

    fn add(&self, task: JoinHandle<()>) {
        self.tasks.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(task);
    }

    /// Waits until the services with `HEALTHCHECK_TCP_PORT` listen, and reports services that end while the job runs.
    pub(super) async fn watch_services(&self, services: Vec<Service>, variables: &[Variable], log: &Arc<JobLog>) {
        if services.is_empty() {
            return;
        }
        if shows_services(variables) {
            for service in &services {
                let (pod, changes) = (self.pod.clone(), self.watch.subscribe());
                self.add(tokio::spawn(health::show(pod, service.clone(), changes, Arc::clone(log))));
            }
        }
        health::wait(&self.pod, &self.watch, &services, log).await;
        let changes = self.watch.subscribe();
        self.add(tokio::spawn(health::report_ends(self.pod.clone(), services, changes, Arc::clone(log))));
    }

    /// Waits for `work` until the pod can no longer run the job.
    async fn within<T>(&self, work: impl Future<Output = Result<T, ExecutorError>>) -> Result<T, ExecutorError> {
        let work = std::pin::pin!(work);
        tokio::select! {
            biased;
            done = work => done.map_err(|error| self.watch.now().failure(&self.pod.name).unwrap_or(error)),
            error = self.watch.until(|observed| observed.failure(&self.pod.name)) => Err(error),
        }
    }

    /// Puts a checkout into the job's project directory; `None` leaves it empty.
    ///
    /// # Errors
    /// The checkout cannot be packed, or the pod cannot store it.
    pub async fn put_sources(&mut self, checkout: Option<&Arc<Checkout>>) -> Result<(), ExecutorError> {
        let Some(checkout) = checkout else {
            return self.within(self.pod.make_dir(&self.job_dirs.project)).await;
        };
        let archive = checkout.archive().await.map_err(|error| ExecutorError::system(error.to_string()))?;
        let archive =
            File::open(archive).map_err(|error| ExecutorError::system(format!("{}: {error}", archive.display())))?;
        self.within(self.pod.unpack(&archive, &self.job_dirs.project)).await
    }

    /// Unpacks an archive into the job's project directory, over existing files.
    ///
    /// # Errors
    /// The archive cannot be read, or the pod cannot store its files.
    pub async fn unpack(&mut self, archive: File) -> Result<(), ExecutorError> {
        self.within(self.pod.unpack(&archive, &self.job_dirs.project)).await
    }

    /// Packs the selected files of the job's project directory into `archive`.
    ///
    /// # Errors
    /// The archive cannot be written, or the pod was lost.
    pub async fn pack(&mut self, selection: Selection, archive: DraftWriter) -> Result<Packed, ExecutorError> {
        self.within(self.pod.pack(&self.job_dirs.project, selection, archive)).await
    }

    /// Runs a script, and returns its exit code.
    ///
    /// # Errors
    /// The script cannot be started, or the pod was lost while the script ran.
    pub async fn run(&mut self, script: &str, log: &Arc<JobLog>) -> Result<i32, ExecutorError> {
        self.number += 1;
        let follower = self.within(self.pod.store_script(self.number, script)).await?;
        let follower = &mut self.follower.insert((follower, Arc::clone(log))).0;
        let failed = self.watch.until(|observed| observed.failure(&self.pod.name));
        let progress = follower.progress();
        let mut run = std::pin::pin!(follower.run(self.shell.as_deref(), log));
        let error = tokio::select! {
            biased;
            code = &mut run => return code.map_err(|error| self.watch.now().failure(&self.pod.name).unwrap_or(error)),
            error = failed => error,
        };
        // The last output of the script may contain the reason. The connection is still open, and has buffered output.
        let rest = async {
            tokio::select! {
                _ = progress.within(OUTPUT_TIMEOUT, &mut run) => return,
                () = self.watch.until(|observed| observed.helper_has_ended().then_some(())) => {}
            }
            progress.within(LATE_OUTPUT_TIMEOUT, run).await;
        };
        let _ = timeout(self.grace_period + EXTRA_OUTPUT_TIME, rest).await;
        Err(error)
    }

    /// The state that later steps of the job depend on.
    ///
    /// # Errors
    /// The pod was lost.
    pub async fn step_state(&mut self, environment: &str) -> Result<StepState, ExecutorError> {
        self.within(self.pod.step_state(&self.job_dirs.project, environment)).await
    }

    /// Stops all processes of the job's own container.
    pub async fn stop(&mut self) {
        let observed = self.watch.now();
        if self.number > 0 && observed.failure(&self.pod.name).is_none() {
            let failed = self.watch.until(|observed| observed.failure(&self.pod.name));
            let stop = async {
                tokio::select! {
                    () = self.pod.stop_scripts(self.number) => {}
                    _ = failed => {}
                }
            };
            // Without a connection, the processes end with the pod.
            let _ = timeout(STOP_TIMEOUT, stop).await;
            // The script's handler of SIGTERM may have written output.
            if let Some((mut follower, log)) = self.follower.take() {
                let _ = timeout(OUTPUT_TIMEOUT, follower.follow(&log)).await;
            }
        }
    }

    /// Removes the pod and the Secrets of the job. The containers have ended then, unless the kubelet does not answer.
    pub async fn finish(self) {
        let containers = self.end_containers().await;
        // Stop watching the services first, because their end is expected now.
        drop(self.tasks);
        self.objects.delete(containers).await;
        if containers == Containers::Running {
            let ended = self.watch.until(|observed| {
                (observed.is_gone || observed.pod.as_ref().is_some_and(|pod| failure::has_ended(pod))).then_some(())
            });
            let _ = timeout(REMOVAL_TIMEOUT, ended).await;
        }
    }

    /// Ends the containers of a pod without services. The kubelet itself would end them up to two seconds after the deletion of the pod: it
    /// first waits until it has looked at all containers of the node, which it does once per second.
    async fn end_containers(&self) -> Containers {
        let observed = self.watch.now();
        // A webhook may have added containers.
        let has_others = observed.pod.as_ref().is_none_or(|pod| has_other_containers(pod));
        if has_others || observed.failure(&self.pod.name).is_some() {
            return Containers::Running;
        }
        let end = async |container| {
            let ended = timeout(END_TIMEOUT, self.pod.run(container, &["sh", "-c", END], &Input::Nothing)).await;
            matches!(ended, Ok(Ok(output)) if output.code == ENDED)
        };
        match tokio::join!(end(BUILD), end(HELPER)) {
            (true, true) => Containers::Ended,
            _ => Containers::Running,
        }
    }
}

/// Whether the pod has other containers than those of the job itself.
fn has_other_containers(pod: &Pod) -> bool {
    let Some(spec) = &pod.spec else { return true };
    let mut sidecars = spec.init_containers.iter().flatten().filter(|container| container.restart_policy.is_some());
    sidecars.next().is_some()
        || spec.containers.iter().any(|container| container.name != BUILD && container.name != HELPER)
}

/// Shows the pod regularly that the harness still runs.
async fn send_heartbeats(pod: PodRef) {
    sleep(FIRST_HEARTBEAT).await;
    for number in 1_u64.. {
        // The text differs from the number that storing a script writes.
        let heartbeat = format!("echo heartbeat {number} > {SCRIPTS}/alive");
        // If the pod cannot be reached for ten minutes, it ends itself.
        let _ = timeout(HEARTBEAT_TIMEOUT, pod.run(HELPER, &["sh", "-c", &heartbeat], &Input::Nothing)).await;
        sleep(HEARTBEAT_INTERVAL).await;
    }
}
