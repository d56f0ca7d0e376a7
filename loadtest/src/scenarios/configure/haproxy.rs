//! HAProxy 2.6: retries with redispatch, health checks, and observed traffic. It has no retry
//! budget, no hedging, no limit for all tries together, and cannot retry on 429.

use super::super::catalogue::Policy;
use super::{CHECK_INTERVAL, CONNECT_TIMEOUT, CONSECUTIVE_ERRORS, Wanted, list};
use crate::simulator::CHECK_PATH;

/// The statuses that `retry-on` supports.
const RETRIED: [u16; 10] = [401, 403, 404, 408, 425, 500, 501, 502, 503, 504];

/// Its configuration; `None` when it does not support the scenario.
pub(in crate::scenarios) fn haproxy(wanted: &Wanted) -> Option<String> {
    let settings = wanted.settings;
    if settings.hedge.is_some() {
        return None;
    }
    let balance = match settings.policy {
        Policy::RoundRobin => "roundrobin",
        Policy::LeastRequest => "random(2)",
    };
    let (check, check_server) = match settings.health {
        true => (
            format!("  option httpchk GET {CHECK_PATH}\n"),
            format!(
                " check inter {CHECK_INTERVAL} fall 3 rise 2 observe layer7 error-limit {CONSECUTIVE_ERRORS} \
                 on-error mark-down"
            ),
        ),
        false => Default::default(),
    };
    let servers = list(
        wanted.endpoints().map(|(name, weight, address)| {
            format!("  server {name} {address} weight {weight}{check_server}\n")
        }),
        "",
    );
    Some(format!(
        "global
  nbthread 1
  maxconn 8192
defaults
  mode http
  timeout client 30s
  timeout http-keep-alive 30s
  timeout connect {CONNECT_TIMEOUT}
  timeout server {per_try}
  http-reuse safe
{retry}frontend in
  bind 127.0.0.1:{port} backlog 4096
  default_backend simulated
backend simulated
  balance {balance}
{post}{check}{servers}",
        port = wanted.port,
        per_try = settings.per_try.as_millis(),
        retry = retry(wanted),
        post = if settings.retries > 0 {
            "  http-request disable-l7-retry if METH_POST\n"
        } else {
            ""
        },
    ))
}

fn retry(wanted: &Wanted) -> String {
    let settings = wanted.settings;
    if settings.retries == 0 {
        return "  retries 0\n".to_owned();
    }
    let codes = list(
        settings.codes.iter().filter(|code| RETRIED.contains(code)),
        " ",
    );
    format!(
        "  retries {}
  option redispatch 1
  retry-on conn-failure empty-response junk-response response-timeout 0rtt-rejected {codes}
",
        settings.retries
    )
}
