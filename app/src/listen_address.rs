//! `--listen-address`, in Rust's spelling and in Go's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// Where to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// `:8000`, as Go programs take it: every address of the host, IPv6 and IPv4.
    Any(u16),
    /// `127.0.0.1:8000` or `[::1]:8000`.
    One(SocketAddr),
}

/// What cannot be listened on, and why.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseListenAddressError {
    /// Nothing that looks like a port stands behind the last colon.
    #[error("no port: expected `:8000`, `127.0.0.1:8000` or `[::1]:8000`")]
    NoPort,
    /// The port is not a number below 65536.
    #[error("`{0}` is not a port: expected a number from 0 to 65535")]
    Port(String),
    /// Names are refused: a static binary has no resolver to ask.
    #[error("`{0}` is not an IP address: names are not resolved here, use `:8000`, `127.0.0.1:8000` or `[::1]:8000`")]
    Host(String),
}

impl FromStr for ListenAddress {
    type Err = ParseListenAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, port) = text.rsplit_once(':').ok_or(ParseListenAddressError::NoPort)?;
        if port.is_empty() || port.ends_with(']') {
            return Err(ParseListenAddressError::NoPort);
        }
        let port = port.parse().map_err(|_| ParseListenAddressError::Port(port.to_owned()))?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let address: Option<IpAddr> = match (host, bare) {
            ("", _) => return Ok(Self::Any(port)),
            ("localhost", _) => Some(Ipv4Addr::LOCALHOST.into()),
            (_, Some(bare)) => bare.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            (_, None) => host.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        };
        match address {
            Some(address) => Ok(Self::One((address, port).into())),
            None => Err(ParseListenAddressError::Host(host.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::go(":8000", ListenAddress::Any(8000))]
    #[case::go_any_port(":0", ListenAddress::Any(0))]
    #[case::ipv4("127.0.0.1:80", ListenAddress::One((Ipv4Addr::LOCALHOST, 80).into()))]
    #[case::ipv6("[::1]:65535", ListenAddress::One((Ipv6Addr::LOCALHOST, 65535).into()))]
    #[case::localhost("localhost:8000", ListenAddress::One((Ipv4Addr::LOCALHOST, 8000).into()))]
    fn accepted(#[case] text: &str, #[case] expected: ListenAddress) {
        assert_eq!(text.parse(), Ok(expected));
    }

    #[rstest]
    #[case::empty("", ParseListenAddressError::NoPort)]
    #[case::bare_port("8000", ParseListenAddressError::NoPort)]
    #[case::no_port("127.0.0.1:", ParseListenAddressError::NoPort)]
    #[case::ipv6_without_port("[::1]", ParseListenAddressError::NoPort)]
    #[case::port_too_large(":65536", ParseListenAddressError::Port("65536".into()))]
    #[case::port_is_a_word(":http", ParseListenAddressError::Port("http".into()))]
    #[case::name("example.test:80", ParseListenAddressError::Host("example.test".into()))]
    #[case::ipv6_without_brackets("::1:80", ParseListenAddressError::Host("::1".into()))]
    fn refused(#[case] text: &str, #[case] expected: ParseListenAddressError) {
        assert_eq!(text.parse::<ListenAddress>(), Err(expected));
    }
}
