//! HAProxy 2.6 with one thread: connections shared between requests, large pools, session cache and
//! tickets off, routes in a map, which it stores as a tree. Clients that close after the handshake
//! get no error message.

use super::{Files, Listen, PLENTY, Wanted};

pub(super) fn files(wanted: &Wanted) -> Files {
    let mut files = vec![("haproxy.cfg", text(wanted))];
    if wanted.setup.routes > 0 {
        files.push((
            "routes.map",
            wanted
                .routes()
                .map(|path| format!("{path} origin\n"))
                .collect(),
        ));
    }
    files
}

fn text(wanted: &Wanted) -> String {
    let setup = wanted.setup;
    let resumption = match setup.resumption {
        true => "  ssl-default-bind-options ssl-min-ver TLSv1.2\n",
        false => {
            "  ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets\n  tune.ssl.cachesize 0\n"
        }
    };
    let retries = match wanted.failing() {
        true => "  retries 3\n  option redispatch 1\n  retry-on conn-failure empty-response 503\n",
        false => "",
    };
    let routes = match setup.routes {
        0 => "  default_backend origin\n".to_owned(),
        _ => format!(
            "  use_backend %[path,map_str({})]\n",
            wanted.own("routes.map").display()
        ),
    };
    let tokens = if setup.tokens {
        token_rules(wanted)
    } else {
        String::new()
    };
    let h2 = if wanted.grpc() { " proto h2" } else { "" };
    let mut number = 0;
    let servers: String = wanted
        .upstreams
        .iter()
        .map(|address| {
            number += 1;
            format!(
                "  server s{number} {address} pool-max-conn {PLENTY} pool-purge-delay 600s{h2}\n"
            )
        })
        .collect();
    format!(
        "global
  nbthread 1
  maxconn {PLENTY}
  no strict-limits
  no-memory-trimming
  tune.pool-low-fd-ratio 90
  tune.pool-high-fd-ratio 95
{resumption}defaults
  mode http
  timeout client 600s
  timeout server 600s
  timeout connect 5s
  timeout http-keep-alive 600s
  http-reuse always
  option http-ignore-probes
{retries}frontend in
  bind {listen} backlog 4096{tls}{bind_h2}
{tokens}{routes}backend origin
  balance roundrobin
{servers}",
        listen = wanted.listen,
        tls = tls(wanted),
        bind_h2 = if wanted.grpc() && !wanted.tls() {
            " proto h2"
        } else {
            ""
        },
    )
}

fn tls(wanted: &Wanted) -> String {
    let server = format!(" ssl crt {} alpn h2,http/1.1", wanted.file("server.pem"));
    match wanted.setup.listen {
        Listen::Plain => String::new(),
        Listen::Tls => server,
        Listen::Mtls => format!("{server} ca-file {} verify required", wanted.file("ca.crt")),
    }
}

/// Algorithm, issuer, audience, expiry and signature, as in its manual.
fn token_rules(wanted: &Wanted) -> String {
    let (rsa, ecdsa) = (wanted.file("rs.pub"), wanted.file("es.pub"));
    let refuse = "  http-request deny deny_status 401";
    format!(
        "  http-request set-var(txn.bearer) http_auth_bearer
  http-request set-var(txn.alg) var(txn.bearer),jwt_header_query('$.alg')
{refuse} unless {{ var(txn.alg) -m str RS256 ES256 }}
{refuse} unless {{ var(txn.bearer),jwt_payload_query('$.iss') -m str bench }}
{refuse} unless {{ var(txn.bearer),jwt_payload_query('$.aud') -m str app }}
  http-request set-var(txn.exp) var(txn.bearer),jwt_payload_query('$.exp','int')
  http-request set-var(txn.now) date()
{refuse} unless {{ var(txn.exp),sub(txn.now) -m int gt 0 }}
{refuse} if {{ var(txn.alg) -m str RS256 }} !{{ var(txn.bearer),jwt_verify(txn.alg,\"{rsa}\") -m int 1 }}
{refuse} if {{ var(txn.alg) -m str ES256 }} !{{ var(txn.bearer),jwt_verify(txn.alg,\"{ecdsa}\") -m int 1 }}
"
    )
}
