//! Replaced files: new connections use the new files, requests on old connections finish.

use outrigger_loadtest::origin::Origin;

use super::{ask, server, start, to_port, yaml};
use crate::support::{
    Proxy,
    front::{Front, Maker},
    live::KeepAlive,
    origin,
    pki::{Ca, Leaf, Wanted},
    wait_for,
    wire::{Wire, status},
};

fn shown(front: &Front) -> Option<Vec<u8>> {
    front
        .seen()
        .last()
        .and_then(|one| one.client.as_ref().map(|client| client.to_vec()))
}

struct Mutual {
    proxy: Proxy,
    front: Front,
    clients: Ca,
    first: Leaf,
    origin: Origin,
}

/// An endpoint that wants a certificate, and a proxy that has one.
fn mutual() -> Mutual {
    let (ca, clients, origin) = (Ca::new("Outside"), Ca::new("Clients"), origin());
    let leaf = server(&ca);
    let front = Maker::new(&leaf).clients(&clients).before(origin.address());
    let first = clients.sign(Wanted::client("orders").uri("spiffe://example.com/orders"));
    let keys = "      certFile: client.crt\n      keyFile: client.key\n";
    let proxy = start(&to_port(front.port(), keys), |folder| {
        std::fs::write(folder.join("ca.crt"), ca.pem()).unwrap();
        first.write(folder, "client");
    });
    Mutual {
        proxy,
        front,
        clients,
        first,
        origin,
    }
}

#[test]
fn a_renewed_client_certificate_is_shown_on_new_connections_and_the_old_one_ends_its_request() {
    let Mutual {
        proxy,
        front,
        clients,
        first,
        origin: _origin,
    } = mutual();
    assert_eq!(ask(&proxy).0, 200, "{}", proxy.stderr());
    assert_eq!(shown(&front).unwrap(), first.certificate.to_vec());
    // A download in progress.
    let mut busy = Wire::connect(proxy.address("out"));
    busy.send("GET /drip/40/50 HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(status(&busy.head()), 200);
    let before = proxy.generation();
    let second = clients.sign(Wanted::client("orders"));
    second.write(proxy.folder(), "client");
    wait_for("the new certificate", || {
        (proxy.generation() > before).then_some(())
    });
    wait_for("it on a new connection", || {
        assert_eq!(ask(&proxy).0, 200);
        (shown(&front).unwrap() == second.certificate.to_vec()).then_some(())
    });
    assert!(
        busy.chunks().ends_with("drip 39\n"),
        "the download is whole"
    );
}

#[test]
fn a_bad_pair_changes_nothing() {
    let Mutual {
        proxy,
        front,
        clients,
        first,
        origin: _origin,
    } = mutual();
    assert_eq!(ask(&proxy).0, 200);
    // The key of another certificate: two files are being replaced, and only one is written yet.
    let second = clients.sign(Wanted::client("orders"));
    std::fs::write(proxy.folder().join("client.key"), second.key_pem()).unwrap();
    wait_for("the refusal", || {
        proxy.stderr().contains("not reloaded").then_some(())
    });
    assert_eq!(ask(&proxy).0, 200);
    assert_eq!(shown(&front).unwrap(), first.certificate.to_vec());
}

/// A change of trust is one: sessions from before it do not go on.
#[test]
fn another_ca_ends_what_was_believed() {
    let (ca, other, origin) = (Ca::new("Outside"), Ca::new("Others"), origin());
    let leaf = server(&ca);
    let front = Maker::new(&leaf).before(origin.address());
    let upstream = to_port(front.port(), "");
    let proxy = start(&upstream, |folder| {
        std::fs::write(folder.join("ca.crt"), ca.pem()).unwrap()
    });
    let mut wire = KeepAlive::new(proxy.address("out"));
    assert_eq!(wire.get("/").status, 200);
    std::fs::write(proxy.folder().join("ca.crt"), other.pem()).unwrap();
    proxy.reload_with(&yaml(&upstream));
    assert_eq!(wire.get("/").status, 502, "{}", proxy.stderr());
    std::fs::write(proxy.folder().join("ca.crt"), ca.pem()).unwrap();
    proxy.reload_with(&yaml(&upstream));
    assert_eq!(wire.get("/").status, 200);
    assert!(!front.seen().last().unwrap().resumed);
}
