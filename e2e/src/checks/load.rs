//! Generates constant load on a host while a check changes its pods.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::http::Http;

/// Number of concurrent clients.
const CLIENTS: usize = 4;

/// Pause of a client after each response.
const PAUSE: Duration = Duration::from_millis(10);

/// Number of failures whose texts are kept.
const MAX_FAILURES: usize = 5;

/// Load that runs until [`Load::end`].
pub struct Load {
    over: CancellationToken,
    clients: JoinSet<Tally>,
}

/// The results of the load.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Number of requests.
    pub requests: usize,
    /// Number of requests with another status than 200 or without a response.
    pub failed: usize,
    /// The texts of some of these failures, at most `MAX_FAILURES`.
    pub failures: Vec<String>,
    /// Number of responses from each pod.
    pub by_pod: BTreeMap<String, usize>,
}

impl Load {
    /// Starts the load.
    pub fn begin(http: &Http, host: &str) -> Self {
        let over = CancellationToken::new();
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            let (http, host, over) = (http.clone(), host.to_owned(), over.clone());
            clients.spawn(async move {
                let mut tally = Tally::default();
                while !over.is_cancelled() {
                    tally.add(http.get(&host, "/").await);
                    tokio::time::sleep(PAUSE).await;
                }
                tally
            });
        }
        Self { over, clients }
    }

    /// Ends the load, and returns its results.
    pub async fn end(self) -> Tally {
        self.over.cancel();
        let mut all = Tally::default();
        for tally in self.clients.join_all().await {
            all.requests += tally.requests;
            all.failed += tally.failed;
            all.failures.extend(tally.failures);
            for (pod, count) in tally.by_pod {
                *all.by_pod.entry(pod).or_default() += count;
            }
        }
        all.failures.truncate(MAX_FAILURES);
        all
    }
}

impl Tally {
    fn add(&mut self, answer: Result<(u16, String), String>) {
        self.requests += 1;
        match answer {
            Ok((200, body)) => {
                if let Some(pod) = host_of(&body) {
                    *self.by_pod.entry(pod.to_owned()).or_default() += 1;
                }
            }
            Ok((status, body)) => self.fail(format!("{status}: {}", body.trim())),
            Err(reason) => self.fail(reason),
        }
    }

    fn fail(&mut self, reason: String) {
        self.failed += 1;
        if self.failures.len() < MAX_FAILURES {
            self.failures.push(reason);
        }
    }
}

/// The pod that returned this greeting for `/`.
pub fn host_of(greeting: &str) -> Option<&str> {
    greeting.lines().find_map(|line| line.strip_prefix("host: "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_and_failures_are_counted() {
        let mut tally = Tally::default();
        tally.add(Ok((200, "Hello\nhost: web-1\napp".to_owned())));
        tally.add(Ok((503, "no endpoints\n".to_owned())));
        tally.add(Err("connection refused".to_owned()));
        let failures = vec!["503: no endpoints".to_owned(), "connection refused".to_owned()];
        assert_eq!(tally, Tally { requests: 3, failed: 2, failures, by_pod: [("web-1".to_owned(), 1)].into() });
    }
}
