//! Authorization settings of a route: what is inherited, what is rejected, and that no secret is
//! shown.

// Helpers of tests are tests too.
#![allow(clippy::unwrap_used)]

mod certificates;
mod sample;

use std::time::Duration;

use outrigger_config::{
    Loaded, diff, effective_json, effective_yaml, load_str,
    model::{
        Auth, ClaimPath, Config, Credential, JwtAlgorithm, KeySource, Mode, OriginMatch,
        ProviderId, Requirement, Route, SecretSource, TokenBinding, TokenLocation, ValueMatch,
    },
};
use tempfile::TempDir;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn variables(name: &str) -> Option<String> {
    match name {
        "SECRET" => Some(SECRET.to_owned()),
        "TOKEN" => Some("a-token".to_owned()),
        _ => None,
    }
}

fn loaded(text: &str) -> Loaded {
    load_str("test.yaml", text, &variables)
        .unwrap_or_else(|error| panic!("{}", error.render(false)))
}

/// The full sample, with the folder of its files.
fn full() -> (TempDir, Config) {
    let folder = sample::folder();
    let name = folder.path().join("a.yaml").display().to_string();
    let loaded = load_str(&name, include_str!("full.yaml"), &variables);
    (
        folder,
        loaded
            .unwrap_or_else(|error| panic!("{}", error.render(false)))
            .config,
    )
}

fn load(text: &str) -> Config {
    loaded(text).config
}

fn route<'a>(config: &'a Config, name: &str) -> &'a Route {
    config
        .routes
        .iter()
        .find(|route| &*route.name == name)
        .unwrap()
}

fn any_of(providers: &[u32]) -> Auth {
    let tokens = providers
        .iter()
        .map(|id| Credential::Token(ProviderId(*id)))
        .collect();
    Auth::new(Requirement::AnyOf(tokens), Mode::Enforce)
}

