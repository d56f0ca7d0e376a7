//! JWKS fetching from servers with every kind of behavior. `docs/security.md` 14.

use std::time::Duration;

use serde_json::json;

use crate::support::{
    Proxy,
    keys::{KeyServer, Reply, answer, redirect},
    live::free_port,
    origin,
    pki::{Ca, Leaf, Wanted},
    tokens::{ISSUER, Signer, claims, claims_of, jwks},
    wait_for,
    wire::{Wire, header, status},
};

/// Reloads only when asked.
const ASKED: &str = "reload: { watch: false, poll: 0s }\n";

/// A proxy in front of an origin with one provider `corp`, an open route and one that needs a token.
struct Setup {
    proxy: Proxy,
    _origin: outrigger_loadtest::origin::Origin,
}

/// One provider and the two routes.
fn yaml(port: u16, issuer: &str, jwks: &str) -> String {
    format!(
        "app: {{ port: {port} }}\nlisteners: [{{ port: 0 }}]\n\
         jwtProviders:\n  corp:\n    issuer: {issuer}\n    audiences: [orders-api]\n{jwks}\n\
         routes:\n- {{ name: open, matches: [{{ path: /open }}], auth: none, directResponse: {{ status: 200 }} }}\n- {{ name: api }}\n{ASKED}"
    )
}

impl Setup {
    fn start(jwks: &str) -> Self {
        Self::with_issuer(ISSUER, jwks)
    }

    fn with_issuer(issuer: &str, jwks: &str) -> Self {
        let origin = origin();
        let yaml = yaml(origin.address().port(), issuer, jwks);
        Self {
            proxy: Proxy::start(&yaml),
            _origin: origin,
        }
    }

    /// The head of the answer to a token.
    fn ask(&self, token: &str) -> String {
        ask(&self.proxy, "/", token)
    }

    fn status(&self, token: &str) -> u16 {
        status(&self.ask(token))
    }

    fn fetched(&self, result: &str) -> f64 {
        fetched(&self.proxy, result)
    }

    fn wait_fetched(&self, result: &str) {
        wait_for(result, || (self.fetched(result) > 0.0).then_some(()));
    }
}

fn ask(proxy: &Proxy, path: &str, token: &str) -> String {
    let mut wire = Wire::connect(proxy.inbound());
    wire.ask(&format!(
        "GET {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n\r\n"
    ))
    .0
}

fn fetched(proxy: &Proxy, result: &str) -> f64 {
    proxy.metric(&format!(
        r#"outrigger_jwks_fetches_total{{provider="corp",result="{result}"}}"#
    ))
}

fn by_url(server: &KeyServer, more: &str) -> String {
    format!(
        "    jwks: {{ url: \"{}\", allowInsecure: true{more} }}",
        server.url("/keys")
    )
}

fn server_certificate(ca: &Ca) -> Leaf {
    ca.sign(Wanted::server(&["localhost"]))
}

