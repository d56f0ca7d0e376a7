//! Opens listening sockets: one per worker on the same address.
//!
//! SO_REUSEPORT lets the kernel spread connections over the workers. It would also let a second
//! process bind the address, and port 0 would give every worker its own port. So a plain socket
//! probes the address first, and all workers bind the port of the probe.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that the kernel queues before they are accepted.
const BACKLOG: i32 = 4096;

/// The sockets of one address, one per worker, and the bound address.
pub(crate) struct Bound {
    /// One for each worker, non-blocking.
    pub sockets: Vec<TcpListener>,
    /// With the actual port where port 0 was configured.
    pub address: SocketAddr,
}

/// Binds `address` `count` times. `dual_stack` accepts IPv4 on an IPv6 address too, and falls back
/// to IPv4 only on a host without IPv6. `ours`: this process already holds the address, and shares
/// it.
///
/// # Errors
/// The address is in use by another process, or not allowed.
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
    // EAFNOSUPPORT: no IPv6 in the kernel; EADDRNOTAVAIL: disabled by sysctl.
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

/// Binds the address exclusively for a moment; returns the address with its actual port.
fn probe(address: SocketAddr, dual_stack: bool) -> io::Result<SocketAddr> {
    let probe = socket_with(address, dual_stack, |_| Ok(()))?;
    // Without it, the kernel allows another process that listens with SO_REUSEADDR.
    probe.listen(1)?;
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
    fn an_address_in_use_is_rejected_even_with_shared_ports() {
        let held = bind("127.0.0.1:0".parse().unwrap(), false, 2, false).unwrap();
        let error = bind(held.address, false, 1, false)
            .err()
            .map(|error| error.kind());
        assert_eq!(error, Some(io::ErrorKind::AddrInUse));
    }
}