const PROVIDERS: &str = "
app: { port: 8080 }
jwtProviders:
  corp: { issuer: https://login.example.com/, audiences: [orders] }
  partner: { issuer: https://id.partner.example/, audiences: [orders] }
";

#[test]
fn a_provider_makes_a_token_mandatory_on_every_inbound_route() {
    let config = load(PROVIDERS);
    assert_eq!(
        route(&config, "app").auth,
        any_of(&[0, 1]),
        "also on the default route"
    );
    let config = load(&format!(
        "{PROVIDERS}listeners: [{{ port: 8000 }}, {{ name: egress, direction: outbound, port: 9001 }}]\n\
         routes:\n  - {{ name: a, matches: [{{ path: /a }}] }}\n  \
         - {{ name: gone, matches: [{{ path: /gone }}], directResponse: {{ status: 410 }} }}\n  \
         - {{ name: moved, matches: [{{ path: /moved }}], requestRedirect: {{ scheme: https }} }}\n  \
         - {{ name: out, listeners: [egress], backendRefs: [app] }}\n"
    ));
    for name in ["a", "gone", "moved"] {
        assert_eq!(route(&config, name).auth, any_of(&[0, 1]), "{name}");
    }
    assert_eq!(route(&config, "out").auth, Auth::none());
    assert_eq!(load("app: { port: 8080 }").routes[0].auth, Auth::none());
}

/// `docs/security.md` 10: a route drops an inherited requirement only with an `auth` of its own.
#[test]
fn only_a_route_that_writes_auth_asks_for_less() {
    let config = load(&format!(
        "{PROVIDERS}defaults: {{ auth: {{ allOf: [corp], mode: report }} }}\n\
         routes:\n  - {{ name: all }}\n  \
         - {{ name: exact, hostnames: [a.example], matches: [{{ path: {{ exact: /a/b }}, method: GET }}] }}\n  \
         - {{ name: ruled, matches: [{{ path: /r }}], authorize: {{ rules: [{{ name: a, action: allow }}] }} }}\n  \
         - {{ name: open, matches: [{{ path: /o }}], auth: none }}\n  \
         - {{ name: own, matches: [{{ path: /own }}], auth: {{ anyOf: [partner] }} }}\n  \
         - {{ name: maybe, matches: [{{ path: /m }}], auth: {{ optional: [partner] }} }}\n"
    ));
    let inherited = Auth::new(
        Requirement::AllOf(vec![Credential::Token(ProviderId(0))]),
        Mode::Report,
    );
    for name in ["all", "exact", "ruled"] {
        assert_eq!(route(&config, name).auth, inherited, "{name}");
    }
    assert_eq!(route(&config, "open").auth, Auth::none());
    // `auth` is replaced as a whole: the mode is not inherited separately.
    assert_eq!(route(&config, "own").auth, any_of(&[1]));
    assert_eq!(
        route(&config, "maybe").auth,
        Auth::new(Requirement::Optional(vec![ProviderId(1)]), Mode::Enforce)
    );
}

#[test]
fn a_provider_has_the_documented_defaults() {
    let provider = &load(PROVIDERS).jwt_providers[0];
    assert_eq!(provider.algorithms, JwtAlgorithm::ASYMMETRIC);
    let KeySource::Discovery(keys) = &provider.keys else {
        panic!("{:?}", provider.keys)
    };
    let seconds = [keys.refresh, keys.timeout, keys.max_stale].map(|time| time.as_secs());
    assert_eq!(seconds, [600, 2, 86_400]);
    assert!(!keys.allow_insecure && keys.bearer_token.is_none());
    assert_eq!(
        provider
            .token_types
            .iter()
            .map(|item| &**item)
            .collect::<Vec<_>>(),
        ["jwt", "at+jwt"]
    );
    assert_eq!(
        (provider.clock_skew, provider.max_lifetime),
        (Duration::from_secs(30), None)
    );
    assert_eq!(provider.binding, TokenBinding::WhenPresent);
    let bearer = TokenLocation::Header {
        name: http::header::AUTHORIZATION,
        scheme: Some("Bearer".into()),
    };
    assert_eq!(provider.from, std::slice::from_ref(&bearer));
    assert!(!provider.forward_token && provider.claim_headers.is_empty());

    let config = load(
        "app: { port: 1 }\njwtProviders:\n  a:\n    issuer: a\n    audiences: [b]\n    secret: { env: SECRET }\n    \
         tokenTypes: [AT+JWT, application/Secevent+jwt]\n    maxLifetime: 0s\n    \
         from: [{ header: authorization }, { header: x-token }, { cookie: session }]\n    \
         claimHeaders: { X-Tenant: org.tenant, x-roles: '[\"a.b\"].c', x-team: [a.b, c] }\n",
    );
    let provider = &config.jwt_providers[0];
    assert_eq!(provider.algorithms, [JwtAlgorithm::Hs256]);
    let types: Vec<&str> = provider.token_types.iter().map(|item| &**item).collect();
    assert_eq!(types, ["at+jwt", "secevent+jwt"]);
    let token = TokenLocation::Header {
        name: "x-token".parse().unwrap(),
        scheme: None,
    };
    assert_eq!(
        provider.from,
        [bearer, token, TokenLocation::Cookie("session".into())]
    );
    let headers: Vec<_> = provider
        .claim_headers
        .iter()
        .map(|header| (header.name.as_str(), &header.claim))
        .collect();
    let dotted = ClaimPath::new(["a.b".into(), "c".into()]);
    let nested = ClaimPath::new(["org".into(), "tenant".into()]);
    assert_eq!(
        headers,
        [
            ("x-tenant", &nested),
            ("x-roles", &dotted),
            ("x-team", &dotted)
        ]
    );
}

#[test]
fn keys_come_from_where_the_file_says() {
    let (_folder, config) = full();
    let provider = |name: &str| {
        config
            .jwt_providers
            .iter()
            .find(|provider| &*provider.name == name)
            .unwrap()
    };
    let KeySource::Url(url, _) = &provider("corp").keys else {
        panic!()
    };
    assert_eq!(url, "https://login.example.com/keys");
    let KeySource::Url(_, keys) = &provider("cluster").keys else {
        panic!()
    };
    let Some(SecretSource::File(path)) = &keys.bearer_token else {
        panic!("{keys:?}")
    };
    assert!(path.ends_with("secrets/token.txt") && path.is_absolute());
    assert_eq!((keys.ca_certificates.len(), keys.ca_files.len()), (1, 1));
    let KeySource::Discovery(keys) = &provider("local").keys else {
        panic!()
    };
    assert!(keys.allow_insecure);
    let KeySource::Text {
        jwks,
        file: Some(path),
    } = &provider("partner").keys
    else {
        panic!()
    };
    assert!(jwks.contains("rfc-8037") && path.is_absolute());
    assert!(matches!(
        provider("written").keys,
        KeySource::Text { file: None, .. }
    ));
    let KeySource::Secret(secret) = &provider("shared").keys else {
        panic!()
    };
    assert_eq!(
        secret.expose().len(),
        64,
        "the trailing line end is not a part of it"
    );
}

/// `docs/security.md` 22: no secret in a dump, a message or a log line.
#[test]
fn secrets_are_never_shown() {
    let config = load(
        "app: { port: 1 }\njwtProviders:\n  \
         a: { issuer: a, audiences: [b], secret: { env: SECRET } }\n  \
         b: { issuer: b, audiences: [b], secret: { file: tests/files/secret.txt } }\n  \
         c: { issuer: c, audiences: [b], jwks: { url: https://c/k, credentials: { bearerToken: { env: TOKEN } } } }\n",
    );
    let file_secret = "a-secret-for-tests";
    let yaml = effective_yaml(&config);
    for shown in [
        &yaml,
        &format!("{config:?}"),
        &effective_json(&config).to_string(),
    ] {
        for secret in [SECRET, "a-token", file_secret] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
    assert!(
        yaml.contains("SECRET")
            && yaml.contains("TOKEN")
            && yaml.contains("tests/files/secret.txt")
    );
    assert_eq!(load(&yaml), config, "{yaml}");

    for text in [
        "app: { port: 1 }\njwtProviders: { a: { issuer: a, audiences: [b], secret: hunter2, x: 1 } }",
        "app: { port: 1 }\njwtProviders: { a: { issuer: a, audiences: [b], secret: { value: hunter2 } } }",
        "app: { port: 1 }\njwtProviders: { a: { issuer: a, audiences: [b], secret: { env: hunter2! } } }",
        "app: { port: 1 }\njwtProviders: { a: { issuer: a, audiences: [b], secret: [hunter2] } }",
        "app: { port: 1 }\njwtProviders: { a: { issuer: a, audiences: [b], secret: 4711 } }",
        "app: { port: 1 }\njwtProviders:\n  a:\n    secret: |\n      hunter2\n      hunter3\n",
    ] {
        let error = load_str("test.yaml", text, &variables).unwrap_err();
        for shown in [
            error.render(true),
            error.to_string(),
            format!("{:?}", error.problems()),
        ] {
            assert!(
                !shown.contains("hunter") && !shown.contains("4711"),
                "{shown}"
            );
        }
    }
}

/// A route that accepts connections without a client certificate cannot require one.
#[test]
fn certificates_are_asked_for_where_every_listener_takes_them() {
    let folder = tempfile::tempdir().unwrap();
    certificates::write(&folder.path().join("tls"), &["a.example.com"]);
    let name = folder.path().join("a.yaml").display().to_string();
    let codes = |rest: &str| -> Vec<&'static str> {
        let text = format!(
            "app: {{ port: 8080 }}\nlisteners:\n  - {{ name: one, port: 8443, tls: &tls {{ bundleFile: tls/bundle.pem, \
             clientAuth: {{ mode: optional, caFiles: [tls/ca.crt] }} }} }}\n  \
             - {{ name: two, port: 8444, tls: *tls }}\n  - {{ name: plain, port: 8000 }}\n{rest}"
        );
        match load_str(&name, &text, &variables) {
            Ok(loaded) => loaded.warnings.iter().map(|problem| problem.code).collect(),
            Err(error) => error
                .problems()
                .iter()
                .map(|problem| problem.code)
                .collect(),
        }
    };
    let rule = "authorize: { rules: [{ name: a, action: allow, when: { clientCert: { subjectAltNames: [\"**\"] } } }] }";
    let bound = "jwtProviders: { a: { issuer: a, audiences: [b], secret: { env: SECRET }, binding: required } }";
    for (rest, expected) in [
        (
            "routes: [{ name: a, listeners: [one, two], auth: { anyOf: [mtls] } }, { name: b }]"
                .to_owned(),
            &[][..],
        ),
        (
            "routes: [{ name: a, auth: { anyOf: [mtls] } }]".to_owned(),
            &["no-client-auth"],
        ),
        (
            "routes: [{ name: a, listeners: [two, plain], auth: { allOf: [mtls] } }]".to_owned(),
            &["no-client-auth"],
        ),
        (
            "defaults: { auth: { anyOf: [mtls] } }\nroutes: [{ name: a }]".to_owned(),
            &["no-client-auth"],
        ),
        (
            "defaults: { auth: { anyOf: [mtls] } }".to_owned(),
            &["no-client-auth"],
        ),
        // A rule may match certificates where some clients have none: without one the rule does not
        // match.
        (format!("routes: [{{ name: a, {rule} }}]"), &[]),
        (
            format!("routes: [{{ name: a, listeners: [plain], {rule} }}, {{ name: b }}]"),
            &["no-client-auth"],
        ),
        (bound.to_owned(), &[]),
    ] {
        assert_eq!(codes(&rest), expected, "{rest}");
    }
    let problem = load_str(&name, &format!("app: {{ port: 1 }}\n{bound}"), &variables)
        .unwrap_err()
        .problems();
    assert_eq!(problem[0].code, "no-client-auth");
}

#[test]
fn a_secret_too_short_for_one_of_its_algorithms_is_refused() {
    for (algorithms, good) in [
        ("[HS256]", true),
        ("[HS384]", false),
        ("[HS256, HS384]", false),
    ] {
        let text = format!(
            "app: {{ port: 1 }}\njwtProviders: {{ a: {{ issuer: a, audiences: [b], algorithms: {algorithms}, \
             secret: {{ env: SECRET }} }} }}"
        );
        assert_eq!(
            load_str("test.yaml", &text, &variables).is_ok(),
            good,
            "{algorithms}"
        );
    }
}

#[test]
fn cors_merges_with_its_defaults_key_by_key() {
    let config = load(
        "app: { port: 1 }\ndefaults: { cors: { allowOrigins: [https://a.example], maxAge: 10m, allowMethods: [GET, PUT] } }\n\
         routes:\n  - { name: a }\n  - { name: b, matches: [{ path: /b }], cors: { allowCredentials: true, maxAge: 0s } }\n  \
         - { name: c, matches: [{ path: /c }], cors: { allowOrigins: [\"*\"], allowMethods: [POST] } }\n",
    );
    let cors = |name| route(&config, name).cors.clone().unwrap();
    let exact = OriginMatch::Exact("https://a.example".into());
    assert_eq!(
        (cors("a").allow_origins, cors("a").allow_credentials),
        (vec![exact.clone()], false)
    );
    assert_eq!(cors("a").max_age, Some(Duration::from_secs(600)));
    assert_eq!(
        (cors("b").allow_origins, cors("b").allow_credentials),
        (vec![exact], true)
    );
    assert_eq!(cors("b").max_age, Some(Duration::ZERO));
    assert_eq!(cors("c").allow_origins, [OriginMatch::Any]);
    assert_eq!(
        (cors("b").allow_methods.len(), cors("c").allow_methods.len()),
        (2, 1)
    );
    assert_eq!(load("app: { port: 1 }").routes[0].cors, None);
}

#[test]
fn rules_and_services_are_read() {
    let (_folder, config) = full();
    let authorize = route(&config, "admin").authorize.as_ref().unwrap();
    let rule = &authorize.rules[1];
    assert_eq!(
        (&*rule.name, rule.methods.len(), rule.scopes.len()),
        ("sre-write", 3, 1)
    );
    let groups = &rule.claims[0];
    assert_eq!(
        groups.any_of,
        [
            ValueMatch::Exact("sre".into()),
            ValueMatch::Exact("ops".into())
        ]
    );
    assert_eq!(rule.claims[2].any_of, [ValueMatch::Present]);
    let service = route(&config, "feed").ext_auth.as_ref().unwrap();
    assert_eq!(
        (&*service.endpoint.authority, &*service.path),
        ("127.0.0.1:8181", "/v1/check")
    );
    let claims = &route(&config, "orders-beta").matches[0].claims;
    assert_eq!(claims[1].claim, ClaimPath::new(["a.b".into(), "c".into()]));
    let config = load(
        "app: { port: 1 }\nroutes: [{ name: a, extAuth: { url: \"http://Auth.local?x=1\" } }]",
    );
    let service = config.routes[0].ext_auth.as_ref().unwrap();
    assert_eq!(
        (&*service.endpoint.authority, &*service.path),
        ("auth.local", "/?x=1")
    );
    assert_eq!(service.timeout, Duration::from_millis(200));
}

#[test]
fn a_reload_names_the_providers_that_changed() {
    let old = load(PROVIDERS);
    let new = load(
        &PROVIDERS
            .replace("  partner", "  other")
            .replace("[orders] }\n  other", "[x] }\n  other"),
    );
    assert_eq!(
        diff(&old, &new).to_string(),
        "jwtProviders +other -partner ~corp; routes ~app",
        "the route now requires a token of another provider"
    );
    // A provider before it shifts the indexes of the others, and changes no route that names its
    // own provider.
    let routes = "routes: [{ name: a, auth: { anyOf: [corp] } }]\n";
    let old = load(&format!("{PROVIDERS}{routes}"));
    let front = PROVIDERS.replace(
        "  corp",
        "  first: { issuer: f, audiences: [a], secret: { env: SECRET } }\n  corp",
    );
    assert_eq!(
        diff(&old, &load(&format!("{front}{routes}"))).to_string(),
        "jwtProviders +first"
    );
}

/// No key is accepted and ignored: the log contains no headers, so there is no setting to exclude
/// one.
#[test]
fn headers_to_leave_out_of_the_log_are_an_unknown_key() {
    let text = "app: { port: 1 }\ntelemetry: { accessLog: { redactHeaders: [authorization] } }";
    let problem = load_str("test.yaml", text, &variables)
        .unwrap_err()
        .problems()
        .remove(0);
    assert_eq!(
        (problem.code, &*problem.path),
        ("unknown-key", "telemetry.accessLog.redactHeaders")
    );
}
