//! `X-Request-Id`: the service keeps the client's identifier if it can be logged as it is, and otherwise generates one.
//! tower-http's layers set it on the request and return it with the response.

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use tower_http::request_id::{MakeRequestId, RequestId};

pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// In bytes. Every log line of the request repeats the identifier.
const MAX_LENGTH: usize = 128;

/// Removes an identifier that cannot be logged as it is, so that the next layer generates one.
pub(crate) async fn remove_invalid_id(mut request: Request) -> Request {
    if request.headers().get(X_REQUEST_ID).is_some_and(|value| !is_valid(value)) {
        request.headers_mut().remove(X_REQUEST_ID);
    }
    request
}

fn is_valid(value: &HeaderValue) -> bool {
    (1..=MAX_LENGTH).contains(&value.len()) && value.as_bytes().iter().all(u8::is_ascii_graphic)
}

/// Generates identifiers of 128 random bits.
#[derive(Clone, Copy)]
pub(crate) struct RandomId;

impl MakeRequestId for RandomId {
    fn make_request_id<B>(&mut self, _: &axum::http::Request<B>) -> Option<RequestId> {
        HeaderValue::try_from(format!("{:032x}", fastrand::u128(..))).ok().map(RequestId::new)
    }
}

/// The identifier as text, for log lines.
pub(crate) fn request_id(request: &Request) -> &str {
    let id = request.extensions().get().and_then(|id: &RequestId| id.header_value().to_str().ok());
    id.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::middleware::map_request;
    use http_body_util::BodyExt;
    use rstest::rstest;
    use tower::ServiceExt;
    use tower_http::request_id::SetRequestIdLayer;

    use super::*;

    /// The identifier that a handler sees when the client sends `value`.
    async fn id(value: &[u8]) -> String {
        let handler = async |request: Request| request_id(&request).to_owned();
        let layers = (map_request(remove_invalid_id), SetRequestIdLayer::x_request_id(RandomId));
        let router: Router = Router::new().fallback(handler).layer(layers);
        let request = Request::builder().header(X_REQUEST_ID, value).body(Body::empty()).unwrap();
        let body = router.oneshot(request).await.unwrap().into_body();
        String::from_utf8(body.collect().await.unwrap().to_bytes().into()).unwrap()
    }

    #[rstest]
    #[case::uuid("d7f0e4d6-2b3c-4f0a-9a8e-0c1d2e3f4a5b")]
    #[case::longest(&"x".repeat(128))]
    #[tokio::test]
    async fn a_valid_identifier_is_kept(#[case] value: &str) {
        assert_eq!(id(value.as_bytes()).await, value);
    }

    #[rstest]
    #[case::empty(b"")]
    #[case::too_long(&[b'x'; 129])]
    #[case::spaces(b"a b")]
    #[case::tab(b"a\tb")]
    #[case::not_ascii("é".as_bytes())]
    #[tokio::test]
    async fn an_invalid_identifier_is_replaced(#[case] value: &[u8]) {
        let generated = id(value).await;
        assert_eq!(generated.len(), 32);
        assert!(generated.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_ne!(generated, id(value).await);
    }
}
