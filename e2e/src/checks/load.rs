//! Constant load on a host while something happens to its pods.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::http::Http;

/// How many requests may be on their way at the same time.
const CLIENTS: usize = 4;

/// The pause of a client after an answer.
const PAUSE: Duration = Duration::from_millis(10);

/// How many failures are told.
const TOLD: usize = 5;

/// Load that goes on until it is ended.
pub struct Load {
    over: CancellationToken,
    clients: JoinSet<Tally>,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many requests were made.
    pub requests: usize,
    /// How many had another answer than 200, or none.
    pub failed: usize,
    /// The first of those.
    pub failures: Vec<String>,
    /// How many were answered by which pod.
    pub by_pod: BTreeMap<String, usize>,
}

impl Load {
    /// Begins.
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

    /// Ends it, and tells what came of it.
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
        all.failures.truncate(TOLD);
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
            Err(why) => self.fail(why),
        }
    }

    fn fail(&mut self, why: String) {
        self.failed += 1;
        if self.failures.len() < TOLD {
            self.failures.push(why);
        }
    }
}

/// The pod that gave the greeting of `/`.
pub fn host_of(greeting: &str) -> Option<&str> {
    greeting.lines().find_map(|line| line.strip_prefix("host: "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted() {
        let mut tally = Tally::default();
        tally.add(Ok((200, "Hello\nhost: web-1\napp".to_owned())));
        tally.add(Ok((503, "no endpoints\n".to_owned())));
        tally.add(Err("connection refused".to_owned()));
        let failures = vec!["503: no endpoints".to_owned(), "connection refused".to_owned()];
        assert_eq!(tally, Tally { requests: 3, failed: 2, failures, by_pod: [("web-1".to_owned(), 1)].into() });
    }
}
