//! The `Host` header: an HTTP/1.1 request must have exactly one, and it must name a host.
//!
//! RFC 9112, 3.2: a server must answer 400 to an HTTP/1.1 request without a Host, and to any request with two of them or
//! with an invalid one. If two servers derive different hosts from the same request, a client can make the first server
//! forward a request that the second must never get.

use std::net::Ipv6Addr;

use axum::extract::Request;
use axum::http::header::HOST;
use axum::http::uri::Authority;
use axum::http::{HeaderValue, StatusCode, Version};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Answers 400 unless the request has exactly one valid Host. HTTP/1.0 requests need none.
pub(crate) async fn require_host(request: Request, next: Next) -> Response {
    let mut hosts = request.headers().get_all(HOST).iter();
    let accepted = match (hosts.next(), hosts.next()) {
        (Some(host), None) => is_valid(host),
        (None, _) => request.version() < Version::HTTP_11,
        (Some(_), Some(_)) => false,
    };
    if accepted {
        next.run(request).await
    } else {
        (StatusCode::BAD_REQUEST, "expected exactly one valid Host header\n").into_response()
    }
}

/// `uri-host [ ":" port ]`, RFC 9110, 7.2. An empty host is refused, as RFC 9112, 3.3 allows, because an `http` URI requires a host.
fn is_valid(value: &HeaderValue) -> bool {
    let Ok(authority) = Authority::try_from(value.as_bytes()) else { return false };
    let host = authority.host();
    let host_is_valid = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()),
        None => !host.is_empty() && !host.contains(['[', ']']),
    };
    // An authority may also begin with `user@`, but a Host must not.
    let port_is_valid = authority.as_str().strip_prefix(host).is_some_and(|rest| {
        rest.is_empty() || rest.strip_prefix(':').is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
    });
    host_is_valid && port_is_valid
}
