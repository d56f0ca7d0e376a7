//! nginx with one process and no master: a large keep-alive pool, buffers in memory only,
//! `multi_accept`, session cache and tickets off, exact locations, which it stores as a tree.

use super::{Files, Listen, PLENTY, Upstream, Wanted};

pub(super) fn files(wanted: &Wanted) -> Result<Files, &'static str> {
    if wanted.setup.tokens {
        return Err("nginx has no JWT verification outside its commercial edition");
    }
    Ok(vec![("nginx.conf", text(wanted))])
}

fn text(wanted: &Wanted) -> String {
    let setup = wanted.setup;
    let folder = wanted.folder.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("  {kind}_temp_path {folder}/{kind};\n"))
        .collect();
    let servers = match setup.upstream {
        Upstream::Socket => format!("    server unix:{};\n", wanted.socket.display()),
        _ => wanted.endpoints(|address| format!("    server {address} max_fails=0;\n")),
    };
    let pool = if matches!(setup.upstream, Upstream::Endpoints(_)) {
        4096
    } else {
        1024
    };
    let again = match wanted.failing() {
        true => "  proxy_next_upstream error timeout http_503;\n  proxy_next_upstream_tries 4;\n",
        false => "",
    };
    let pass = if wanted.grpc() {
        "grpc_pass grpc://origin;"
    } else {
        "proxy_pass http://origin;"
    };
    let locations: String = match setup.routes {
        0 => format!("    location / {{ {pass} }}\n"),
        _ => wanted
            .routes()
            .map(|path| format!("    location = {path} {{ {pass} }}\n"))
            .collect(),
    };
    let http2 = if wanted.grpc() || wanted.tls() {
        " http2"
    } else {
        ""
    };
    format!(
        "daemon off;
master_process off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log crit;
worker_rlimit_nofile 20000;
events {{ worker_connections {connections}; multi_accept on; }}
http {{
  access_log off;
  server_tokens off;
  tcp_nodelay on;
  keepalive_timeout 600s;
  keepalive_requests 1000000000;
  keepalive_time 24h;
  client_max_body_size 0;
{temporary}  upstream origin {{
{servers}    keepalive {pool};
    keepalive_requests 1000000000;
    keepalive_time 24h;
  }}
  proxy_http_version 1.1;
  proxy_set_header Connection \"\";
  proxy_set_header Host $http_host;
  proxy_buffer_size 16k;
  proxy_buffers 16 16k;
  proxy_busy_buffers_size 64k;
  proxy_max_temp_file_size 0;
{again}{tls}  server {{
    listen {listen}{ssl}{http2} backlog=4096;
{locations}  }}
}}
",
        connections = 2 * PLENTY,
        listen = wanted.listen,
        ssl = if wanted.tls() { " ssl" } else { "" },
        tls = tls(wanted),
    )
}

fn tls(wanted: &Wanted) -> String {
    let (certificate, key) = (wanted.file("server.crt"), wanted.file("server.key"));
    let client = match wanted.setup.listen {
        Listen::Plain => return String::new(),
        Listen::Tls => String::new(),
        Listen::Mtls => {
            format!(
                "  ssl_client_certificate {};\n  ssl_verify_client on;\n",
                wanted.file("ca.crt")
            )
        }
    };
    let resumption = match wanted.setup.resumption {
        true => "  ssl_session_cache shared:sessions:16m;\n",
        false => "  ssl_session_tickets off;\n  ssl_session_cache off;\n",
    };
    format!(
        "  ssl_certificate {certificate};
  ssl_certificate_key {key};
  ssl_protocols TLSv1.2 TLSv1.3;
{resumption}{client}"
    )
}
