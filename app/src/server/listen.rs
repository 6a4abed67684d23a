//! The listening socket.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::{TcpListener, TcpSocket};

use crate::listen_address::ListenAddress;

/// Connections that the kernel holds until they are accepted; it lowers the number to `net.core.somaxconn`.
const BACKLOG: u32 = 4096;

/// Why nothing listens.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}{hint}")]
pub struct ListenError {
    address: SocketAddr,
    hint: &'static str,
    source: io::Error,
}

/// Listens on `address`; where that is every address of the host, on one socket for IPv6 and IPv4, or for IPv4 alone on
/// a host without IPv6.
///
/// # Errors
/// When the port is taken or not ours to take, or the host has no such address.
pub fn listen(address: ListenAddress) -> Result<TcpListener, ListenError> {
    let (address, ipv4) = match address {
        ListenAddress::One(address) => (address, None),
        ListenAddress::Any(port) => {
            (SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)), Some(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))))
        }
    };
    let refused = |address, source| ListenError { address, hint: hint(&source), source };
    match (listen_on(address), ipv4) {
        (Err(error), Some(ipv4)) if has_no_such_family(&error) => listen_on(ipv4).map_err(|error| refused(ipv4, error)),
        (listening, _) => listening.map_err(|error| refused(address, error)),
    }
}

fn listen_on(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv6() { TcpSocket::new_v6() } else { TcpSocket::new_v4() }?;
    // A restart must not wait for the old connections' TIME_WAIT to end.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn has_no_such_family(error: &io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => ": another process listens there, see `ss -ltnp`",
        io::ErrorKind::PermissionDenied => ": ports below 1024 need CAP_NET_BIND_SERVICE",
        io::ErrorKind::AddrNotAvailable => ": this host has no such address, see `ip address`",
        _ => "",
    }
}
