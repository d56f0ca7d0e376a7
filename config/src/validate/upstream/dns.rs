//! A name whose answer is the endpoints of an upstream.

use crate::{
    block::{
        At,
        field::{narrow, word},
        problem::Report,
    },
    model::{ClientTls, DnsKind, NamedEndpoints},
    part::url::{self, EndpointAddress},
    schema::{DnsBlock, DnsType},
};

/// Checks `dns`; `None` was reported.
pub(crate) fn named(
    block: &DnsBlock,
    tls: Option<&ClientTls>,
    report: &mut Report,
) -> Option<NamedEndpoints> {
    let kind = kind(block, tls, report);
    let written = block.name.as_ref()?;
    let Ok(EndpointAddress::Host { name, .. }) = url::address(&written.value, 1) else {
        let message = format!("{:?} is no name that could be looked up", written.value);
        let help = "write a name such as search.prod.svc.cluster.local., or an address into `endpoints`";
        report.error(&written.place, "bad-hostname", message, help);
        return None;
    };
    let host = name.strip_suffix('.').unwrap_or(&name);
    let authority = match kind? {
        DnsKind::Addresses { port } if port == if tls.is_some() { 443 } else { 80 } => host.to_owned(),
        DnsKind::Addresses { port } => format!("{host}:{port}"),
        DnsKind::Services => host.to_owned(),
    };
    Some(NamedEndpoints { authority: authority.into(), name, kind: kind? })
}

fn kind(block: &DnsBlock, tls: Option<&ClientTls>, report: &mut Report) -> Option<DnsKind> {
    match (word(&block.kind, DnsType::A), &block.port) {
        (DnsType::A, Some(port)) => Some(DnsKind::Addresses { port: narrow(port.value.0) }),
        (DnsType::A, None) => {
            if let Some(At { place, .. }) = &block.name {
                let help = "add `port: …`, or `type: SRV` when the answer says it";
                report.missing(place, &["port"], "`port` is missing", help);
            }
            None
        }
        (DnsType::Srv, Some(port)) => {
            let message = "with SRV the port comes from the answer";
            report.error(&port.place, "conflicting-keys", message, "remove it, or write `type: A`");
            None
        }
        (DnsType::Srv, None) => {
            // Whoever can change the answer would choose the name that is verified.
            let unnamed = |tls: &&ClientTls| tls.hostname.is_none() && tls.subject_alt_names.is_empty();
            if let (Some(At { place, .. }), Some(_)) = (&block.kind, tls.filter(unnamed)) {
                let message = "an SRV answer must not choose the name that TLS verifies";
                let help = "add `hostname` or `subjectAltNames` to `tls`";
                report.error(place, "missing-key", message, help);
            }
            Some(DnsKind::Services)
        }
    }
}
