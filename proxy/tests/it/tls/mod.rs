//! TLS towards clients: `docs/security.md` 8, 15 and 16.

mod basics;
mod clients;
mod misdirected;
mod protocols;
mod sessions;
mod tools;
mod trust;

use std::{net::SocketAddr, path::Path};

use outrigger_loadtest::origin::Origin;

use crate::support::{
    Proxy, origin,
    pki::{Ca, Leaf, Wanted},
    with_servers,
};

/// Reloads only when asked, so that a test knows when one is done.
pub const ASKED: &str = "reload: { watch: false, poll: 0s }\n";

/// A proxy with one TLS listener `tls` in front of an app, and the authority behind its certificate.
pub struct Setup {
    pub proxy: Proxy,
    pub ca: Ca,
    app: u16,
    _origin: Option<Origin>,
}

impl Setup {
    /// In front of an origin, with these lines in `tls`, which may name files that `files` has written.
    pub fn start(tls: &str, files: impl FnOnce(&Path, &Ca)) -> Self {
        Self::start_with(tls, "", "", files)
    }

    /// And these in the listener, and in the file.
    pub fn start_with(
        tls: &str,
        listener: &str,
        rest: &str,
        files: impl FnOnce(&Path, &Ca),
    ) -> Self {
        let origin = origin();
        let setup = Self::begin(origin.address().port(), tls, listener, rest, files);
        Self {
            _origin: Some(origin),
            ..setup
        }
    }

    /// In front of an app on this port.
    pub fn in_front_of(app: u16, tls: &str, files: impl FnOnce(&Path, &Ca)) -> Self {
        Self::begin(app, tls, "", "", files)
    }

    fn begin(
        app: u16,
        tls: &str,
        listener: &str,
        rest: &str,
        files: impl FnOnce(&Path, &Ca),
    ) -> Self {
        let ca = Ca::new("Servers");
        let folder = tempfile::tempdir().unwrap();
        server(&ca).write(folder.path(), "tls");
        files(folder.path(), &ca);
        let file = folder.path().join("outrigger.yaml");
        std::fs::write(&file, with_servers(&yaml(app, tls, listener, rest))).unwrap();
        Self {
            proxy: Proxy::start_file(folder, &file),
            ca,
            app,
            _origin: None,
        }
    }

    /// Writes a file that the configuration names, without reading it.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.proxy.folder().join(name), text).unwrap();
    }

    /// Other lines in `tls`, and in the file; they must be accepted.
    pub fn reload_with(&self, tls: &str, rest: &str) {
        self.proxy.reload_with(&yaml(self.app, tls, "", rest));
    }

    pub fn distrusted(&self) -> f64 {
        self.proxy
            .metric(r#"outrigger_tls_untrusted_connections_closed_total{listener="tls"}"#)
    }

    pub fn address(&self) -> SocketAddr {
        self.proxy.address("tls")
    }

    /// Handshakes of a result and reason.
    pub fn handshakes(&self, result: &str, reason: &str) -> f64 {
        self.proxy.metric(&format!(
            r#"outrigger_tls_handshakes_total{{listener="tls",result="{result}",reason="{reason}"}}"#
        ))
    }

    pub fn failed(&self, reason: &str) -> f64 {
        self.handshakes("failed", reason)
    }
}

fn yaml(app: u16, tls: &str, listener: &str, rest: &str) -> String {
    format!(
        "app: {{ port: {app} }}\nlisteners:\n  - name: tls\n    address: 127.0.0.1:0\n    tls:\n      \
         certFile: tls.crt\n      keyFile: tls.key\n{tls}{listener}{ASKED}{rest}"
    )
}

/// A server's certificate for localhost.
pub fn server(ca: &Ca) -> Leaf {
    ca.sign(Wanted::server(&["localhost", "127.0.0.1"]))
}
