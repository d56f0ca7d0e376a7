//! An item of `listeners`.

use crate::{
    block::{At, Flag, Int, Size, Time, Word, block},
    model::{Direction, UnderscoreHeaders},
    part::path::EncodedSlash,
    schema::TlsBlock,
};

block! {
    /// Where requests come in.
    ListenerBlock {
        /// A DNS label, unique among listeners. Default `in-PORT` or `out-PORT`.
        "name" name: String,
        /// `inbound` from outside towards the app, `outbound` from the app to the outside. Default inbound. An outbound listener serves only routes that name it.
        "direction" direction: Word<Direction>,
        /// Port to bind: on all addresses when inbound, on 127.0.0.1 when outbound. 0 is any free port.
        "port" port: Int<0, 65535>,
        /// Address and port to bind, such as `127.0.0.1:8443` or `[::1]:8443`.
        "address" address: String,
        /// TLS towards clients. Default: plain text. Inbound listeners only.
        "tls" tls: TlsBlock,
        /// Whose word about the client's address is believed.
        "clientAddress" client_address: ClientAddressBlock,
        /// Limits on what a peer may send.
        "limits" limits: LimitsBlock,
        /// How long a peer may take.
        "timeouts" timeouts: ListenerTimeoutsBlock,
        /// How request paths are made canonical.
        "paths" paths: PathsBlock,
        /// What happens to a request header name with `_` in it: `reject` (400), `drop` or `keep`. Default reject.
        "underscoreHeaders" underscore_headers: Word<UnderscoreHeaders>,
    }
    one_of ["port", "address"]
}

block! {
    /// Whose word about the client's address is believed.
    ClientAddressBlock {
        /// Peers whose X-Forwarded-For and X-Request-Id are believed, such as 10.0.0.0/8. Default none.
        "trustedCIDRs" trusted_cidrs: Vec<At<String>>,
        /// Whether every connection begins with a PROXY header (version 1 or 2), whose source is then the client's address. Only `trustedCIDRs` may connect; any other peer is closed, and so is a connection without the header. Default false. Inbound listeners only.
        "proxyProtocol" proxy_protocol: Flag,
    }
}

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

block! {
    /// How long a peer may take; 0s switches one off.
    ListenerTimeoutsBlock {
        /// From the accepted connection to the end of the TLS handshake, a PROXY header included. Default 10s.
        "tlsHandshake" tls_handshake: Time,
        /// From the first byte of a request head to its last. Default 10s; then 408.
        "requestHeaders" request_headers: Time,
        /// Without a byte of a request body, before the response head (408) or after the end of the response; or without a byte that the client takes of a response. Default 30s.
        "bodyIdle" body_idle: Time,
        /// Between two requests of one connection. Default 60s.
        "idle" idle: Time,
        /// Age at which a connection is asked to end. Default 0s, which is off.
        "connectionAge" connection_age: Time,
    }
}

block! {
    /// How request paths are made canonical.
    PathsBlock {
        /// What happens to %2f in a path: `reject` (400) or `keep`. Default reject.
        "encodedSlash" encoded_slash: Word<EncodedSlash>,
        /// Whether // becomes /. Default true.
        "mergeSlashes" merge_slashes: Flag,
    }
}
