//! Sockets of the app's address in the network namespace of the pod: its accept queue and its connections by state.
//!
//! The files are those of the namespace of the reading process, which is that of the whole pod; no rights are needed.

mod backlog;
mod tcp;
mod unix;

use std::{fs::File, io::BufReader, path::Path};

use outrigger_config::model::AppAddress;

use crate::roots::{Roots, read_text};

/// Read at a time; a line has about 150 bytes.
const BUFFER: usize = 32 * 1024;

/// The states of a connection, as `ss` names them, in the order of the kernel's numbers (`include/net/tcp_states.h`).
pub const STATES: [&str; 12] = [
    "established",
    "syn_sent",
    "syn_recv",
    "fin_wait1",
    "fin_wait2",
    "time_wait",
    "close",
    "close_wait",
    "last_ack",
    "listen",
    "closing",
    "new_syn_recv",
];

/// What is known of the app's sockets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sockets {
    /// Sockets that listen on the app's address; 0 when the app does not listen.
    pub listeners: u64,
    /// Connections that wait for the app to accept them. `None` when the app does not listen.
    pub waiting: Option<u64>,
    /// How many connections may wait: the smaller one of the app's backlog and `net.core.somaxconn`. `None` for a Unix socket, and where
    /// the kernel does not say.
    pub queue_limit: Option<u64>,
    /// Connections by the index of their state in [`STATES`].
    pub connections: [u64; STATES.len()],
    /// Connections that the kernel dropped because an accept queue was full: any one of the pod, since the pod started.
    pub overflows: Option<u64>,
    /// The inodes of the listening sockets.
    pub(crate) inodes: Vec<u64>,
}

/// Reads the sockets of the app. `None` when no file of the kernel could be read.
pub fn read(roots: &Roots, app: &AppAddress) -> Option<Sockets> {
    let net = roots.proc.join("net");
    let open = |name: &str| {
        Some(BufReader::with_capacity(
            BUFFER,
            File::open(net.join(name)).ok()?,
        ))
    };
    let mut sockets = Sockets::default();
    let read = match app {
        AppAddress::Tcp(address) => {
            let mut read = |name: &str, is_v6: bool| {
                open(name)
                    .is_some_and(|file| tcp::read(file, *address, is_v6, &mut sockets).is_ok())
            };
            let (v4, v6) = (read("tcp", false), read("tcp6", true));
            v4 || v6
        }
        AppAddress::Unix(path) => {
            open("unix").is_some_and(|file| unix::read(file, path, &mut sockets).is_ok())
        }
    };
    if !read {
        return None;
    }
    if let AppAddress::Tcp(address) = app {
        sockets.queue_limit = backlog::limit(address.ip(), address.port(), &sockets.inodes);
    }
    sockets.overflows = overflows(&net);
    Some(sockets)
}

/// `TcpExt: … ListenOverflows …` in `/proc/net/netstat`: one line of names, one of values.
fn overflows(net: &Path) -> Option<u64> {
    let text = read_text(&net.join("netstat"))?;
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("TcpExt:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let mut pairs = names.split_whitespace().zip(values.split_whitespace());
    let (_, value) = pairs.find(|(name, _)| *name == "ListenOverflows")?;
    value.parse().ok()
}