#[test]
fn keys_are_fetched_before_the_first_request() {
    let key = Signer::new("a");
    let server = KeyServer::plain(jwks(&[&key, &Signer::rsa("b")]));
    let setup = Setup::start(&by_url(&server, ""));
    assert_eq!(setup.status(&key.token(&claims())), 200);
    assert_eq!((server.requests(), setup.fetched("ok")), (1, 1.0));
    assert_eq!(
        setup
            .proxy
            .metric(r#"outrigger_jwks_keys{provider="corp"}"#),
        2.0
    );
    assert!(
        setup
            .proxy
            .metrics()
            .contains(r#"outrigger_jwks_age_seconds{provider="corp"}"#)
    );
    let head = &server.heads()[0];
    assert!(head.starts_with("get /keys http/1.1\r\n"), "{head}");
    assert_eq!(
        header(head, "host"),
        Some(&*format!("localhost:{}", server.address.port()))
    );
}

#[test]
fn discovery_finds_the_keys_and_the_certificate_must_be_of_ca_files() {
    let (ca, stranger) = (Ca::new("Keys"), Ca::new("Stranger"));
    let key = Signer::new("a");
    let server = KeyServer::secure(&server_certificate(&ca), |_| Reply::Close);
    let (issuer, set) = (server.url("/tenant/"), jwks(&[&key]));
    let document =
        json!({ "issuer": issuer, "jwks_uri": server.url("/tenant/keys?v=1") }).to_string();
    server.answer_with(move |target| match target {
        "/tenant/.well-known/openid-configuration" => Reply::Json(document.clone()),
        "/tenant/keys?v=1" => Reply::Json(set.clone()),
        _ => answer(404, "text/plain", ""),
    });
    let folder = tempfile::tempdir().unwrap();
    let files = ["ca.pem", "stranger.pem"].map(|name| folder.path().join(name));
    for (file, ca) in files.iter().zip([&ca, &stranger]) {
        std::fs::write(file, ca.pem()).unwrap();
    }
    let trusting = |file: &std::path::Path| {
        Setup::with_issuer(
            &issuer,
            &format!("    jwks: {{ caFiles: [{}] }}", file.display()),
        )
    };
    let token = key.token(&claims_of(&issuer));
    assert_eq!(trusting(&files[0]).status(&token), 200);
    let distrusting = trusting(&files[1]);
    distrusting.wait_fetched("tls");
    assert_eq!(distrusting.status(&token), 503);
}

#[test]
fn the_certificate_of_a_key_server_must_be_for_its_name() {
    let ca = Ca::new("Keys");
    let server = KeyServer::secure(&ca.sign(Wanted::server(&["other.example"])), |_| {
        Reply::Close
    });
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), ca.pem()).unwrap();
    let file = folder.path().join("ca.pem");
    let setup = Setup::start(&format!(
        "    jwks: {{ url: \"{}\", caFiles: [{}] }}",
        server.url("/"),
        file.display()
    ));
    setup.wait_fetched("tls");
    assert_eq!(server.requests(), 0);
}

#[test]
fn the_system_roots_can_be_named_by_the_environment() {
    let ca = Ca::new("Company");
    let key = Signer::new("a");
    let set = jwks(&[&key]);
    let server = KeyServer::secure(&server_certificate(&ca), move |_| Reply::Json(set.clone()));
    let (folder, origin) = (tempfile::tempdir().unwrap(), origin());
    std::fs::write(folder.path().join("roots.pem"), ca.pem()).unwrap();
    let file = folder.path().join("outrigger.yaml");
    let yaml = yaml(
        origin.address().port(),
        ISSUER,
        &format!("    jwks: {{ url: \"{}\" }}", server.url("/")),
    );
    std::fs::write(&file, crate::support::with_servers(&yaml)).unwrap();
    let mut command = crate::support::command();
    command
        .env("SSL_CERT_FILE", folder.path().join("roots.pem"))
        .env_remove("SSL_CERT_DIR");
    let proxy = Proxy::spawn(folder, command.arg("run").arg("-c").arg(&file));
    assert_eq!(status(&ask(&proxy, "/", &key.token(&claims()))), 200);
}

