//! Mirroring over real sockets: the content of the copy, and that requests do not wait for it.

use serde_json::json;

use crate::support::{
    Proxy,
    live::free_port,
    recording::Recording,
    wait_for,
    wire::{App, Wire, status},
};

struct Setup {
    proxy: Proxy,
    app: Recording,
}

impl Setup {
    fn start(mirror: u16, route: &str) -> Self {
        let app = Recording::ok();
        let yaml = format!(
            "app: {{ port: {} }}\nlisteners: [{{ port: 0 }}]\nupstreams: {{ next: {{ endpoints: [{{ url: \"http://127.0.0.1:{mirror}\" }}] }} }}\n\
             routes:\n- {{ name: app, requestMirror: {{ backendRef: next }}{route} }}\n",
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

    fn counted(&self, result: &str) -> f64 {
        self.proxy.metric(&format!(
            r#"outrigger_mirrored_requests_total{{route="app",result="{result}"}}"#
        ))
    }

    fn wait_counted(&self, result: &str, count: f64) {
        wait_for(result, || (self.counted(result) == count).then_some(()));
    }
}

#[test]
fn the_copy_is_the_forwarded_request_and_its_response_is_discarded() {
    let mirror = Recording::answering(|_| {
        crate::support::recording::Act::Answer(
            b"HTTP/1.1 500 X\r\ncontent-length: 4\r\n\r\nboom".to_vec(),
        )
    });
    let route = ", urlRewrite: { path: { replacePrefixMatch: /v2 } }, requestHeaders: { set: { x-api: \"2\" } }";
    let setup = Setup::start(mirror.port(), route);
    let (head, body) =
        setup.ask("POST /a?b=c HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 5\r\n\r\nhello");
    assert_eq!((status(&head), &*body), (200, "ok"));
    let (head, _) = setup.ask("GET /d HTTP/1.1\r\nhost: shop.example\r\n\r\n");
    assert_eq!(status(&head), 200);
    let chunked = "POST /e HTTP/1.1\r\nhost: shop.example\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    assert_eq!(status(&setup.ask(chunked).0), 200);
    setup.wait_counted("completed", 3.0);
    let (sent, copies) = (setup.app.messages(), mirror.messages());
    assert_eq!(copies.len(), 3);
    for one in sent {
        let copy = copies
            .iter()
            .find(|copy| copy.target() == one.target())
            .unwrap();
        assert_eq!((&copy.line, &copy.body), (&one.line, &one.body));
        for name in ["host", "x-request-id", "x-api", "x-forwarded-for"] {
            assert_eq!(copy.all(name), one.all(name), "{name}");
        }
    }
    let line = setup.proxy.logged(|line| line["path"] == "/a");
    assert_eq!(
        (&line["status"], &line["upstream"], &line["attempts"]),
        (&json!(200), &json!("app"), &json!(1))
    );
    for path in ["/d", "/e"] {
        setup.proxy.logged(|line| line["path"] == path); // a line may come a little after its answer
    }
    assert_eq!(
        setup.proxy.stdout().lines().count(),
        3,
        "copies are not in the log"
    );
}

#[test]
fn a_mirror_that_is_gone_or_hangs_touches_no_request() {
    let gone = Setup::start(free_port(), "");
    let silent = App::start(|mut wire, _| drop(wire.rest()));
    let hangs = Setup::start(silent.port(), ", timeouts: { request: 200ms }");
    for setup in [gone, hangs] {
        for _ in 0..5 {
            assert_eq!(setup.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").1, "ok");
        }
        setup.wait_counted("failed", 5.0);
    }
}

#[test]
fn no_more_than_64_copies_are_under_way() {
    let silent = App::start(|mut wire, _| drop(wire.rest()));
    let setup = Setup::start(silent.port(), ", timeouts: { request: 1h }");
    let mut wire = Wire::connect(setup.proxy.inbound());
    for _ in 0..70 {
        assert_eq!(wire.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").1, "ok");
    }
    setup.wait_counted("dropped", 6.0);
}

#[test]
fn long_bodies_and_broken_ones_are_not_copied() {
    let mirror = Recording::ok();
    let setup = Setup::start(mirror.port(), "");
    let body = |length: usize| "x".repeat(length);
    let whole = |length: usize| {
        format!(
            "POST /{length} HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n{}",
            body(length)
        )
    };
    assert_eq!(setup.ask(&whole(65_536)).1, "ok");
    setup.wait_counted("completed", 1.0);
    assert_eq!(setup.ask(&whole(65_537)).1, "ok");
    setup.wait_counted("too_large", 1.0);
    let chunk = format!("9c40\r\n{}\r\n", body(40_000));
    let chunked = format!(
        "POST /c HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{chunk}{chunk}0\r\n\r\n"
    );
    assert_eq!(setup.ask(&chunked).1, "ok");
    setup.wait_counted("too_large", 2.0);
    let mut broken = Wire::connect(setup.proxy.inbound());
    broken.send("POST /broken HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nhalf");
    drop(broken);
    setup.proxy.logged(|line| line["path"] == "/broken");
    assert_eq!(setup.ask("GET /last HTTP/1.1\r\nhost: a\r\n\r\n").1, "ok");
    setup.wait_counted("completed", 2.0);
    let copies: Vec<_> = mirror
        .messages()
        .iter()
        .map(|one| one.target().to_owned())
        .collect();
    assert_eq!(copies, ["/65536", "/last"]);
    assert_eq!(mirror.messages()[0].body.len(), 65_536);
}

#[test]
fn a_share_is_copied() {
    let mirror = Recording::ok();
    let setup = Setup::start(mirror.port(), "");
    let yaml = std::fs::read_to_string(setup.proxy.config_file()).unwrap();
    for (percent, range) in [(50, 50..=150), (0, 0..=0)] {
        setup.proxy.reload_with(&yaml.replace(
            "backendRef: next",
            &format!("backendRef: {{ name: next }}, percent: {percent}"),
        ));
        let before = mirror.messages().len();
        let mut wire = Wire::connect(setup.proxy.inbound());
        for _ in 0..200 {
            assert_eq!(wire.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").1, "ok");
        }
        let copied = || mirror.messages().len() - before;
        wait_for("the copies", || range.contains(&copied()).then_some(()));
        assert!(
            range.contains(&copied()),
            "{} of 200 at {percent} %",
            copied()
        );
    }
}
