//! The listening socket.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use rustix::io::Errno;
use tokio::net::{TcpListener, TcpSocket};

/// Maximum number of connections that the kernel queues until they are accepted. `net.core.somaxconn` also limits it.
const BACKLOG: u32 = 4096;

/// Listens on `address`. `[::]` includes IPv4. On a host without IPv6, `0.0.0.0` replaces it.
///
/// # Errors
/// The port is in use or reserved for other users, or the host does not have the address.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = match bind(address) {
        Err(error) if address.ip() == Ipv6Addr::UNSPECIFIED && is_without_ipv6(&error) => {
            bind((Ipv4Addr::UNSPECIFIED, address.port()).into())
        }
        listener => listener,
    };
    listener
        .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}{}: {error}", hint(&error))))
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv6() { TcpSocket::new_v6() } else { TcpSocket::new_v4() }?;
    // A restart must not wait until the TIME_WAIT of the old connections ends.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn is_without_ipv6(error: &io::Error) -> bool {
    [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL].map(|errno| Some(errno.raw_os_error())).contains(&error.raw_os_error())
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => ": another process listens there, see `ss -ltnp`",
        io::ErrorKind::PermissionDenied => ": ports below 1024 need CAP_NET_BIND_SERVICE",
        io::ErrorKind::AddrNotAvailable => ": this host has no such address, see `ip address`",
        _ => "",
    }
}
