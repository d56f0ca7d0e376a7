//! WebSocket and other upgrades.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use outrigger_loadtest::origin::Origin;
use tokio::net::TcpStream;
use tokio_tungstenite::{client_async, tungstenite::Message};

use crate::support::{
    Proxy, origin, wait_for,
    wire::{App, Wire, header, status},
};

const UPGRADE: &str =
    "GET /tunnel HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: test\r\n\r\n";
const SWITCHING: &str =
    "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: test\r\n\r\n";

#[tokio::test]
async fn messages_come_back_and_the_tunnel_is_logged_and_counted_at_its_end() {
    let origin = Origin::start().await.unwrap();
    let proxy = Proxy::in_front_of(&origin);
    let stream = TcpStream::connect(proxy.inbound()).await.unwrap();
    let (mut socket, answer) = client_async(format!("ws://{}/ws", proxy.inbound()), stream)
        .await
        .unwrap();
    assert_eq!(answer.status(), 101);
    for message in [
        Message::text("grüezi"),
        Message::binary(vec![1; 300_000]),
        Message::text(""),
    ] {
        socket.send(message.clone()).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), message);
    }
    assert!(!proxy.stdout().contains("/ws"), "logged before its end");
    socket.close(None).await.unwrap();
    while socket.next().await.is_some() {}
    drop(socket);
    let line = proxy.logged(|line| line["path"] == "/ws");
    assert_eq!(
        (&line["status"], &line["flag"], &line["protocol"]),
        (&101.into(), &"".into(), &"HTTP/1.1".into())
    );
    assert!(line["bytesIn"].as_u64().unwrap() > 300_000, "{line}");
    assert!(line["bytesOut"].as_u64().unwrap() > 300_000, "{line}");
    let counted = r#"outrigger_requests_total{listener="in-0",route="app",upstream="app",status="101",flag=""}"#;
    assert!((proxy.metric(counted) - 1.0).abs() < 0.5);
}

#[test]
fn a_refused_upgrade_is_an_ordinary_answer() {
    let origin = origin();
    let proxy = Proxy::in_front_of(&origin);
    let mut wire = Wire::connect(proxy.inbound());
    let (head, body) = wire.ask(
        "GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 8\r\n\r\n",
    );
    assert_eq!(
        (status(&head), header(&head, "sec-websocket-version")),
        (426, Some("13")),
        "{head}"
    );
    assert!(body.contains("version 13"));
    assert_eq!(
        wire.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").1,
        "Hello, world!"
    );
}

#[test]
fn nothing_is_tunnelled_before_the_app_agrees() {
    let app = App::start(|mut wire, _| {
        let head = wire.head();
        assert_eq!(
            (header(&head, "upgrade"), header(&head, "connection")),
            (Some("test"), Some("upgrade"))
        );
        assert!(
            wire.is_silent_for(Duration::from_millis(300)),
            "bytes came before the 101"
        );
        wire.send(format!("{SWITCHING}first"));
        assert_eq!(wire.exactly(5), "early");
        wire.send("second");
        wire.rest();
    });
    let proxy = Proxy::in_front_of_port(app.port());
    let mut wire = Wire::connect(proxy.inbound());
    wire.send(format!("{UPGRADE}early"));
    let head = wire.head();
    assert_eq!(
        (status(&head), header(&head, "upgrade")),
        (101, Some("test")),
        "{head}"
    );
    assert_eq!(header(&head, "connection"), Some("upgrade"));
    assert_eq!(wire.exactly(11), "firstsecond");
}

#[test]
fn a_tunnel_ends_with_its_app() {
    let app = App::start(|mut wire, _| {
        wire.head();
        wire.send(format!("{SWITCHING}bye"));
    });
    let proxy = Proxy::in_front_of_port(app.port());
    let mut wire = Wire::connect(proxy.inbound());
    wire.send(UPGRADE);
    assert_eq!(status(&wire.head()), 101);
    assert_eq!(wire.rest(), "bye");
    drop(wire);
    let line = proxy.logged(|line| line["path"] == "/tunnel");
    assert_eq!(
        (&line["bytesIn"], &line["bytesOut"]),
        (&0.into(), &3.into())
    );
}

#[test]
fn a_tunnel_ends_with_its_app_also_when_the_client_talks_on() {
    let app = App::start(|mut wire, _| {
        wire.head();
        wire.send(SWITCHING);
    });
    let proxy = Proxy::in_front_of_port(app.port());
    let mut wire = Wire::connect(proxy.inbound());
    wire.send(UPGRADE);
    assert_eq!(status(&wire.head()), 101);
    wait_for("the end of the tunnel", || {
        (!wire.try_send("still there?")).then_some(())
    });
    assert_eq!(
        proxy.logged(|line| line["path"] == "/tunnel")["status"],
        101
    );
}

