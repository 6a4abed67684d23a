//! Tests of the routes in process, without sockets and without waiting.

#![expect(clippy::unwrap_used, reason = "test helpers fail by panicking")]

use std::sync::Arc;
use std::time::Duration;

use app::build_info::BuildInfo;
use app::health::Health;
use app::metrics::Metrics;
use app::router::router;
use app::state::AppState;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode, Version};
use http_body_util::BodyExt;
use rstest::rstest;
use tower::ServiceExt;

/// A service with fixed build information.
fn service(ready_after: Duration, faults: bool) -> Arc<AppState> {
    let build_info = BuildInfo {
        version: "1.2.3".into(),
        revision: "0123456789abcdef0123456789abcdef01234567".into(),
        branch: "main".into(),
        build_user: "somebody".into(),
        build_date: "2026-01-31T12:00:00Z".into(),
        rustc: "rustc 1.85.0".into(),
    };
    Arc::new(AppState {
        host: "app-7d4b9c-x2x4z".into(),
        health: Health::new(ready_after),
        metrics: Metrics::new(&build_info).unwrap(),
        max_body_bytes: 1000,
        faults,
        build_info,
    })
}

fn ready() -> Arc<AppState> {
    service(Duration::ZERO, true)
}

async fn ask(service: &Arc<AppState>, method: &str, path: &str) -> Response<Body> {
    let request = Request::builder().method(method).uri(path).header("host", "app").body(Body::empty()).unwrap();
    router(Arc::clone(service)).oneshot(request).await.unwrap()
}

async fn text(response: Response<Body>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().into()).unwrap()
}

#[rstest]
#[case::home("GET", "/", 200)]
#[case::health("GET", "/health", 200)]
#[case::livez("GET", "/livez", 200)]
#[case::readyz("GET", "/readyz", 200)]
#[case::metrics("GET", "/metrics", 200)]
#[case::version("GET", "/version", 200)]
#[case::query_is_ignored("GET", "/health?verbose", 200)]
#[case::head("HEAD", "/", 200)]
#[case::unknown_path("GET", "/nowhere", 404)]
#[case::trailing_slash("GET", "/health/", 404)]
#[case::unknown_path_with_any_method("BREW", "/nowhere", 404)]
#[case::delay("GET", "/fault/delay?ms=0", 200)]
#[case::longest_delay_plus_one("GET", "/fault/delay?ms=60001", 400)]
#[case::delay_without_length("GET", "/fault/delay", 400)]
#[case::delay_is_not_negative("GET", "/fault/delay?ms=-1", 400)]
#[case::status("GET", "/fault/status?code=418", 418)]
#[case::status_without_a_name("GET", "/fault/status?code=599", 599)]
#[case::informational_status("GET", "/fault/status?code=101", 400)]
#[case::status_too_large("GET", "/fault/status?code=600", 400)]
#[case::status_is_a_number("GET", "/fault/status?code=teapot", 400)]
#[case::resolve("GET", "/fault/resolve?name=127.0.0.1", 200)]
#[case::resolve_an_unknown_name("GET", "/fault/resolve?name=no-such-name.invalid", 404)]
#[case::resolve_without_a_name("GET", "/fault/resolve", 400)]
#[case::unready("POST", "/fault/unready", 200)]
#[case::hang("POST", "/fault/hang", 200)]
#[case::hang_is_not_a_number("POST", "/fault/hang?ms=forever", 400)]
#[case::panic("POST", "/fault/panic", 500)]
#[tokio::test(start_paused = true)]
async fn status(#[case] method: &str, #[case] path: &str, #[case] expected: u16) {
    let response = ask(&ready(), method, path).await;
    assert_eq!(response.status(), expected, "{}", text(response).await);
}

#[rstest]
#[case::post_to_a_page("POST", "/", "GET,HEAD")]
#[case::delete("DELETE", "/metrics", "GET,HEAD")]
#[case::unknown_method("BREW", "/health", "GET,HEAD")]
#[case::get_of_an_action("GET", "/fault/panic", "POST")]
#[tokio::test]
async fn a_wrong_method_gets_405_with_the_allowed_methods(
    #[case] method: &str,
    #[case] path: &str,
    #[case] allowed: &str,
) {
    let response = ask(&ready(), method, path).await;
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(response.headers()["allow"], allowed);
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let get = ask(&ready(), "GET", "/").await;
    let head = ask(&ready(), "HEAD", "/").await;
    assert_eq!(head.headers()["content-length"], get.headers()["content-length"]);
    assert_eq!(head.headers()["content-type"], get.headers()["content-type"]);
    assert_eq!(text(head).await, "");
}

