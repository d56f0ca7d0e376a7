//! External authorization, with every behavior of the service.

use serde_json::{Value, json};

use crate::{
    jwt::{bearer, good},
    support::{
        Proxy,
        client::{Answer, H2, full, request},
        front::{Front, Maker},
        live::free_port,
        pki::{Ca, Wanted},
        recording::{Act, Message, Recording},
        tokens::corp,
        wire::{Wire, header, status},
        with_servers,
    },
};

fn act(bytes: &[u8]) -> Act {
    Act::Answer(bytes.to_vec())
}

const ALLOW: &[u8] = b"HTTP/1.1 204 No Content\r\nx-from-service: 1\r\n\r\n";

struct Setup {
    proxy: Proxy,
    app: Recording,
}

impl Setup {
    fn start(service: u16, more: &str, rest: &str) -> Self {
        let app = Recording::ok();
        let yaml = format!(
            "app: {{ port: {} }}\nlisteners: [{{ port: 0 }}]\n{rest}routes:\n\
             - {{ name: app, extAuth: {{ url: \"http://127.0.0.1:{service}/v1/check?a=b\"{more} }} }}\n",
            app.port()
        );
        Self {
            proxy: Proxy::start(&yaml),
            app,
        }
    }

    fn ask(&self, request: &str) -> (String, String) {
        Wire::connect(self.proxy.inbound()).ask(request)
    }

    fn get(&self, path: &str) -> (String, String) {
        self.ask(&format!("GET {path} HTTP/1.1\r\nhost: api.example\r\n\r\n"))
    }

    fn asked(&self, result: &str) -> f64 {
        self.proxy.metric(&format!(
            r#"outrigger_ext_auth_total{{route="app",result="{result}"}}"#
        ))
    }

    fn logged(&self, path: &str) -> Value {
        self.proxy.logged(|line| line["path"] == path)
    }
}

#[test]
fn a_2xx_lets_the_request_go_on_as_it_came() {
    let service = Recording::answering(|_| act(ALLOW));
    let setup = Setup::start(service.port(), "", &corp(""));
    let token = good();
    for number in 0..3 {
        let (head, body) = setup.ask(&format!(
            "POST /a//b%2Dc/{number}?card=4111 HTTP/1.1\r\nhost: api.example:8443\r\ncontent-length: 5\r\ncookie: a=b\r\n\
             x-forwarded-uri: /forged\r\nx-forwarded-method: GET\r\n{}\r\nhello",
            bearer(&token)
        ));
        assert_eq!((status(&head), &*body), (200, "ok"), "{head}");
        assert_eq!(header(&head, "x-from-service"), None);
    }
    let questions = service.messages();
    let question = &questions[0];
    assert_eq!(question.line, "GET /v1/check?a=b HTTP/1.1");
    let mut fields = question.fields.clone();
    fields.sort();
    let id = question.all("x-request-id")[0].to_owned();
    let expected = [
        ("authorization", format!("Bearer {token}")),
        ("host", format!("127.0.0.1:{}", service.port())),
        ("x-forwarded-host", "api.example:8443".to_owned()),
        ("x-forwarded-method", "POST".to_owned()),
        ("x-forwarded-proto", "http".to_owned()),
        ("x-forwarded-uri", "/a/b-c/0".to_owned()),
        ("x-request-id", id.clone()),
    ];
    assert_eq!(
        fields,
        expected.map(|(name, value)| (name.to_owned(), value))
    );
    let messages = setup.app.messages();
    let got = messages
        .iter()
        .find(|one| one.all("x-request-id") == [&*id])
        .unwrap();
    assert_eq!(
        (&*got.body, got.target()),
        (&b"hello"[..], "/a/b-c/0?card=4111")
    );
    assert!(
        got.all("authorization").is_empty(),
        "the service sees the token, the app does not"
    );
    assert_eq!(
        (
            setup.asked("allowed"),
            setup.asked("denied"),
            setup.asked("failed")
        ),
        (3.0, 0.0, 0.0)
    );
}

