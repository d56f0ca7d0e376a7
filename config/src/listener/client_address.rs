//! `clientAddress` of a listener: whose word about the client's address is believed.

use crate::{
    block::{At, Flag, block, problem::Report, show::Object},
    listener::direction::Direction,
    part::cidr::{self, Cidr},
};

block! {
    /// Whose word about the client's address is believed.
    ClientAddressBlock {
        /// Peers whose X-Forwarded-For and X-Request-Id are believed, such as 10.0.0.0/8. Default none.
        "trustedCIDRs" trusted_cidrs: Vec<At<String>>,
        /// Whether every connection begins with a PROXY header (version 1 or 2), whose source is then the client's address. Only `trustedCIDRs` may connect; any other peer is closed, and so is a connection without the header. Default false. Inbound listeners only.
        "proxyProtocol" proxy_protocol: Flag,
    }
}

/// Checks the ranges.
pub(crate) fn trusted_cidrs(
    block: Option<&At<ClientAddressBlock>>,
    report: &mut Report,
) -> Vec<Cidr> {
    let written = block.and_then(|block| block.value.trusted_cidrs.as_ref());
    let items = written.map_or(&[][..], |items| &items.value);
    items
        .iter()
        .filter_map(|item| cidr::accept(&item.value, &item.place, report))
        .collect()
}

/// Checks whether connections begin with a PROXY header. A peer that may send one may claim any address, so the peers
/// must be named.
pub(crate) fn proxy_protocol(
    block: Option<&At<ClientAddressBlock>>,
    direction: Direction,
    report: &mut Report,
) -> bool {
    let Some(block) = block.map(|block| &block.value) else {
        return false;
    };
    let Some(written) = block
        .proxy_protocol
        .as_ref()
        .filter(|written| written.value.0)
    else {
        return false;
    };
    if direction == Direction::Outbound {
        let message =
            "an outbound listener takes requests from the app, which sends no PROXY header";
        report.error(
            &written.place,
            "proxy-protocol-outbound",
            message,
            "remove `proxyProtocol`",
        );
    } else if block
        .trusted_cidrs
        .as_ref()
        .is_none_or(|cidrs| cidrs.value.is_empty())
    {
        let message =
            "any client could claim any address: no peer is named that may send the PROXY header";
        let help = "write the load balancer's addresses as `trustedCIDRs: [10.0.0.0/8]` beside it";
        report.error(&written.place, "proxy-protocol-untrusted", message, help);
    }
    true
}

/// Shows what was accepted.
pub(crate) fn show(trusted: &[Cidr], proxy_protocol: bool) -> Object {
    let cidrs: Vec<_> = trusted
        .iter()
        .map(|cidr| format!("{}/{}", cidr.network, cidr.prefix))
        .collect();
    Object::new()
        .with("trustedCIDRs", cidrs)
        .with("proxyProtocol", proxy_protocol)
}