/// As a cluster's API server: a CA of its own, and a bearer token that the kubelet replaces.
#[test]
fn a_bearer_token_is_read_from_its_file_for_each_fetch_and_sent_over_tls() {
    let ca = Ca::new("Cluster");
    let key = Signer::rsa("sa");
    let set = jwks(&[&key]);
    let server = KeyServer::secure(&server_certificate(&ca), move |_| Reply::Json(set.clone()));
    let folder = tempfile::tempdir().unwrap();
    let (ca_file, token_file) = (folder.path().join("ca.crt"), folder.path().join("token"));
    std::fs::write(&ca_file, ca.pem()).unwrap();
    std::fs::write(&token_file, "token-one\n").unwrap();
    let issuer = "https://kubernetes.default.svc.cluster.local";
    let setup = Setup::with_issuer(
        issuer,
        &format!(
            "    jwks:\n      url: \"{}\"\n      refresh: 1s\n      credentials: {{ bearerToken: {{ file: {} }} }}\n      caFiles: [{}]",
            server.url("/openid/v1/jwks"),
            token_file.display(),
            ca_file.display()
        ),
    );
    assert_eq!(setup.status(&key.token(&claims_of(issuer))), 200);
    assert_eq!(
        header(&server.heads()[0], "authorization"),
        Some("bearer token-one")
    );
    std::fs::write(&token_file, "token-two").unwrap();
    wait_for("the next token", || {
        server
            .heads()
            .iter()
            .any(|head| header(head, "authorization") == Some("bearer token-two"))
            .then_some(())
    });
    std::fs::remove_file(&token_file).unwrap();
    setup.wait_fetched("credentials");
    assert_eq!(
        setup.status(&key.token(&claims_of(issuer))),
        200,
        "the last good keys stay"
    );
    let told =
        setup.proxy.stderr() + &setup.proxy.admin("GET", "/config").1 + &setup.proxy.metrics();
    assert!(!told.contains("token-one") && !told.contains("token-two"));
}

#[test]
fn a_token_of_a_new_key_is_let_in_by_the_fetch_it_causes() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let server = KeyServer::plain(jwks(&[&old]));
    let setup = Setup::start(&by_url(&server, ""));
    assert_eq!(setup.status(&old.token(&claims())), 200);
    server.publish(jwks(&[&new, &old]));
    assert_eq!(setup.status(&new.token(&claims())), 200);
    assert_eq!(setup.status(&old.token(&claims())), 200);
    assert_eq!(server.requests(), 2);
}

#[test]
fn requests_that_come_together_share_the_fetch_they_cause() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let server = KeyServer::plain(jwks(&[&old]));
    let setup = Setup::start(&by_url(&server, ""));
    let set = jwks(&[&new]);
    server.answer_with(move |_| {
        std::thread::sleep(Duration::from_millis(100)); // so that the others come meanwhile
        Reply::Json(set.clone())
    });
    let token = new.token(&claims());
    let answers: Vec<u16> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..20)
            .map(|_| scope.spawn(|| setup.status(&token)))
            .collect();
        asking.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!((answers, server.requests()), (vec![200; 20], 2));
}

#[test]
fn a_revoked_key_is_refused_after_the_next_refresh_also_for_tokens_that_were_known() {
    let (kept, revoked) = (Signer::new("kept"), Signer::new("revoked"));
    let server = KeyServer::plain(jwks(&[&kept, &revoked]));
    let setup = Setup::start(&by_url(&server, ", refresh: 1s"));
    let token = revoked.token(&claims());
    assert_eq!(setup.status(&token), 200);
    server.publish(jwks(&[&kept]));
    wait_for("the key to be gone", || {
        (setup.status(&token) == 401).then_some(())
    });
    assert_eq!(setup.status(&kept.token(&claims())), 200);
    assert_eq!(
        setup.proxy.logged(|line| line["status"] == 401)["reason"],
        "auth.unknown_kid"
    );
}

