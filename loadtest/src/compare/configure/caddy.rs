//! Caddy: one thread of Go code, admin API off, a large keep-alive pool, no compression. Session
//! resumption cannot be disabled in its configuration.

use super::{Files, Listen, Upstream, Wanted};

pub(super) fn files(wanted: &Wanted) -> Result<Files, &'static str> {
    if wanted.setup.tokens {
        return Err("Caddy has no JWT verification without a plugin");
    }
    if wanted.failing() {
        return Err("Caddy retries a request when a connection fails, not after a status");
    }
    Ok(vec![("Caddyfile", text(wanted))])
}

fn text(wanted: &Wanted) -> String {
    let listen = wanted.listen;
    let scheme = if wanted.tls() { "https" } else { "http" };
    let protocols = if wanted.grpc() { "h1 h2 h2c" } else { "h1 h2" };
    let versions = if wanted.grpc() { "h2c" } else { "1.1" };
    let upstreams = match wanted.setup.upstream {
        Upstream::Socket => format!(" unix/{}", wanted.socket.display()),
        _ => wanted.endpoints(|address| format!(" {address}")),
    };
    let routes: String = match wanted.setup.routes {
        0 => "\timport origin\n".to_owned(),
        _ => wanted
            .routes()
            .map(|path| format!("\thandle {path} {{\n\t\timport origin\n\t}}\n"))
            .collect(),
    };
    format!(
        "{{
	admin off
	auto_https off
	skip_install_trust
	servers {{
		protocols {protocols}
		strict_sni_host insecure_off
	}}
	log {{
		level ERROR
	}}
}}
(origin) {{
	reverse_proxy{upstreams} {{
		lb_policy round_robin
		transport http {{
			keepalive 600s
			keepalive_idle_conns 4096
			keepalive_idle_conns_per_host 1024
			compression off
			versions {versions}
		}}
	}}
}}
{scheme}://:{port} {{
	bind {ip}
{tls}{routes}}}
",
        port = listen.port(),
        ip = listen.ip(),
        tls = tls(wanted),
    )
}

fn tls(wanted: &Wanted) -> String {
    let pair = format!(
        "\ttls {} {}",
        wanted.file("server.crt"),
        wanted.file("server.key")
    );
    match wanted.setup.listen {
        Listen::Plain => String::new(),
        Listen::Tls => format!("{pair}\n"),
        Listen::Mtls => format!(
            "{pair} {{
		client_auth {{
			mode require_and_verify
			trusted_ca_cert_file {}
		}}
	}}
",
            wanted.file("ca.crt")
        ),
    }
}
