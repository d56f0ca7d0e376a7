//! JWT authentication over real sockets: accepted tokens, responses, and headers for the app.
//! `docs/security.md` 10 to 13.

mod bad_tokens;
mod claims;

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::support::{
    Proxy,
    client::{Answer, H2, full},
    pki::{Ca, Wanted},
    recording::{Act, Message, Recording},
    tls::Client,
    tokens::{ISSUER, Signer, claims, claims_of, claims_with, corp, encode, jwks, signer},
    wait_for,
    wire::{Wire, header, status},
};

/// A proxy in front of an app that keeps what it gets.
pub struct Setup {
    pub proxy: Proxy,
    pub app: Recording,
}

impl Setup {
    /// With this beside app and listener.
    pub fn start(rest: &str) -> Self {
        Self::with_listener("{ port: 0 }", rest)
    }

    pub fn with_listener(listener: &str, rest: &str) -> Self {
        let app = Recording::ok();
        let yaml = format!(
            "app: {{ port: {} }}\nlisteners: [{listener}]\n{rest}",
            app.port()
        );
        Self {
            proxy: Proxy::start(&yaml),
            app,
        }
    }

    /// The answer to a GET with these fields.
    pub fn ask(&self, path: &str, fields: &str) -> (String, String) {
        ask(&self.proxy, path, fields)
    }

    pub fn status(&self, path: &str, fields: &str) -> u16 {
        status(&self.ask(path, fields).0)
    }

    /// What the app gets of a request that gets in.
    pub fn handed_over(&self, path: &str, fields: &str) -> Message {
        static PROBES: AtomicUsize = AtomicUsize::new(0);
        let probe = PROBES.fetch_add(1, Ordering::Relaxed).to_string();
        let (head, _) = self.ask(path, &format!("{fields}x-probe: {probe}\r\n"));
        assert_eq!(status(&head), 200, "{head}");
        self.app
            .messages()
            .into_iter()
            .find(|one| one.all("x-probe") == [&*probe])
            .unwrap()
    }

    /// The reason in the access log of the request to this path.
    pub fn logged(&self, path: &str) -> Value {
        self.proxy.logged(|line| line["path"] == path)
    }
}

pub fn ask(proxy: &Proxy, path: &str, fields: &str) -> (String, String) {
    Wire::connect(proxy.inbound()).ask(&format!(
        "GET {path} HTTP/1.1\r\nhost: a.example\r\n{fields}\r\n"
    ))
}

pub fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}\r\n")
}

pub fn good() -> String {
    signer().token(&claims())
}

#[test]
fn a_provider_makes_a_token_mandatory_on_every_route_that_does_not_say_otherwise() {
    let routes = "routes:\n- { name: probes, matches: [{ path: { exact: /healthz } }], auth: none }\n\
                  - { name: old, matches: [{ path: /old }], requestRedirect: { path: { replaceFull: /new } } }\n\
                  - { name: gone, matches: [{ path: /gone }], directResponse: { status: 410 } }\n- { name: app }\n";
    let setup = Setup::start(&corp(routes));
    for path in ["/", "/healthz/x", "/old", "/gone"] {
        assert_eq!(setup.status(path, ""), 401, "{path}");
    }
    assert_eq!(setup.app.connections(), 0);
    for (path, expected) in [("/", 200), ("/healthz", 200), ("/old", 302), ("/gone", 410)] {
        assert_eq!(setup.status(path, &bearer(&good())), expected, "{path}");
    }
    assert_eq!(setup.status("/healthz", ""), 200);
    assert_eq!(
        setup.status("/healthz", &bearer("nonsense")),
        200,
        "not even looked at"
    );
}

