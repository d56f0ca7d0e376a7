//! L1 to L8 of `docs/operations.md`: drain, signals and the end.

use std::{net::TcpStream, thread, time::Duration};

use outrigger_loadtest::{load::Protocol, origin::Origin};
use tokio::time::Instant;

use crate::support::{
    PATIENCE, Proxy, command, get,
    live::{
        KeepAlive, failed_after_connect, free_port, goaway_comes, goaway_comes_before_pong, http2,
        run_to_end, steady, stop,
    },
    origin, wait_for,
};

/// Room for a busy machine; times that must not pass before it are far longer.
const SLACK: Duration = PATIENCE;

/// An inbound listener `in`, an outbound one `out`, and these times.
fn proxy(origin: &Origin, delay: &str, drain: &str) -> Proxy {
    Proxy::start(&format!(
        "app: {{ port: {} }}\nlisteners: [{{ name: in, port: 0 }}, {{ name: out, direction: outbound, port: 0 }}]\n\
         upstreams: {{ far: {{ endpoints: [{{ url: \"http://{}\" }}] }} }}\n\
         routes:\n  - {{ name: app }}\n  - {{ name: out, listeners: [out], backendRefs: [far] }}\n\
         lifecycle: {{ shutdownDelay: {delay}, drainTimeout: {drain} }}\n",
        origin.address().port(),
        origin.address()
    ))
}

fn sigterm_under_load(protocol: Protocol) {
    let origin = origin();
    let mut proxy = proxy(&origin, "500ms", "300s");
    let load = steady(proxy.url("in", "/bytes/500"), protocol, 300.0);
    wait_for("load", || (load.progress().ended > 50).then_some(()));
    let begun = Instant::now();
    proxy.signal("TERM");
    let address = proxy.address("in");
    while TcpStream::connect(address).is_ok() {
        thread::sleep(Duration::from_millis(1));
        assert!(begun.elapsed() < SLACK, "it goes on accepting");
    }
    let (served, report) = (begun.elapsed(), stop(load));
    assert!(
        served >= Duration::from_millis(500),
        "new connections were refused after {served:?}"
    );
    assert_eq!(failed_after_connect(&report), 0, "{:#}", report.to_json());
    assert_eq!(proxy.wait_exit(SLACK).code(), Some(0));
    proxy.wait_stderr("shut down");
}

#[test]
fn sigterm_under_http1_load_fails_no_request() {
    sigterm_under_load(Protocol::Http1);
}

#[test]
fn sigterm_under_http2_load_fails_no_request() {
    sigterm_under_load(Protocol::Http2 { streams: 4 });
}

#[test]
fn a_request_in_flight_at_sigterm_is_finished() {
    let origin = origin();
    let mut proxy = proxy(&origin, "0s", "300s");
    let mut slow = KeepAlive::new(proxy.address("in"));
    slow.begin("/drip/10/100");
    let mut silent = KeepAlive::new(proxy.address("in"));
    slow.head();
    proxy.signal("TERM");
    wait_for("the socket to close", || {
        TcpStream::connect(proxy.address("in"))
            .is_err()
            .then_some(())
    });
    // Connected before, and the request crosses our close.
    let last = silent.get("/");
    assert!(
        last.status == 200 && last.head.contains("connection: close"),
        "{last:?}"
    );
    assert!(slow.closes());
    assert_eq!(proxy.wait_exit(SLACK).code(), Some(0));
    let line = proxy.logged(|line| line["path"] == "/drip/10/100");
    assert_eq!(
        (&line["status"], &line["flag"]),
        (&200.into(), &"".into()),
        "{line}"
    );
}

#[test]
fn sigint_does_not_wait_for_shutdown_delay() {
    let origin = origin();
    let mut proxy = proxy(&origin, "300s", "300s");
    assert_eq!(get(proxy.address("in"), "/").0, 200);
    proxy.signal("INT");
    assert_eq!(proxy.wait_exit(SLACK).code(), Some(0));
    assert_eq!(
        proxy.stdout().lines().count(),
        1,
        "the access log is complete: {}",
        proxy.stdout()
    );
}

#[test]
fn a_second_signal_ends_at_once_with_1() {
    let origin = origin();
    // Within shutdownDelay, and while requests finish.
    for (delay, second) in [("300s", "TERM"), ("0s", "INT")] {
        let mut proxy = proxy(&origin, delay, "300s");
        let mut slow = KeepAlive::new(proxy.address("in"));
        slow.begin("/drip/1000/100");
        slow.head();
        proxy.signal("TERM");
        let phase = if delay == "0s" { "ending" } else { "draining" };
        proxy.wait_phase(phase);
        proxy.signal("HUP"); // means nothing any more
        proxy.signal(second);
        assert_eq!(proxy.wait_exit(SLACK).code(), Some(1), "{phase}");
    }
}

