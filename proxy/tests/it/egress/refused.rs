//! TLS failures with endpoints, in both directions: 502 `UF`, and the reason in log and metrics.

use std::net::TcpListener;

use rcgen::{ExtendedKeyUsagePurpose, SanType};

use super::{Setup, ask, handshakes, server, start, to_front, to_port, yaml};
use crate::support::{
    Proxy, command,
    front::Maker,
    live::run_to_end,
    origin,
    pki::{Ca, DAY, Leaf, Wanted},
    wait_for, with_servers,
};

/// It is rejected for this reason; the client does not see the reason, and the log has it.
fn is_refused(proxy: &Proxy, reason: &str, told: &[&str]) {
    is_told(proxy, reason, told);
    assert!(handshakes(proxy, "failed", reason) >= 1.0);
}

/// The same, whatever became of the handshake: with TLS 1.3 an endpoint looks at our certificate after it.
fn is_told(proxy: &Proxy, reason: &str, told: &[&str]) {
    let (status, body, line) = ask(proxy);
    assert_eq!((status, &line["flag"]), (502, &"UF".into()), "{line}");
    assert_eq!(
        line["reason"],
        format!("upstream.tls_{reason}"),
        "{line}\n{}",
        proxy.stderr()
    );
    assert!(
        body.contains("upstream failed") && !body.to_lowercase().contains("tls"),
        "{body}"
    );
    wait_for("the reason in the log", || {
        let log = proxy.stderr();
        let line = log
            .lines()
            .find(|line| line.contains("no TLS with the endpoint"))?;
        told.iter()
            .chain(&["upstream=u", &format!("reason=\"{reason}\"")])
            .for_each(|part| {
                assert!(line.contains(part), "{part} is not in {line}");
            });
        Some(())
    });
}

/// An endpoint with this certificate is rejected by a proxy that trusts `ca`.
fn certificate_is_refused(ca: &Ca, leaf: &Leaf, tls: &str, reason: &str, told: &[&str]) {
    let origin = origin();
    let front = Maker::new(leaf).before(origin.address());
    is_refused(&to_front(&front, ca, tls), reason, told);
    assert_eq!(
        (front.seen().len(), origin.hits()),
        (0, 0),
        "nothing was sent"
    );
}

#[test]
fn a_certificate_that_is_not_believed_is_refused_and_told() {
    let (ca, other) = (Ca::new("Outside"), Ca::new("Unknown"));
    certificate_is_refused(
        &ca,
        &server(&other),
        "",
        "unknown_ca",
        &["issued by CN=Unknown", "caFiles"],
    );
    let elsewhere = ca.sign(Wanted::server(&["elsewhere.example"]));
    certificate_is_refused(
        &ca,
        &elsewhere,
        "",
        "wrong_name",
        &["elsewhere.example", "server=localhost"],
    );
    let named = "      hostname: pay.example\n";
    certificate_is_refused(
        &ca,
        &server(&ca),
        named,
        "wrong_name",
        &["server=pay.example"],
    );
    let ended = ca.sign(Wanted::server(&["localhost"]).valid(-10 * DAY, -DAY));
    certificate_is_refused(&ca, &ended, "", "expired", &["CN=localhost", "valid from"]);
    let later = ca.sign(Wanted::server(&["localhost"]).valid(DAY, 10 * DAY));
    certificate_is_refused(&ca, &later, "", "not_yet_valid", &["clocks"]);
    let client = Wanted::server(&["localhost"]).usages(&[ExtendedKeyUsagePurpose::ClientAuth]);
    certificate_is_refused(&ca, &ca.sign(client), "", "wrong_purpose", &["serverAuth"]);
}

/// With `subjectAltNames` one of them must be there, and the server name need not.
#[test]
fn alternative_names_are_looked_for_in_place_of_the_server_name() {
    let ca = Ca::new("Outside");
    let spiffe = "spiffe://example.com/ns/pay/sa/api";
    let leaf = ca.sign(Wanted::server(&["Pay.example.com", "10.1.2.3"]).uri(spiffe));
    let origin = origin();
    let front = Maker::new(&leaf).before(origin.address());
    for good in [
        "spiffe://example.com/ns/pay/sa/api",
        "pay.example.com",
        "10.1.2.3",
    ] {
        let proxy = to_front(
            &front,
            &ca,
            &format!("      subjectAltNames: [other.example, \"{good}\"]\n"),
        );
        assert_eq!(ask(&proxy).0, 200, "{good}: {}", proxy.stderr());
        assert_eq!(
            front.seen().last().unwrap().server_name.as_deref(),
            Some("localhost")
        );
    }
    for bad in [
        "spiffe://example.com/ns/pay/sa/other",
        "example.com",
        "10.1.2.4",
        "localhost",
    ] {
        let names = format!("      subjectAltNames: [\"{bad}\"]\n");
        is_refused(
            &to_front(&front, &ca, &names),
            "wrong_name",
            &["Pay.example.com", spiffe],
        );
    }
    // A name is not enough: a trusted CA must have signed the certificate.
    let names = format!("      subjectAltNames: [\"{spiffe}\"]\n");
    is_refused(
        &to_front(&front, &Ca::new("Others"), &names),
        "unknown_ca",
        &[],
    );
    // A certificate that names two workloads is that of neither.
    let two = ca.sign(
        Wanted::server(&["localhost"])
            .uri(spiffe)
            .uri("spiffe://example.com/other"),
    );
    let front = Maker::new(&two).before(origin.address());
    is_refused(
        &to_front(&front, &ca, &names),
        "wrong_name",
        &["spiffe://example.com/other"],
    );
    // A star in it takes one label.
    let starred =
        ca.sign(Wanted::server(&["*.example.com"]).san(SanType::URI(spiffe.try_into().unwrap())));
    let front = Maker::new(&starred).before(origin.address());
    let proxy = to_front(&front, &ca, "      subjectAltNames: [pay.example.com]\n");
    assert_eq!(ask(&proxy).0, 200);
}