#[tokio::test]
async fn the_service_sees_the_headers_the_query_and_the_address_that_the_route_names() {
    let service = Recording::answering(|_| act(ALLOW));
    let more =
        ", requestHeaders: [cookie, x-tenant], includeQuery: true, includeClientAddress: true";
    let setup = Setup::start(service.port(), more, "");
    let (head, _) = setup.ask(
        "GET /a?b=c HTTP/1.1\r\nhost: a\r\ncookie: a=1; b=2\r\nx-tenant: 1\r\nX-Tenant: 2\r\nx-other: 1\r\n\
         x-forwarded-for: 192.0.2.1\r\n\r\n",
    );
    assert_eq!(status(&head), 200, "{head}");
    let mut client = H2::connect(setup.proxy.inbound()).await;
    let crumbs = request("GET", "/a?b=c")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .body(full(""))
        .unwrap();
    assert_eq!(client.send(crumbs).await.status(), 200);
    let questions = service.messages();
    for question in &questions {
        assert_eq!(
            question.all("cookie"),
            ["a=1; b=2"],
            "one field over HTTP/1.1"
        );
        assert_eq!(question.all("x-forwarded-uri"), ["/a?b=c"]);
        assert_eq!(
            question.all("x-forwarded-for"),
            ["127.0.0.1"],
            "not what a stranger says"
        );
        assert!(question.all("x-other").is_empty());
    }
    assert_eq!(
        (questions[0].all("x-tenant"), questions[1].all("x-tenant")),
        (vec!["1", "2"], vec![])
    );
    assert_eq!(
        setup.app.messages()[0].all("x-tenant"),
        ["1", "2"],
        "what is sent to the service is not taken away"
    );
}

#[test]
fn a_claim_header_that_the_service_sees_is_that_of_the_verified_token() {
    let service = Recording::answering(|_| act(ALLOW));
    let claims = corp("    claimHeaders: { x-user-id: sub, x-absent: nothing }\n");
    let setup = Setup::start(
        service.port(),
        ", requestHeaders: [x-user-id, x-absent]",
        &claims,
    );
    let (head, _) = setup.ask(&format!(
        "GET / HTTP/1.1\r\nhost: a\r\nx-user-id: root\r\nx-absent: root\r\n{}\r\n",
        bearer(&good())
    ));
    assert_eq!(status(&head), 200, "{head}");
    let question = &service.messages()[0];
    assert_eq!(
        (question.all("x-user-id"), question.all("x-absent")),
        (vec!["alice"], vec![])
    );
    assert_eq!(setup.app.messages()[0].all("x-user-id"), ["alice"]);
}

/// An answer that lets a request go on, with fields for app and client.
const GRANT: &[u8] =
    b"HTTP/1.1 200 OK\r\nx-user: ann\r\nx-groups: a\r\nx-groups: b\r\nauthorization: Bearer inner\r\n\
    set-cookie: s=1\r\nset-cookie: t=2\r\nx-internal: 1\r\ncontent-length: 0\r\n\r\n";

const HANDED_ON: &str =
    ", responseHeaders: [x-user, X-Groups, x-absent, authorization, set-cookie]";

#[test]
fn headers_of_its_answer_go_to_the_app_and_cookies_to_the_client() {
    let service = Recording::answering(|_| act(GRANT));
    let setup = Setup::start(service.port(), HANDED_ON, &corp(""));
    let token = good();
    let (head, _) = setup.ask(&format!(
        "GET / HTTP/1.1\r\nhost: a\r\nx-user: root\r\nX-User: root\r\nx-groups: root\r\nx-absent: root\r\nx-internal: mine\r\n{}\r\n",
        bearer(&token)
    ));
    assert_eq!(status(&head), 200, "{head}");
    assert_eq!(head.matches("set-cookie: ").count(), 2, "{head}");
    assert!(
        !head.contains("x-user") && !head.contains("x-internal"),
        "{head}"
    );
    let seen = &setup.app.messages()[0];
    assert_eq!(
        (seen.all("x-user"), seen.all("x-groups")),
        (vec!["ann"], vec!["a", "b"])
    );
    assert!(
        seen.all("x-absent").is_empty(),
        "what the service did not say is not the client's to say"
    );
    assert_eq!(
        seen.all("authorization"),
        ["Bearer inner"],
        "the token was taken away, this one is the service's"
    );
    assert_eq!(
        (seen.all("x-internal"), seen.all("set-cookie")),
        (vec!["mine"], vec![])
    );
    assert_eq!(
        service.messages()[0].all("authorization"),
        [format!("Bearer {token}")]
    );
}