#[test]
fn requests_that_outlast_drain_timeout_are_cut_and_the_exit_is_on_time() {
    let origin = origin();
    let mut proxy = proxy(&origin, "0s", "500ms");
    let mut slow = KeepAlive::new(proxy.address("in"));
    slow.begin("/drip/1000/100");
    slow.head();
    let load = steady(
        proxy.url("in", "/drip/1001/100"),
        Protocol::Http2 { streams: 1 },
        4.0,
    );
    let mut socket = KeepAlive::new(proxy.address("in"));
    socket.upgrade("/ws");
    socket.echo("on");
    wait_for("streams", || (origin.hits() == 6).then_some(()));
    load.stop();
    let begun = Instant::now();
    proxy.signal("TERM");
    assert_eq!(proxy.wait_exit(SLACK).code(), Some(0));
    assert!(
        begun.elapsed() >= Duration::from_millis(500),
        "{:?}",
        begun.elapsed()
    );
    proxy.wait_stderr("drainTimeout elapsed with requests in flight");
    for path in ["/drip/1000/100", "/drip/1001/100", "/ws"] {
        let line = proxy.logged(|line| line["path"] == path);
        assert_eq!(
            (&line["flag"], &line["reason"]),
            (&"DR".into(), &"drain.timeout".into()),
            "{line}"
        );
    }
}

#[test]
fn a_drain_ends_no_connection_within_the_delay() {
    let origin = origin();
    let proxy = proxy(&origin, "300s", "20s");
    let mut kept = KeepAlive::new(proxy.address("in"));
    assert_eq!(kept.get("/").status, 200);
    assert_eq!(proxy.admin("POST", "/drain").0, 202);
    let mut new = KeepAlive::new(proxy.address("in"));
    for answer in [new.get("/"), kept.get("/"), new.get("/"), kept.get("/")] {
        assert!(
            answer.status == 200 && !answer.head.contains("connection: close"),
            "{answer:?}"
        );
    }
    assert_eq!(proxy.status()["phase"], "draining");
}

#[test]
fn a_drain_ends_inbound_connections_after_the_delay_and_leaves_outbound_ones() {
    let origin = origin();
    let mut proxy = proxy(&origin, "1500ms", "300s");
    let (inbound, outbound) = (proxy.address("in"), proxy.address("out"));
    let mut kept = KeepAlive::new(inbound);
    let mut app = KeepAlive::new(outbound);
    let mut multiplexed = http2(inbound);
    let mut app_multiplexed = http2(outbound);
    assert_eq!((kept.get("/").status, app.get("/").status), (200, 200));

    let begun = Instant::now();
    assert_eq!(proxy.admin("POST", "/drain").0, 202);
    assert_eq!(
        get(proxy.address("status"), "/readyz"),
        (503, "draining\n".to_owned())
    );
    assert_eq!(get(proxy.address("status"), "/livez").0, 200);
    assert_eq!(proxy.metric("outrigger_draining"), 1.0);
    let mut new = KeepAlive::new(inbound);
    assert_eq!(
        proxy.admin("POST", "/drain").0,
        202,
        "once more changes nothing"
    );

    wait_for("the delay to end", || {
        proxy
            .stderr()
            .contains("inbound connections close")
            .then_some(())
    });
    assert!(begun.elapsed() >= Duration::from_millis(1500));
    assert!(kept.get("/").head.contains("connection: close"));
    assert!(kept.closes() && new.closes());
    assert!(goaway_comes(&mut multiplexed));
    // New connections are served on, and end with their answer; the handshake of a tunnel stays intact.
    let late = KeepAlive::new(inbound).get("/");
    assert!(
        late.status == 200 && late.head.contains("connection: close"),
        "{late:?}"
    );
    let mut socket = KeepAlive::new(inbound);
    let head = socket.upgrade("/ws");
    assert!(
        head.starts_with("http/1.1 101") && head.contains("connection: upgrade"),
        "{head}"
    );
    socket.echo("while draining");
    drop(socket);
    proxy.wait_phase("drained");

    let answer = app.get("/");
    assert!(
        answer.status == 200 && !answer.head.contains("connection: close"),
        "{answer:?}"
    );
    assert!(
        !goaway_comes_before_pong(&mut app_multiplexed),
        "an outbound connection was ended"
    );
    assert_eq!(proxy.admin("POST", "/drain").0, 202);
    drop((app, app_multiplexed));
    proxy.signal("TERM");
    assert_eq!(proxy.wait_exit(SLACK).code(), Some(0));
}

