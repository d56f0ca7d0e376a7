//! Versions, protocols, names, and peers that do not use TLS.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use rustls::{NamedGroup, ProtocolVersion, version};

use super::Setup;
use crate::support::{
    PATIENCE, http,
    pki::Wanted,
    tls::{Client, Maker, alert},
    wait_for,
};

#[test]
fn a_request_over_tls_reaches_the_app_as_https() {
    let setup = Setup::start("", |_, _| {});
    let mut connection = Client::new(&setup.ca).connect(setup.address()).unwrap();
    let answer = connection.get("/headers").unwrap();
    assert_eq!(answer.status, 200);
    assert!(
        answer.text().contains(r#"["x-forwarded-proto","https"]"#),
        "{}",
        answer.text()
    );
    assert_eq!(connection.get("/bytes/100").unwrap().body.len(), 100);
    let session = connection.session();
    assert_eq!(session.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert_eq!(
        session.negotiated_key_exchange_group().unwrap().name(),
        NamedGroup::X25519MLKEM768
    );
    assert_eq!(setup.handshakes("full", ""), 1.0);
    let line = setup.proxy.logged(|line| line["path"] == "/bytes/100");
    assert_eq!(
        (&line["status"], &line["protocol"]),
        (&200.into(), &"HTTP/1.1".into())
    );
}

#[test]
fn a_redirect_over_tls_stays_with_https() {
    let routes = "routes:\n  - name: old\n    requestRedirect: { hostname: new.example }\n";
    let setup = Setup::start_with("", "", routes, |_, _| {});
    let answer = Client::new(&setup.ca).get(setup.address(), "/a").unwrap();
    assert!(
        answer
            .header("location")
            .unwrap()
            .starts_with("https://new.example"),
        "{}",
        answer.head
    );
}

#[test]
fn tls_1_2_is_spoken_unless_the_lowest_version_is_1_3() {
    let setup = Setup::start("", |_, _| {});
    let old = |setup: &Setup| Maker::new(&setup.ca).versions(&[&version::TLS12]).done();
    let mut connection = old(&setup).connect(setup.address()).unwrap();
    assert_eq!(
        connection.session().protocol_version(),
        Some(ProtocolVersion::TLSv1_2)
    );
    assert_eq!(connection.get("/").unwrap().status, 200);

    let strict = Setup::start("      minVersion: \"1.3\"\n", |_, _| {});
    let error = old(&strict).connect(strict.address()).err().unwrap();
    assert_eq!(alert(&error), "ProtocolVersion");
    wait_for("the count", || {
        (strict.failed("protocol_version") == 1.0).then_some(())
    });
    assert_eq!(
        Client::new(&strict.ca)
            .get(strict.address(), "/")
            .unwrap()
            .status,
        200
    );
}

#[test]
fn alpn_decides_the_protocol() {
    let setup = Setup::start("", |_, _| {});
    for (offered, chosen) in [
        (&["h2", "http/1.1"][..], Some(&b"h2"[..])),
        (&["http/1.1", "h2"][..], Some(b"h2")),
        (&["http/1.1"][..], Some(b"http/1.1")),
        (&["x", "h2"][..], Some(b"h2")),
        (&[][..], None),
    ] {
        let client = Maker::new(&setup.ca).alpn(offered).done();
        let mut connection = client.connect(setup.address()).unwrap();
        assert_eq!(connection.session().alpn_protocol(), chosen, "{offered:?}");
        if chosen == Some(b"h2") {
            connection
                .send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
                .unwrap();
            assert_eq!(connection.exactly(9).unwrap()[3], 4, "SETTINGS");
        } else {
            assert_eq!(connection.get("/").unwrap().status, 200);
        }
    }
    // Nothing in common.
    let error = Maker::new(&setup.ca)
        .alpn(&["spdy/3"])
        .done()
        .connect(setup.address())
        .err()
        .unwrap();
    assert_eq!(alert(&error), "NoApplicationProtocol");
    wait_for("the count", || {
        (setup.failed("no_shared_protocol") == 1.0).then_some(())
    });
}

#[test]
fn what_was_agreed_on_is_not_doubted() {
    let setup = Setup::start("", |_, _| {});
    // HTTP/1.1 where HTTP/2 was agreed on: GOAWAY.
    let mut connection = Maker::new(&setup.ca)
        .alpn(&["h2"])
        .done()
        .connect(setup.address())
        .unwrap();
    connection
        .send("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .unwrap();
    assert!(!connection.rest().unwrap_or_default().contains("200 OK"));
    // And the other way round.
    let mut connection = Client::new(&setup.ca).connect(setup.address()).unwrap();
    connection.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    assert_eq!(connection.rest().unwrap(), "", "closed, without an answer");
    setup
        .proxy
        .logged(|line| line["reason"] == "request.http1_syntax");
    // Without agreement the first bytes decide, as they do without TLS.
    let mut connection = Maker::new(&setup.ca)
        .alpn(&[])
        .done()
        .connect(setup.address())
        .unwrap();
    connection
        .send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .unwrap();
    assert_eq!(connection.exactly(9).unwrap()[3], 4, "SETTINGS");
}

#[test]
fn the_certificate_follows_the_server_name() {
    let sni = "      sni:\n        - { hostnames: [\"*.example.com\"], certFile: star.crt, keyFile: star.key }\n        \
               - { hostnames: [\"*.api.example.com\", other.test], certFile: api.crt, keyFile: api.key }\n        \
               - { hostnames: [one.api.example.com], bundleFile: one.pem }\n";
    let setup = Setup::start(sni, |folder, ca| {
        ca.sign(Wanted::server(&[
            "*.example.com",
            "a.b.example.com",
            "example.com",
        ]))
        .write(folder, "star");
        ca.sign(Wanted::server(&["*.api.example.com", "other.test"]))
            .write(folder, "api");
        let one = ca.sign(Wanted::server(&["one.api.example.com"]));
        std::fs::write(folder.join("one.pem"), one.key_pem() + &one.chain_pem()).unwrap();
    });
    for (name, common_name) in [
        ("localhost", "localhost"),
        ("a.example.com", "*.example.com"),
        ("A.Example.COM", "*.example.com"),
        ("a.b.example.com", "*.example.com"),
        ("two.api.example.com", "*.api.example.com"),
        ("other.test", "*.api.example.com"),
        ("one.api.example.com", "one.api.example.com"),
        // Not the bare suffix, nor a suffix within a label; and no name at all for an address.
        ("example.com", "localhost"),
        ("127.0.0.1", "localhost"),
    ] {
        let client = Maker::new(&setup.ca).name(name).done();
        match client.connect(setup.address()) {
            Ok(mut connection) => {
                let shown = x509_parser::parse_x509_certificate(
                    &connection.session().peer_certificates().unwrap()[0],
                )
                .unwrap()
                .1
                .subject()
                .to_string();
                assert_eq!(shown, format!("CN={common_name}"), "{name}");
                connection
                    .send(format!("GET / HTTP/1.1\r\nhost: {name}\r\n\r\n"))
                    .unwrap();
                assert_eq!(connection.answer().unwrap().status, 200);
            }
            // The client refuses the default certificate, which is not for this name.
            Err(error) => {
                assert!(
                    common_name == "localhost" && alert(&error).contains("not valid for name"),
                    "{name}: {error}"
                );
            }
        }
    }
    wait_for("the count", || {
        (setup.failed("client_alert_bad_certificate") == 1.0).then_some(())
    });
    let page = setup.proxy.metrics();
    let gauges = page
        .lines()
        .filter(|line| line.starts_with("outrigger_tls_certificate_expiry_timestamp_seconds{"));
    assert_eq!(gauges.count(), 4, "{page}");
}

/// `docs/security.md` 21.
#[test]
fn server_names_add_no_series() {
    let setup = Setup::start("", |_, _| {});
    let ask = |name: &str| {
        // The certificate is for none of these, so the client gives up when it sees it.
        assert!(
            Maker::new(&setup.ca)
                .name(name)
                .done()
                .connect(setup.address())
                .is_err()
        );
    };
    ask("first.example");
    wait_for("the count", || {
        (setup.failed("client_alert_bad_certificate") == 1.0).then_some(())
    });
    let series = |page: String| page.lines().filter(|line| !line.starts_with('#')).count();
    let before = series(setup.proxy.metrics());
    for number in 0..300 {
        ask(&format!("n{number}.example"));
    }
    wait_for("the count", || {
        (setup.failed("client_alert_bad_certificate") == 301.0).then_some(())
    });
    assert_eq!(series(setup.proxy.metrics()), before);
}

/// `docs/security.md`, "Limits": a handshake has its place like any connection.
#[test]
fn connections_in_their_handshake_count_and_the_oldest_makes_room_for_the_next_one() {
    let limits = "    limits: { connections: 2 }\n    timeouts: { tlsHandshake: 1s }\nworkers: 1\n";
    let setup = Setup::start_with("", limits, "", |_, _| {});
    let _silent = [&[][..], &[22, 3, 1]].map(|first| {
        let mut stream = TcpStream::connect(setup.address()).unwrap();
        stream.write_all(first).unwrap();
        stream
    });
    wait_for("both places to be taken", || {
        (setup
            .proxy
            .metric(r#"outrigger_downstream_connections_active{listener="tls"}"#)
            == 2.0)
            .then_some(())
    });
    assert_eq!(
        Client::new(&setup.ca)
            .get(setup.address(), "/")
            .unwrap()
            .status,
        200
    );
    let evicted = r#"outrigger_downstream_evictions_total{listener="tls",limit="connections"}"#;
    assert_eq!(setup.proxy.metric(evicted), 1.0);
    // The other one had all its time.
    wait_for("the count", || {
        (setup.failed("timeout") == 1.0).then_some(())
    });
}

#[test]
fn http_without_tls_is_told_so_and_counted() {
    let setup = Setup::start("", |_, _| {});
    let answer = http(setup.address(), "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n");
    assert!(
        answer.starts_with("HTTP/1.1 400 Bad Request\r\n"),
        "{answer}"
    );
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(
        head.contains(&format!("content-length: {}", body.len())),
        "{answer}"
    );
    assert!(body.contains("https"), "{answer}");
    // What is no HTTP is closed.
    assert_eq!(http(setup.address(), "\u{1}nonsense"), "");
    assert_eq!(setup.failed("not_tls"), 2.0);
    wait_for("the line", || {
        setup
            .proxy
            .stderr()
            .contains("reason=\"not_tls\"")
            .then_some(())
    });
    setup.proxy.wait_stderr("the client does not speak TLS");
    assert_eq!(
        Client::new(&setup.ca)
            .get(setup.address(), "/")
            .unwrap()
            .status,
        200
    );
}

#[test]
fn a_handshake_that_is_not_done_in_time_is_closed() {
    let limit = "    timeouts: { tlsHandshake: 300ms }\n";
    let setup = Setup::start_with("", limit, "", |_, _| {});
    for first in [&b""[..], &[22], &[22, 3, 1, 2, 0, 1]] {
        let mut slow = TcpStream::connect(setup.address()).unwrap();
        slow.set_read_timeout(Some(PATIENCE)).unwrap();
        slow.write_all(first).unwrap();
        assert_eq!(
            slow.read(&mut [0; 16]).unwrap_or(0),
            0,
            "closed, after {first:?}"
        );
    }
    wait_for("the count", || {
        (setup.failed("timeout") == 3.0).then_some(())
    });
    // A good client is not bound by it afterwards.
    let mut connection = Client::new(&setup.ca).connect(setup.address()).unwrap();
    assert_eq!(connection.get("/delay/600").unwrap().status, 200);
}

#[test]
fn a_client_that_says_nothing_or_gives_up_is_no_failure_of_ours() {
    let setup = Setup::start("", |_, _| {});
    drop(TcpStream::connect(setup.address()).unwrap());
    let mut halfway = TcpStream::connect(setup.address()).unwrap();
    halfway.write_all(&[22, 3, 1, 2, 0, 1]).unwrap();
    drop(halfway);
    wait_for("the count", || {
        (setup.failed("closed") == 1.0).then_some(())
    });
    // A TLS record that is nonsense.
    let mut broken = TcpStream::connect(setup.address()).unwrap();
    broken.write_all(&[22, 3, 1, 0, 5, 99, 0, 0, 1, 0]).unwrap();
    let mut alert = Vec::new();
    broken.set_read_timeout(Some(PATIENCE)).unwrap();
    broken.read_to_end(&mut alert).unwrap();
    assert_eq!(alert.first(), Some(&21), "an alert: {alert:?}");
    wait_for("the count", || {
        (setup.failed("protocol") == 1.0).then_some(())
    });
    let page = setup.proxy.metrics();
    let failed = page
        .lines()
        .filter(|line| line.contains("handshakes_total") && line.contains("failed"));
    assert_eq!(failed.count(), 2, "{page}");
    wait_for("all places", || {
        (setup
            .proxy
            .metric(r#"outrigger_downstream_connections_active{listener="tls"}"#)
            == 0.0)
            .then_some(())
    });
}
