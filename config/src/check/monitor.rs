//! A page of metrics that would be fetched from this proxy itself.

use std::net::SocketAddr;

use crate::{
    block::problem::Report,
    file::{Config, File},
};

/// Reports a `monitor.scrape` whose port is one of the proxy: the page would ask for itself, without end.
pub(crate) fn check(file: &File, config: &Config, report: &mut Report) {
    let Some(scrape) = config
        .monitor
        .as_ref()
        .and_then(|monitor| monitor.scrape.as_ref())
    else {
        return;
    };
    let listeners = config
        .listeners
        .iter()
        .map(|one| (format!("the listener `{}`", one.name), one.address.socket));
    let servers = [("status", config.status), ("admin", config.admin)];
    let servers = servers
        .into_iter()
        .filter_map(|(name, server)| Some((format!("the {name} server"), server?.socket)));
    let Some((what, _)) = listeners
        .chain(servers)
        .find(|(_, own)| arrives(scrape.address, *own))
    else {
        return;
    };
    let block = file
        .monitor
        .as_ref()
        .and_then(|monitor| monitor.value.scrape.as_ref());
    let Some(block) = block else { return };
    let place = block
        .value
        .port
        .as_ref()
        .map_or(&block.place, |port| &port.place);
    let message = format!(
        "port {} is that of {what}: the page would be fetched from this proxy itself, without end",
        scrape.address.port()
    );
    let help = "write the port on which the app has its metrics";
    report.error(place, "scrape-loop", message, help);
}

/// Whether a connection from this pod to `target` arrives at a server that is bound to `own`.
fn arrives(target: SocketAddr, own: SocketAddr) -> bool {
    own.port() == target.port() && (own.ip().is_unspecified() || own.ip() == target.ip())
}
