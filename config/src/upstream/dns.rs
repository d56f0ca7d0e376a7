//! `dns` of an upstream: a name that resolves to the endpoints.

use std::sync::Arc;

use crate::{
    block::{
        At, Int, Word, block,
        field::{narrow, word},
        problem::Report,
        show::{Object, text},
        words,
    },
    part::url::{self, EndpointAddress},
    tls::client::ClientTls,
};

block! {
    /// A DNS name that resolves to the endpoints. When a lookup fails, the last good result stays
    /// in use. Addresses that are removed get no new requests.
    DnsBlock {
        /// The name, such as `search.prod.svc.cluster.local.`; without a trailing dot the search
        /// domains of resolv.conf are tried.
        "name" name: String,
        /// The port of the endpoints, 1 to 65535; with SRV it comes from the DNS response.
        "port" port: Int<1, 65535>,
        /// `A`: each address is an endpoint (IPv4 if there are any, else IPv6). `SRV`: each service
        /// of the best priority is an endpoint with its weight. Default A.
        "type" kind: Word<DnsType>,
    }
    required ["name"]
}

/// The record type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DnsType {
    A,
    Srv,
}

words! {
    DnsType { "A" => A, "SRV" => Srv }
}

/// `dns`: a name that resolves to the endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NamedEndpoints {
    /// The name; with a trailing dot no search domains are tried.
    pub name: Arc<str>,
    /// The record type.
    pub kind: DnsKind,
    /// Name and port as in a Host header.
    pub authority: Arc<str>,
}

/// The record type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DnsKind {
    /// Addresses, all with this port.
    Addresses {
        /// The port.
        port: u16,
    },
    /// Services, with ports from the response (RFC 2782).
    Services,
}

/// Validates `dns`; `None` when a problem was reported.
pub(crate) fn accept(
    block: &DnsBlock,
    tls: Option<&ClientTls>,
    report: &mut Report,
) -> Option<NamedEndpoints> {
    let kind = kind(block, tls, report);
    let written = block.name.as_ref()?;
    let Ok(EndpointAddress::Host { name, .. }) = url::address(&written.value, 1) else {
        let message = format!("{:?} is not a valid DNS name", written.value);
        let help =
            "write a name such as search.prod.svc.cluster.local.; for an address use `endpoints`";
        report.error(&written.place, "bad-hostname", message, help);
        return None;
    };
    let host = name.strip_suffix('.').unwrap_or(&name);
    let authority = match kind? {
        DnsKind::Addresses { port } if port == if tls.is_some() { 443 } else { 80 } => {
            host.to_owned()
        }
        DnsKind::Addresses { port } => format!("{host}:{port}"),
        DnsKind::Services => host.to_owned(),
    };
    Some(NamedEndpoints {
        authority: authority.into(),
        name,
        kind: kind?,
    })
}

fn kind(block: &DnsBlock, tls: Option<&ClientTls>, report: &mut Report) -> Option<DnsKind> {
    match (word(&block.kind, DnsType::A), &block.port) {
        (DnsType::A, Some(port)) => Some(DnsKind::Addresses {
            port: narrow(port.value.0),
        }),
        (DnsType::A, None) => {
            if let Some(At { place, .. }) = &block.name {
                let help = "add `port: …`, or `type: SRV` if DNS provides the port";
                report.missing(place, &["port"], "`port` is missing", help);
            }
            None
        }
        (DnsType::Srv, Some(port)) => {
            let message = "`port` cannot be used with SRV, where it comes from DNS";
            report.error(
                &port.place,
                "conflicting-keys",
                message,
                "remove it, or write `type: A`",
            );
            None
        }
        (DnsType::Srv, None) => {
            // Otherwise an attacker who can forge the response could choose the verified name.
            let unnamed =
                |tls: &&ClientTls| tls.hostname.is_none() && tls.subject_alt_names.is_empty();
            if let (Some(At { place, .. }), Some(_)) = (&block.kind, tls.filter(unnamed)) {
                let message = "with SRV and TLS, the verified name must be configured: it must not come from DNS";
                let help = "add `hostname` or `subjectAltNames` to `tls`";
                report.error(place, "missing-key", message, help);
            }
            Some(DnsKind::Services)
        }
    }
}

/// Renders the accepted value.
pub(crate) fn show(named: &NamedEndpoints) -> Object {
    let object = Object::new().with("name", text(&named.name));
    match named.kind {
        DnsKind::Addresses { port } => object.with("port", port).with("type", "A"),
        DnsKind::Services => object.with("type", "SRV"),
    }
}
