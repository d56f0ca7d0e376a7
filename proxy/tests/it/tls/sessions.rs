//! Session resumption: when a ticket is accepted, and when it is not.

use std::{thread::sleep, time::Duration};

use rustls::version;

use super::{Setup, server};
use crate::support::{
    pki::{Ca, DAY, Wanted},
    tls::{Client, Maker, alert},
    wait_for,
};

const BOTH: [&rustls::SupportedProtocolVersion; 2] = [&version::TLS12, &version::TLS13];

const REQUIRED: &str = "      clientAuth: { caFiles: [clients.crt], forwardIdentity: true }\n";

/// Asks once on a connection of its own; whether it was resumed. With TLS 1.3 the ticket comes with the answer.
fn ask(client: &Client, setup: &Setup) -> std::io::Result<(bool, String)> {
    let mut connection = client.connect(setup.address())?;
    let answer = connection.get("/headers")?;
    Ok((connection.is_resumed(), answer.text()))
}

#[test]
fn a_ticket_resumes_also_after_the_certificate_was_rotated() {
    let setup = Setup::start("", |_, _| {});
    for version in BOTH {
        let client = Maker::new(&setup.ca).versions(&[version]).done();
        assert!(!ask(&client, &setup).unwrap().0);
        assert!(ask(&client, &setup).unwrap().0, "{version:?}");
        server(&setup.ca).write(setup.proxy.folder(), "tls");
        setup.proxy.reload();
        assert!(
            ask(&client, &setup).unwrap().0,
            "{version:?} after a rotation"
        );
    }
    assert_eq!(
        (
            setup.handshakes("full", ""),
            setup.handshakes("resumed", "")
        ),
        (2.0, 4.0)
    );
}

#[test]
fn a_ticket_is_good_for_its_own_server_name_only() {
    let sni = "      sni: [{ hostnames: [other.test], certFile: other.crt, keyFile: other.key }]\n";
    let setup = Setup::start(sni, |folder, ca| {
        drop(
            ca.sign(Wanted::server(&["other.test"]))
                .write(folder, "other"),
        )
    });
    let client = Client::new(&setup.ca);
    ask(&client, &setup).unwrap();
    // rustls keeps tickets by name, so a client without such care is made of the same store.
    let other = client.named("other.test");
    assert!(!ask(&other, &setup).unwrap().0);
}

/// `docs/security.md` 16: the identity is that of the stored chain.
#[test]
fn a_resumed_client_is_the_same_client() {
    let clients = Ca::new("Clients");
    let setup = Setup::start(REQUIRED, |folder, _| {
        std::fs::write(folder.join("clients.crt"), clients.pem()).unwrap();
    });
    let leaf = clients.sign(Wanted::client("orders").uri("spiffe://prod/orders"));
    for version in BOTH {
        let client = Maker::new(&setup.ca)
            .showing(&leaf)
            .versions(&[version])
            .done();
        let (_, first) = ask(&client, &setup).unwrap();
        let (resumed, second) = ask(&client, &setup).unwrap();
        assert!(resumed, "{version:?}");
        for text in [first, second] {
            assert!(text.contains("URI=spiffe://prod/orders"), "{text}");
        }
    }
}

/// `docs/security.md` 16: a CA or CRL change builds new ticket keys.
#[test]
fn a_change_of_trust_ends_all_sessions() {
    let (clients, new) = (Ca::new("Clients"), Ca::new("New"));
    let setup = Setup::start(REQUIRED, |folder, _| {
        std::fs::write(folder.join("clients.crt"), clients.pem()).unwrap();
    });
    let leaf = clients.sign(Wanted::client("orders"));
    for version in BOTH {
        let client = Maker::new(&setup.ca)
            .showing(&leaf)
            .versions(&[version])
            .done();
        ask(&client, &setup).unwrap();
        assert!(ask(&client, &setup).unwrap().0);
        // One more authority: the client is good, and shows its certificate again.
        setup.write("clients.crt", &(clients.pem() + &new.pem()));
        setup.proxy.reload();
        assert!(!ask(&client, &setup).unwrap().0, "{version:?}");
        assert!(ask(&client, &setup).unwrap().0);
        // Its own is gone.
        setup.write("clients.crt", &new.pem());
        setup.proxy.reload();
        assert_eq!(
            alert(&ask(&client, &setup).unwrap_err()),
            "UnknownCA",
            "{version:?}"
        );
        // And back again: keys of that time are gone for good.
        setup.write("clients.crt", &clients.pem());
        setup.proxy.reload();
        assert!(!ask(&client, &setup).unwrap().0, "{version:?}");
        // Revoked.
        assert!(ask(&client, &setup).unwrap().0);
        setup.write("clients.crl", &clients.crl(&[leaf.serial], DAY));
        setup.reload_with(
            "      clientAuth: { caFiles: [clients.crt], crlFiles: [clients.crl] }\n",
            "",
        );
        assert_eq!(
            alert(&ask(&client, &setup).unwrap_err()),
            "CertificateRevoked",
            "{version:?}"
        );
        setup.reload_with(REQUIRED, "");
    }
}

