//! Single HTTP requests, each on its own connection.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The status code.
    pub(crate) status: u16,
    /// The text after the head.
    pub(crate) body: String,
}

/// Longer than any request to these services takes.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Requests `path`. It blocks, because it measures start-up times, and the timers of an async runtime have a resolution of 1 ms.
pub(crate) fn get(address: SocketAddr, path: &str) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    // In HTTP/1.0 the body ends with the connection and is never chunked.
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    parse(&text).ok_or_else(|| io::Error::new(ErrorKind::InvalidData, format!("not an HTTP answer: {text:?}")))
}

fn parse(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.get(..3)?.parse().ok()?;
    Some(Answer { status, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::whole("HTTP/1.0 200 OK\r\nDate: now\r\n\r\n200", 200, "200")]
    #[case::no_body("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", 503, "")]
    #[case::no_reason("HTTP/1.1 500\r\n\r\n500", 500, "500")]
    fn an_answer_has_a_status_and_a_body(#[case] text: &str, #[case] status: u16, #[case] body: &str) {
        assert_eq!(parse(text), Some(Answer { status, body: body.to_owned() }));
    }

    #[rstest]
    #[case::nothing("")]
    #[case::cut("HTTP/1.1 200 OK\r\nDate")]
    #[case::other("SSH-2.0-OpenSSH_9.2\r\n\r\n")]
    fn other_texts_are_not_answers(#[case] text: &str) {
        assert_eq!(parse(text), None);
    }
}
