//! `/proc/net/tcp` and `/proc/net/tcp6`, which name every socket of the namespace in one line each.
//!
//! There may be ten thousand lines, so that only those of the app's port are looked at, and only those of listening sockets are
//! parsed whole; connections are counted by two columns. The kernel lists listening sockets before connections. A dual-stack
//! listener and all its connections stand in `tcp6`.

use std::{
    io::{self, BufRead},
    net::{IpAddr, SocketAddr},
};

use procfs_core::{ExplicitSystemInfo, FromBufReadSI, net::TcpNetEntries};

use super::Sockets;

/// `TCP_LISTEN`.
const LISTEN: &[u8] = b"0A";

/// The parser skips the line of headings.
const HEADING: &[u8] = b"heading\n";

/// Only the byte order matters to lines of sockets.
const SYSTEM: ExplicitSystemInfo = ExplicitSystemInfo {
    boot_time_secs: 0,
    ticks_per_second: 100,
    page_size: 4096,
    is_little_endian: cfg!(target_endian = "little"),
};

/// Adds what one of the files says about the app.
pub(super) fn read(
    mut file: impl BufRead,
    app: SocketAddr,
    is_v6: bool,
    sockets: &mut Sockets,
) -> io::Result<()> {
    let port = format!("{:04X}", app.port());
    let own = address(app.ip(), is_v6);
    let mut takes_all = false;
    let mut line = Vec::new();
    loop {
        line.clear();
        if file.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let mut columns = line
            .split(|byte| *byte == b' ')
            .filter(|column| !column.is_empty());
        let Some((ip, found)) = columns.nth(1).and_then(|local| halves(local)) else {
            continue;
        };
        if found != port.as_bytes() {
            continue;
        }
        let is_any = ip.iter().all(|digit| *digit == b'0');
        let is_own = own.as_ref().is_some_and(|own| own.as_bytes() == ip);
        match columns.nth(1) {
            Some(LISTEN) if is_any || is_own => {
                takes_all |= is_any;
                listener(&line, sockets);
            }
            Some(LISTEN) => {} // another server, on another address
            Some(state) if takes_all || is_own => count(state, sockets),
            _ => {}
        }
    }
}

/// Address and port of a column.
fn halves(column: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = column.iter().rposition(|byte| *byte == b':')?;
    Some((&column[..colon], &column[colon + 1..]))
}

fn count(state: &[u8], sockets: &mut Sockets) {
    let number = std::str::from_utf8(state).ok();
    let number = number.and_then(|hex| usize::from_str_radix(hex, 16).ok());
    let place = number.and_then(|number| sockets.connections.get_mut(number.checked_sub(1)?));
    if let Some(count) = place {
        *count += 1;
    }
}

/// A listening socket: what the kernel calls its receive queue are connections that wait to be accepted.
fn listener(line: &[u8], sockets: &mut Sockets) {
    let text = [HEADING, line].concat();
    let Ok(TcpNetEntries(entries)) = TcpNetEntries::from_buf_read(&text[..], &SYSTEM) else {
        return;
    };
    for entry in entries {
        sockets.listeners += 1;
        *sockets.waiting.get_or_insert_default() += u64::from(entry.rx_queue);
        sockets.inodes.push(entry.inode);
    }
}

/// An address as these files write it: words of 32 bits in the byte order of the host.
fn address(ip: IpAddr, is_v6: bool) -> Option<String> {
    let octets = match (ip, is_v6) {
        (IpAddr::V4(ip), false) => ip.octets().to_vec(),
        (IpAddr::V4(ip), true) => ip.to_ipv6_mapped().octets().to_vec(),
        (IpAddr::V6(ip), true) => ip.octets().to_vec(),
        (IpAddr::V6(_), false) => return None,
    };
    let words = octets.as_chunks::<4>().0.iter();
    Some(
        words
            .map(|word| format!("{:08X}", u32::from_ne_bytes(*word)))
            .collect(),
    )
}