/// `docs/security.md` 9: what is open is open in one spelling.
#[test]
fn no_spelling_of_another_path_is_taken_for_an_open_one() {
    let routes = "routes:\n- { name: open, matches: [{ path: { exact: /open } }, { path: /public }], auth: none }\n\
                  - { name: app }\n";
    let setup = Setup::start(&corp(routes));
    assert_eq!(setup.status("/open", ""), 200);
    assert_eq!(setup.status("/%6fpen", ""), 200, "the same path");
    for path in [
        "/open/", "/open/x", "/openx", "/Open", "/publicx", "/x/open",
    ] {
        assert_eq!(setup.status(path, ""), 401, "{path}");
    }
    for path in [
        "/public/../admin",
        "/public/%2e%2e/admin",
        "/public%2f..%2fadmin",
        "/open%00",
        "/public/..;/x",
        "/open\\",
    ] {
        assert_eq!(setup.status(path, ""), 400, "{path}");
    }
}

#[test]
fn a_challenge_tells_that_a_token_is_needed_and_nothing_else() {
    let setup = Setup::start(&corp(""));
    let (head, body) = setup.ask("/x", "");
    assert_eq!(status(&head), 401);
    assert_eq!(
        header(&head, "www-authenticate"),
        Some("Bearer error=\"invalid_token\"")
    );
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["error"], "unauthorized");
    let line = setup.logged("/x");
    assert_eq!(
        (&line["flag"], &line["reason"]),
        (&json!("UA"), &json!("auth.missing_token"))
    );
    assert_eq!(line["requestId"], body["requestId"]);
}

#[tokio::test]
async fn a_grpc_call_is_refused_in_its_own_way() {
    let setup = Setup::start(&corp(""));
    let mut client = H2::connect(setup.proxy.inbound()).await;
    let request = crate::support::client::request("POST", "/pkg.Service/Call")
        .header("content-type", "application/grpc")
        .body(full(""))
        .unwrap();
    let answer = Answer::of(client.send(request).await).await;
    assert_eq!(
        (
            answer.status,
            answer.header("grpc-status"),
            answer.body.len()
        ),
        (200, "16", 0)
    );
    assert_eq!(setup.app.connections(), 0);
}

#[tokio::test]
async fn http2_requests_are_judged_one_by_one() {
    let setup = Setup::start(&corp(""));
    let mut client = H2::connect(setup.proxy.inbound()).await;
    for (token, expected) in [
        (Some(good()), 200),
        (None, 401),
        (Some("x.y.z".to_owned()), 401),
        (Some(good()), 200),
    ] {
        let mut request = crate::support::client::request("GET", "/");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        assert_eq!(
            Answer::of(client.send(request.body(full("")).unwrap()).await)
                .await
                .status,
            expected
        );
    }
}

/// The body of a request that is refused is neither asked for nor taken for the next request.
#[test]
fn a_refusal_comes_before_the_body() {
    let setup = Setup::start(&corp(""));
    let mut wire = Wire::connect(setup.proxy.inbound());
    wire.send(
        "POST /e HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 100000\r\n\r\n",
    );
    let head = wire.head();
    assert_eq!(
        (status(&head), header(&head, "connection")),
        (401, Some("close")),
        "{head}"
    );

    let mut wire = Wire::connect(setup.proxy.inbound());
    let hidden = format!("GET /hidden HTTP/1.1\r\nhost: a\r\n{}\r\n", bearer(&good()));
    wire.send(format!(
        "POST /b HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{hidden}",
        hidden.len()
    ));
    assert_eq!(status(&wire.head()), 401);
    wire.close_write();
    assert!(!wire.rest().contains("200 OK"));
    assert_eq!(setup.app.connections(), 0);
}

/// `docs/security.md` 10.
#[test]
fn two_authorization_fields_are_malformed_whatever_they_say() {
    let setup = Setup::start(&corp(""));
    let both = bearer(&good()) + &bearer(&good());
    assert_eq!(setup.status("/", &both), 400);
    assert_eq!(
        setup.status("/", &(bearer(&good()) + "Authorization: Basic eDp5\r\n")),
        400
    );
    assert_eq!(setup.app.connections(), 0);
}

