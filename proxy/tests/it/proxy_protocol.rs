//! `clientAddress.proxyProtocol`: the client address from a load balancer in front.

use std::{net::SocketAddr, time::Duration};

use crate::{
    support::{
        Proxy, origin,
        pki::Ca,
        tls::Client,
        wait_for,
        wire::{Wire, status},
    },
    tls::server,
};

const REQUEST: &str = "GET /headers HTTP/1.1\r\nhost: a.example\r\n\r\n";

fn yaml(app: u16, listener: &str) -> String {
    format!(
        "app: {{ port: {app} }}\nlisteners:\n  - name: in\n    address: 127.0.0.1:0\n{listener}"
    )
}

/// A listener behind load balancers with these addresses.
fn behind(trusted: &str, rest: &str) -> (Proxy, outrigger_loadtest::origin::Origin) {
    let origin = origin();
    let listener =
        format!("    clientAddress: {{ trustedCIDRs: [{trusted}], proxyProtocol: true }}\n{rest}");
    (
        Proxy::start(&yaml(origin.address().port(), &listener)),
        origin,
    )
}

fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [
        b"\r\n\r\n\0\r\nQUIT\n",
        &[command, family][..],
        &length,
        body,
    ]
    .concat()
}

/// What the app gets as X-Forwarded-For.
fn forwarded_for(wire: &mut Wire) -> String {
    let (head, body) = wire.answer();
    assert_eq!(status(&head), 200, "{head}");
    let echoed: serde_json::Value = serde_json::from_str(&body).unwrap();
    let fields = echoed["headers"].as_array().unwrap();
    let field = fields
        .iter()
        .find(|field| field[0] == "x-forwarded-for")
        .unwrap();
    field[1].as_str().unwrap().to_owned()
}

fn rejected(proxy: &Proxy, reason: &str) -> f64 {
    proxy.metric(&format!(
        r#"outrigger_downstream_rejected_total{{reason="{reason}"}}"#
    ))
}

#[test]
fn the_source_in_the_header_is_the_client() {
    let (proxy, _origin) = behind("127.0.0.0/8", "");
    let v4 = [198, 51, 100, 7, 127, 0, 0, 1, 0x12, 0x34, 1, 187];
    for (header, client) in [
        (
            b"PROXY TCP4 192.0.2.1 127.0.0.1 4660 443\r\n".to_vec(),
            "192.0.2.1",
        ),
        (
            b"PROXY TCP6 2001:db8::1 ::1 4660 443\r\n".to_vec(),
            "2001:db8::1",
        ),
        (
            v2(0x21, 0x11, &[&v4[..], b"\x02\0\x01a"].concat()),
            "198.51.100.7",
        ),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        (v2(0x20, 0, &[]), "127.0.0.1"),
    ] {
        let mut wire = Wire::connect(proxy.address("in"));
        wire.send([&header[..], REQUEST.as_bytes()].concat());
        assert_eq!(forwarded_for(&mut wire), client);
        // All requests of the connection are the client's.
        wire.send(REQUEST);
        assert_eq!(forwarded_for(&mut wire), client);
        let address = client.to_owned();
        proxy.logged(|line| line["clientAddress"] == *address);
    }
    // Byte by byte, also a header over the first look; not a byte of what follows is lost.
    let long = v2(0x21, 0x11, &[&v4[..], &[0; 2000]].concat());
    for header in [
        b"PROXY TCP4 192.0.2.1 127.0.0.1 4660 443\r\n".to_vec(),
        long,
    ] {
        let mut wire = Wire::connect(proxy.address("in"));
        for byte in [&header[..], REQUEST.as_bytes()].concat() {
            wire.send([byte]);
        }
        forwarded_for(&mut wire);
    }
}

#[test]
fn x_forwarded_for_is_believed_only_when_the_source_is_trusted() {
    let (proxy, _origin) = behind("127.0.0.0/8", "");
    let ask = |source: &str| {
        let mut wire = Wire::connect(proxy.address("in"));
        wire.send(format!(
            "PROXY TCP4 {source} 127.0.0.1 1 2\r\nGET /headers HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 203.0.113.9\r\n\r\n"
        ));
        forwarded_for(&mut wire)
    };
    assert_eq!(ask("192.0.2.1"), "192.0.2.1");
    assert_eq!(ask("127.0.0.2"), "203.0.113.9, 127.0.0.2");
}