#[test]
fn an_endpoint_that_wants_a_certificate_and_gets_none_is_told() {
    let (ca, clients) = (Ca::new("Outside"), Ca::new("Clients"));
    let leaf = server(&ca);
    let origin = origin();
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let front = Maker::new(&leaf)
            .clients(&clients)
            .versions(&[version])
            .before(origin.address());
        is_told(
            &to_front(&front, &ca, ""),
            "certificate_required",
            &["tls.certFile"],
        );
    }
    // And one that it does not accept.
    let front = Maker::new(&leaf).clients(&clients).before(origin.address());
    let shown = "      certFile: client.crt\n      keyFile: client.key\n";
    let proxy = start(&to_port(front.port(), shown), |folder| {
        std::fs::write(folder.join("ca.crt"), ca.pem()).unwrap();
        Ca::new("Strangers")
            .sign(Wanted::client("orders"))
            .write(folder, "client");
    });
    is_told(&proxy, "certificate_rejected", &["tls.certFile"]);
    assert_eq!(origin.hits(), 0);
}

#[test]
fn an_endpoint_that_speaks_no_tls_or_nothing_at_all_is_refused() {
    let (ca, origin) = (Ca::new("Outside"), origin());
    let believe =
        |folder: &std::path::Path| std::fs::write(folder.join("ca.crt"), ca.pem()).unwrap();
    let plain = crate::support::wire::App::start(|mut wire, _| {
        wire.try_send("HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n");
        wire.rest();
    });
    is_refused(
        &start(&to_port(plain.address.port(), ""), believe),
        "not_tls",
        &["http://"],
    );
    // The handshake counts into connectTimeout.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let upstream = to_port(port, "    connections: { connectTimeout: 300ms }\n");
    is_refused(&start(&upstream, believe), "timeout", &["connectTimeout"]);
    let gone = crate::support::wire::App::start(|wire, _| drop(wire));
    is_refused(
        &start(&to_port(gone.address.port(), ""), believe),
        "closed",
        &[],
    );
    drop(origin);
}

/// Without CA certificates no endpoint could be trusted, so the proxy does not start.
#[test]
fn without_roots_there_is_no_start_and_with_them_they_are_the_system_s() {
    let (ca, origin) = (Ca::new("Outside"), origin());
    let leaf = server(&ca);
    let front = Maker::new(&leaf).before(origin.address());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("outrigger.yaml");
    let url = format!(
        "    endpoints: [{{ url: \"https://localhost:{}\" }}]\n",
        front.port()
    );
    std::fs::write(&file, with_servers(&yaml(&url))).unwrap();
    let with_roots = |roots: &std::path::Path| {
        let mut command = command();
        command
            .arg("run")
            .arg("-c")
            .arg(&file)
            .env("SSL_CERT_FILE", roots)
            .env_remove("SSL_CERT_DIR");
        command
    };
    let ended = run_to_end(&mut with_roots(&folder.path().join("nothing.pem")));
    let told = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(2), "{told}");
    assert!(
        told.contains("the TLS settings of upstream u cannot be used")
            && told.contains("SSL_CERT_FILE"),
        "{told}"
    );
    let roots = folder.path().join("roots.pem");
    std::fs::write(&roots, ca.pem()).unwrap();
    let mut command = with_roots(&roots);
    let proxy = Proxy::spawn(folder, &mut command);
    assert_eq!(ask(&proxy).0, 200, "{}", proxy.stderr());
}

/// `docs/security.md` 20: what an endpoint writes into its certificate stays one line.
#[test]
fn the_log_is_one_line_whatever_stands_in_the_certificate() {
    let setup = Setup::start("");
    let leaf = Ca::new("Unknown").sign(
        Wanted::server(&["elsewhere.example"]).named(rcgen::DnType::OrganizationName, "a\nb"),
    );
    setup.front.set(Maker::new(&leaf).config());
    is_refused(&setup.proxy, "unknown_ca", &["a\\0Ab"]);
}