#[test]
fn every_kind_of_key_and_source_lets_its_tokens_in() {
    let rsa = Signer::rsa("rsa");
    let secret = b"0123456789abcdef0123456789abcdef";
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("keys.json"), jwks(&[&rsa])).unwrap();
    std::fs::write(folder.path().join("secret"), secret).unwrap();
    let of = |file| folder.path().join(file).display().to_string();
    let app = Recording::ok();
    let yaml = format!(
        "app: {{ port: {} }}\nlisteners: [{{ port: 0 }}]\n{}  file:\n    issuer: https://file.example/\n    \
         audiences: [orders-api]\n    jwks: {{ file: {} }}\n  shared:\n    issuer: https://shared.example/\n    \
         audiences: [orders-api]\n    algorithms: [HS256]\n    secret: {{ file: {} }}\n",
        app.port(),
        corp(""),
        of("keys.json"),
        of("secret"),
    );
    let proxy = Proxy::start(&yaml);
    let shared = Signer::secret(secret);
    for (signer, issuer, expected) in [
        (signer(), ISSUER, 200),
        (&rsa, "https://file.example/", 200),
        (&shared, "https://shared.example/", 200),
        (&rsa, ISSUER, 401),
        (signer(), "https://file.example/", 401),
        (&rsa, "https://shared.example/", 401),
        (&shared, ISSUER, 401),
        (
            &Signer::secret(&secret[..31]),
            "https://shared.example/",
            401,
        ),
        (signer(), "https://unknown.example/", 401),
    ] {
        let token = signer.token(&claims_of(issuer));
        assert_eq!(
            status(&ask(&proxy, "/", &bearer(&token)).0),
            expected,
            "{issuer} {}",
            signer.kid
        );
    }
    // A key file that changes is as good as a new configuration.
    let new = Signer::new("new");
    std::fs::write(folder.path().join("keys.json"), jwks(&[&new])).unwrap();
    let (old, new) = (
        rsa.token(&claims_of("https://file.example/")),
        new.token(&claims_of("https://file.example/")),
    );
    wait_for("the new key", || {
        (status(&ask(&proxy, "/", &bearer(&new)).0) == 200).then_some(())
    });
    assert_eq!(status(&ask(&proxy, "/", &bearer(&old)).0), 401);
}

#[test]
fn the_first_place_that_has_a_token_decides() {
    let setup = Setup::start(&corp(
        "    from: [{ header: x-token }, { header: Authorization, scheme: JWT }, { cookie: session }]\n",
    ));
    let (good, bad) = (good(), "x.y.z");
    for (fields, expected) in [
        (format!("x-token: {good}\r\n"), 200),
        (format!("authorization: jwt {good}\r\n"), 200),
        (format!("authorization: JWT  {good}\r\n"), 200),
        (format!("cookie: a=b; session={good}\r\n"), 200),
        (
            format!("authorization: Basic eDp5\r\ncookie: session={good}\r\n"),
            200,
        ),
        (format!("x-token: {good}\r\ncookie: session={bad}\r\n"), 200),
        (format!("x-token: {bad}\r\ncookie: session={good}\r\n"), 401),
        (format!("x-token: {good}\r\nx-token: {good}\r\n"), 401),
        (format!("cookie: session={good}; session={good}\r\n"), 401),
        (
            format!("cookie: session={good}\r\ncookie: session={bad}\r\n"),
            401,
        ),
        (format!("authorization: Bearer {good}\r\n"), 401),
        (format!("cookie: Session={good}\r\n"), 401),
        (format!("cookie: xsession={good}\r\n"), 401),
        (format!("cookie: session=\"{good}\"\r\n"), 200),
        (format!("cookie: a=\"b\"; session=\"{good}\"; c=d\r\n"), 200),
        (format!("cookie: session=\"{good}\r\n"), 401),
        (format!("cookie: session=\"{bad}\"\r\n"), 401),
        (
            format!("cookie: session=\"{good}\"; session={good}\r\n"),
            401,
        ),
    ] {
        assert_eq!(setup.status("/", &fields), expected, "{fields}");
    }
}

