//! `listeners`: where the proxy accepts connections; each of its blocks has a file of its own.

pub(crate) mod client_address;
pub(crate) mod direction;
pub(crate) mod limits;
pub(crate) mod paths;
pub(crate) mod timeouts;
pub(crate) mod tls;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use serde_json::Value;

use crate::{
    block::{
        At, Int, Word, block,
        field::{narrow, word},
        name,
        problem::Report,
        show::{self, Object},
        words,
    },
    files::Files,
    listener::{
        client_address::ClientAddressBlock,
        direction::Direction,
        limits::{LimitsBlock, ListenerLimits},
        paths::{PathRules, PathsBlock},
        timeouts::{ListenerTimeouts, ListenerTimeoutsBlock},
        tls::{ServerTls, TlsBlock},
    },
    part::{address, cidr::Cidr},
};

block! {
    /// A listener.
    ListenerBlock {
        /// A DNS label, unique among listeners. Default `in-PORT` or `out-PORT`.
        "name" name: String,
        /// `inbound`: requests from outside to the app. `outbound`: requests from the app to the
        /// outside. Default inbound. An outbound listener serves only routes that name it.
        "direction" direction: Word<Direction>,
        /// Port to bind: on all addresses when inbound, on 127.0.0.1 when outbound. 0 selects a
        /// free port.
        "port" port: Int<0, 65535>,
        /// Address and port to bind, such as `127.0.0.1:8443` or `[::1]:8443`.
        "address" address: String,
        /// TLS towards clients. Default: plain text. Inbound listeners only.
        "tls" tls: TlsBlock,
        /// Which peers may report the client address.
        "clientAddress" client_address: ClientAddressBlock,
        /// Limits on what a peer may send.
        "limits" limits: LimitsBlock,
        /// Timeouts for clients.
        "timeouts" timeouts: ListenerTimeoutsBlock,
        /// How request paths are normalized.
        "paths" paths: PathsBlock,
        /// Handling of request header names that contain `_`: `reject` (400), `drop` or `keep`.
        /// Default reject.
        "underscoreHeaders" underscore_headers: Word<UnderscoreHeaders>,
    }
    one_of ["port", "address"]
}

/// One listener.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listener {
    /// Unique name; `in-PORT` or `out-PORT` by default.
    pub name: Arc<str>,
    /// Whether requests come from outside the pod or from the app.
    pub direction: Direction,
    /// The address to bind.
    pub address: ListenerAddress,
    /// TLS, if configured.
    pub tls: Option<Arc<ServerTls>>,
    /// Whether every connection begins with a PROXY header (v1 or v2), which only trusted peers may send.
    pub proxy_protocol: bool,
    /// Peers whose X-Forwarded-For and X-Request-Id are trusted.
    pub trusted_cidrs: Vec<Cidr>,
    /// Limits on what a peer may send.
    pub limits: ListenerLimits,
    /// Timeouts for clients.
    pub timeouts: ListenerTimeouts,
    /// How request paths are normalized.
    pub paths: PathRules,
    /// Handling of request header names that contain `_`. Default reject.
    pub underscore_headers: UnderscoreHeaders,
}

/// The address that a listener binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ListenerAddress {
    /// Address and port; port 0 selects a free port, the same for all workers and kept over
    /// reloads.
    pub socket: SocketAddr,
    /// `port: N` inbound: `[::]:N` that also takes IPv4, or `0.0.0.0:N` where the host has no IPv6.
    pub dual_stack: bool,
}

/// Handling of request header names that contain `_`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnderscoreHeaders {
    /// 400.
    Reject,
    /// The header is removed.
    Drop,
    /// The header is forwarded, unless it looks like one that the proxy owns.
    Keep,
}

words! {
    UnderscoreHeaders { "reject" => Reject, "drop" => Drop, "keep" => Keep }
}

/// The port of the default listener; unprivileged, and not the app's usual 8080.
const LISTENER_PORT: u16 = 8000;

/// Validates all listeners; without any in the file there is a default one.
pub(crate) fn accept(
    written: Option<&At<Vec<At<ListenerBlock>>>>,
    files: &mut Files<'_>,
    report: &mut Report,
) -> Vec<Listener> {
    let Some(written) = written else {
        let address = bind(Direction::Inbound, LISTENER_PORT);
        return vec![listener(
            &ListenerBlock::default(),
            Direction::Inbound,
            address,
            files,
            report,
        )];
    };
    if written.value.is_empty() {
        let help = "add a listener, or remove the key for the default listener on port 8000";
        report.error(
            &written.place,
            "empty-list",
            "the list of listeners is empty",
            help,
        );
    }
    let mut listeners = Vec::with_capacity(written.value.len());
    let mut taken = name::UsedNames::of("listener");
    for item in &written.value {
        let direction = word(&item.value.direction, Direction::Inbound);
        let address = listener_address(&item.value, direction, report);
        let listener = listener(&item.value, direction, address, files, report);
        let place = item
            .value
            .name
            .as_ref()
            .map_or(&item.place, |name| &name.place);
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
    let prefix = if direction == Direction::Inbound {
        "in"
    } else {
        "out"
    };
    let default_name = || format!("{prefix}-{}", address.socket.port());
    let client_address = block.client_address.as_ref();
    Listener {
        name: block
            .name
            .as_ref()
            .map_or_else(default_name, |name| name.value.clone())
            .into(),
        direction,
        address,
        tls: block
            .tls
            .as_ref()
            .and_then(|written| tls::accept(written, direction, files, report)),
        proxy_protocol: client_address::proxy_protocol(client_address, direction, report),
        trusted_cidrs: client_address::trusted_cidrs(client_address, report),
        limits: limits::accept(block.limits.as_ref().map(|at| &at.value), report),
        timeouts: timeouts::accept(block.timeouts.as_ref().map(|at| &at.value)),
        paths: paths::accept(block.paths.as_ref().map(|at| &at.value)),
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

fn listener_address(
    block: &ListenerBlock,
    direction: Direction,
    report: &mut Report,
) -> ListenerAddress {
    let port = block.port.as_ref().map_or(0, |port| narrow(port.value.0));
    let Some(written) = &block.address else {
        return bind(direction, port);
    };
    let Some(socket) = address::socket(written, report) else {
        return bind(direction, 0);
    };
    if direction == Direction::Outbound && !socket.ip().is_loopback() {
        let message = "an outbound listener must be on loopback: other pods could use it otherwise";
        report.warning(
            &written.place,
            "outbound-not-loopback",
            message,
            "bind 127.0.0.1 or [::1]",
        );
    }
    ListenerAddress {
        socket,
        dual_stack: false,
    }
}

/// Renders an accepted item.
pub(crate) fn show(listener: &Listener) -> Value {
    let socket = listener.address.socket;
    let object = Object::new()
        .with("name", &*listener.name)
        .with("direction", show::word(listener.direction));
    let object = match listener.address.dual_stack {
        true => object.with("port", socket.port()),
        false => object.with("address", socket.to_string()),
    };
    object
        .maybe("tls", listener.tls.as_deref().map(tls::show))
        .with(
            "clientAddress",
            client_address::show(&listener.trusted_cidrs, listener.proxy_protocol),
        )
        .with("limits", limits::show(&listener.limits))
        .with("timeouts", listener.timeouts.show())
        .with("paths", listener.paths.show())
        .with("underscoreHeaders", show::word(listener.underscore_headers))
        .into()
}