#[tokio::test]
async fn without_enable_faults_the_fault_routes_do_not_exist() {
    let service = service(Duration::ZERO, false);
    for path in [
        "/fault/delay?ms=1",
        "/fault/status?code=500",
        "/fault/resolve?name=x",
        "/fault/unready",
        "/fault/hang",
        "/fault/panic",
    ] {
        for method in ["GET", "POST"] {
            assert_eq!(ask(&service, method, path).await.status(), StatusCode::NOT_FOUND, "{method} {path}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn readiness_changes_and_liveness_does_not() {
    let service = service(Duration::from_secs(5), true);
    let probes = async || {
        let mut answers = Vec::new();
        for path in ["/health", "/readyz", "/livez"] {
            let response = ask(&service, "GET", path).await;
            answers.push(format!("{} {}", response.status().as_u16(), text(response).await.trim_end()));
        }
        answers.join(", ")
    };
    assert_eq!(probes().await, "500 500, 503 not ready: starting, 200 alive");
    tokio::time::advance(Duration::from_secs(5)).await;
    assert_eq!(probes().await, "200 200, 200 ready, 200 alive");
    ask(&service, "POST", "/fault/unready?ms=1000").await;
    assert_eq!(probes().await, "500 500, 503 not ready: made unready by /fault/unready, 200 alive");
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(probes().await, "200 200, 200 ready, 200 alive");
    service.health.drain();
    assert_eq!(probes().await, "500 500, 503 not ready: draining, 200 alive");
}

#[tokio::test(start_paused = true)]
async fn a_hang_affects_only_livez() {
    let service = ready();
    ask(&service, "POST", "/fault/hang").await;
    let livez = tokio::time::timeout(Duration::from_secs(3600), ask(&service, "GET", "/livez")).await;
    assert!(livez.is_err(), "/livez answered");
    assert_eq!(ask(&service, "GET", "/health").await.status(), StatusCode::OK);
    assert_eq!(ask(&service, "GET", "/").await.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_delay_lasts_the_requested_time() {
    let started = tokio::time::Instant::now();
    ask(&ready(), "GET", "/fault/delay?ms=60000").await;
    assert_eq!(started.elapsed().as_secs(), 60);
}

#[tokio::test]
async fn answers_ask_for_another_connection_while_draining() {
    let service = ready();
    assert!(!ask(&service, "GET", "/").await.headers().contains_key("connection"));
    service.health.drain();
    assert_eq!(ask(&service, "GET", "/").await.headers()["connection"], "close");
}

#[tokio::test]
async fn a_request_id_is_returned_or_generated() {
    let request = Request::builder().uri("/").header("host", "app").header("x-request-id", "abc-123");
    let request = request.body(Body::empty()).unwrap();
    let response = router(ready()).oneshot(request).await.unwrap();
    assert_eq!(response.headers()["x-request-id"], "abc-123");
    let one = ask(&ready(), "GET", "/").await;
    let other = ask(&ready(), "GET", "/nowhere").await;
    assert_ne!(one.headers()["x-request-id"], other.headers()["x-request-id"]);
}

#[rstest]
#[case::name(&["app"], Version::HTTP_11, 200)]
#[case::port(&["app:8000"], Version::HTTP_11, 200)]
#[case::empty_port(&["app:"], Version::HTTP_11, 200)]
#[case::ipv4(&["10.244.0.7:8000"], Version::HTTP_11, 200)]
#[case::ipv6(&["[fd00::7]"], Version::HTTP_11, 200)]
#[case::ipv6_and_port(&["[fd00::7]:8000"], Version::HTTP_11, 200)]
#[case::none(&[], Version::HTTP_11, 400)]
#[case::none_before_http_1_1(&[], Version::HTTP_10, 200)]
#[case::two(&["app", "other"], Version::HTTP_11, 400)]
#[case::the_same_twice(&["app", "app"], Version::HTTP_11, 400)]
#[case::two_before_http_1_1(&["app", "other"], Version::HTTP_10, 400)]
#[case::empty(&[""], Version::HTTP_11, 400)]
#[case::port_alone(&[":8000"], Version::HTTP_11, 400)]
#[case::port_is_a_word(&["app:http"], Version::HTTP_11, 400)]
#[case::two_ports(&["app:80:80"], Version::HTTP_11, 400)]
#[case::two_names_in_one(&["app, other"], Version::HTTP_11, 400)]
#[case::user(&["user@app"], Version::HTTP_11, 400)]
#[case::path(&["app/health"], Version::HTTP_11, 400)]
#[case::not_ascii(&["äpp"], Version::HTTP_11, 400)]
#[case::ipv6_without_brackets(&["fd00::7"], Version::HTTP_11, 400)]
#[case::ipv6_without_an_end(&["[fd00::7"], Version::HTTP_11, 400)]
#[case::brackets_around_a_name(&["[app]"], Version::HTTP_11, 400)]
#[case::brackets_behind_a_name(&["app[fd00::7]"], Version::HTTP_11, 400)]
#[case::invalid_before_http_1_1(&["app/health"], Version::HTTP_10, 400)]
#[tokio::test]
async fn a_request_needs_exactly_one_valid_host(
    #[case] hosts: &[&str],
    #[case] version: Version,
    #[case] expected: u16,
) {
    let request = Request::builder().uri("/health").version(version);
    let request = hosts.iter().fold(request, |request, host| request.header("host", *host));
    let response = router(ready()).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), expected);
}

#[tokio::test]
async fn a_request_without_a_host_is_counted_like_any_other() {
    let service = ready();
    let request = Request::builder().uri("/health").body(Body::empty()).unwrap();
    let response = router(Arc::clone(&service)).oneshot(request).await.unwrap();
    assert!(response.headers().contains_key("x-request-id"));
    assert_eq!(text(response).await, "expected exactly one valid Host header\n");
    let metrics = text(ask(&service, "GET", "/metrics").await).await;
    assert!(metrics.contains(r#"http_requests_total{method="GET",route="/health",status="400"} 1"#), "{metrics}");
}

#[rstest]
#[case::at_the_limit(1000, 405)]
#[case::above_the_limit(1001, 413)]
#[tokio::test]
async fn bodies_are_limited(#[case] bytes: usize, #[case] expected: u16) {
    let request = Request::post("/").header("host", "app").header("content-length", bytes);
    let request = request.body(Body::from(vec![b'x'; bytes])).unwrap();
    assert_eq!(router(ready()).oneshot(request).await.unwrap().status(), expected);
}

#[tokio::test]
async fn home() {
    insta::assert_snapshot!(text(ask(&ready(), "GET", "/").await).await);
}

#[tokio::test]
async fn version() {
    let response = ask(&ready(), "GET", "/version").await;
    assert_eq!(response.headers()["content-type"], "application/json");
    insta::assert_snapshot!(text(response).await);
}

#[tokio::test]
async fn metrics() {
    let service = service(Duration::from_secs(5), false);
    ask(&service, "GET", "/").await;
    ask(&service, "GET", "/").await;
    ask(&service, "HEAD", "/health").await;
    ask(&service, "POST", "/").await;
    let response = ask(&service, "GET", "/metrics").await;
    assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let text = text(response).await;
    insta::with_settings!({filters => [
        (r"(?m)^(process_\w+) .*", "$1 [of the process]"),
        (r"(?m)^(http_request_duration_seconds_sum\{.*\}) .*", "$1 [seconds]"),
        // On a busy machine an answer may take any time. A unit test of `metrics` checks the buckets.
        (r#"(?m)^(http_request_duration_seconds_bucket\{.*le="\d.*\}) .*"#, "$1 [requests]"),
    ]}, {
        insta::assert_snapshot!(text);
    });
}

#[tokio::test]
async fn requests_of_a_scanner_create_two_series() {
    let service = ready();
    let series = async || {
        let metrics = text(ask(&service, "GET", "/metrics").await).await;
        metrics.lines().filter(|line| line.starts_with("http_requests_total{")).map(str::to_owned).collect::<Vec<_>>()
    };
    // From the second scrape on, the scrape itself is a series.
    series().await;
    let before = series().await.len();
    for number in 0..1000 {
        ask(&service, "GET", &format!("/wp-admin/{number}.php")).await;
        ask(&service, &format!("METHOD{number}"), "/").await;
    }
    let after = series().await;
    assert_eq!(after.len(), before + 2, "{after:#?}");
    assert!(after.contains(&r#"http_requests_total{method="GET",route="unknown",status="404"} 1000"#.to_owned()));
    assert!(after.contains(&r#"http_requests_total{method="unknown",route="/",status="405"} 1000"#.to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_away_is_counted_and_no_longer_in_flight() {
    let service = ready();
    let gone = tokio::time::timeout(Duration::from_secs(1), ask(&service, "GET", "/fault/delay?ms=60000")).await;
    assert!(gone.is_err());
    let metrics = text(ask(&service, "GET", "/metrics").await).await;
    assert!(metrics.contains(r#"http_requests_total{method="GET",route="/fault/delay",status="499"} 1"#), "{metrics}");
    // The request in flight is the scrape itself.
    assert!(metrics.contains("http_requests_in_flight 1\n"), "{metrics}");
}

#[tokio::test]
async fn a_panic_gets_500_and_is_counted() {
    let service = ready();
    let response = ask(&service, "POST", "/fault/panic").await;
    assert!(response.headers().contains_key("x-request-id"));
    let metrics = text(ask(&service, "GET", "/metrics").await).await;
    assert!(metrics.contains(r#"http_requests_total{method="POST",route="/fault/panic",status="500"} 1"#), "{metrics}");
    assert!(metrics.contains("http_requests_in_flight 1\n"), "{metrics}");
}