/// The app cannot know which route a request took.
#[test]
fn a_client_forges_none_of_them_on_any_route() {
    let service = Recording::answering(|_| act(ALLOW));
    let app = Recording::ok();
    let proxy = Proxy::start(&format!(
        "app: {{ port: {} }}\nlisteners: [{{ port: 0, underscoreHeaders: keep }}]\nroutes:\n\
         - {{ name: asks, matches: [{{ path: /asks }}], extAuth: {{ url: \"http://127.0.0.1:{}\"{HANDED_ON} }} }}\n\
         - {{ name: fails, matches: [{{ path: /fails }}], extAuth: {{ url: \"http://127.0.0.1:{}\", onError: allow{HANDED_ON} }} }}\n\
         - {{ name: open }}\n",
        app.port(),
        service.port(),
        free_port()
    ));
    for path in ["/asks", "/fails", "/open"] {
        let (head, _) = Wire::connect(proxy.inbound()).ask(&format!(
            "POST {path} HTTP/1.1\r\nhost: a\r\nx-user: root\r\nx_user: root\r\nx-groups: root\r\nauthorization: Basic x\r\n\
             transfer-encoding: chunked\r\ntrailer: x-user\r\n\r\n1\r\na\r\n0\r\nx-user: root\r\nx-sum: 1\r\n\r\n"
        ));
        assert_eq!(status(&head), 200, "{path}: {head}");
    }
    let messages = app.messages();
    for path in ["/asks", "/fails", "/open"] {
        let message = messages
            .iter()
            .find(|message| message.target() == path)
            .unwrap();
        let mut names: Vec<&str> = message
            .fields
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        names.extend(message.trailers.iter().map(|(name, _)| name.as_str()));
        assert!(
            !names
                .iter()
                .any(|name| ["x-user", "x_user", "x-groups"].contains(name)),
            "{path}: {names:?}"
        );
        let credentials = message.all("authorization");
        assert_eq!(
            credentials,
            if path == "/open" {
                vec!["Basic x"]
            } else {
                vec![]
            },
            "{path}"
        );
    }
}