/// `docs/security.md` 16: every resumed handshake verifies the stored chain and its expiry.
#[test]
fn a_chain_that_expires_is_not_resumed_and_a_new_certificate_is_shown_instead() {
    let clients = Ca::new("Clients");
    let setup = Setup::start(REQUIRED, |folder, _| {
        std::fs::write(folder.join("clients.crt"), clients.pem()).unwrap();
    });
    let life = 6;
    let short = clients.sign(Wanted::client("short").valid(-DAY, life));
    let renewed = clients.sign(Wanted::client("renewed"));
    let makers: Vec<_> = BOTH
        .iter()
        .map(|version| {
            Maker::new(&setup.ca)
                .showing(&short)
                .versions(&[version])
                .done()
        })
        .collect();
    for client in &makers {
        ask(client, &setup).unwrap();
    }
    sleep(Duration::from_secs(life as u64 + 1)); // what is tested is what happens then
    for client in &makers {
        // The client has a ticket, and must show what it has now.
        assert_eq!(
            alert(&ask(client, &setup).unwrap_err()),
            "CertificateExpired"
        );
        let (resumed, text) = ask(&client.showing_instead(&renewed), &setup).unwrap();
        assert!(!resumed && text.contains("CN=renewed"), "{text}");
    }
    assert_eq!(setup.handshakes("resumed", ""), 0.0);
}

/// `docs/security.md` 16: as above, where the ticket itself cannot know: a revocation list runs out.
#[test]
fn a_resumed_session_is_refused_when_its_chain_can_no_longer_be_judged() {
    let clients = Ca::new("Clients");
    let due = 8; // the proxy starts within that, also on a busy machine
    let tls = "      clientAuth: { caFiles: [clients.crt], crlFiles: [clients.crl] }\n";
    let setup = Setup::start(tls, |folder, _| {
        std::fs::write(folder.join("clients.crt"), clients.pem()).unwrap();
        std::fs::write(folder.join("clients.crl"), clients.crl(&[], due)).unwrap();
    });
    let leaf = clients.sign(Wanted::client("orders"));
    let makers: Vec<_> = BOTH
        .iter()
        .map(|version| {
            Maker::new(&setup.ca)
                .showing(&leaf)
                .versions(&[version])
                .done()
        })
        .collect();
    for client in &makers {
        ask(client, &setup).unwrap();
    }
    sleep(Duration::from_secs(due as u64 + 1)); // what is tested is what happens then
    for (count, client) in makers.iter().enumerate() {
        let mut connection = client.connect(setup.address()).unwrap();
        assert!(connection.is_resumed(), "the library would let it in");
        assert!(connection.get("/").is_err());
        wait_for("the count", || {
            (setup.failed("crl_expired") == (count + 1) as f64).then_some(())
        });
    }
    assert_eq!(setup.handshakes("resumed", ""), 0.0);
    assert!(
        !setup.proxy.stdout().contains("\"path\":\"/\""),
        "nothing was served"
    );
}

#[test]
fn a_session_without_certificate_is_not_resumed_once_one_is_required() {
    let clients = Ca::new("Clients");
    let auth =
        |mode: &str| format!("      clientAuth: {{ mode: {mode}, caFiles: [clients.crt] }}\n");
    let setup = Setup::start(&auth("optional"), |folder, _| {
        std::fs::write(folder.join("clients.crt"), clients.pem()).unwrap();
    });
    for version in BOTH {
        let client = Maker::new(&setup.ca).versions(&[version]).done();
        ask(&client, &setup).unwrap();
        assert!(ask(&client, &setup).unwrap().0, "{version:?}");
        setup.reload_with(&auth("required"), "");
        assert_eq!(
            alert(&ask(&client, &setup).unwrap_err()),
            "CertificateRequired",
            "{version:?}"
        );
        setup.reload_with(&auth("optional"), "");
    }
}
