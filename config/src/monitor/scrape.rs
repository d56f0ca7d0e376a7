//! `monitor.scrape`: the app's own page of metrics.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use crate::{
    app::{App, AppAddress},
    block::{
        At, Int, Time, block,
        field::{narrow, time_over_zero},
        problem::Report,
        show::{self, Object, text},
    },
    part::path,
};

block! {
    /// The app's own page of metrics, over HTTP/1.1 on loopback. The proxy fetches it for each request for `/metrics`, and does not change its series.
    ScrapeBlock {
        /// Path of the page, with an optional query. Default /metrics.
        "path" path: String,
        /// Its port, 1 to 65535; not a port of this proxy. Default: the port of the app.
        "port" port: Int<1, 65535>,
        /// Time for the fetch, from the start of the connect to the complete page, over 0; never more than the timeout of the scraper. Default 2s.
        "timeout" timeout: Time,
    }
}

/// `monitor.scrape`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Scrape {
    /// The address of the page; loopback.
    pub address: SocketAddr,
    /// Its path, with an optional query.
    pub path: Arc<str>,
    /// Time from the start of the connect to the complete page. Default 2 s.
    pub timeout: Duration,
}

/// The path that client libraries use.
const PATH: &str = "/metrics";

/// A fifth of the time that Prometheus waits by default.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Checks the block. `None` was reported.
pub(crate) fn accept(
    block: &At<ScrapeBlock>,
    app: Option<&App>,
    report: &mut Report,
) -> Option<Scrape> {
    let written = &block.value;
    if let Some(target) = &written.path {
        path::target(target, report);
    }
    let timeout = time_over_zero(&written.timeout, TIMEOUT, report);
    let app = app.and_then(|app| match &app.address {
        AppAddress::Tcp(address) => Some(*address),
        AppAddress::Unix(_) => None,
    });
    let host = app.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |app| app.ip());
    let port = written.port.as_ref().map(|port| narrow(port.value.0));
    let Some(port) = port.or_else(|| Some(app?.port())) else {
        let message = "`port` is missing, and there is no `app` with a port";
        report.missing(
            &block.place,
            &["port"],
            message,
            "add the port that has the page",
        );
        return None;
    };
    Some(Scrape {
        address: SocketAddr::new(host, port),
        path: written
            .path
            .as_ref()
            .map_or(PATH, |path| &path.value)
            .into(),
        timeout,
    })
}

/// Shows what was accepted.
pub(crate) fn show(scrape: &Scrape) -> Object {
    Object::new()
        .with("path", text(&scrape.path))
        .with("port", scrape.address.port())
        .with("timeout", show::time(scrape.timeout))
}