#[test]
fn ten_thousand_random_kids_cause_at_most_two_fetches() {
    let key = Signer::new("a");
    let server = KeyServer::plain(jwks(&[&key]));
    let setup = Setup::start(&by_url(&server, ""));
    let started = tokio::time::Instant::now();
    std::thread::scope(|scope| {
        for part in 0..4 {
            let (setup, key) = (&setup, &key);
            scope.spawn(move || {
                let mut wire = Wire::connect(setup.proxy.inbound());
                let payload = claims().to_string();
                let signature = crate::support::tokens::encode([7; 64]);
                for number in 0..2_500 {
                    let header = json!({ "alg": key.algorithm(), "kid": format!("{part}-{number}") }).to_string();
                    let [header, payload] = [&header, &payload].map(crate::support::tokens::encode);
                    let (head, _) = wire.ask(&format!(
                        "GET / HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {header}.{payload}.{signature}\r\n\r\n"
                    ));
                    assert_eq!(status(&head), 401, "{head}");
                }
            });
        }
    });
    // A busy machine may need more than ten seconds, which is one fetch more each.
    let most = 2 + started.elapsed().as_secs() as usize / 10;
    assert!(
        (2..=most).contains(&server.requests()),
        "{} fetches",
        server.requests()
    );
    assert_eq!(setup.status(&key.token(&claims())), 200);
}

