//! SNI and Host that differ: 421 where the two have different certificates (RFC 9110 section 15.5.20).

use http::Request;
use hyper_util::rt::TokioExecutor;

use super::Setup;
use crate::support::{
    client::{Answer, H2, full},
    live::block_on,
    pki::{Ca, Wanted},
    tls::{Maker, Secure},
};

/// Three certificates beside the default one for localhost; `twin.test` has an entry of its own with the file of another.
const SNI: &str = "      sni:\n        - { hostnames: [\"*.example.com\"], certFile: star.crt, keyFile: star.key }\n        \
                   - { hostnames: [other.test], certFile: other.crt, keyFile: other.key }\n        \
                   - { hostnames: [twin.test], certFile: other.crt, keyFile: other.key }\n";

fn several(tls: &str, listener: &str) -> Setup {
    Setup::start_with(&format!("{SNI}{tls}"), listener, "", |folder, ca| {
        ca.sign(Wanted::server(&["*.example.com"]))
            .write(folder, "star");
        ca.sign(Wanted::server(&["other.test", "twin.test"]))
            .write(folder, "other");
        std::fs::write(folder.join("clients.crt"), ca.pem()).unwrap();
    })
}

/// What a client that asked for `name` gets for each Host on one connection.
fn statuses(setup: &Setup, name: &str, hosts: &[&str]) -> Vec<u16> {
    asking(
        &mut Maker::new(&setup.ca)
            .name(name)
            .done()
            .connect(setup.address())
            .unwrap(),
        hosts,
    )
}

fn asking(connection: &mut Secure, hosts: &[&str]) -> Vec<u16> {
    let mut status = |host: &&str| {
        connection
            .send(format!("GET /headers HTTP/1.1\r\nhost: {host}\r\n\r\n"))
            .unwrap();
        connection.answer().unwrap().status
    };
    hosts.iter().map(&mut status).collect()
}

#[test]
fn a_host_with_another_certificate_than_the_server_name_is_misdirected() {
    let setup = several("", "");
    for (name, host, status) in [
        ("a.example.com", "a.example.com", 200),
        ("a.example.com", "A.Example.com.:8443", 200),
        // One certificate for both: a client may use one connection for them (RFC 9113 section 9.1.1).
        ("a.example.com", "b.example.com", 200),
        ("other.test", "twin.test", 200),
        ("a.example.com", "other.test", 421),
        ("a.example.com", "OTHER.test", 421),
        ("other.test", "a.example.com", 421),
        ("a.example.com", "localhost", 421),
        ("a.example.com", "unknown.test", 421),
        // The default certificate for both.
        ("localhost", "unknown.test", 200),
        ("localhost", "127.0.0.1", 200),
        ("localhost", "other.test", 421),
        // No server name at all.
        ("127.0.0.1", "other.test", 200),
    ] {
        assert_eq!(
            statuses(&setup, name, &[host]),
            [status],
            "{name} and then {host}"
        );
    }
    let line = setup
        .proxy
        .logged(|line| line["status"] == 421 && line["host"] == "unknown.test");
    assert_eq!(
        (&line["reason"], &line["flag"]),
        (&"tls.misdirected".into(), &"NR".into())
    );
    assert_eq!(
        setup
            .proxy
            .metric(r#"outrigger_downstream_rejected_total{reason="tls.misdirected"}"#),
        6.0
    );
}

#[test]
fn a_misdirected_request_leaves_its_connection_as_it_was() {
    let setup = several("", "");
    let hosts = ["other.test", "a.example.com", "localhost", "b.example.com"];
    assert_eq!(
        statuses(&setup, "a.example.com", &hosts),
        [421, 200, 421, 200]
    );
    // Its body is read over.
    let mut connection = Maker::new(&setup.ca)
        .name("a.example.com")
        .done()
        .connect(setup.address())
        .unwrap();
    connection
        .send("POST /echo HTTP/1.1\r\nhost: other.test\r\ncontent-length: 5\r\n\r\nGET /")
        .unwrap();
    assert_eq!(connection.answer().unwrap().status, 421);
    assert_eq!(asking(&mut connection, &["a.example.com"]), [200]);
    // In the absolute form the target decides.
    let mut connection = Maker::new(&setup.ca)
        .name("other.test")
        .done()
        .connect(setup.address())
        .unwrap();
    connection
        .send("GET http://a.example.com/headers HTTP/1.1\r\nhost: other.test\r\n\r\n")
        .unwrap();
    assert_eq!(connection.answer().unwrap().status, 421);
}

#[test]
fn over_http2_authority_and_host_are_held_against_the_server_name() {
    let setup = several("", "");
    block_on(async {
        let client = Maker::new(&setup.ca)
            .alpn(&["h2"])
            .name("a.example.com")
            .done();
        let stream = client.stream(setup.address()).await.unwrap();
        let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
        let mut connection = H2::over(builder, stream).await;
        for (host, status) in [
            ("a.example.com", 200),
            ("other.test", 421),
            ("b.example.com", 200),
            ("localhost:8443", 421),
        ] {
            let request = Request::get(format!("https://{host}/headers"))
                .body(full(""))
                .unwrap();
            assert_eq!(
                Answer::of(connection.send(request).await).await.status,
                status,
                "{host}"
            );
        }
    });
}

#[test]
fn with_one_certificate_any_host_is_served() {
    let one = Setup::start("", |_, _| {});
    assert_eq!(
        statuses(&one, "localhost", &["localhost", "other.test", "a"]),
        [200, 200, 200]
    );
}

/// `clientAuth` holds for the listener, so it is the same rule: with one certificate there is nothing to confuse.
#[test]
fn a_client_certificate_changes_nothing() {
    let auth = "      clientAuth: { mode: required, caFiles: [clients.crt] }\n";
    let ask = |setup: &Setup, hosts: &[&str]| {
        let leaf = setup.ca.sign(Wanted::client("spiffe://test/a"));
        let client = Maker::new(&setup.ca)
            .showing(&leaf)
            .name("localhost")
            .done();
        asking(&mut client.connect(setup.address()).unwrap(), hosts)
    };
    let one = Setup::start(auth, |folder, ca: &Ca| {
        std::fs::write(folder.join("clients.crt"), ca.pem()).unwrap()
    });
    assert_eq!(ask(&one, &["localhost", "other.test"]), [200, 200]);
    assert_eq!(
        ask(&several(auth, ""), &["localhost", "other.test"]),
        [200, 421]
    );
}

/// A load balancer names the hop in SNI, and hands on the Host of its client.
#[test]
fn the_server_name_of_a_trusted_peer_is_that_of_the_hop() {
    let setup = several("", "    clientAddress: { trustedCIDRs: [127.0.0.0/8] }\n");
    assert_eq!(
        statuses(&setup, "a.example.com", &["other.test", "localhost"]),
        [200, 200]
    );
}
