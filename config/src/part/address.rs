//! Addresses to bind.

use std::net::SocketAddr;

use crate::block::{At, problem::Report};

/// Parses `IP:PORT`.
pub(crate) fn socket(text: &At<String>, report: &mut Report) -> Option<SocketAddr> {
    let address = text.value.parse().ok();
    if address.is_none() {
        let message = format!("{:?} is not an address and port", text.value);
        report.error(&text.place, "bad-address", message, help(&text.value));
    }
    address
}

fn help(text: &str) -> String {
    const EXAMPLE: &str = "write it as \"127.0.0.1:8443\" or \"[::1]:8443\"";
    let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
    match (host, port.parse::<u16>()) {
        ("localhost", Ok(port)) => format!("write \"127.0.0.1:{port}\""),
        ("" | "*", Ok(port)) => format!("write \"[::]:{port}\" for all addresses"),
        (host, Ok(port)) if host.parse::<std::net::Ipv6Addr>().is_ok() => {
            format!("write \"[{host}]:{port}\"")
        }
        _ => EXAMPLE.to_owned(),
    }
}
