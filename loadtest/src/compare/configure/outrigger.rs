//! Outrigger. No part of its chain can be disabled: framing checks, canonical path, request ID and
//! the rest run in every scenario. Session tickets cannot be disabled either, and are issued
//! although the other proxies are configured without.

use super::{Files, Listen, PLENTY, Upstream, Wanted};

pub(super) fn files(wanted: &Wanted) -> Files {
    vec![("outrigger.yaml", text(wanted))]
}

fn text(wanted: &Wanted) -> String {
    let setup = wanted.setup;
    let has = |name: &str| setup.filters().iter().any(|(filter, _)| *filter == name);
    let tokens = setup.tokens || has("JWT, a cached token");
    let mut text = format!(
        "version: 1
workers: 1
status: off
admin: off
listeners:
  - name: in
    address: \"{listen}\"
    limits: {{ connections: {PLENTY}, connectionsPerAddress: {PLENTY} }}
    timeouts: {{ idle: 10m }}
{tls}{upstream}{provider}{limits}",
        listen = wanted.listen,
        tls = tls(wanted),
        upstream = upstream(wanted),
        provider = if tokens {
            provider(wanted)
        } else {
            String::new()
        },
        limits = limits(has("rate limit by address"), has("rate limit for all")),
    );
    text.push_str("routes:\n");
    let auth = if setup.tokens {
        "    auth: { anyOf: [bench] }\n"
    } else {
        ""
    };
    let target = if is_app(wanted) { "app" } else { "origin" };
    if setup.routes == 0 {
        text.push_str("  - name: all\n");
        text.push_str(auth);
        text.push_str(&filters(setup.filters()));
        if setup.upstream == Upstream::Pair && !setup.policy {
            // The timeout of the policy, so that both configurations have it.
            text.push_str("    timeouts: { request: 15s }\n");
        }
        if wanted.failing() {
            text.push_str(
                "    retry: { attempts: 3, codes: [503], backoff: { base: 1ms, max: 1ms } }\n",
            );
        }
        text.push_str(&format!("    backendRefs: [{target}]\n"));
    }
    for (number, path) in wanted.routes().enumerate() {
        text.push_str(&format!(
            "  - {{ name: r{number}, matches: [{{ path: {{ exact: {path} }} }}] }}\n"
        ));
    }
    text.push_str("telemetry: { accessLog: { samplePercent: 0 } }\n");
    text
}

/// A single endpoint is the app of a sidecar; only several need an upstream.
fn is_app(wanted: &Wanted) -> bool {
    !wanted.several()
}

fn tls(wanted: &Wanted) -> String {
    let (certificate, key) = (wanted.file("server.crt"), wanted.file("server.key"));
    let client = match wanted.setup.listen {
        Listen::Plain => return String::new(),
        Listen::Tls => String::new(),
        Listen::Mtls => {
            format!(
                "      clientAuth: {{ mode: required, caFiles: [\"{}\"] }}\n",
                wanted.file("ca.crt")
            )
        }
    };
    format!("    tls:\n      certFile: \"{certificate}\"\n      keyFile: \"{key}\"\n{client}")
}

fn upstream(wanted: &Wanted) -> String {
    match wanted.setup.upstream {
        Upstream::Socket => format!("app: {{ socket: \"{}\" }}\n", wanted.socket.display()),
        Upstream::Http | Upstream::Grpc => {
            wanted.endpoints(|address| format!("app: {{ port: {} }}\n", address.port()))
        }
        Upstream::Failing | Upstream::Endpoints(_) => format!(
            "upstreams:
  origin:
    endpoints:
{}    loadBalancer: {{ policy: roundRobin }}
    outlierDetection: {{ maxEjectionPercent: 0 }}
    circuitBreaker: {{ maxConnections: {PLENTY}, maxRequests: {PLENTY}, maxPendingRequests: {PLENTY} }}
    retryBudget: {{ percent: 20, minPerSecond: 10 }}
",
            endpoints(wanted)
        ),
        Upstream::Pair => format!(
            "upstreams:
  origin:
    endpoints:
{}{}",
            endpoints(wanted),
            if wanted.setup.policy { upstream_policy() } else { String::new() }
        ),
    }
}

fn endpoints(wanted: &Wanted) -> String {
    wanted.endpoints(|address| format!("      - {{ url: \"http://{address}\" }}\n"))
}

/// The traffic policies of an upstream. The origin does not count requests for its counters.
fn upstream_policy() -> String {
    format!(
        "    loadBalancer: {{ policy: peakEwma, slowStart: 30s }}
    healthCheck: {{ path: /stats, interval: 5s }}
    outlierDetection: {{ consecutiveErrors: 5, baseEjectionTime: 30s, maxEjectionPercent: 50 }}
    circuitBreaker: {{ maxConnections: {PLENTY}, maxRequests: {PLENTY}, maxPendingRequests: {PLENTY} }}
    retryBudget: {{ percent: 20, minPerSecond: 10 }}
"
    )
}

fn provider(wanted: &Wanted) -> String {
    format!(
        "jwtProviders:
  bench: {{ issuer: bench, audiences: [app], algorithms: [RS256, ES256], jwks: {{ file: \"{}\" }} }}
",
        wanted.file("jwks.json")
    )
}

/// Limits that no load here can reach.
fn limits(by_address: bool, for_all: bool) -> String {
    let line = |name, key| format!("  {name}: {{ requests: 1000000, per: 1s, key: {key} }}\n");
    match (by_address, for_all) {
        (false, _) => String::new(),
        (true, false) => format!("rateLimits:\n{}", line("byAddress", "clientIP")),
        (true, true) => format!(
            "rateLimits:\n{}{}",
            line("byAddress", "clientIP"),
            line("forAll", "global")
        ),
    }
}

/// The configuration lines of these filters.
fn filters(chosen: &[(&str, &str)]) -> String {
    let mut text = String::new();
    let for_all = chosen.iter().any(|(name, _)| *name == "rate limit for all");
    for (name, line) in chosen {
        match *name {
            "authorize" => text.push_str(
                "    authorize:
      rules:
        - { name: local, action: allow, when: { methods: [GET], sourceCIDRs: [127.0.0.0/8] } }
",
            ),
            "rate limit by address" if !for_all => text.push_str("    rateLimits: [byAddress]\n"),
            "rate limit for all" => text.push_str("    rateLimits: [byAddress, forAll]\n"),
            "JWT, a cached token" => text.push_str("    auth: { anyOf: [bench] }\n"),
            _ => text.push_str(line),
        }
    }
    text
}
