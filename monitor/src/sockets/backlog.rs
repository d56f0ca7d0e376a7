//! How many connections may wait on a listening socket: `/proc` does not show that, and the kernel's `sock_diag` does, as it does to `ss`.
//!
//! The answer comes at once, from the network namespace of this process, and needs no rights. Where the kernel has no `tcp_diag`, or a
//! sandbox forbids netlink, nothing is known.

use std::{
    io::{self, Read, Write},
    net::IpAddr,
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, Type};

/// `AF_NETLINK` and `NETLINK_SOCK_DIAG`.
const NETLINK: i32 = 16;
const SOCK_DIAG: i32 = 4;

/// `SOCK_DIAG_BY_FAMILY`, with `NLM_F_REQUEST | NLM_F_DUMP`: all sockets that fit.
const BY_FAMILY: u16 = 20;
const DUMP: u16 = 0x301;

/// `AF_INET`, `AF_INET6`, `IPPROTO_TCP`.
const INET: u8 = 2;
const INET6: u8 = 10;
const TCP: u8 = 6;

/// The states asked for: `1 << TCP_LISTEN`.
const LISTENING: u32 = 1 << 10;

/// Bytes of `nlmsghdr`, and of `inet_diag_msg`.
const HEADER: usize = 16;
const MESSAGE: usize = 72;

/// The kernel answers while the request is sent; this is for one that does not.
const PATIENCE: Duration = Duration::from_millis(100);

/// The sum of the limits of the sockets with these inodes that listen on `port`; `None` where one of them is not known.
pub(super) fn limit(app: IpAddr, port: u16, inodes: &[u64]) -> Option<u64> {
    let mut found: Vec<(u64, u64)> = listening(INET6, port).ok()?;
    if app.is_ipv4() {
        found.extend(listening(INET, port).ok()?);
    }
    let limit_of = |inode: &u64| {
        let mut all = found.iter();
        all.find(|(one, _)| one == inode).map(|(_, limit)| *limit)
    };
    let limits: Option<Vec<u64>> = inodes.iter().map(limit_of).collect();
    limits
        .filter(|limits| !limits.is_empty())
        .map(|limits| limits.iter().sum())
}

/// Inodes and limits of the sockets of one family that listen on `port`.
fn listening(family: u8, port: u16) -> io::Result<Vec<(u64, u64)>> {
    let mut socket = Socket::new(
        Domain::from(NETLINK),
        Type::DGRAM,
        Some(Protocol::from(SOCK_DIAG)),
    )?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.write_all(&request(family, port))?;
    let mut found = Vec::new();
    let mut buffer = vec![0; 32 * 1024];
    loop {
        let read = socket.read(&mut buffer)?;
        if read == 0 || !messages(&buffer[..read], &mut found) {
            return Ok(found);
        }
    }
}

/// `nlmsghdr` and `inet_diag_req_v2` (`linux/inet_diag.h`).
fn request(family: u8, port: u16) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(MESSAGE);
    bytes.extend_from_slice(&(MESSAGE as u32).to_ne_bytes());
    bytes.extend_from_slice(&BY_FAMILY.to_ne_bytes());
    bytes.extend_from_slice(&DUMP.to_ne_bytes());
    bytes.extend_from_slice(&[0; 8]); // sequence and sender
    bytes.extend_from_slice(&[family, TCP, 0, 0]);
    bytes.extend_from_slice(&LISTENING.to_ne_bytes());
    bytes.extend_from_slice(&port.to_be_bytes());
    bytes.resize(MESSAGE, 0); // any other port, address and interface
    bytes
}

/// Reads the messages of one datagram; whether more follow.
fn messages(mut bytes: &[u8], found: &mut Vec<(u64, u64)>) -> bool {
    while let Some((header, _)) = bytes.split_first_chunk::<HEADER>() {
        let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let kind = u16::from_ne_bytes([header[4], header[5]]);
        let Some(message) = bytes.get(HEADER..length).filter(|_| kind == BY_FAMILY) else {
            return false; // the end, or an error
        };
        found.extend(socket(message));
        // Messages begin at multiples of four bytes.
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    true
}

/// `inet_diag_msg`: of a listening socket `idiag_wqueue` is the limit of its queue.
fn socket(message: &[u8]) -> Option<(u64, u64)> {
    let word = |at: usize| {
        Some(u32::from_ne_bytes(
            message.get(at..at + 4)?.try_into().ok()?,
        ))
    };
    Some((word(68)?.into(), word(60)?.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_that_are_cut_are_passed_over() {
        let mut whole = request(INET, 80);
        whole.resize(HEADER + MESSAGE, 7);
        whole[..4].copy_from_slice(&((HEADER + MESSAGE) as u32).to_ne_bytes());
        for length in 0..whole.len() {
            let mut found = Vec::new();
            messages(&whole[..length], &mut found);
            assert_eq!(found, [], "{length}");
        }
        let mut found = Vec::new();
        assert!(messages(&whole, &mut found));
        assert_eq!(found, [(0x0707_0707, 0x0707_0707)]);
    }
}
