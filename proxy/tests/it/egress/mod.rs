//! Outbound requests: TLS with endpoints. `docs/security.md` 19 and 22.

mod credentials;
mod dns;
mod named;
mod refused;
mod rotation;
mod spoken;
mod tools;

use std::path::Path;

use outrigger_loadtest::origin::Origin;
use serde_json::Value;

use crate::support::{
    Proxy,
    front::{Front, Maker},
    origin,
    pki::{Ca, Leaf, Wanted},
    wire::{Wire, status},
    with_servers,
};

pub const GET: &str = "GET / HTTP/1.1\r\nhost: somewhere\r\n\r\n";

/// A certificate of a server named localhost.
pub fn server(ca: &Ca) -> Leaf {
    ca.sign(Wanted::server(&["localhost"]))
}

/// The file: one outbound listener `out`, and upstream `u` with these keys.
pub fn yaml(upstream: &str) -> String {
    format!(
        "workers: 1\nlisteners: [{{ name: out, port: 0, direction: outbound }}]\nupstreams:\n  u:\n{upstream}\
         routes: [{{ name: u, listeners: [out], backendRefs: [u] }}]\n"
    )
}

/// One endpoint with TLS on this port, trusted by `ca.crt`, and these lines beside `caFiles`.
pub fn to_port(port: u16, tls: &str) -> String {
    format!(
        "    endpoints: [{{ url: \"https://localhost:{port}\" }}]\n    tls:\n      caFiles: [ca.crt]\n{tls}"
    )
}

/// A proxy with the keys of upstream `u`, in a folder in which `files` has written.
pub fn start(upstream: &str, files: impl FnOnce(&Path)) -> Proxy {
    let folder = tempfile::tempdir().unwrap();
    files(folder.path());
    start_in(folder, upstream)
}

/// The same in a folder that is there.
pub fn start_in(folder: tempfile::TempDir, upstream: &str) -> Proxy {
    let file = folder.path().join("outrigger.yaml");
    std::fs::write(&file, with_servers(&yaml(upstream))).unwrap();
    Proxy::start_file(folder, &file)
}

/// A proxy to this front, by the authority that signed it.
pub fn to_front(front: &Front, ca: &Ca, tls: &str) -> Proxy {
    start(&to_port(front.port(), tls), |folder| {
        std::fs::write(folder.join("ca.crt"), ca.pem()).unwrap()
    })
}

/// An origin behind TLS, and a proxy to it.
pub struct Setup {
    pub proxy: Proxy,
    pub front: Front,
    _origin: Origin,
}

impl Setup {
    /// With these lines beside `caFiles`.
    pub fn start(tls: &str) -> Self {
        Self::with(tls, |maker| maker)
    }

    /// With another way to shake hands.
    pub fn with(tls: &str, made: impl for<'a> FnOnce(Maker<'a>) -> Maker<'a>) -> Self {
        let (ca, origin) = (Ca::new("Outside"), origin());
        let leaf = server(&ca);
        let front = made(Maker::new(&leaf)).before(origin.address());
        Self {
            proxy: to_front(&front, &ca, tls),
            front,
            _origin: origin,
        }
    }

    pub fn wire(&self) -> Wire {
        Wire::connect(self.proxy.address("out"))
    }

    pub fn handshakes(&self, result: &str, reason: &str) -> f64 {
        handshakes(&self.proxy, result, reason)
    }
}

/// Handshakes of a result and reason.
pub fn handshakes(proxy: &Proxy, result: &str, reason: &str) -> f64 {
    proxy.metric(&format!(
        r#"outrigger_upstream_tls_handshakes_total{{upstream="u",result="{result}",reason="{reason}"}}"#
    ))
}

/// Status and body of one GET, and its line in the access log.
pub fn ask(proxy: &Proxy) -> (u16, String, Value) {
    let id = fastrand::u64(..).to_string();
    let mut wire = Wire::connect(proxy.address("out"));
    let (head, body) = wire.ask(&format!(
        "GET / HTTP/1.1\r\nhost: somewhere\r\nx-request-id: {id}\r\n\r\n"
    ));
    (
        status(&head),
        body,
        proxy.logged(|line| line["requestId"] == *id),
    )
}