#[test]
fn the_app_gets_no_token_unless_forward_token_says_so() {
    let from = "    from: [{ header: Authorization, scheme: Bearer }, { cookie: session }]\n";
    let hidden = Setup::start(&corp(from));
    let got = hidden.handed_over(
        "/",
        &(bearer(&good()) + "cookie: a=1; session=old; b=2\r\n"),
    );
    assert_eq!(
        (got.all("authorization"), got.all("cookie")),
        (vec![], vec!["a=1; b=2"])
    );
    let got = hidden.handed_over(
        "/",
        &format!(
            "authorization: Basic eDp5\r\ncookie: session={}\r\n",
            good()
        ),
    );
    assert_eq!(
        (got.all("authorization"), got.all("cookie")),
        (vec!["Basic eDp5"], vec![])
    );

    let forwarded = Setup::start(&corp(&format!("{from}    forwardToken: true\n")));
    let token = good();
    let got = forwarded.handed_over("/", &(bearer(&token) + "cookie: a=1\r\n"));
    assert_eq!(
        (got.all("authorization"), got.all("cookie")),
        (vec![&*format!("Bearer {token}")], vec!["a=1"])
    );
}

#[test]
fn of_two_providers_in_one_place_each_decides_for_its_own_tokens() {
    let partner = Signer::new("partner");
    let issuer = "https://partner.example/";
    let setup = Setup::start(&format!(
        "{}  partner:\n    issuer: {issuer}\n    audiences: [orders-api]\n    forwardToken: true\n    \
         jwks: {{ inline: '{}' }}\n",
        corp(""),
        jwks(&[&partner])
    ));
    let theirs = partner.token(&claims_of(issuer));
    assert_eq!(
        setup
            .handed_over("/", &bearer(&theirs))
            .all("authorization"),
        [format!("Bearer {theirs}")]
    );
    assert!(
        setup
            .handed_over("/", &bearer(&good()))
            .all("authorization")
            .is_empty()
    );
}

#[test]
fn optional_lets_pass_without_a_token_and_never_with_a_bad_one() {
    let setup = Setup::start(&corp(
        "routes: [{ name: app, auth: { optional: [corp] } }]\n",
    ));
    for (fields, expected) in [
        (String::new(), 200),
        (bearer(&good()), 200),
        (bearer("x.y.z"), 401),
        (bearer(""), 401),
        (
            bearer(&signer().token(&claims_with(json!({ "exp": 1 })))),
            401,
        ),
        ("authorization: Basic eDp5\r\n".to_owned(), 200),
    ] {
        assert_eq!(setup.status("/", &fields), expected, "{fields}");
    }
}

