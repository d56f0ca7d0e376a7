//! Running the process: workers, status and admin addresses, reload, lifecycle.

use std::{net::SocketAddr, time::Duration};

/// How many worker threads serve requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workers {
    /// The CPUs this process may use (affinity and cgroup quota), at most 2.
    Auto,
    /// Exactly so many, 1-64.
    Fixed(u16),
}

/// Where the status or admin server listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ServerAddress {
    /// Address and port; port 0 is a free one. An unspecified IPv6 address also takes IPv4.
    pub socket: SocketAddr,
}

/// The `reload` block.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reload {
    /// Whether the file's directory is watched. Default true.
    pub watch: bool,
    /// Fixed window from the first event to the reload. Default 500 ms.
    pub debounce: Duration,
    /// How often a content hash is compared; `None` for `0s`. Default 10 s.
    pub poll: Option<Duration>,
}

/// The `lifecycle` block.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lifecycle {
    /// Time between the start of a drain and the first connection that is asked to end. Default 5 s.
    pub shutdown_delay: Duration,
    /// Time for requests in flight after that. Default 20 s.
    pub drain_timeout: Duration,
    /// Time for the access log to reach stdout at exit. Default 1 s.
    pub log_flush_timeout: Duration,
}
