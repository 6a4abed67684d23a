//! Slow, greedy and broken clients: the service continues to answer all others.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use crate::support::{App, TIMEOUT, client, until};
use rstest::rstest;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// The beginning of a request's head.
const HALF_A_HEAD: &[u8] = b"GET /health HTTP/1.1\r\nHost: app\r\nX-Slow: ";

/// Requests `/health` over a new connection, as the kubelet does.
async fn health(app: &App) -> u16 {
    timeout(TIMEOUT, client().get(app.url("/health")).send()).await.unwrap().unwrap().status().as_u16()
}

async fn connect(app: &App) -> TcpStream {
    timeout(TIMEOUT, TcpStream::connect(app.address)).await.unwrap().unwrap()
}

/// Reads until the server closes the connection, and returns what the server has sent.
async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    match timeout(TIMEOUT, stream.read_to_end(&mut bytes)).await.expect("the connection stays open") {
        Ok(_) => {}
        // Closing a socket with unread bytes in it resets the connection. tcp(7)
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("{error}"),
    }
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn ten_thousand_idle_connections_do_not_stop_health() {
    const CONNECTIONS: usize = 10_000;
    allow_open_files(CONNECTIONS as u64 + 500);
    let app = App::start(&["--ready-after", "0s", "--log-filter", "info,access=off"]).await;
    let mut held = Vec::new();
    for number in 1..=CONNECTIONS {
        let mut stream = connect(&app).await;
        if number % 2 == 0 {
            stream.write_all(HALF_A_HEAD).await.unwrap();
        }
        held.push(stream);
        if number % 500 == 0 {
            assert_eq!(health(&app).await, 200, "with {number} connections");
        }
    }
    let open = app.metric("process_open_fds").await;
    assert!(open < 1100.0, "{open} files are open, with 1024 connections allowed");
    let memory = app.metric("process_resident_memory_bytes").await;
    assert!(memory < 64e6, "{memory} bytes");
}

