//! Envoy with one worker thread: no request ID, no additional headers, circuit breakers out of
//! reach, routes in a map (matcher tree) instead of a list, a token cache of the same size as
//! Outrigger's.

use super::{Files, Listen, PLENTY, Upstream, Wanted};

/// Prefix of the type name in every extension's configuration.
const TYPES: &str = "type.googleapis.com/envoy";

pub(super) fn files(wanted: &Wanted) -> Files {
    vec![("envoy.yaml", text(wanted))]
}

fn text(wanted: &Wanted) -> String {
    let codec = if wanted.grpc() && !wanted.tls() {
        "HTTP2"
    } else {
        "AUTO"
    };
    format!(
        "static_resources:
  listeners:
  - name: in
    address: {{socket_address: {{address: {ip}, port_value: {port}}}}}
    tcp_backlog_size: 4096
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          \"@type\": {TYPES}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: in
          codec_type: {codec}
          generate_request_id: false
          route_config:
            virtual_hosts:
            - name: all
              domains: [\"*\"]
{routes}          http_filters:
{tokens}          - name: envoy.filters.http.router
            typed_config:
              \"@type\": {TYPES}.extensions.filters.http.router.v3.Router
              suppress_envoy_headers: true
{tls}  clusters:
  - name: origin
    type: STATIC
    connect_timeout: 5s
    lb_policy: ROUND_ROBIN
    circuit_breakers:
      thresholds:
      - {{max_connections: {PLENTY}, max_pending_requests: {PLENTY}, max_requests: {PLENTY}, max_retries: {PLENTY}}}
{http2}    load_assignment:
      cluster_name: origin
      endpoints:
      - lb_endpoints:
{endpoints}",
        ip = wanted.listen.ip(),
        port = wanted.listen.port(),
        routes = routes(wanted),
        tokens = if wanted.setup.tokens { tokens(wanted) } else { String::new() },
        tls = tls(wanted),
        http2 = if wanted.grpc() { http2() } else { String::new() },
        endpoints = endpoints(wanted),
    )
}

fn routes(wanted: &Wanted) -> String {
    if wanted.setup.routes == 0 {
        let again = match wanted.failing() {
            true => format!(
                ", retry_policy: {{retry_on: \"connect-failure,reset,retriable-status-codes\", \
                 retriable_status_codes: [503], num_retries: 3, \
                 retry_back_off: {{base_interval: 0.001s, max_interval: 0.001s}}, \
                 host_selection_retry_max_attempts: 3, retry_host_predicate: [\
                 {{name: envoy.retry_host_predicates.previous_hosts, typed_config: {{\"@type\": \
                 {TYPES}.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate}}}}]}}"
            ),
            false => String::new(),
        };
        return format!(
            "              routes:\n              - match: {{prefix: /}}\n                route: \
             {{cluster: origin, timeout: 60s{again}}}\n"
        );
    }
    let map: String = wanted
        .routes()
        .map(|path| {
            format!(
                "                      \"{path}\": {{action: {{name: r, typed_config: {{\"@type\": \
                 {TYPES}.config.route.v3.Route, match: {{prefix: /}}, route: {{cluster: origin}}}}}}}}\n"
            )
        })
        .collect();
    format!(
        "              matcher:
                matcher_tree:
                  input:
                    name: path
                    typed_config: {{\"@type\": {TYPES}.type.matcher.v3.HttpRequestHeaderMatchInput, header_name: \":path\"}}
                  exact_match_map:
                    map:
{map}"
    )
}

fn tokens(wanted: &Wanted) -> String {
    format!(
        "          - name: envoy.filters.http.jwt_authn
            typed_config:
              \"@type\": {TYPES}.extensions.filters.http.jwt_authn.v3.JwtAuthentication
              providers:
                bench:
                  issuer: bench
                  audiences: [app]
                  local_jwks: {{filename: \"{}\"}}
                  jwt_cache_config: {{jwt_cache_size: 1000}}
              rules: [{{match: {{prefix: /}}, requires: {{provider_name: bench}}}}]
",
        wanted.file("jwks.json")
    )
}

fn tls(wanted: &Wanted) -> String {
    if !wanted.tls() {
        return String::new();
    }
    let resumption = match wanted.setup.resumption {
        true => "",
        false => {
            "          disable_stateless_session_resumption: true
          disable_stateful_session_resumption: true
"
        }
    };
    let (required, trusted) = match wanted.setup.listen {
        Listen::Mtls => (
            "          require_client_certificate: true\n",
            format!(
                "            validation_context: {{trusted_ca: {{filename: \"{}\"}}}}\n",
                wanted.file("ca.crt")
            ),
        ),
        _ => ("", String::new()),
    };
    format!(
        "      transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          \"@type\": {TYPES}.extensions.transport_sockets.tls.v3.DownstreamTlsContext
{resumption}{required}          common_tls_context:
            alpn_protocols: [h2, http/1.1]
            tls_params: {{tls_minimum_protocol_version: TLSv1_2, tls_maximum_protocol_version: TLSv1_3}}
            tls_certificates:
            - certificate_chain: {{filename: \"{}\"}}
              private_key: {{filename: \"{}\"}}
{trusted}",
        wanted.file("server.crt"),
        wanted.file("server.key"),
    )
}

fn http2() -> String {
    format!(
        "    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        \"@type\": {TYPES}.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{http2_protocol_options: {{}}}}
"
    )
}

fn endpoints(wanted: &Wanted) -> String {
    let line = |address: &str| format!("        - {{endpoint: {{address: {{{address}}}}}}}\n");
    match wanted.setup.upstream {
        Upstream::Socket => line(&format!("pipe: {{path: \"{}\"}}", wanted.socket.display())),
        _ => wanted.endpoints(|address| {
            let (ip, port) = (address.ip(), address.port());
            line(&format!(
                "socket_address: {{address: {ip}, port_value: {port}}}"
            ))
        }),
    }
}
