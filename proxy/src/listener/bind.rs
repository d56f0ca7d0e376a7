//! Opens listening sockets: one per worker on the same address.
//!
//! SO_REUSEPORT lets the kernel spread connections over the workers, but it would also let a second process in, and
//! port 0 would give every worker a port of its own. So a plain socket probes the address first; its port is what
//! all workers bind.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections the kernel keeps for us before they are accepted.
const BACKLOG: i32 = 4096;

/// The sockets of one address, one per worker, and the address that was bound.
pub(crate) struct Bound {
    /// One for each worker, non-blocking.
    pub sockets: Vec<TcpListener>,
    /// With the port that port 0 became.
    pub address: SocketAddr,
}

/// Binds `address` `count` times. `dual_stack` takes IPv4 on an IPv6 address too, and falls back to IPv4 alone on a
/// host without IPv6. `ours`: this process holds the address already, and shares it.
///
/// # Errors
/// The address is taken, not ours, or not allowed.
pub(crate) fn bind(
    address: SocketAddr,
    dual_stack: bool,
    count: usize,
    ours: bool,
) -> io::Result<Bound> {
    match bind_all(address, dual_stack, count, ours) {
        Err(error) if dual_stack && no_ipv6(&error) => bind_all(
            (Ipv4Addr::UNSPECIFIED, address.port()).into(),
            false,
            count,
            ours,
        ),
        result => result,
    }
}

/// Binds one socket, for the status and admin servers.
///
/// # Errors
/// As [`bind`].
pub(crate) fn bind_one(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let dual_stack = address.ip() == Ipv6Addr::UNSPECIFIED;
    let Bound {
        mut sockets,
        address,
    } = bind(address, dual_stack, 1, false)?;
    let socket = sockets
        .pop()
        .ok_or_else(|| io::Error::other("no socket was bound"))?;
    Ok((socket, address))
}

fn no_ipv6(error: &io::Error) -> bool {
    // EAFNOSUPPORT: no IPv6 in the kernel; EADDRNOTAVAIL: switched off by sysctl.
    matches!(error.raw_os_error(), Some(97 | 99))
}

fn bind_all(address: SocketAddr, dual_stack: bool, count: usize, ours: bool) -> io::Result<Bound> {
    let bound = if ours && address.port() != 0 {
        address
    } else {
        probe(address, dual_stack)?
    };
    let listen = || -> io::Result<TcpListener> {
        let socket = socket_with(bound, dual_stack, |socket| socket.set_reuse_port(true))?;
        socket.set_tcp_nodelay(true)?; // inherited by accepted sockets on Linux
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    let sockets = (0..count).map(|_| listen()).collect::<io::Result<_>>()?;
    Ok(Bound {
        sockets,
        address: bound,
    })
}

/// Holds the address alone for a moment; the address with the port that port 0 became.
fn probe(address: SocketAddr, dual_stack: bool) -> io::Result<SocketAddr> {
    let probe = socket_with(address, dual_stack, |_| Ok(()))?;
    probe.listen(1)?; // without it, the kernel lets another process that listens with SO_REUSEADDR pass
    probe
        .local_addr()?
        .as_socket()
        .ok_or_else(|| io::Error::other("not an IP socket"))
}

fn socket_with(
    address: SocketAddr,
    dual_stack: bool,
    set: impl FnOnce(&Socket) -> io::Result<()>,
) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(!dual_stack)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    set(&socket)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_zero_is_one_port_for_all_workers() {
        let bound = bind("127.0.0.1:0".parse().unwrap(), false, 3, false).unwrap();
        let ports: Vec<u16> = bound
            .sockets
            .iter()
            .map(|one| one.local_addr().unwrap().port())
            .collect();
        assert_eq!(ports, [bound.address.port(); 3]);
        assert_ne!(bound.address.port(), 0);
    }

    #[test]
    fn an_address_that_somebody_holds_is_refused_even_if_they_share_ports() {
        let held = bind("127.0.0.1:0".parse().unwrap(), false, 2, false).unwrap();
        let error = bind(held.address, false, 1, false)
            .err()
            .map(|error| error.kind());
        assert_eq!(error, Some(io::ErrorKind::AddrInUse));
    }
}
