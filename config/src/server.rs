//! `status` and `admin`: addresses of the proxy's own servers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde_json::{Value as Json, json};

use crate::{
    block::{
        At, Read, Reader, block, inline_schema, json,
        node::{Node, Value},
        problem::{Place, Report},
    },
    part::address,
};

block! {
    /// Address of one of the proxy's own servers.
    ServerBlock {
        /// Address and port, such as `[::]:9902`; port 0 selects a free port.
        "address" address: String,
    }
    required ["address"]
}

/// `off`, or a server.
#[derive(Debug, Clone)]
pub(crate) enum ServerOrOff {
    Off,
    On(ServerBlock),
}

impl Read for ServerOrOff {
    fn read(node: &Node, place: &Place, reader: &mut Reader<'_>) -> Option<Self> {
        const HELP: &str = "write { address: \"IP:PORT\" }, or off";
        match &node.value {
            Value::Map(_) => ServerBlock::read(node, place, reader).map(Self::On),
            Value::Text(text) => {
                let (text, _) = reader.substituted(text, place)?;
                if text == "off" {
                    return Some(Self::Off);
                }
                reader.mismatch(node, place, "a map with an address, or off", HELP);
                None
            }
            _ => {
                reader.mismatch(node, place, "a map with an address, or off", HELP);
                None
            }
        }
    }
}

inline_schema!([] ServerOrOff, |generator| {
    json::object(json!({
        "anyOf": [generator.subschema_for::<ServerBlock>(), json::or_variable(json!({ "const": "off" }))],
    }))
});

/// The address of the status or admin server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ServerAddress {
    /// Address and port; port 0 selects a free port. An unspecified IPv6 address also accepts IPv4.
    pub socket: SocketAddr,
}

/// Probes come from the node's kubelet, so the status server listens on all addresses.
const STATUS: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 9902);

/// The admin server can drain and reload, so it never leaves loopback.
const ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9901);

pub(crate) fn status(
    written: Option<&At<ServerOrOff>>,
    report: &mut Report,
) -> Option<ServerAddress> {
    server(written, STATUS, report)
}

/// The admin server, which must be on loopback.
pub(crate) fn admin(
    written: Option<&At<ServerOrOff>>,
    report: &mut Report,
) -> Option<ServerAddress> {
    let server = server(written, ADMIN, report)?;
    if !server.socket.ip().is_loopback() {
        let place = written.and_then(|written| match &written.value {
            ServerOrOff::On(block) => block.address.as_ref().map(|address| &address.place),
            ServerOrOff::Off => None,
        });
        if let Some(place) = place {
            let message =
                "the admin server can drain and reload the proxy, so it must be on loopback";
            let help = format!("write \"127.0.0.1:{}\"", server.socket.port());
            report.error(place, "not-loopback", message, help);
        }
    }
    Some(server)
}

fn server(
    written: Option<&At<ServerOrOff>>,
    default: SocketAddr,
    report: &mut Report,
) -> Option<ServerAddress> {
    let block = match written.map(|written| &written.value) {
        Some(ServerOrOff::Off) => return None,
        Some(ServerOrOff::On(block)) => block,
        None => return Some(ServerAddress { socket: default }),
    };
    let socket = block
        .address
        .as_ref()
        .and_then(|text| address::socket(text, report));
    Some(ServerAddress {
        socket: socket.unwrap_or(default),
    })
}

/// Renders the accepted value.
pub(crate) fn show(server: Option<ServerAddress>) -> Json {
    match server {
        Some(server) => json!({ "address": server.socket.to_string() }),
        None => "off".into(),
    }
}
