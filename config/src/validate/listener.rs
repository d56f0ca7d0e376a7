//! Listeners.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::{
    block::{
        At,
        field::{Field, flag, narrow, number, size_between, time_or_off, word},
        name,
        problem::Report,
    },
    files::Files,
    model::{
        Direction, Listener, ListenerAddress, ListenerLimits, ListenerTimeouts, PathRules, UnderscoreHeaders,
    },
    part::{
        address,
        cidr::{self, Cidr},
        path::EncodedSlash,
    },
    schema::{ClientAddressBlock, LimitsBlock, ListenerBlock, ListenerTimeoutsBlock, PathsBlock},
    validate::{defaults, tls},
};

/// hyper refuses a smaller buffer.
const HEADER_BYTES: (u64, u64) = (8 << 10, 1 << 20);

const TARGET_BYTES: (u64, u64) = (64, 64 << 10);

/// Checks all listeners; there is one when the file names none.
pub(crate) fn listeners(
    written: Option<&At<Vec<At<ListenerBlock>>>>,
    files: &mut Files<'_>,
    report: &mut Report,
) -> Vec<Listener> {
    let Some(written) = written else {
        let address = bind(Direction::Inbound, defaults::LISTENER_PORT);
        return vec![listener(&ListenerBlock::default(), Direction::Inbound, address, files, report)];
    };
    if written.value.is_empty() {
        let help = "add a listener, or remove the key for one on port 8000";
        report.error(&written.place, "empty-list", "there is no listener", help);
    }
    let mut listeners = Vec::with_capacity(written.value.len());
    let mut taken = name::Taken::of("listener");
    for item in &written.value {
        let direction = word(&item.value.direction, Direction::Inbound);
        let address = listener_address(&item.value, direction, report);
        let listener = listener(&item.value, direction, address, files, report);
        let place = item.value.name.as_ref().map_or(&item.place, |name| &name.place);
        if item.value.name.is_some() {
            name::check(&listener.name, place, report);
        }
        taken.take(&listener.name, place, report);
        listeners.push(listener);
    }
    listeners
}

fn listener(
    block: &ListenerBlock,
    direction: Direction,
    address: ListenerAddress,
    files: &mut Files<'_>,
    report: &mut Report,
) -> Listener {
    let prefix = if direction == Direction::Inbound { "in" } else { "out" };
    let default_name = || format!("{prefix}-{}", address.socket.port());
    let client_address = block.client_address.as_ref();
    Listener {
        name: block.name.as_ref().map_or_else(default_name, |name| name.value.clone()).into(),
        direction,
        address,
        tls: block.tls.as_ref().and_then(|written| tls::server(written, direction, files, report)),
        proxy_protocol: proxy_protocol(client_address, direction, report),
        trusted_cidrs: trusted_cidrs(client_address, report),
        limits: limits(block.limits.as_ref().map(|at| &at.value), report),
        timeouts: timeouts(block.timeouts.as_ref().map(|at| &at.value)),
        paths: paths(block.paths.as_ref().map(|at| &at.value)),
        underscore_headers: word(&block.underscore_headers, UnderscoreHeaders::Reject),
    }
}

fn bind(direction: Direction, port: u16) -> ListenerAddress {
    match direction {
        Direction::Inbound => ListenerAddress {
            socket: SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port),
            dual_stack: true,
        },
        Direction::Outbound => ListenerAddress {
            socket: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port),
            dual_stack: false,
        },
    }
}

fn listener_address(block: &ListenerBlock, direction: Direction, report: &mut Report) -> ListenerAddress {
    let port = block.port.as_ref().map_or(0, |port| narrow(port.value.0));
    let Some(written) = &block.address else { return bind(direction, port) };
    let Some(socket) = address::socket(written, report) else { return bind(direction, 0) };
    if direction == Direction::Outbound && !socket.ip().is_loopback() {
        let message = "an outbound listener off loopback lets other pods send through this one";
        report.warning(&written.place, "outbound-not-loopback", message, "bind 127.0.0.1 or [::1]");
    }
    ListenerAddress { socket, dual_stack: false }
}

fn trusted_cidrs(block: Option<&At<ClientAddressBlock>>, report: &mut Report) -> Vec<Cidr> {
    let written = block.and_then(|block| block.value.trusted_cidrs.as_ref());
    let items = written.map_or(&[][..], |items| &items.value);
    items.iter().filter_map(|item| cidr::accept(&item.value, &item.place, report)).collect()
}

/// Whoever may send the header may claim any address, so nobody may who is not named.
fn proxy_protocol(block: Option<&At<ClientAddressBlock>>, direction: Direction, report: &mut Report) -> bool {
    let Some(block) = block.map(|block| &block.value) else { return false };
    let Some(written) = block.proxy_protocol.as_ref().filter(|written| written.value.0) else { return false };
    if direction == Direction::Outbound {
        let message = "an outbound listener takes requests from the app, which sends no PROXY header";
        report.error(&written.place, "proxy-protocol-outbound", message, "remove `proxyProtocol`");
    } else if block.trusted_cidrs.as_ref().is_none_or(|cidrs| cidrs.value.is_empty()) {
        let message = "anybody could claim any address: nobody is named that may send the PROXY header";
        let help = "write the load balancer's addresses as `trustedCIDRs: [10.0.0.0/8]` beside it";
        report.error(&written.place, "proxy-protocol-untrusted", message, help);
    }
    true
}

fn limits(block: Option<&LimitsBlock>, report: &mut Report) -> ListenerLimits {
    let none = LimitsBlock::default();
    let block = block.unwrap_or(&none);
    let (header, target) = (&block.header_bytes, &block.target_bytes);
    ListenerLimits {
        header_bytes: size_between(header, defaults::HEADER_BYTES, HEADER_BYTES, "8KiB to 1MiB", report),
        headers: narrow(number(&block.headers, defaults::HEADERS)),
        target_bytes: size_between(target, defaults::TARGET_BYTES, TARGET_BYTES, "64B to 64KiB", report),
        body_bytes: block.body_bytes.as_ref().map(|size| size.value.0),
        connections: block.connections.as_ref().map(|number| narrow(number.value.0)),
        connections_per_address: narrow(number(
            &block.connections_per_address,
            defaults::CONNECTIONS_PER_ADDRESS,
        )),
        streams: narrow(number(&block.streams, defaults::STREAMS)),
    }
}

fn timeouts(block: Option<&ListenerTimeoutsBlock>) -> ListenerTimeouts {
    let field = |get: fn(&ListenerTimeoutsBlock) -> &Field<_>, default| match block {
        Some(block) => time_or_off(get(block), default),
        None => default,
    };
    ListenerTimeouts {
        tls_handshake: field(|block| &block.tls_handshake, Some(defaults::TLS_HANDSHAKE)),
        request_headers: field(|block| &block.request_headers, Some(defaults::REQUEST_HEADERS_TIMEOUT)),
        body_idle: field(|block| &block.body_idle, Some(defaults::BODY_IDLE)),
        idle: field(|block| &block.idle, Some(defaults::IDLE)),
        connection_age: field(|block| &block.connection_age, None),
    }
}

fn paths(block: Option<&PathsBlock>) -> PathRules {
    PathRules {
        encoded_slash: block
            .map_or(EncodedSlash::Reject, |block| word(&block.encoded_slash, EncodedSlash::Reject)),
        merge_slashes: block.is_none_or(|block| flag(&block.merge_slashes, true)),
    }
}
