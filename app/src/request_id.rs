//! `X-Request-Id`: taken from the client when it sends one, made when it does not.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// The header, in requests and responses.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest identifier taken from a client, in bytes. What is longer would be repeated in every log line.
const LONGEST: usize = 128;

/// An identifier of one request. It is visible ASCII, so it can stand in a log line as it is.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    /// The client's identifier where it is fit to be repeated, else a new one of 128 random bits.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let given = headers
            .get(&X_REQUEST_ID)
            .filter(|value| (1..=LONGEST).contains(&value.len()) && value.as_bytes().iter().all(u8::is_ascii_graphic));
        Self(given.cloned().unwrap_or_else(new))
    }

    /// As a header value.
    pub(crate) fn to_header(&self) -> HeaderValue {
        self.0.clone()
    }

    /// As text.
    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

fn new() -> HeaderValue {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let random = fastrand::u128(..).to_ne_bytes();
    let mut digits = [0; 32];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(random) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    HeaderValue::from_bytes(&digits).unwrap_or(HeaderValue::from_static("unknown"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn of(value: &[u8]) -> RequestId {
        RequestId::of(&HeaderMap::from_iter([(X_REQUEST_ID, HeaderValue::from_bytes(value).unwrap())]))
    }

    #[rstest]
    #[case::uuid("d7f0e4d6-2b3c-4f0a-9a8e-0c1d2e3f4a5b")]
    #[case::longest(&"x".repeat(128))]
    fn kept(#[case] value: &str) {
        assert_eq!(of(value.as_bytes()).as_str(), value);
    }

    #[rstest]
    #[case::empty(b"")]
    #[case::too_long(&[b'x'; 129])]
    #[case::spaces(b"a b")]
    #[case::tab(b"a\tb")]
    #[case::not_ascii("é".as_bytes())]
    fn replaced(#[case] value: &[u8]) {
        let made = of(value);
        assert_eq!(made.as_str().len(), 32);
        assert!(made.as_str().bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_ne!(made.as_str(), of(value).as_str());
    }
}