#[test]
fn cookies_reach_the_client_beside_those_of_the_app_and_on_our_own_answers() {
    let service = Recording::answering(|_| act(GRANT));
    let app = Recording::answering(|message: &Message| match message.target() {
        "/broken" => act(b"SSH-2.0\r\n\r\n"),
        _ => act(b"HTTP/1.1 200 OK\r\nset-cookie: app=1\r\ncontent-length: 0\r\n\r\n"),
    });
    let proxy = Proxy::start(&format!(
        "app: {{ port: {} }}\nlisteners: [{{ port: 0 }}]\nroutes: [{{ name: app, extAuth: {{ url: \"http://127.0.0.1:{}\"{HANDED_ON} }} }}]\n",
        app.port(),
        service.port()
    ));
    for (path, expected, cookies) in [
        ("/", 200, &["app=1", "s=1", "t=2"][..]),
        ("/broken", 502, &["s=1", "t=2"]),
    ] {
        let (head, _) =
            Wire::connect(proxy.inbound()).ask(&format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n"));
        let set: Vec<&str> = head
            .lines()
            .filter_map(|line| line.strip_prefix("set-cookie: "))
            .collect();
        assert_eq!((status(&head), &set[..]), (expected, cookies), "{head}");
    }
}

#[test]
fn a_denial_does_not_show_the_client_what_the_app_would_have_got() {
    let service = Recording::answering(|_| {
        act(b"HTTP/1.1 302 Found\r\nlocation: /login\r\nset-cookie: state=1\r\nx-user: ann\r\nx-hint: 1\r\ncontent-length: 0\r\n\r\n")
    });
    for more in [HANDED_ON, ", responseHeaders: [x-user]"] {
        let setup = Setup::start(service.port(), more, "");
        let (head, _) = setup.get("/");
        assert_eq!(
            (status(&head), header(&head, "location")),
            (302, Some("/login")),
            "{head}"
        );
        assert_eq!(
            (header(&head, "set-cookie"), header(&head, "x-hint")),
            (Some("state=1"), Some("1"))
        );
        assert_eq!(
            (header(&head, "x-user"), setup.app.connections()),
            (None, 0)
        );
    }
}

#[test]
fn connections_to_the_service_are_used_again() {
    let service = Recording::answering(|_| act(ALLOW));
    let setup = Setup::start(service.port(), "", "");
    let mut wire = Wire::connect(setup.proxy.inbound());
    for _ in 0..20 {
        assert_eq!(
            status(&wire.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").0),
            200
        );
    }
    assert_eq!((service.connections(), service.messages().len()), (1, 20));
}

#[test]
fn a_connection_that_the_service_has_closed_is_not_a_failure() {
    let service = Recording::answering(|message: &Message| {
        let _ = message;
        Act::Close(ALLOW.to_vec())
    });
    let setup = Setup::start(service.port(), "", "");
    let mut wire = Wire::connect(setup.proxy.inbound());
    for _ in 0..10 {
        assert_eq!(
            status(&wire.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").0),
            200
        );
    }
    assert_eq!(setup.asked("failed"), 0.0);
}

#[test]
fn anything_else_is_the_answer_and_the_app_never_hears_of_it() {
    let service = Recording::answering(|message: &Message| {
        act(match message.all("x-forwarded-uri")[0] {
            "/login" => {
                b"HTTP/1.1 302 Found\r\nlocation: https://login.example/?rd=x\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n\
                  connection: x-hop\r\nx-hop: 1\r\nkeep-alive: timeout=5\r\ncontent-length: 0\r\n\r\n"
            }
            "/basic" => b"HTTP/1.1 401 X\r\nwww-authenticate: Basic realm=x\r\ncontent-type: text/plain\r\ncontent-length: 3\r\n\r\nno!",
            "/chunks" => b"HTTP/1.1 403 X\r\ntransfer-encoding: chunked\r\ntrailer: x-t\r\n\r\n3\r\nab\n\r\n2\r\ncd\r\n0\r\nx-t: 1\r\n\r\n",
            "/teapot" => b"HTTP/1.1 418 X\r\ncontent-length: 0\r\n\r\n",
            _ => b"HTTP/1.1 500 X\r\ncontent-length: 4\r\n\r\nboom",
        })
    });
    let setup = Setup::start(service.port(), "", "");
    for (path, expected, text) in [
        ("/login", 302, ""),
        ("/basic", 401, "no!"),
        ("/chunks", 403, "ab\ncd"),
        ("/teapot", 418, ""),
        ("/other", 500, "boom"),
    ] {
        let (head, body) = setup.get(path);
        assert_eq!((status(&head), &*body), (expected, text), "{head}");
        assert!(
            !head.contains("x-hop") && !head.contains("keep-alive") && !head.contains("trailer"),
            "{head}"
        );
        let line = setup.logged(path);
        assert_eq!(
            (
                &line["status"],
                &line["flag"],
                &line["reason"],
                &line["upstream"]
            ),
            (
                &json!(expected),
                &json!("UZ"),
                &json!("ext_auth.denied"),
                &Value::Null
            )
        );
    }
    let (head, _) = setup.get("/login");
    assert_eq!(
        header(&head, "location"),
        Some("https://login.example/?rd=x")
    );
    assert_eq!(head.matches("set-cookie: ").count(), 2);
    assert_eq!(
        header(&setup.get("/basic").0, "www-authenticate"),
        Some("Basic realm=x")
    );
    let mut wire = Wire::connect(setup.proxy.inbound());
    wire.send("HEAD /basic HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    let (head, rest) = (wire.head(), wire.rest());
    assert_eq!((status(&head), &*rest), (401, ""), "{head}");
    assert_eq!((setup.app.connections(), setup.asked("allowed")), (0, 0.0));
}

#[tokio::test]
async fn a_grpc_call_is_denied_in_its_own_way() {
    for (answer, expected) in [
        (&b"HTTP/1.1 401 X\r\ncontent-length: 2\r\n\r\nno"[..], "16"),
        (b"HTTP/1.1 403 X\r\ncontent-length: 2\r\n\r\nno", "7"),
        (
            b"HTTP/1.1 302 X\r\nlocation: /\r\ncontent-length: 0\r\n\r\n",
            "7",
        ),
    ] {
        let service = Recording::answering(move |_| act(answer));
        let setup = Setup::start(service.port(), "", "");
        let mut client = H2::connect(setup.proxy.inbound()).await;
        let call = request("POST", "/p.S/C")
            .header("content-type", "application/grpc")
            .body(full(""))
            .unwrap();
        let answer = Answer::of(client.send(call).await).await;
        assert_eq!(
            (
                answer.status,
                answer.header("grpc-status"),
                answer.body.len()
            ),
            (200, expected, 0)
        );
    }
}

/// What the service does, besides not answering.
fn moods() -> Vec<Recording> {
    let long = format!(
        "HTTP/1.1 403 X\r\ncontent-length: 70000\r\n\r\n{}",
        "x".repeat(70_000)
    );
    let endless = format!("HTTP/1.1 403 X\r\n\r\n{}", "x".repeat(70_000));
    vec![
        Recording::answering(|_| act(b"")),
        Recording::answering(|_| Act::Close(Vec::new())),
        Recording::answering(|_| act(b"SSH-2.0-x\r\n\r\n")),
        Recording::answering(|_| {
            act(b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n")
        }),
        Recording::answering(|_| act(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab")),
        Recording::answering(|_| {
            Act::Close(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab".to_vec())
        }),
        Recording::answering(|_| {
            act(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n")
        }),
        Recording::answering(move |_| act(long.as_bytes())),
        Recording::answering(move |_| act(endless.as_bytes())),
    ]
}

#[test]
fn no_answer_is_a_503_unless_on_error_allows() {
    for (number, service) in moods().iter().enumerate() {
        let setup = Setup::start(service.port(), ", timeout: 1s", "");
        let (head, _) = setup.get("/x");
        assert_eq!(
            (status(&head), header(&head, "retry-after")),
            (503, Some("1")),
            "{number}: {head}"
        );
        let line = setup.logged("/x");
        assert_eq!(
            (&line["flag"], &line["reason"]),
            (&json!("UZ"), &json!("ext_auth.failed"))
        );
        // Before the page of metrics, for which the app is asked whether it is up.
        let connections = setup.app.connections();
        assert_eq!((setup.asked("failed"), connections), (1.0, 0));
    }
    let unused = free_port();
    assert_eq!(status(&Setup::start(unused, "", "").get("/").0), 503);
    let open = Setup::start(unused, ", onError: allow", "");
    assert_eq!(status(&open.get("/").0), 200);
    assert_eq!((open.asked("failed"), open.app.messages().len()), (1.0, 1));
    let series = r#"outrigger_upstream_connects_total{upstream="extAuth",result="failed"}"#;
    assert!(open.proxy.metric(series) > 0.0);
}

#[test]
fn an_answer_of_64_kib_is_the_longest() {
    let text = format!(
        "HTTP/1.1 403 X\r\ncontent-length: 65536\r\n\r\n{}",
        "x".repeat(65_536)
    );
    let service = Recording::answering(move |_| act(text.as_bytes()));
    let setup = Setup::start(service.port(), ", timeout: 5s", "");
    let (head, body) = setup.get("/");
    assert_eq!((status(&head), body.len()), (403, 65_536));
}

#[test]
fn who_is_not_let_in_by_token_or_rule_is_not_asked_about() {
    let service = Recording::answering(|_| act(ALLOW));
    let setup = Setup::start(service.port(), "", &corp(""));
    assert_eq!(status(&setup.get("/").0), 401);
    assert_eq!(service.connections(), 0);
}

#[test]
fn the_service_may_be_a_name_and_change_with_a_reload() {
    let (first, second) = (
        Recording::answering(|_| act(ALLOW)),
        Recording::answering(|_| act(b"HTTP/1.1 403 X\r\ncontent-length: 0\r\n\r\n")),
    );
    let app = Recording::ok();
    let yaml = |service: &Recording| {
        format!(
            "app: {{ port: {} }}\nlisteners: [{{ port: 0 }}]\nroutes: [{{ name: app, extAuth: {{ url: \"http://localhost:{}\" }} }}]\n",
            app.port(),
            service.port()
        )
    };
    let proxy = Proxy::start(&yaml(&first));
    let ask = || {
        status(
            &Wire::connect(proxy.inbound())
                .ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n")
                .0,
        )
    };
    assert_eq!(ask(), 200);
    assert_eq!(first.messages()[0].line, "GET / HTTP/1.1");
    proxy.reload_with(&yaml(&second));
    assert_eq!(ask(), 403);
    first.wait_closed(0);
}

/// A proxy whose service stands behind TLS, with this block, in a folder that holds `ca.crt`.
fn over_tls(front: &Front, ca: &Ca, tls: &str) -> (Proxy, Recording) {
    let (app, folder) = (Recording::ok(), tempfile::tempdir().unwrap());
    std::fs::write(folder.path().join("ca.crt"), ca.pem()).unwrap();
    let file = folder.path().join("outrigger.yaml");
    let yaml = format!(
        "workers: 1\napp: {{ port: {} }}\nlisteners: [{{ port: 0 }}]\nroutes:\n\
         - {{ name: app, extAuth: {{ url: \"https://localhost:{}/check\", tls: {tls}, timeout: 20s }} }}\n",
        app.port(),
        front.address.port()
    );
    std::fs::write(&file, with_servers(&yaml)).unwrap();
    (Proxy::start_file(folder, &file), app)
}

fn get(proxy: &Proxy) -> u16 {
    status(
        &Wire::connect(proxy.inbound())
            .ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            .0,
    )
}

#[test]
fn over_https_the_service_is_verified_and_its_answer_counts() {
    let (ca, other) = (Ca::new("service"), Ca::new("other"));
    let service = Recording::answering(|message| match message.line.contains("/check") {
        true => act(ALLOW),
        false => act(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n"),
    });
    let leaf = ca.sign(Wanted::server(&["localhost"]));
    let front = Maker::new(&leaf).before(([127, 0, 0, 1], service.port()).into());
    let (proxy, app) = over_tls(&front, &ca, "{ caFiles: [ca.crt] }");
    assert_eq!([get(&proxy), get(&proxy)], [200, 200]);
    assert_eq!((service.messages().len(), app.messages().len()), (2, 2));
    let seen = front.seen();
    assert_eq!(seen.len(), 1, "one connection for both");
    assert_eq!(
        (seen[0].server_name.as_deref(), seen[0].alpn.as_deref()),
        (Some("localhost"), Some("http/1.1"))
    );
    let shaken =
        r#"outrigger_upstream_tls_handshakes_total{upstream="extAuth",result="full",reason=""}"#;
    assert!(
        (proxy.metric(shaken) - 1.0).abs() < 0.5,
        "{}",
        proxy.metrics()
    );

    // The response of a service that is not trusted is not used, and neither is that of one with
    // another name.
    for (authority, tls) in [
        (&other, "{ caFiles: [ca.crt] }"),
        (&ca, "{ caFiles: [ca.crt], hostname: auth.example }"),
    ] {
        let asked = service.messages().len();
        let (proxy, app) = over_tls(&front, authority, tls);
        assert_eq!(get(&proxy), 503);
        let line = proxy.logged(|line| line["status"] == 503);
        assert_eq!(
            (&line["flag"], &line["reason"]),
            (&json!("UZ"), &json!("ext_auth.failed"))
        );
        assert_eq!((service.messages().len(), app.messages().len()), (asked, 0));
    }
}

#[test]
fn a_service_that_wants_a_certificate_gets_ours() {
    let ca = Ca::new("service");
    let service = Recording::answering(|_| act(ALLOW));
    let leaf = ca.sign(Wanted::server(&["localhost"]));
    let front = Maker::new(&leaf)
        .clients(&ca)
        .before(([127, 0, 0, 1], service.port()).into());
    let own = tempfile::tempdir().unwrap();
    let (cert, key) = ca.sign(Wanted::client("orders")).write(own.path(), "own");
    let block = format!(
        "{{ caFiles: [ca.crt], certFile: {}, keyFile: {} }}",
        cert.display(),
        key.display()
    );
    assert_eq!(get(&over_tls(&front, &ca, &block).0), 200);
    assert_eq!(get(&over_tls(&front, &ca, "{ caFiles: [ca.crt] }").0), 503);
}
