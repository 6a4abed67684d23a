//! Waits for services to listen, and reports those that do not, or that end. The job continues in either case.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{AsyncBufRead, AsyncBufReadExt};
use kube::api::LogParams;
use tokio::sync::watch;
use tokio::time::sleep;

use super::api::{call, pause};
use super::exec::{Input, PodRef};
use super::layout::{HELPER, wait_for_ports};
use super::service::Service;
use super::state::{Observed, Watch, until};
use crate::log::JobLog;

/// Maximum time to wait for services to listen, in seconds: the default of the docker executor. GitLab Runner waits on Kubernetes until the
/// preparation of the job times out.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Number of a service's last lines that a warning shows.
const LAST_LINES: i64 = 10;

/// Maximum size of these lines, in bytes.
const MAX_LAST_LINES: i64 = 64 * 1024;

/// Maximum length of a line of a service, in bytes. The rest of a longer line is left out. Container runtimes cut lines at this length.
const MAX_LINE: usize = 16 * 1024;

/// Waits until all services that have `HEALTHCHECK_TCP_PORT` listen, one of them ends, or the timeout expires.
pub(super) async fn wait(pod: &PodRef, watch: &Watch, services: &[Service], log: &JobLog) {
    let ports: Vec<u16> = services.iter().filter_map(|service| service.port).collect();
    if ports.is_empty() {
        return;
    }
    let seconds = TIMEOUT.as_secs();
    log.say(&format!("Waiting for services to be up and running (timeout {seconds} seconds)..."));
    let (script, limit) = (wait_for_ports(&ports), seconds.to_string());
    let probe = async {
        let command = ["sh", "-c", &script, "sh", &limit];
        pod.repeat(HELPER, &command, &Input::Nothing, "wait for services").await
    };
    let has_ended = watch.until(|observed| {
        let is_awaited = |name: &String| services.iter().any(|it| it.container == *name && it.port.is_some());
        (observed.is_gone || observed.ended_services().iter().any(|(name, _)| is_awaited(name))).then_some(())
    });
    let output = tokio::select! {
        output = probe => output,
        // The end of a service is reported separately.
        () = has_ended => return,
    };
    match output {
        Err(error) => log.warn(&format!("cannot find out whether the services listen: {error}; the job continues")),
        Ok(output) => {
            let silent: Vec<u16> =
                output.stdout.split_whitespace().filter_map(|port| u16::from_str_radix(port, 16).ok()).collect();
            let is_silent = |service: &&Service| service.port.is_some_and(|port| silent.contains(&port));
            for service in services.iter().filter(is_silent) {
                let port = service.port.unwrap_or_default();
                let text = format!("service {} does not listen on port {port} after {seconds} s", service.title());
                warn_with_output(pod, service, &format!("{text}; the job continues"), log).await;
            }
        }
    }
}

/// Warns when a service ends.
pub(super) async fn report_ends(
    pod: PodRef,
    services: Vec<Service>,
    changes: watch::Receiver<Observed>,
    log: Arc<JobLog>,
) {
    let mut reported = BTreeSet::new();
    loop {
        let ended = until(changes.clone(), |observed| {
            let new: Vec<_> =
                observed.ended_services().into_iter().filter(|(name, _)| !reported.contains(name)).collect();
            (!new.is_empty()).then_some(new)
        });
        for (name, code) in ended.await {
            if let Some(service) = services.iter().find(|service| service.container == name) {
                let text = format!("service {} ended with exit code {code}", service.title());
                warn_with_output(&pod, service, &text, &log).await;
            }
            reported.insert(name);
        }
    }
}

/// Writes a warning with the last lines of a service.
async fn warn_with_output(pod: &PodRef, service: &Service, text: &str, log: &JobLog) {
    let parameters = LogParams {
        container: Some(service.container.clone()),
        tail_lines: Some(LAST_LINES),
        limit_bytes: Some(MAX_LAST_LINES),
        ..LogParams::default()
    };
    // If the API server does not answer, warn without the output.
    let output = call(pod.api.logs(&pod.name, &parameters)).await.unwrap_or_default();
    if output.trim().is_empty() {
        log.warn(&format!("{text}. It wrote no output."));
        return;
    }
    log.warn(&format!("{text}. Its last lines:"));
    for line in output.lines() {
        log.say(&format!("  {line}"));
    }
}