#[test]
fn a_listener_that_a_reload_adds_while_draining_ends_its_connections_too() {
    let origin = origin();
    let yaml = |listeners: &str| {
        format!(
            "app: {{ port: {} }}\nlisteners: [{listeners}]\nlifecycle: {{ shutdownDelay: 0s }}\nreload: {{ watch: false }}\n",
            origin.address().port()
        )
    };
    let proxy = Proxy::start(&yaml("{ name: a, port: 0 }"));
    assert_eq!(proxy.admin("POST", "/drain").0, 202);
    proxy.wait_phase("drained");
    proxy.reload_with(&yaml("{ name: a, port: 0 }, { name: b, port: 0 }"));
    let answer = KeepAlive::new(proxy.address_now("b").unwrap()).get("/");
    assert!(answer.head.contains("connection: close"), "{answer:?}");
}

#[test]
fn the_drain_command_waits_until_no_inbound_connection_is_left() {
    let origin = origin();
    let proxy = proxy(&origin, "200ms", "300s");
    let mut slow = KeepAlive::new(proxy.address("in"));
    slow.begin("/drip/15/400");
    slow.head();
    let admin = proxy.address("admin").to_string();
    let at_once = run_to_end(command().args(["drain", "--admin", &admin]));
    assert_eq!(at_once.status.code(), Some(0));
    assert_eq!(proxy.status()["phase"], "draining");
    let waited = run_to_end(command().args(["drain", "--wait", "--admin", &admin]));
    assert_eq!(waited.status.code(), Some(0));
    assert_eq!(proxy.status()["phase"], "drained");
    assert!(
        waited.stdout.is_empty() && waited.stderr.is_empty(),
        "{waited:?}"
    );
    assert!(slow.closes());
}

#[test]
fn the_drain_command_takes_the_address_from_the_file_and_fails_without_a_proxy() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.yaml");
    let admin = free_port();
    std::fs::write(
        &file,
        format!(
            "app: {{ port: {} }}\nlisteners: [{{ name: in, port: 0 }}]\n\
             status: {{ address: \"127.0.0.1:0\" }}\nadmin: {{ address: \"127.0.0.1:{admin}\" }}\n",
            free_port()
        ),
    )
    .unwrap();
    let refused = run_to_end(command().arg("drain").arg("-c").arg(&file));
    assert_eq!(refused.status.code(), Some(1));
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(
        told.starts_with(&format!(
            "error: the admin server at 127.0.0.1:{admin} does not answer"
        )),
        "{told}"
    );
    let proxy = Proxy::start_file(folder, &file);
    let done = run_to_end(command().args(["drain"]).env("OUTRIGGER_CONFIG", &file));
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    assert_eq!(proxy.status()["phase"], "draining");
}

#[test]
fn a_drain_asked_for_after_sigterm_is_answered_and_its_wait_ends_with_the_proxy() {
    let origin = origin();
    let mut proxy = proxy(&origin, "6s", "300s");
    proxy.signal("TERM");
    proxy.wait_phase("draining");
    assert_eq!(proxy.admin("POST", "/drain").0, 202);
    assert_eq!(
        proxy.admin("POST", "/reload"),
        (422, "the proxy is shutting down\n".to_owned())
    );
    let admin = proxy.address("admin").to_string();
    let waited = run_to_end(command().args(["drain", "--wait", "--admin", &admin]));
    assert_eq!(waited.status.code(), Some(0), "{waited:?}");
    assert_eq!(proxy.wait_exit(SLACK).code(), Some(0));
}

#[test]
fn sigterm_right_after_a_drain_waits_for_the_rest_of_the_delay() {
    let origin = origin();
    let patient = proxy(&origin, "300s", "300s");
    assert_eq!(patient.admin("POST", "/drain").0, 202);
    patient.signal("TERM");
    wait_for("SIGTERM", || {
        (patient.admin("POST", "/reload").0 == 422).then_some(())
    });
    assert_eq!(
        get(patient.address("in"), "/").0,
        200,
        "clients have not heard of the drain yet"
    );

    let mut proxy = proxy(&origin, "2s", "300s");
    let begun = Instant::now();
    assert_eq!(proxy.admin("POST", "/drain").0, 202);
    proxy.signal("TERM");
    assert_eq!(proxy.wait_exit(SLACK).code(), Some(0));
    assert!(begun.elapsed() >= Duration::from_secs(2));
}
