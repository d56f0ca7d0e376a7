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
        /// Bytes of a request head, 8KiB to 1MiB. Default 64KiB; over it 431.
        "headerBytes" header_bytes: Size,
        /// Header fields of a request, 1 to 1000; the cookies of an HTTP/2 request are one field, of at most 500 crumbs. Default 100; over it 431.
        "headers" headers: Int<1, 1000>,
        /// Bytes of the request target, 64B to 64KiB. Default 16KiB; over it 414.
        "targetBytes" target_bytes: Size,
        /// Bytes of a request body. Default unlimited; over it 413.
        "bodyBytes" body_bytes: Size,
        /// Open connections over all workers, from 1. At the limit the connections that have been idle longest are closed for a new one; while all are busy it waits. Default: the least of 10 000, half the fd limit, and the memory limit / 64KiB.
        "connections" connections: Int<1, 10_000_000>,
        /// Open connections of one client address, from 1; trusted CIDRs are exempt. At the limit the connections of the address that have been idle longest are closed for a new one; while all are busy it is closed. Default 1000.
        "connectionsPerAddress" connections_per_address: Int<1, 10_000_000>,
        /// Concurrent HTTP/2 streams of one connection, 1 to 10000. Default 128.
        "streams" streams: Int<1, 10_000>,
    }
}

/// Limits on what a peer may send; each has its own answer (`docs/operations.md`, "Flags").
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListenerLimits {
    /// Bytes of a request head. Default 64 KiB.
    pub header_bytes: usize,
    /// Header fields; the cookie crumbs of HTTP/2 are one. Default 100.
    pub headers: usize,
    /// Bytes of the request target. Default 16 KiB.
    pub target_bytes: usize,
    /// Bytes of a request body; `None` is unlimited, the default.
    pub body_bytes: Option<u64>,
    /// Open connections, over all workers; `None`: min(10 000, half the fd limit, memory limit / 64 KiB).
    pub connections: Option<usize>,
    /// Open connections of one client address; trusted CIDRs are exempt. Default 1 000.
    pub connections_per_address: usize,
    /// Concurrent HTTP/2 streams of one connection. Default 128.
    pub streams: u32,
}

impl Default for ListenerLimits {
    /// The defaults named at the fields.
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

/// One client behind no NAT has no use for more.
const CONNECTIONS_PER_ADDRESS: u64 = 1000;

/// Over the 100 that RFC 9113 section 6.5.2 asks for at least.
const STREAMS: u64 = 128;

/// hyper refuses a smaller buffer.
const HEADER_BYTES_RANGE: (u64, u64) = (8 << 10, 1 << 20);

const TARGET_BYTES_RANGE: (u64, u64) = (64, 64 << 10);

/// Checks what was written.
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

/// Shows what was accepted.
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