/// Copies a service's output to the job's log, until the service ends or the log has its maximum size.
/// <https://docs.gitlab.com/ci/services/#capturing-service-container-logs>
pub(super) async fn show(pod: PodRef, service: Service, changes: watch::Receiver<Observed>, log: Arc<JobLog>) {
    let title = format!("[service:{}]", service.hosts.join("-"));
    let parameters = LogParams {
        container: Some(service.container.clone()),
        follow: true,
        timestamps: true,
        ..LogParams::default()
    };
    let mut shown = Shown::default();
    for attempt in 1.. {
        let has_ended = {
            let observed = changes.borrow();
            observed.is_gone || observed.ended_services().iter().any(|(name, _)| *name == service.container)
        };
        // The stream begins with the first line each time.
        if let Ok(stream) = call(pod.api.log_stream(&pod.name, &parameters)).await {
            let mut stream = std::pin::pin!(stream);
            shown.stream_begins();
            while let Ok(Some(line)) = next_line(&mut stream).await {
                let time = sortable(line.split(' ').next().unwrap_or_default());
                if shown.adds(time) && !log.say_output(&format!("{title} {line}")) {
                    return;
                }
            }
        }
        if has_ended {
            return;
        }
        sleep(pause(attempt)).await;
    }
}

/// The lines of a service that were shown.
#[derive(Debug, Default)]
struct Shown {
    /// The time of the last one.
    last: String,
    /// The number of lines of that time.
    count: usize,
    /// How many of them the current stream has had.
    repeated: usize,
}

impl Shown {
    /// A stream begins, with the first line of the service.
    fn stream_begins(&mut self) {
        self.repeated = 0;
    }

    /// Adds a line of this time. `false` if it was shown before.
    fn adds(&mut self, time: String) -> bool {
        match time.cmp(&self.last) {
            Ordering::Less => return false,
            Ordering::Equal => self.repeated += 1,
            Ordering::Greater => *self = Self { last: time, count: 0, repeated: 1 },
        }
        let is_new = self.repeated > self.count;
        self.count = self.count.max(self.repeated);
        is_new
    }
}

/// The next line of a stream, at most [`MAX_LINE`] bytes of it. `None` at the end.
async fn next_line(stream: &mut (impl AsyncBufRead + Unpin)) -> std::io::Result<Option<String>> {
    let (mut line, mut has_begun) = (Vec::new(), false);
    loop {
        let buffered = stream.fill_buf().await?;
        if buffered.is_empty() {
            return Ok(has_begun.then(|| String::from_utf8_lossy(&line).into_owned()));
        }
        has_begun = true;
        let end = buffered.iter().position(|byte| *byte == b'\n');
        let piece = buffered.get(..end.unwrap_or(buffered.len())).unwrap_or_default();
        line.extend_from_slice(piece.get(..piece.len().min(MAX_LINE - line.len())).unwrap_or_default());
        let count = piece.len() + usize::from(end.is_some());
        stream.consume_unpin(count);
        if end.is_some() {
            return Ok(Some(String::from_utf8_lossy(&line).into_owned()));
        }
    }
}

/// A time in RFC 3339 with nanoseconds, as text whose order is that of the times: Kubernetes leaves out zeros at the end.
fn sortable(time: &str) -> String {
    let (seconds, fraction) = time.trim_end_matches('Z').split_once('.').unwrap_or((time.trim_end_matches('Z'), ""));
    format!("{seconds}.{fraction:0<9}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A service may write without ever ending a line.
    #[tokio::test]
    async fn the_rest_of_a_long_line_is_left_out() {
        let output = format!("a\n{}\n\nb", "x".repeat(3 * MAX_LINE));
        let mut stream = output.as_bytes();
        let mut lines = Vec::new();
        while let Some(line) = next_line(&mut stream).await.unwrap() {
            lines.push(line);
        }
        assert_eq!(lines, ["a", &"x".repeat(MAX_LINE), "", "b"]);
    }

    #[test]
    fn a_stream_that_starts_again_adds_only_new_lines() {
        let mut shown = Shown::default();
        let mut lines = |stream: &[&str]| {
            shown.stream_begins();
            stream.iter().filter(|time| shown.adds((**time).to_owned())).count()
        };
        assert_eq!(lines(&["1", "2", "2"]), 3);
        assert_eq!(lines(&["1", "2", "2"]), 0);
        assert_eq!(lines(&["1", "2", "2", "2", "3"]), 2);
        // The older lines were rotated away.
        assert_eq!(lines(&["3", "4"]), 1);
    }

    #[test]
    fn times_are_in_order() {
        let times =
            ["2026-01-31T10:20:30Z", "2026-01-31T10:20:30.05Z", "2026-01-31T10:20:30.5Z", "2026-01-31T10:20:30.51Z"];
        assert!(times.map(sortable).is_sorted());
    }
}
