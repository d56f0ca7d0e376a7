//! The proxy built with Pingora (`loadtest/peers/pingora`): one thread without work stealing, a
//! large pool.

use super::{Files, Listen, Upstream, Wanted};

pub(super) fn files(wanted: &Wanted) -> Result<Files, &'static str> {
    if wanted.setup.tokens {
        return Err("Pingora has no JWT verification");
    }
    if wanted.failing() {
        return Err("Pingora leaves retries after a status to the code built on it");
    }
    if wanted.setup.routes > 0 || wanted.several() {
        return Err("Pingora leaves routing and balancing to the code built on it");
    }
    Ok(vec![("pingora.conf", text(wanted))])
}

fn text(wanted: &Wanted) -> String {
    let mut lines = vec![format!("listen {}", wanted.listen)];
    lines.push(match wanted.setup.upstream {
        Upstream::Socket => format!("socket {}", wanted.socket.display()),
        _ => format!("upstream {}", wanted.endpoints(ToString::to_string)),
    });
    if wanted.grpc() {
        lines.push("h2c yes".to_owned());
    }
    if wanted.tls() {
        lines.push(format!("certificate {}", wanted.file("server.crt")));
        lines.push(format!("key {}", wanted.file("server.key")));
    }
    if wanted.setup.listen == Listen::Mtls {
        lines.push(format!("clients {}", wanted.file("ca.crt")));
    }
    if wanted.setup.resumption {
        lines.push("resumption yes".to_owned());
    }
    lines.join("\n") + "\n"
}