#[test]
fn without_keys_a_request_that_needs_one_gets_503_and_others_are_served() {
    let (port, key) = (free_port(), Signer::new("a"));
    let jwks_lines =
        format!("    jwks: {{ url: \"http://127.0.0.1:{port}/keys\", allowInsecure: true }}");
    let setup = Setup::start(&jwks_lines);
    let token = key.token(&claims());
    let head = setup.ask(&token);
    assert_eq!(
        (status(&head), header(&head, "retry-after")),
        (503, Some("1")),
        "{head}"
    );
    assert_eq!(
        header(&head, "x-outrigger-overloaded"),
        None,
        "another pod may have them"
    );
    assert_eq!(status(&ask(&setup.proxy, "/open", &token)), 200);
    let line = setup.proxy.logged(|line| line["status"] == 503);
    assert_eq!(
        (&line["flag"], &line["reason"]),
        (&json!("JK"), &json!("auth.no_keys"))
    );
    assert_eq!(
        setup
            .proxy
            .metric(r#"outrigger_jwks_keys{provider="corp"}"#),
        0.0
    );
    setup.wait_fetched("connect");
    let server = KeyServer::on(port, None, move |_| Reply::Json(jwks(&[&key])));
    wait_for("the keys", || (setup.status(&token) == 200).then_some(()));
    assert!(server.requests() > 0);
}

#[test]
fn a_key_server_that_never_answers_does_not_hold_up_the_start() {
    let server = KeyServer::answering(|_| Reply::Silence);
    let setup = Setup::start(&by_url(&server, ", timeout: 5s"));
    assert_eq!(status(&ask(&setup.proxy, "/open", "x")), 200);
    assert_eq!(setup.status(&Signer::new("a").token(&claims())), 503);
    setup.wait_fetched("timeout");
    // Counted first, and logged behind it.
    let told = wait_for("the line", || {
        Some(setup.proxy.stderr()).filter(|told| told.contains("keys not fetched"))
    });
    let place = |text| {
        told.find(text)
            .unwrap_or_else(|| panic!("{text} is not in\n{told}"))
    };
    assert!(
        place("listening") < place("keys not fetched"),
        "it waited for the whole timeout:\n{told}"
    );
}

#[test]
fn the_last_good_keys_stay_while_the_server_fails_until_they_are_too_old() {
    let key = Signer::new("a");
    let server = KeyServer::plain(jwks(&[&key]));
    let (kept, too_old) = (
        Setup::start(&by_url(&server, ", refresh: 1s")),
        Setup::start(&by_url(&server, ", refresh: 1s, maxStale: 1s")),
    );
    let token = key.token(&claims());
    assert_eq!(kept.status(&token), 200);
    server.answer_with(|_| answer(500, "text/plain", "no"));
    for setup in [&kept, &too_old] {
        setup.wait_fetched("status");
    }
    assert_eq!(kept.status(&token), 200);
    wait_for("the keys to be too old", || {
        (too_old.status(&token) == 503).then_some(())
    });
    assert_eq!(kept.status(&token), 200);
    server.publish(jwks(&[&key]));
    wait_for("keys again", || {
        (too_old.status(&token) == 200).then_some(())
    });
}

#[test]
fn answers_that_are_no_set_are_refused_and_told() {
    let a = Signer::new("a");
    let weak =
        json!({ "keys": [{ "kty": "RSA", "kid": "w", "n": "AQAB", "e": "AQAB" }] }).to_string();
    let many: Vec<Signer> = (0..101)
        .map(|number| Signer::new(&number.to_string()))
        .collect();
    let many = jwks(&many.iter().collect::<Vec<_>>());
    for (reply, result, told) in [
        (
            answer(200, "text/html", "<!doctype html><title>Sign in</title>"),
            "keys",
            "this is HTML",
        ),
        (Reply::Json(String::new()), "keys", "empty"),
        (
            Reply::Json("{}".to_owned()),
            "keys",
            "without a list of keys",
        ),
        (Reply::Json(weak), "keys", "none of its keys can be used"),
        (Reply::Json(many), "keys", "101 keys"),
        (Reply::Endless, "too_large", "1 MiB"),
        (Reply::Silence, "timeout", "jwks.timeout"),
        (Reply::Drip, "timeout", "jwks.timeout"),
        (Reply::Close, "protocol", "violated HTTP"),
        (
            Reply::Bytes(b"SSH-2.0-x\r\n".to_vec()),
            "protocol",
            "violated HTTP",
        ),
        (answer(404, "text/plain", "no"), "status", "404"),
        (
            answer(500, "application/json", &jwks(&[&a])),
            "status",
            "500",
        ),
    ] {
        let server = KeyServer::answering(move |_| reply.clone());
        let setup = Setup::start(&by_url(&server, ", timeout: 500ms"));
        setup.wait_fetched(result);
        wait_for(told, || setup.proxy.stderr().contains(told).then_some(()));
        assert_eq!(setup.status(&a.token(&claims())), 503);
    }
}

/// RFC 7517 section 4.5. The day a provider adds such a key, no token may be refused for it.
#[test]
fn a_kid_that_several_keys_share_refuses_no_token() {
    let (key, same_kind, rsa) = (Signer::new("a"), Signer::new("a"), Signer::rsa("a"));
    let mut encryption = Signer::rsa("a").jwk();
    encryption["use"] = "enc".into();
    let post_quantum = json!({ "kty": "AKP", "alg": "ML-DSA-65", "kid": "a", "pub": "AAAA" });
    let before = jwks(&[&key]);
    let after =
        json!({ "keys": [encryption, post_quantum, rsa.jwk(), same_kind.jwk(), key.jwk()] });
    let server = KeyServer::plain(before);
    let setup = Setup::start(&by_url(&server, ", refresh: 1s"));
    assert_eq!(setup.status(&key.token(&claims())), 200);
    server.publish(after.to_string());
    wait_for("the new keys", || {
        (setup.status(&rsa.token(&claims())) == 200).then_some(())
    });
    for signer in [&key, &same_kind, &rsa] {
        assert_eq!(setup.status(&signer.token(&claims())), 200);
    }
    assert_eq!(setup.status(&Signer::new("a").token(&claims())), 401);
    assert_eq!(
        (
            setup.fetched("keys"),
            setup
                .proxy
                .metric(r#"outrigger_jwks_keys{provider="corp"}"#)
        ),
        (0.0, 3.0)
    );
}

#[test]
fn a_redirect_is_followed_on_the_same_host_three_times_and_nowhere_else() {
    let key = Signer::new("a");
    let set = jwks(&[&key]);
    let elsewhere = KeyServer::plain(set.clone());
    let server = KeyServer::answering(|_| Reply::Close);
    let (other_port, absolute) = (elsewhere.url("/keys"), server.url("/3"));
    // The same server by another name is another host too.
    let other_name = format!("http://127.0.0.1:{}/3", server.address.port());
    server.answer_with(move |target| match target {
        "/three" => redirect("/2?x=1"),
        "/2?x=1" => redirect(&absolute),
        "/3" => redirect("/keys"),
        "/four" => redirect("/three"),
        "/elsewhere" => redirect(&other_port),
        "/other-name" => redirect(&other_name),
        "/nowhere" => Reply::Bytes(b"HTTP/1.1 302 X\r\ncontent-length: 0\r\n\r\n".to_vec()),
        _ => Reply::Json(set.clone()),
    });
    let start = |path: &str| {
        Setup::start(&format!(
            "    jwks: {{ url: \"{}\", allowInsecure: true }}",
            server.url(path)
        ))
    };
    let token = key.token(&claims());
    assert_eq!(start("/three").status(&token), 200);
    for path in ["/four", "/elsewhere", "/other-name", "/nowhere"] {
        let setup = start(path);
        setup.wait_fetched("redirect");
        assert_eq!(setup.status(&token), 503, "{path}");
    }
    assert_eq!(elsewhere.requests(), 0, "no request was sent there");
}

#[test]
fn a_discovery_document_of_another_issuer_is_rejected() {
    let server = KeyServer::answering(|_| Reply::Close);
    let issuer = server.url("");
    let keys = server.url("/keys");
    for document in [
        json!({ "issuer": server.url("/"), "jwks_uri": keys }),
        json!({ "issuer": "https://login.example.com", "jwks_uri": keys }),
        json!({ "jwks_uri": keys }),
        json!({ "issuer": issuer }),
        json!({ "issuer": issuer, "jwks_uri": "/keys" }),
    ] {
        let text = document.to_string();
        server.answer_with(move |target| match target {
            "/keys" => Reply::Json(jwks(&[&Signer::new("a")])),
            _ => Reply::Json(text.clone()),
        });
        let setup = Setup::with_issuer(&issuer, "    jwks: { allowInsecure: true }");
        setup.wait_fetched("discovery");
        assert_eq!(setup.fetched("ok"), 0.0, "{document}");
    }
}

#[test]
fn keys_outlive_reloads_that_do_not_concern_them() {
    let (key, other) = (Signer::new("a"), Signer::new("b"));
    let server = KeyServer::plain(jwks(&[&key]));
    let setup = Setup::start(&by_url(&server, ""));
    let port = setup._origin.address().port();
    let token = key.token(&claims());
    let with = |jwks: &str, more: &str| yaml(port, ISSUER, jwks) + more;
    for round in 0..3 {
        setup.proxy.reload_with(&with(
            &format!("    clockSkew: {round}s\n{}", by_url(&server, "")),
            "telemetry: { accessLog: { samplePercent: 100 } }\n",
        ));
        assert_eq!(setup.status(&token), 200);
    }
    assert_eq!(server.requests(), 1);
    let second = KeyServer::plain(jwks(&[&other]));
    setup.proxy.reload_with(&with(&by_url(&second, ""), ""));
    assert_eq!(
        (setup.status(&token), setup.status(&other.token(&claims()))),
        (401, 200)
    );
    assert_eq!(server.requests(), 1, "the old server gets no more requests");
}

#[test]
fn after_a_reload_the_keys_of_a_provider_that_is_gone_are_not_fetched_any_more() {
    let server = KeyServer::plain(jwks(&[&Signer::new("a")]));
    let setup = Setup::start(&by_url(&server, ", refresh: 1s"));
    wait_for("a refresh", || (server.requests() > 1).then_some(()));
    let port = setup._origin.address().port();
    setup.proxy.reload_with(&format!(
        "app: {{ port: {port} }}\nlisteners: [{{ port: 0 }}]\n{ASKED}"
    ));
    let before = server.requests();
    std::thread::sleep(Duration::from_millis(2_500)); // two refreshes would have come
    assert!(
        server.requests() <= before + 1,
        "one may have been under way"
    );
    assert_eq!(setup.status("no token at all"), 200);
}