#[tokio::test]
async fn a_head_that_does_not_end_is_cut_and_others_are_answered_meanwhile() {
    let app = App::start(&["--ready-after", "0s", "--header-read-timeout", "1s"]).await;
    let started = Instant::now();
    let slow = connect(&app).await;
    let (mut receive, mut send) = slow.into_split();
    let drip = tokio::spawn(async move {
        send.write_all(HALF_A_HEAD).await.unwrap();
        while send.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    assert_eq!(health(&app).await, 200);
    let mut bytes = Vec::new();
    let _ = timeout(TIMEOUT, receive.read_to_end(&mut bytes)).await.expect("the head is still read");
    assert!(started.elapsed() >= Duration::from_secs(1), "cut after {:?}", started.elapsed());
    assert_eq!(bytes, b"");
    timeout(TIMEOUT, drip).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_connection_may_be_idle_longer_than_a_head_may_take() {
    let app = App::start(&["--ready-after", "0s", "--header-read-timeout", "500ms", "--idle-timeout", "1h"]).await;
    let mut stream = connect(&app).await;
    for _ in 0..2 {
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: app\r\n\r\n").await.unwrap();
        let mut answer = [0; 1000];
        let length = timeout(TIMEOUT, stream.read(&mut answer)).await.unwrap().unwrap();
        assert!(answer[..length].starts_with(b"HTTP/1.1 200 OK\r\n"));
        tokio::time::sleep(Duration::from_millis(1500)).await;
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_timeout() {
    let app = App::start(&["--ready-after", "0s", "--idle-timeout", "500ms"]).await;
    assert_eq!(read_to_end(&mut connect(&app).await).await, "");
    let used = async || {
        let mut stream = connect(&app).await;
        // The service may close the connection before this client sends its request.
        let _ = stream.write_all(b"GET /health HTTP/1.1\r\nHost: app\r\n\r\n").await;
        let answer = read_to_end(&mut stream).await;
        answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("200")
    };
    until("a connection is used, is idle and is closed", used).await;
}

#[tokio::test]
async fn at_the_limit_an_idle_connection_is_closed_and_a_busy_one_is_not() {
    let app = App::start(&["--ready-after", "0s", "--max-connections", "3", "--enable-faults"]).await;
    let delay = || tokio::spawn(client().get(app.url("/fault/delay?ms=60000")).send());
    let busy = [delay(), delay()];
    wait_for_delays(&app, 2).await;

    // The last allowed connection has sent nothing: it is closed when another client connects.
    let mut idle = connect(&app).await;
    assert_eq!(health(&app).await, 200);
    assert_eq!(read_to_end(&mut idle).await, "");

    // A third request takes this place. It is refused, and repeated, if a connection of the loop is still open.
    let mut third = delay();
    let mut answer = String::new();
    while answer.is_empty() {
        assert!(!busy.iter().any(JoinHandle::is_finished), "a request ended that should be in flight");
        if third.is_finished() {
            third = delay();
        }
        answer = read_to_end(&mut connect(&app).await).await;
    }
    assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{answer}");
    app.logged("refused").await;
    assert!(!busy.iter().any(JoinHandle::is_finished), "a request ended that should be in flight");

    third.abort();
    busy.iter().for_each(JoinHandle::abort);
    let delayed =
        async || client().get(app.url("/fault/delay?ms=1")).send().await.is_ok_and(|answer| answer.status() == 200);
    until("a request takes a place that became free", delayed).await;
    assert_eq!(health(&app).await, 200);
}

#[tokio::test]
async fn without_free_file_descriptors_idle_connections_are_closed() {
    let mut command = Command::new("sh");
    command.env_clear().kill_on_drop(true).args(["-c", r#"ulimit -n 64; exec "$0" "$@""#, env!("CARGO_BIN_EXE_app")]);
    command.args(["--listen-address", "127.0.0.1:0", "--log-format", "json", "--ready-after", "0s"]);
    let app = App::spawn(command).await;
    let mut held = Vec::new();
    for _ in 0..200 {
        held.push(connect(&app).await);
    }
    assert_eq!(health(&app).await, 200);
    app.logged("cannot accept a connection").await;
}

#[tokio::test]
async fn a_head_may_be_limited_below_the_smallest_buffer() {
    let app = App::start(&["--ready-after", "0s", "--max-header-bytes", "500"]).await;
    for (bytes, status) in [(300, "200"), (600, "431")] {
        let mut stream = connect(&app).await;
        let head =
            format!("GET /health HTTP/1.1\r\nHost: app\r\nConnection: close\r\nX: {}\r\n\r\n", "x".repeat(bytes));
        stream.write_all(head.as_bytes()).await.unwrap();
        let answer = read_to_end(&mut stream).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
}

#[rstest]
#[case::head_too_large(format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(20_000)), "431")]
#[case::path_too_long(format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(20_000)), "431")]
#[case::not_http(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n", "400")]
#[case::no_version(b"GET /\r\n\r\n", "400")]
#[case::bad_length(b"POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n", "400")]
#[case::two_lengths(b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "400")]
#[case::no_host(b"GET /health HTTP/1.1\r\nConnection: close\r\n\r\n", "400")]
#[case::two_hosts(b"GET /health HTTP/1.1\r\nHost: app\r\nHost: app\r\nConnection: close\r\n\r\n", "400")]
#[case::invalid_host(b"GET /health HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n", "400")]
#[case::body_too_large(b"POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 65537\r\nConnection: close\r\n\r\n", "413")]
#[tokio::test]
async fn invalid_requests_are_refused(#[case] request: impl AsRef<[u8]>, #[case] status: &str) {
    let app = App::start(&["--ready-after", "0s"]).await;
    let mut stream = connect(&app).await;
    // The server may have answered and closed the connection before everything is sent.
    let _ = stream.write_all(request.as_ref()).await;
    let answer = read_to_end(&mut stream).await;
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    assert_eq!(health(&app).await, 200);
}

#[tokio::test]
async fn an_endless_body_is_not_read() {
    let app = App::start(&["--ready-after", "0s"]).await;
    let (mut receive, mut send) = connect(&app).await.into_split();
    let endless = tokio::spawn(async move {
        send.write_all(b"POST /health HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n").await.unwrap();
        let chunk = [b"10000\r\n".as_slice(), &vec![b'x'; 0x10000], b"\r\n"].concat();
        let mut taken = 0;
        while send.write_all(&chunk).await.is_ok() {
            taken += chunk.len();
        }
        taken
    });
    let mut answer = Vec::new();
    let _ = timeout(TIMEOUT, receive.read_to_end(&mut answer)).await.expect("the body is still read");
    assert!(answer.starts_with(b"HTTP/1.1 405 "), "{}", String::from_utf8_lossy(&answer));
    let taken = timeout(TIMEOUT, endless).await.unwrap().unwrap();
    assert!(taken < 64_000_000, "{taken} bytes were taken");
    let memory = app.metric("process_resident_memory_bytes").await;
    assert!(memory < 64e6, "{memory} bytes");
}

/// Waits until `requests` are in flight in `/fault/delay`, and leaves no other connection open.
async fn wait_for_delays(app: &App, requests: u32) {
    // The scrape itself is also in flight.
    let are_in_flight = async || app.metric("http_requests_in_flight").await >= f64::from(requests + 1);
    until("the requests are in flight", are_in_flight).await;
}

/// Raises this process's own limit, which most shells set to 1024.
fn allow_open_files(files: u64) {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < files) {
        let raised = Rlimit { current: Some(files), ..limit };
        setrlimit(Resource::Nofile, raised).unwrap_or_else(|error| {
            panic!("this test holds {files} sockets, and the hard limit is {:?}: `ulimit -Hn` ({error})", limit.maximum)
        });
    }
}
