//! `dns` of an upstream: a name whose answer is the endpoints.

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
    /// A name that is looked up in DNS. The last good answer stays while it cannot be; addresses that vanish get no new requests.
    DnsBlock {
        /// The name, such as `search.prod.svc.cluster.local.`; without the dot at its end it goes through the search domains of resolv.conf.
        "name" name: String,
        /// The port of the endpoints, 1 to 65535; with SRV it comes from the answer.
        "port" port: Int<1, 65535>,
        /// `A`: each address is an endpoint (IPv4 where there are any, else IPv6). `SRV`: each service of the best priority is one, by its weight. Default A.
        "type" kind: Word<DnsType>,
    }
    required ["name"]
}

/// What is looked up in DNS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DnsType {
    A,
    Srv,
}

words! {
    DnsType { "A" => A, "SRV" => Srv }
}

/// `dns`: a name whose answer is the endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NamedEndpoints {
    /// The name; with a dot at its end no search domains are tried.
    pub name: Arc<str>,
    /// What is looked up.
    pub kind: DnsKind,
    /// Name and port as a Host header would carry them.
    pub authority: Arc<str>,
}

/// What is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DnsKind {
    /// Addresses, which listen on this port.
    Addresses {
        /// The port.
        port: u16,
    },
    /// Services, whose ports are in the answer (RFC 2782).
    Services,
}

/// Checks `dns`; `None` was reported.
pub(crate) fn accept(
    block: &DnsBlock,
    tls: Option<&ClientTls>,
    report: &mut Report,
) -> Option<NamedEndpoints> {
    let kind = kind(block, tls, report);
    let written = block.name.as_ref()?;
    let Ok(EndpointAddress::Host { name, .. }) = url::address(&written.value, 1) else {
        let message = format!("{:?} is no name that could be looked up", written.value);
        let help =
            "write a name such as search.prod.svc.cluster.local., or an address into `endpoints`";
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
                let help = "add `port: …`, or `type: SRV` when the answer says it";
                report.missing(place, &["port"], "`port` is missing", help);
            }
            None
        }
        (DnsType::Srv, Some(port)) => {
            let message = "with SRV the port comes from the answer";
            report.error(
                &port.place,
                "conflicting-keys",
                message,
                "remove it, or write `type: A`",
            );
            None
        }
        (DnsType::Srv, None) => {
            // Whoever can change the answer would choose the name that is verified.
            let unnamed =
                |tls: &&ClientTls| tls.hostname.is_none() && tls.subject_alt_names.is_empty();
            if let (Some(At { place, .. }), Some(_)) = (&block.kind, tls.filter(unnamed)) {
                let message = "an SRV answer must not choose the name that TLS verifies";
                let help = "add `hostname` or `subjectAltNames` to `tls`";
                report.error(place, "missing-key", message, help);
            }
            Some(DnsKind::Services)
        }
    }
}

/// Shows what was accepted.
pub(crate) fn show(named: &NamedEndpoints) -> Object {
    let object = Object::new().with("name", text(&named.name));
    match named.kind {
        DnsKind::Addresses { port } => object.with("port", port).with("type", "A"),
        DnsKind::Services => object.with("type", "SRV"),
    }
}