#[test]
fn report_mode_accepts_all_requests_and_logs_what_it_would_reject() {
    let setup = Setup::start(&corp(
        "routes: [{ name: app, auth: { anyOf: [corp], mode: report } }]\n",
    ));
    let expired = signer().token(&claims_with(json!({ "exp": 1 })));
    for (path, fields, reason) in [
        ("/missing", String::new(), json!("auth.missing_token")),
        ("/expired", bearer(&expired), json!("auth.expired")),
        ("/good", bearer(&good()), Value::Null),
    ] {
        let got = setup.handed_over(path, &fields);
        assert!(
            got.all("authorization").is_empty(),
            "a token that was not verified is not handed over"
        );
        let line = setup.logged(path);
        assert_eq!(
            (&line["status"], &line["flag"], &line["wouldDeny"]),
            (&json!(200), &json!(""), &reason)
        );
    }
    for reason in ["auth.missing_token", "auth.expired"] {
        let series = format!(r#"outrigger_would_deny_total{{route="app",reason="{reason}"}}"#);
        assert_eq!(setup.proxy.metric(&series), 1.0, "{reason}");
    }
}

#[test]
fn a_token_that_was_verified_before_is_refused_once_it_has_expired() {
    let setup = Setup::start(&corp("    clockSkew: 0s\n"));
    let token = signer().token(&claims_with(
        json!({ "exp": crate::support::tokens::now() + 3 }),
    ));
    assert_eq!(setup.status("/", &bearer(&token)), 200);
    wait_for("the token to expire", || {
        (setup.status("/", &bearer(&token)) == 401).then_some(())
    });
    assert_eq!(
        setup.proxy.logged(|line| line["status"] == 401)["reason"],
        "auth.expired"
    );
}

/// RFC 8705: a token that is bound to a certificate is good for that one alone.
#[test]
fn a_bound_token_needs_its_certificate_also_when_it_was_verified_before() {
    let (servers, clients) = (Ca::new("Servers"), Ca::new("Clients"));
    let (mine, theirs) = (
        clients.sign(Wanted::client("me")),
        clients.sign(Wanted::client("they")),
    );
    let app = Recording::ok();
    let rest = corp(
        "routes:\n- { name: both, matches: [{ path: /both }], auth: { allOf: [corp, mtls] } }\n\
         - { name: either, matches: [{ path: /either }], auth: { anyOf: [corp, mtls] } }\n- { name: app }\n",
    );
    let proxy = Proxy::asking_clients((&servers, &clients), app.port(), &rest);
    let thumbprint = encode(aws_lc_rs::digest::digest(
        &aws_lc_rs::digest::SHA256,
        mine.certificate.as_ref(),
    ));
    let bound = signer().token(&claims_with(json!({ "cnf": { "x5t#S256": thumbprint } })));
    let other = signer().token(&claims_with(json!({ "cnf": { "jkt": thumbprint } })));
    let (me, they, anonymous) = (
        Client::mutual(&servers, &mine),
        Client::mutual(&servers, &theirs),
        Client::new(&servers),
    );
    let ask = |client: &Client, path: &str, token: &str| {
        let mut connection = client.connect(proxy.inbound()).unwrap();
        let fields = if token.is_empty() {
            String::new()
        } else {
            bearer(token)
        };
        connection
            .send(format!("GET {path} HTTP/1.1\r\nhost: a\r\n{fields}\r\n"))
            .unwrap();
        connection.answer().unwrap().status
    };
    for (client, path, token, expected) in [
        (&me, "/", &*bound, 200),
        (&they, "/", &bound, 401),
        (&anonymous, "/", &bound, 401),
        (&me, "/", &bound, 200),
        (&me, "/", &other, 401),
        (&anonymous, "/", &good(), 200),
        (&me, "/both", &bound, 200),
        (&they, "/both", &bound, 401),
        (&they, "/both", &good(), 200),
        (&anonymous, "/both", &good(), 403),
        (&me, "/both", "", 401),
        (&they, "/either", "", 200),
        (&anonymous, "/either", "", 401),
        (&anonymous, "/either", &good(), 200),
        (&they, "/either", "x.y.z", 200),
    ] {
        assert_eq!(ask(client, path, token), expected, "{path} {token}");
    }
    for reason in [
        "auth.binding_mismatch",
        "auth.binding_unknown",
        "auth.certificate_missing",
    ] {
        proxy.logged(|line| line["reason"] == reason);
    }
}

/// `docs/security.md` 20.
#[test]
fn no_token_stands_in_a_log_or_metric() {
    let app = Recording::answering(|_| {
        Act::Answer(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec())
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("outrigger.yaml");
    let yaml = format!(
        "app: {{ port: {} }}\nlisteners: [{{ port: 0 }}]\n{}",
        app.port(),
        corp("")
    );
    std::fs::write(&file, crate::support::with_servers(&yaml)).unwrap();
    let mut command = crate::support::command();
    let proxy = Proxy::spawn(
        folder,
        command
            .arg("run")
            .arg("-c")
            .arg(&file)
            .args(["--log-level", "debug"]),
    );
    let tokens = [
        good(),
        signer().token(&claims_with(json!({ "exp": 1 }))),
        Signer::new("unknown").token(&claims()),
        good() + "=",
    ];
    for (number, token) in tokens.iter().enumerate() {
        ask(&proxy, &format!("/{number}"), &bearer(token));
        proxy.logged(|line| line["path"] == format!("/{number}"));
    }
    let told = proxy.stdout() + &proxy.stderr() + &proxy.metrics();
    for part in tokens.iter().flat_map(|token| token.split('.')) {
        assert!(!told.contains(part), "{part} is in\n{told}");
    }
}
