//! The `app` block.

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::Arc,
};

use crate::{
    block::{
        At,
        field::{narrow, time_over_zero, word},
        problem::Report,
    },
    model::{App, AppAddress, Protocol, Readiness, ReadinessProbe},
    part::path,
    schema::{AppBlock, ReadinessBlock},
    validate::{defaults, upstream},
};

/// Bytes of a Unix socket's path: `sun_path` with its closing zero.
const MAX_SOCKET_PATH: usize = 107;

/// Checks the `app` block.
pub(crate) fn app(app: &At<AppBlock>, base: &Path, report: &mut Report) -> App {
    let app = &app.value;
    App {
        address: address(app, base, report),
        protocol: word(&app.protocol, Protocol::Auto),
        readiness: readiness(app.readiness.as_ref(), report),
        limits: upstream::limits(app.limits.as_ref()),
    }
}

fn address(app: &AppBlock, base: &Path, report: &mut Report) -> AppAddress {
    let host = app.host.as_ref().map_or(defaults::APP_HOST, |host| loopback(host, report));
    let Some(socket) = &app.socket else {
        let port = app.port.as_ref().map_or(0, |port| narrow(port.value.0));
        return AppAddress::Tcp(SocketAddr::new(host, port));
    };
    if let Some(host) = &app.host {
        let help = "remove `host`, or write `port` in place of `socket`";
        report.error(&host.place, "conflicting-keys", "a socket has no host", help);
    }
    let path = base.join(&socket.value);
    if socket.value.is_empty() || path.as_os_str().len() > MAX_SOCKET_PATH {
        let message = format!("the path of a socket has 1 to {MAX_SOCKET_PATH} bytes");
        report.error(&socket.place, "bad-path", message, "write a shorter path such as /run/app.sock");
    }
    AppAddress::Unix(Arc::new(path))
}

fn loopback(host: &At<String>, report: &mut Report) -> IpAddr {
    if host.value == "localhost" {
        return defaults::APP_HOST;
    }
    let address = host.value.parse().ok().filter(IpAddr::is_loopback);
    address.unwrap_or_else(|| {
        let message = format!("the app is in this pod, and {:?} is not a loopback address", host.value);
        let help = "write 127.0.0.1 or ::1; what runs elsewhere belongs under `upstreams`";
        report.error(&host.place, "not-loopback", message, help);
        defaults::APP_HOST
    })
}

fn readiness(block: Option<&At<ReadinessBlock>>, report: &mut Report) -> Readiness {
    let Some(At { value: block, .. }) = block else {
        return Readiness {
            probe: ReadinessProbe::Connect,
            interval: defaults::READINESS_INTERVAL,
            timeout: defaults::READINESS_TIMEOUT,
        };
    };
    let probe = match (&block.path, &block.grpc) {
        (Some(_), Some(grpc)) => {
            let help = "keep exactly one of them";
            report.error(&grpc.place, "conflicting-keys", "`path` and `grpc` exclude each other", help);
            ReadinessProbe::Connect
        }
        (Some(target), None) => {
            path::target(target, report);
            ReadinessProbe::Http { path: target.value.clone() }
        }
        (None, Some(service)) => ReadinessProbe::Grpc { service: service.value.clone() },
        (None, None) => ReadinessProbe::Connect,
    };
    Readiness {
        probe,
        interval: time_over_zero(&block.interval, defaults::READINESS_INTERVAL, report),
        timeout: time_over_zero(&block.timeout, defaults::READINESS_TIMEOUT, report),
    }
}
