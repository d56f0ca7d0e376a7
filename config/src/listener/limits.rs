//! `limits` of a listener: what a peer may send.

use crate::block::{
    Int, Size, block,
    field::{narrow, number, size_between},
    problem::Report,
    show::{Object, size},
};

block! {
    /// Limits on what a peer may send.
    LimitsBlock {
        /// Maximum bytes of a request head, 8KiB to 1MiB. Larger heads get 431. Default 64KiB.
        "headerBytes" header_bytes: Size,
        /// Maximum header fields of a request, 1 to 1000. More get 431. The cookies of an HTTP/2
        /// request count as one field with at most 500 crumbs. Default 100.
        "headers" headers: Int<1, 1000>,
        /// Maximum bytes of the request target, 64B to 64KiB. Longer targets get 414. Default
        /// 16KiB.
        "targetBytes" target_bytes: Size,
        /// Maximum bytes of a request body. Larger bodies get 413. Default unlimited.
        "bodyBytes" body_bytes: Size,
        /// Maximum open connections over all workers, from 1. At the limit, the longest idle
        /// connections are closed for a new one; while all are busy, the new one waits. Default:
        /// the minimum of 10 000, half of the file descriptor limit, and the memory limit / 64KiB.
        "connections" connections: Int<1, 10_000_000>,
        /// Maximum open connections of one client address, from 1; trusted CIDRs are exempt. At the
        /// limit, the longest idle connections of the address are closed for a new one; while all
        /// are busy, the new one is closed. Default 1000.
        "connectionsPerAddress" connections_per_address: Int<1, 10_000_000>,
        /// Maximum concurrent HTTP/2 streams of one connection, 1 to 10000. Default 128.
        "streams" streams: Int<1, 10_000>,
    }
}

/// Limits on what a peer may send; each has its own response (`docs/operations.md`, "Flags").
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListenerLimits {
    /// Maximum bytes of a request head. Default 64 KiB.
    pub header_bytes: usize,
    /// Maximum header fields; the cookie crumbs of HTTP/2 count as one. Default 100.
    pub headers: usize,
    /// Maximum bytes of the request target. Default 16 KiB.
    pub target_bytes: usize,
    /// Maximum bytes of a request body; `None` is unlimited, the default.
    pub body_bytes: Option<u64>,
    /// Maximum open connections, over all workers; `None`: min(10 000, half the fd limit, memory
    /// limit / 64 KiB).
    pub connections: Option<usize>,
    /// Maximum open connections of one client address; trusted CIDRs are exempt. Default 1 000.
    pub connections_per_address: usize,
    /// Maximum concurrent HTTP/2 streams of one connection. Default 128.
    pub streams: u32,
}

impl Default for ListenerLimits {
    /// The defaults that the fields document.
    fn default() -> Self {
        Self {
            header_bytes: 64 * 1024,
            headers: 100,
            target_bytes: 16 * 1024,
            body_bytes: None,
            connections: None,
            connections_per_address: 1_000,
            streams: 128,
        }
    }
}

/// Room for large cookies and tokens; four times nginx's default.
const HEADER_BYTES: u64 = 64 << 10;

/// hyper's own default.
const HEADERS: u64 = 100;

/// Longer than any browser sends.
const TARGET_BYTES: u64 = 16 << 10;

/// A single client that is not behind NAT needs no more.
const CONNECTIONS_PER_ADDRESS: u64 = 1000;

/// More than the minimum of 100 that RFC 9113 section 6.5.2 recommends.
const STREAMS: u64 = 128;

/// Range of `headerBytes`: 8 KiB to 1 MiB.
const HEADER_BYTES_RANGE: (u64, u64) = (8 << 10, 1 << 20);

const TARGET_BYTES_RANGE: (u64, u64) = (64, 64 << 10);

/// Validates the block.
pub(crate) fn accept(block: Option<&LimitsBlock>, report: &mut Report) -> ListenerLimits {
    let none = LimitsBlock::default();
    let block = block.unwrap_or(&none);
    let (header, target) = (&block.header_bytes, &block.target_bytes);
    ListenerLimits {
        header_bytes: size_between(
            header,
            HEADER_BYTES,
            HEADER_BYTES_RANGE,
            "8KiB to 1MiB",
            report,
        ),
        headers: narrow(number(&block.headers, HEADERS)),
        target_bytes: size_between(
            target,
            TARGET_BYTES,
            TARGET_BYTES_RANGE,
            "64B to 64KiB",
            report,
        ),
        body_bytes: block.body_bytes.as_ref().map(|size| size.value.0),
        connections: block
            .connections
            .as_ref()
            .map(|number| narrow(number.value.0)),
        connections_per_address: narrow(number(
            &block.connections_per_address,
            CONNECTIONS_PER_ADDRESS,
        )),
        streams: narrow(number(&block.streams, STREAMS)),
    }
}

/// Renders the accepted value.
pub(crate) fn show(limits: &ListenerLimits) -> Object {
    let bytes = |bytes: usize| size(u64::try_from(bytes).unwrap_or(u64::MAX));
    Object::new()
        .with("headerBytes", bytes(limits.header_bytes))
        .with("headers", limits.headers)
        .with("targetBytes", bytes(limits.target_bytes))
        .maybe("bodyBytes", limits.body_bytes.map(size))
        .maybe("connections", limits.connections)
        .with("connectionsPerAddress", limits.connections_per_address)
        .with("streams", limits.streams)
}
