//! Tests of the real binary, from the first log line to the exit code.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::TcpListener;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::{App, TIMEOUT, accesses, client, command, has_message, until};
use rstest::rstest;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

#[tokio::test]
async fn a_service_is_not_ready_before_ready_after() {
    let app = App::start(&["--ready-after", "1h"]).await;
    let early = client().get(app.url("/health")).send().await.unwrap();
    assert_eq!(early.status(), 500);
    assert_eq!(early.text().await.unwrap(), "500");
    assert_eq!(app.metric("app_ready").await.to_string(), "0");
    assert_eq!(client().get(app.url("/livez")).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_service_is_ready_after_ready_after_and_can_be_scraped() {
    let app = App::start(&["--ready-after", "1s"]).await;
    let client = client();
    let time = |line: &Value| humantime::parse_rfc3339(line["timestamp"].as_str().unwrap()).unwrap();
    let (listening, ready) = (app.logged("listening").await, app.logged("ready").await);
    // By the service's own clock. `--ready-after` starts shortly before the service listens.
    let waited = time(&ready).duration_since(time(&listening)).unwrap();
    assert!(waited > Duration::from_millis(500), "ready after {waited:?}");
    let late = client.get(app.url("/health")).send().await.unwrap();
    assert_eq!(late.status(), 200);
    assert_eq!(late.text().await.unwrap(), "200");
    assert_eq!(app.metric("app_ready").await.to_string(), "1");

    let series = r#"http_requests_total{method="GET",route="/",status="200"}"#;
    for _ in 0..3 {
        client.get(app.url("/")).send().await.unwrap().error_for_status().unwrap();
    }
    assert_eq!(app.metric(series).await.to_string(), "3");
    for _ in 0..4 {
        client.get(app.url("/")).send().await.unwrap().error_for_status().unwrap();
    }
    assert_eq!(app.metric(series).await.to_string(), "7");
}

#[tokio::test]
async fn a_draining_service_is_not_ready_and_answers_all_requests() {
    let app = App::start(&["--ready-after", "0s", "--shutdown-delay", "1h"]).await;
    let load = Load::start(&app);
    load.ten_more_answers_each().await;
    app.signal("TERM").await;
    app.logged("draining: not ready, still accepting").await;
    let drained = client().get(app.url("/health")).send().await.unwrap();
    assert_eq!(drained.status(), 500);
    assert_eq!(drained.headers()["connection"], "close");
    load.ten_more_answers_each().await;
    assert_eq!(load.stop().await.failed, 0, "requests failed");
}

/// A slow request is in flight when SIGTERM arrives, and ends after the listener is closed.
#[tokio::test]
async fn sigterm_under_load_loses_no_request_that_was_accepted() {
    let arguments = ["--ready-after", "0s", "--shutdown-delay", "0s", "--shutdown-timeout", "1h", "--enable-faults"];
    let app = App::start(&arguments).await;
    let slow = tokio::spawn(client().get(app.url("/fault/delay?ms=4000")).send());
    wait_for_in_flight(&app, 2).await;
    let load = Load::start(&app);
    load.ten_more_answers_each().await;

    app.signal("TERM").await;
    app.logged("closing").await;
    let refused = TcpStream::connect(app.address).await;
    assert!(refused.is_err(), "connected after the listener closed");
    let answered = load.stop().await.answered;
    let slow = slow.await.unwrap().unwrap();
    assert_eq!(slow.status(), 200);
    assert_eq!(slow.text().await.unwrap(), "4000 ms later\n");

    let (status, log) = app.wait().await;
    assert_eq!(status.code(), Some(0));
    // Exactly the answered requests are logged, each with its own identifier.
    let accesses = accesses(&log);
    let logged = |path: &str| accesses.iter().filter(|line| line["path"] == path).count();
    assert_eq!((logged("/"), logged("/fault/delay")), (answered, 1));
    assert_eq!(accesses.len(), answered + 1 + logged("/metrics"));
    let identifiers: BTreeSet<_> = accesses.iter().map(|line| line["request_id"].to_string()).collect();
    assert_eq!(identifiers.len(), accesses.len());
    let phases: Vec<_> = log.iter().filter(|line| line["target"] != "access").map(|line| &line["message"]).collect();
    let expected = [
        "listening",
        "ready",
        "draining: not ready, still accepting",
        "closing: no more connections",
        "stopped: every request was answered",
    ];
    assert_eq!(phases, expected);
}

/// Eight clients that send requests without a pause until the test stops them or a request fails. Four keep their connections.
struct Load {
    answered: Vec<Arc<AtomicUsize>>,
    stop: watch::Sender<bool>,
    /// Each returns whether a request failed.
    clients: JoinSet<bool>,
}

/// The results of a load's requests.
struct Requests {
    answered: usize,
    failed: usize,
}

impl Load {
    fn start(app: &App) -> Self {
        let (stop, stopped) = watch::channel(false);
        let answered: Vec<_> = (0..8).map(|_| Arc::new(AtomicUsize::new(0))).collect();
        let mut clients = JoinSet::new();
        for (number, answered) in answered.iter().enumerate() {
            let (url, stopped, answered) = (app.url("/"), stopped.clone(), Arc::clone(answered));
            clients.spawn(async move {
                let kept = client();
                while !*stopped.borrow() {
                    let client = if number % 2 == 0 { kept.clone() } else { client() };
                    let Ok(response) = client.get(&url).send().await else { return true };
                    assert_eq!(response.status(), 200);
                    response.bytes().await.unwrap();
                    answered.fetch_add(1, Ordering::Relaxed);
                }
                false
            });
        }
        Self { answered, stop, clients }
    }

    fn counts(&self) -> Vec<usize> {
        self.answered.iter().map(|count| count.load(Ordering::Relaxed)).collect()
    }

    async fn ten_more_answers_each(&self) {
        let before = self.counts();
        let all_have = async || self.counts().iter().zip(&before).all(|(now, before)| *now >= before + 10);
        until("each client has ten more answers", all_have).await;
    }

    async fn stop(mut self) -> Requests {
        self.stop.send_replace(true);
        let failed = std::mem::take(&mut self.clients).join_all().await.into_iter().filter(|failed| *failed).count();
        Requests { answered: self.counts().iter().sum(), failed }
    }
}

#[rstest]
#[case::sigterm("TERM", "SIGTERM")]
#[case::sigint("INT", "SIGINT")]
#[tokio::test]
async fn either_signal_ends_an_idle_service_with_exit_code_0(#[case] signal: &str, #[case] name: &str) {
    let app = App::start(&["--shutdown-delay", "0s", "--shutdown-timeout", "1h"]).await;
    // Idle connections do not delay the shutdown, neither before their first request nor between two.
    let _fresh = TcpStream::connect(app.address).await.unwrap();
    let client = client();
    client.get(app.url("/")).send().await.unwrap().bytes().await.unwrap();
    app.signal(signal).await;
    let (status, log) = app.wait().await;
    assert_eq!(status.code(), Some(0));
    let draining = log.iter().find(|line| has_message(line, "draining")).unwrap();
    assert_eq!(draining["signal"], name);
}

#[tokio::test]
async fn a_second_signal_ends_the_service_at_once_and_the_log_counts_the_cut_requests() {
    let app = App::start(&["--enable-faults", "--shutdown-delay", "60s"]).await;
    let slow = tokio::spawn(client().get(app.url("/fault/delay?ms=60000")).send());
    wait_for_in_flight(&app, 2).await;
    app.signal("TERM").await;
    app.logged("draining").await;
    app.signal("INT").await;
    let (status, log) = app.wait().await;
    assert_eq!(status.code(), Some(1));
    let cut = log.iter().find(|line| has_message(line, "stopped: requests in flight were cut")).unwrap();
    assert_eq!((&cut["requests"], &cut["reason"]), (&1.into(), &"SIGINT".into()));
    assert!(slow.await.unwrap().is_err());
}

#[tokio::test]
async fn the_shutdown_timeout_cuts_requests_that_do_not_end() {
    let app = App::start(&["--enable-faults", "--shutdown-delay", "0s", "--shutdown-timeout", "300ms"]).await;
    let slow = tokio::spawn(client().get(app.url("/fault/delay?ms=60000")).send());
    wait_for_in_flight(&app, 2).await;
    app.signal("TERM").await;
    let (status, log) = app.wait().await;
    assert_eq!(status.code(), Some(1));
    let cut = log.iter().find(|line| has_message(line, "stopped: requests in flight were cut")).unwrap();
    assert_eq!((&cut["requests"], &cut["reason"]), (&1.into(), &"shutdown timeout".into()));
    assert!(slow.await.unwrap().is_err());
}

#[tokio::test]
async fn a_hung_probe_does_not_hold_up_the_shutdown() {
    let app = App::start(&["--enable-faults", "--ready-after", "0s", "--shutdown-delay", "0s"]).await;
    client().post(app.url("/fault/hang")).send().await.unwrap().error_for_status().unwrap();
    let probe = tokio::spawn(client().get(app.url("/livez")).send());
    wait_for_in_flight(&app, 2).await;
    app.signal("TERM").await;
    let (status, _) = app.wait().await;
    assert_eq!(status.code(), Some(0));
    assert_eq!(probe.await.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn a_panic_is_logged_and_the_service_continues() {
    let app = App::start(&["--enable-faults"]).await;
    assert_eq!(client().post(app.url("/fault/panic")).send().await.unwrap().status(), 500);
    let line = app.logged("panicked").await;
    assert_eq!(line["message"], "panicked: triggered by /fault/panic");
    assert!(line["location"].as_str().unwrap().contains("routes/fault.rs:"), "{line}");
    assert_eq!(client().get(app.url("/livez")).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn json_lines_carry_the_request() {
    let app = App::start(&["--shutdown-delay", "0s"]).await;
    let request = client().get(app.url("/nowhere?password=hunter2")).header("x-request-id", "abc");
    let started = Instant::now();
    assert_eq!(request.send().await.unwrap().headers()["x-request-id"], "abc");
    let seen_by_client = started.elapsed();
    app.signal("TERM").await;
    let (_, log) = app.wait().await;
    let mut line = accesses(&log)[0].clone();
    assert!(line["remote"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
    assert!(
        line["duration_ms"].as_f64().unwrap() <= seen_by_client.as_secs_f64() * 1000.0,
        "{line}: {seen_by_client:?}"
    );
    for varies in ["remote", "duration_ms", "timestamp"] {
        line[varies] = format!("[{varies}]").into();
    }
    insta::assert_json_snapshot!(line);
}

#[tokio::test]
async fn debug_lines_of_a_handler_name_its_request() {
    let app = App::start(&["--enable-faults", "--log-filter", "debug", "--shutdown-delay", "0s"]).await;
    let request = client().post(app.url("/fault/unready?ms=4711")).header("x-request-id", "abc");
    request.send().await.unwrap().error_for_status().unwrap();
    assert_eq!(app.logged("made unready").await["span"]["request_id"], "abc");
    app.signal("TERM").await;
    let (_, log) = app.wait().await;
    let queries: Vec<_> = log.iter().filter(|line| line.to_string().contains("?ms=")).collect();
    assert!(queries.is_empty(), "{queries:#?}");
}

#[tokio::test]
async fn text_lines_carry_the_request() {
    // The test chooses the port, because a log without the line `listening` does not show it.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let arguments = ["--listen-address", &address, "--log-filter", "access=info", "--shutdown-delay", "0s"];
    let service = command(&arguments).stdout(Stdio::piped()).spawn().unwrap();
    let request = || client().get(format!("http://{address}/livez")).header("x-request-id", "abc").send();
    until("the service listens", async || request().await.is_ok()).await;
    let id = service.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").arg(id).status().unwrap().success());
    let output = tokio::time::timeout(TIMEOUT, service.wait_with_output()).await.unwrap().unwrap();
    insta::with_settings!({filters => [
        (r"^\S+Z", "[timestamp]"),
        (r"duration_ms=\S+", "duration_ms=[milliseconds]"),
        (r"127\.0\.0\.1:\d+", "[remote]"),
    ]}, {
        insta::assert_snapshot!(String::from_utf8(output.stdout).unwrap());
    });
}

#[tokio::test]
async fn bad_flags_and_a_port_in_use_are_reported_on_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let address = format!("127.0.0.1:{port}");
    let cases: &[&[&str]] = &[
        &["--ready-after", "soon"],
        &["--log-filter", "access=loud"],
        &["--listen-address", "192.0.2.1:8000"],
        &["--listen-address", &address],
        &["--version", "--listen"],
    ];
    let mut seen = String::new();
    for arguments in cases {
        let output = command(arguments).stdout(Stdio::piped()).output();
        let output = tokio::time::timeout(TIMEOUT, output).await.expect("it runs").unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(error.lines().count(), 1, "{error}");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "");
        let code = output.status.code().unwrap();
        writeln!(seen, "$ app {}\n{error}exit code {code}\n", arguments.join(" ")).unwrap();
    }
    insta::assert_snapshot!(seen.replace(&port, "[port]"));
}

#[tokio::test]
async fn environment_variables_replace_flags() {
    let mut command = command(&[]);
    command.envs([("LISTEN_ADDRESS", "127.0.0.1:0"), ("READY_AFTER", "0s"), ("LOG_FORMAT", "json")]);
    command.envs([("ENABLE_FAULTS", "true"), ("RUST_LOG", "info,access=off"), ("SHUTDOWN_DELAY", "0")]);
    let app = App::spawn(command).await;
    assert_eq!(client().get(app.url("/health")).send().await.unwrap().status(), 200);
    assert_eq!(client().get(app.url("/fault/status?code=503")).send().await.unwrap().status(), 503);
    app.signal("TERM").await;
    let (status, log) = app.wait().await;
    assert_eq!(status.code(), Some(0));
    assert!(accesses(&log).is_empty(), "{log:#?}");
}

/// Waits until `requests` are in flight, including the scrape that reports the number.
async fn wait_for_in_flight(app: &App, requests: usize) {
    let has_requests = async || app.metric("http_requests_in_flight").await.to_string() == requests.to_string();
    until("the request is in flight", has_requests).await;
}
