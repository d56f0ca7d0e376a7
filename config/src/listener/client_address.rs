//! `clientAddress` of a listener: which peers may report the client address.

use crate::{
    block::{At, Flag, block, problem::Report, show::Object},
    listener::direction::Direction,
    part::cidr::{self, Cidr},
};

block! {
    /// Which peers may report the client address.
    ClientAddressBlock {
        /// Peers whose X-Forwarded-For and X-Request-Id are trusted, such as 10.0.0.0/8. Default
        /// none.
        "trustedCIDRs" trusted_cidrs: Vec<At<String>>,
        /// Whether every connection begins with a PROXY header (version 1 or 2), whose source is
        /// the client address. Only peers in `trustedCIDRs` may connect; connections of other peers
        /// and connections without the header are closed. Default false. Inbound listeners only.
        "proxyProtocol" proxy_protocol: Flag,
    }
}

/// Validates the ranges.
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

/// Validates `proxyProtocol`. A peer that may send a PROXY header may claim any address, so the
/// trusted peers must be configured.
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
        let message = "the app, which uses outbound listeners, sends no PROXY header";
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
            "without `trustedCIDRs`, any client could claim any address in a PROXY header";
        let help = "add the load balancer's addresses: `trustedCIDRs: [10.0.0.0/8]`";
        report.error(&written.place, "proxy-protocol-untrusted", message, help);
    }
    true
}

/// Renders the accepted value.
pub(crate) fn show(trusted: &[Cidr], proxy_protocol: bool) -> Object {
    let cidrs: Vec<_> = trusted
        .iter()
        .map(|cidr| format!("{}/{}", cidr.network, cidr.prefix))
        .collect();
    Object::new()
        .with("trustedCIDRs", cidrs)
        .with("proxyProtocol", proxy_protocol)
}