#[test]
fn a_connection_without_header_is_closed_and_so_is_one_of_a_stranger() {
    let (proxy, origin) = behind("127.0.0.0/8", "    timeouts: { tlsHandshake: 300ms }\n");
    for beginning in [
        "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
        "PROXY TCP4 192.0.2.1\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n",
    ] {
        let mut wire = Wire::connect(proxy.address("in"));
        wire.send(beginning);
        assert_eq!(wire.rest(), "");
    }
    wait_for("the count", || {
        (rejected(&proxy, "proxy_protocol.malformed") == 2.0).then_some(())
    });
    for beginning in ["", "PROXY TCP4 192.0"] {
        let mut wire = Wire::connect(proxy.address("in"));
        wire.send(beginning);
        assert_eq!(wire.rest(), "");
    }
    wait_for("the count", || {
        (rejected(&proxy, "proxy_protocol.timeout") == 2.0).then_some(())
    });
    assert_eq!(origin.hits(), 0);

    let (strict, origin) = behind("10.0.0.0/8", "");
    let mut wire = Wire::connect(strict.address("in"));
    let _ = wire.try_send(format!("PROXY TCP4 10.0.0.1 127.0.0.1 1 2\r\n{REQUEST}"));
    assert_eq!(wire.rest(), "");
    wait_for("the count", || {
        (rejected(&strict, "proxy_protocol.untrusted") == 1.0).then_some(())
    });
    assert_eq!(origin.hits(), 0);
}

#[test]
fn the_limit_for_an_address_counts_the_source() {
    let (proxy, origin) = behind("127.0.0.0/8", "    limits: { connectionsPerAddress: 2 }\n");
    origin.stall(); // all are busy
    let open = |source: &str| {
        let mut wire = Wire::connect(proxy.address("in"));
        let before = origin.hits();
        wire.send(format!("PROXY TCP4 {source} 127.0.0.1 1 2\r\n{REQUEST}"));
        let served = wait_for("a request or a refusal", || {
            let served = origin.hits() > before;
            (served || !wire.is_silent_for(Duration::from_millis(10))).then_some(served)
        });
        (wire, served)
    };
    let kept: Vec<_> = [
        "192.0.2.1",
        "192.0.2.1",
        "192.0.2.2",
        "127.0.0.1",
        "127.0.0.1",
        "127.0.0.1",
    ]
    .iter()
    .map(|source| {
        let (wire, served) = open(source);
        assert!(served, "{source}");
        wire
    })
    .collect();
    assert!(!open("192.0.2.1").1, "a third one");
    assert_eq!(rejected(&proxy, "limit.connections_per_address"), 1.0);
    drop(kept);
    wait_for("a place", || open("192.0.2.1").1.then_some(()));
}

#[test]
fn tls_begins_right_behind_the_header() {
    let (origin, ca) = (origin(), Ca::new("Servers"));
    let folder = tempfile::tempdir().unwrap();
    server(&ca).write(folder.path(), "tls");
    let listener = "    tls: { certFile: tls.crt, keyFile: tls.key }\n    \
                    clientAddress: { trustedCIDRs: [127.0.0.0/8], proxyProtocol: true }\n";
    let file = folder.path().join("outrigger.yaml");
    std::fs::write(
        &file,
        crate::support::with_servers(&yaml(origin.address().port(), listener)),
    )
    .unwrap();
    let proxy = Proxy::start_file(folder, &file);
    let connect = |header: &[u8]| {
        use std::io::Write;
        let address: SocketAddr = proxy.address("in");
        let mut socket = std::net::TcpStream::connect(address).unwrap();
        socket.write_all(header).unwrap();
        Client::new(&ca).over(socket)
    };
    let answer = connect(b"PROXY TCP4 192.0.2.1 127.0.0.1 1 2\r\n")
        .unwrap()
        .get("/headers")
        .unwrap();
    assert!(
        answer.text().contains(r#"["x-forwarded-for","192.0.2.1"]"#),
        "{}",
        answer.text()
    );
    // TLS without header, and a header within TLS.
    assert!(connect(b"").is_err());
    wait_for("the count", || {
        (rejected(&proxy, "proxy_protocol.malformed") == 1.0).then_some(())
    });
    let mut within = connect(b"PROXY UNKNOWN\r\n").unwrap();
    within
        .send(format!("PROXY TCP4 192.0.2.1 127.0.0.1 1 2\r\n{REQUEST}"))
        .unwrap();
    assert!(within.head().unwrap().starts_with("HTTP/1.1 400"));
}

#[test]
fn a_silent_connection_behind_a_load_balancer_does_not_hold_up_the_end() {
    let (mut proxy, _origin) = behind("127.0.0.0/8", "lifecycle: { shutdownDelay: 0s }\n");
    let _silent = Wire::connect(proxy.address("in"));
    proxy.signal("TERM");
    assert!(proxy.wait_exit(Duration::from_secs(10)).success());
}