#[test]
fn a_tunnel_ends_with_its_client() {
    let origin = origin();
    let proxy = Proxy::in_front_of(&origin);
    let mut wire = Wire::connect(proxy.inbound());
    wire.send(
        "GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n",
    );
    assert_eq!(status(&wire.head()), 101);
    drop(wire);
    wait_for("the app's connection to end", || {
        (origin.stats().open_connections == 0).then_some(())
    });
    assert_eq!(proxy.logged(|line| line["path"] == "/ws")["status"], 101);
}

#[test]
fn either_side_may_end_first_and_the_other_still_be_heard() {
    let app = App::start(|mut wire, _| {
        wire.head();
        wire.send(SWITCHING);
        let said = wire.rest();
        wire.send(format!("you said {said}"));
    });
    let proxy = Proxy::in_front_of_port(app.port());
    let mut wire = Wire::connect(proxy.inbound());
    wire.send(UPGRADE);
    assert_eq!(status(&wire.head()), 101);
    wire.send("hi");
    wire.close_write();
    assert_eq!(wire.rest(), "you said hi");
}

/// A proxy with these `timeouts`, in front of an app that switches protocols and sends back each line.
fn echo_behind(timeouts: &str) -> (App, Proxy) {
    let app = App::start(|mut wire, _| {
        wire.head();
        wire.send(SWITCHING);
        loop {
            match wire.line() {
                end if end.is_empty() => break,
                line => wire.send(line),
            }
        }
    });
    let proxy = Proxy::start(&format!(
        "app: {{ port: {} }}\nlisteners: [{{ port: 0 }}]\ndefaults: {{ timeouts: {timeouts} }}\n",
        app.port()
    ));
    (app, proxy)
}

#[test]
fn a_silent_upgraded_connection_ends_after_upgrade_idle_and_the_log_says_why() {
    let (_app, proxy) = echo_behind("{ streamIdle: 1h, upgradeIdle: 300ms }");
    let mut wire = Wire::connect(proxy.inbound());
    wire.send(UPGRADE);
    assert_eq!(status(&wire.head()), 101);
    assert_eq!(wire.rest(), "");
    let line = proxy.logged(|line| line["path"] == "/tunnel");
    assert_eq!(
        (&line["status"], &line["flag"], &line["reason"]),
        (&101.into(), &"UT".into(), &"timeout.upgrade_idle".into())
    );
    let counted = r#"outrigger_requests_total{listener="in-0",route="app",upstream="app",status="101",flag="UT"}"#;
    assert!((proxy.metric(counted) - 1.0).abs() < 0.5);
}

#[test]
fn stream_idle_does_not_end_a_silent_upgraded_connection() {
    for timeouts in [
        "{ streamIdle: 100ms }",
        "{ streamIdle: 100ms, upgradeIdle: 0s }",
    ] {
        let (_app, proxy) = echo_behind(timeouts);
        let mut wire = Wire::connect(proxy.inbound());
        wire.send(UPGRADE);
        assert_eq!(status(&wire.head()), 101);
        assert!(wire.is_silent_for(Duration::from_millis(500)), "{timeouts}");
        wire.send("hello\n");
        assert_eq!(wire.line(), "hello\n", "{timeouts}");
    }
}

#[test]
fn an_old_connection_can_still_be_upgraded() {
    let app = App::start(|mut wire, _| {
        wire.head();
        wire.send(format!("{SWITCHING}hello"));
        wire.rest();
    });
    let proxy = Proxy::start(&format!(
        "app: {{ port: {} }}\nlisteners: [{{ port: 0, timeouts: {{ connectionAge: 1ms }} }}]\n",
        app.port()
    ));
    let mut wire = Wire::connect(proxy.inbound());
    std::thread::sleep(Duration::from_millis(20)); // older than its age
    wire.send(UPGRADE);
    let head = wire.head();
    assert_eq!(
        (status(&head), header(&head, "connection")),
        (101, Some("upgrade")),
        "{head}"
    );
    assert_eq!(wire.exactly(5), "hello");
}

#[test]
fn a_101_without_an_upgrade_request_is_a_protocol_error() {
    let app = App::answering(SWITCHING);
    let proxy = Proxy::in_front_of_port(app.port());
    let mut wire = Wire::connect(proxy.inbound());
    assert_eq!(
        status(&wire.ask("GET /x HTTP/1.1\r\nhost: a\r\n\r\n").0),
        502
    );
    assert_eq!(proxy.logged(|line| line["path"] == "/x")["flag"], "UPE");
}
