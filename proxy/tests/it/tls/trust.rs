//! Reloads: rotated certificates, and connected clients that are no longer trusted.

use std::{
    collections::BTreeSet,
    os::unix::fs::symlink,
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    thread,
    time::Duration,
};

use super::{Setup, server};
use crate::support::{
    Proxy,
    client::{Answer, H2, request},
    live::block_on,
    origin,
    pki::{Ca, DAY, Leaf, Wanted},
    tls::{Client, Maker, Secure},
    wait_for, with_servers,
};

/// A Secret volume, as the kubelet's atomic writer lays it out and swaps it.
fn swap_secret(folder: &Path, generation: usize, files: &[(&str, String)]) {
    let (dated, data) = (format!("..{generation}"), folder.join("..data"));
    let before = std::fs::read_link(&data).ok();
    std::fs::create_dir(folder.join(&dated)).unwrap();
    for (name, text) in files {
        std::fs::write(folder.join(&dated).join(name), text).unwrap();
    }
    symlink(&dated, folder.join("..data_tmp")).unwrap();
    std::fs::rename(folder.join("..data_tmp"), &data).unwrap();
    match before {
        Some(before) => std::fs::remove_dir_all(folder.join(before)).unwrap(),
        None => files.iter().for_each(|(name, _)| {
            symlink(format!("..data/{name}"), folder.join(name)).unwrap();
        }),
    }
}

fn pair(leaf: &Leaf) -> [(&'static str, String); 2] {
    [("tls.crt", leaf.chain_pem()), ("tls.key", leaf.key_pem())]
}

/// The serial number that a connection was shown.
fn shown(connection: &Secure) -> u64 {
    let chain = connection.session().peer_certificates().unwrap();
    let serial = x509_parser::parse_x509_certificate(&chain[0])
        .unwrap()
        .1
        .serial
        .to_u64_digits();
    serial[0]
}

/// R3 and R5 of `docs/operations.md`.
#[test]
fn a_hundred_rotations_under_load_fail_no_request_and_the_last_one_is_shown() {
    const SWAPS: usize = 100;
    let (origin, ca, folder) = (origin(), Ca::new("Servers"), tempfile::tempdir().unwrap());
    let secret = folder.path().join("secret");
    std::fs::create_dir(&secret).unwrap();
    let mut last = server(&ca);
    swap_secret(&secret, 0, &pair(&last));
    let yaml = format!(
        "app: {{ port: {} }}\nlisteners:\n  - {{ name: tls, port: 0, tls: {{ certFile: secret/tls.crt, keyFile: secret/tls.key }} }}\n\
         reload: {{ debounce: 5ms, poll: 1s }}\n",
        origin.address().port()
    );
    let file = folder.path().join("outrigger.yaml");
    std::fs::write(&file, with_servers(&yaml)).unwrap();
    let proxy = Proxy::start_file(folder, &file);
    let secret = proxy.folder().join("secret");
    let (address, stop, served) = (
        proxy.address("tls"),
        AtomicBool::new(false),
        AtomicU64::new(0),
    );
    let serials = thread::scope(|scope| {
        let new = |_| {
            scope.spawn(|| {
                let mut serials = BTreeSet::new();
                while !stop.load(SeqCst) {
                    // A store of its own, so that every handshake is a full one.
                    let mut connection = Client::new(&ca).connect(address).unwrap();
                    serials.insert(shown(&connection));
                    for _ in 0..3 {
                        assert_eq!(connection.get("/bytes/1000").unwrap().body.len(), 1000);
                        served.fetch_add(1, SeqCst);
                    }
                }
                serials
            })
        };
        let loads: Vec<_> = (0..2).map(new).collect();
        let kept = scope.spawn(|| {
            let mut connection = Client::new(&ca).connect(address).unwrap();
            while !stop.load(SeqCst) {
                assert_eq!(connection.get("/bytes/1000").unwrap().body.len(), 1000);
                thread::sleep(Duration::from_millis(1));
            }
        });
        for generation in 1..=SWAPS {
            last = server(&ca);
            swap_secret(&secret, generation, &pair(&last));
            thread::sleep(Duration::from_millis(20)); // swaps in a row, some of them within one reload
        }
        wait_for("the last certificate", || {
            let connection = Client::new(&ca).connect(address).unwrap();
            (shown(&connection) == last.serial).then_some(())
        });
        stop.store(true, SeqCst);
        kept.join().unwrap();
        loads
            .into_iter()
            .flat_map(|load| load.join().unwrap())
            .collect::<BTreeSet<u64>>()
    });
    assert!(
        serials.len() > 5,
        "certificates were rotated while there was load: {serials:?}"
    );
    assert!(served.load(SeqCst) > 100);
    let page = proxy.metrics();
    assert!(!page.contains(r#"result="failed",reason="#), "{page}");
    assert_eq!(
        proxy.metric(r#"outrigger_config_reloads_total{result="failed"}"#),
        0.0,
        "{}",
        proxy.stderr()
    );
}

#[test]
fn a_key_of_another_certificate_keeps_the_old_pair() {
    let setup = Setup::start("", |_, _| {});
    let before = shown(&Client::new(&setup.ca).connect(setup.address()).unwrap());
    let [(_, certificate), _] = pair(&server(&setup.ca));
    setup.write("tls.crt", &certificate);
    assert_eq!(setup.proxy.admin("POST", "/reload").0, 422);
    assert_eq!(
        shown(&Client::new(&setup.ca).connect(setup.address()).unwrap()),
        before
    );
}

/// Two clients, of which one is revoked with the next [`Revoking::revoke`].
struct Revoking {
    setup: Setup,
    clients: Ca,
    good: Leaf,
    bad: Leaf,
}

const WITH_LIST: &str = "      clientAuth: { caFiles: [clients.crt], crlFiles: [clients.crl], forwardIdentity: true }\n";

impl Revoking {
    fn start(rest: &str) -> Self {
        let clients = Ca::new("Clients");
        let sign = |name: &str| clients.sign(Wanted::client(name));
        let (good, bad) = (sign("good"), sign("bad"));
        let setup = Setup::start_with(WITH_LIST, "", rest, |folder, _| {
            std::fs::write(folder.join("clients.crt"), clients.pem()).unwrap();
            std::fs::write(folder.join("clients.crl"), clients.crl(&[], DAY)).unwrap();
        });
        Self {
            setup,
            clients,
            good,
            bad,
        }
    }

    fn connect(&self, leaf: &Leaf) -> Secure {
        let mut connection = Client::mutual(&self.setup.ca, leaf)
            .connect(self.setup.address())
            .unwrap();
        assert_eq!(connection.get("/").unwrap().status, 200);
        connection
    }

    async fn connect_h2(&self, leaf: &Leaf) -> H2 {
        let client = Maker::new(&self.setup.ca)
            .showing(leaf)
            .alpn(&["h2"])
            .done();
        let stream = client.stream(self.setup.address()).await.unwrap();
        let builder =
            hyper::client::conn::http2::Builder::new(hyper_util::rt::TokioExecutor::new());
        H2::over(builder, stream).await
    }

    fn revoke(&self) {
        self.setup
            .write("clients.crl", &self.clients.crl(&[self.bad.serial], DAY));
        self.setup.proxy.reload();
    }
}

/// `docs/security.md` 16.
#[test]
fn after_a_revocation_only_connections_of_the_revoked_are_closed() {
    let revoking = Revoking::start("");
    let mut good: Vec<Secure> = (0..3).map(|_| revoking.connect(&revoking.good)).collect();
    let mut bad: Vec<Secure> = (0..3).map(|_| revoking.connect(&revoking.bad)).collect();
    // Some have been parked by now, some are busy, some are neither.
    thread::sleep(Duration::from_millis(700));
    good.push(revoking.connect(&revoking.good));
    bad.push(revoking.connect(&revoking.bad));
    revoking.revoke();
    for mut connection in bad {
        assert_eq!(connection.rest().unwrap(), "", "closed, and told so");
    }
    for connection in &mut good {
        assert_eq!(connection.get("/").unwrap().status, 200);
    }
    assert_eq!(revoking.setup.distrusted(), 4.0);
    let stderr = revoking.setup.proxy.stderr();
    let line = stderr
        .lines()
        .find(|line| line.contains("is no longer trusted"))
        .unwrap_or_else(|| panic!("{stderr}"));
    assert!(
        line.contains("reason=\"revoked\"") && line.contains("CN=bad"),
        "{line}"
    );
    // Another reload changes nothing more.
    revoking.setup.proxy.reload();
    for connection in &mut good {
        assert_eq!(connection.get("/").unwrap().status, 200);
    }
    assert_eq!(revoking.setup.distrusted(), 4.0);
}

/// `docs/security.md` 16: by GOAWAY, within drainTimeout.
#[test]
fn a_revoked_client_ends_what_is_in_flight_or_is_cut_after_the_drain_timeout() {
    let revoking = Revoking::start("lifecycle: { drainTimeout: 2s }\n");
    let mut ends = revoking.connect(&revoking.bad);
    let mut lasts = revoking.connect(&revoking.bad);
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    ends.send(request("/delay/800")).unwrap();
    lasts.send(request("/drip/1000/100")).unwrap();
    assert!(lasts.head().unwrap().starts_with("HTTP/1.1 200"));
    block_on(async {
        let mut bad = revoking.connect_h2(&revoking.bad).await;
        let mut good = revoking.connect_h2(&revoking.good).await;
        let mut slow = bad.clone();
        let slow = tokio::spawn(async move { slow.get("/delay/800").await });
        assert_eq!(good.get("/").await.status, 200);
        tokio::time::sleep(Duration::from_millis(100)).await; // the slow one is on its way
        revoking.revoke();
        assert_eq!(
            slow.await.unwrap().status,
            200,
            "what was in flight is answered"
        );
        bad.closed().await;
        assert_eq!(good.get("/").await.status, 200);
        let answer = good.send(request_to("/echo", "again")).await;
        assert_eq!(Answer::of(answer).await.text(), "again");
    });
    let answer = ends.answer().unwrap();
    assert_eq!(
        (answer.status, answer.header("connection")),
        (200, Some("close"))
    );
    assert_eq!(ends.rest().unwrap(), "");
    // Cut in the middle: no word that this was all.
    assert!(
        lasts.rest().is_err(),
        "a body that was cut does not look whole"
    );
    revoking
        .setup
        .proxy
        .logged(|line| line["path"] == "/drip/1000/100");
}

fn request_to(path: &str, body: &'static str) -> http::Request<crate::support::client::Body> {
    request("POST", path)
        .body(crate::support::client::full(body))
        .unwrap()
}

#[test]
fn a_websocket_of_a_revoked_client_is_cut_after_the_drain_timeout() {
    let revoking = Revoking::start("lifecycle: { drainTimeout: 1s }\n");
    let upgrade = "GET /ws HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let echo = |connection: &mut Secure| -> std::io::Result<Vec<u8>> {
        connection.send([0x81, 0x82, 0, 0, 0, 0, b'h', b'i'])?;
        connection.exactly(4)
    };
    let (mut good, mut bad) = (
        revoking.connect(&revoking.good),
        revoking.connect(&revoking.bad),
    );
    for connection in [&mut good, &mut bad] {
        connection.send(upgrade).unwrap();
        assert!(connection.head().unwrap().starts_with("HTTP/1.1 101"));
        assert_eq!(echo(connection).unwrap(), b"\x81\x02hi");
    }
    revoking.revoke();
    wait_for("the cut", || echo(&mut bad).is_err().then_some(()));
    assert_eq!(echo(&mut good).unwrap(), b"\x81\x02hi");
}

#[test]
fn a_client_without_certificate_is_closed_when_one_becomes_required() {
    let clients = Ca::new("Clients");
    let auth =
        |mode: &str| format!("      clientAuth: {{ mode: {mode}, caFiles: [clients.crt] }}\n");
    let setup = Setup::start(&auth("optional"), |folder, _| {
        std::fs::write(folder.join("clients.crt"), clients.pem()).unwrap();
    });
    let leaf = clients.sign(Wanted::client("orders"));
    let mut known = Client::mutual(&setup.ca, &leaf)
        .connect(setup.address())
        .unwrap();
    let mut unknown = Client::new(&setup.ca).connect(setup.address()).unwrap();
    for connection in [&mut known, &mut unknown] {
        assert_eq!(connection.get("/").unwrap().status, 200);
    }
    setup.reload_with(&auth("required"), "");
    assert_eq!(unknown.rest().unwrap(), "");
    assert_eq!(known.get("/").unwrap().status, 200);
    assert_eq!(setup.distrusted(), 1.0);
    // Without `clientAuth` every client is accepted.
    setup.reload_with("", "");
    assert_eq!(known.get("/").unwrap().status, 200);
    assert_eq!(setup.distrusted(), 1.0);
}

#[test]
fn plain_connections_end_when_the_listener_begins_to_speak_tls() {
    let (origin, ca, folder) = (origin(), Ca::new("Servers"), tempfile::tempdir().unwrap());
    server(&ca).write(folder.path(), "tls");
    let yaml = |tls: &str| {
        format!(
            "app: {{ port: {} }}\nlisteners: [{{ name: in, port: 0{tls} }}]\n{}",
            origin.address().port(),
            super::ASKED
        )
    };
    let file = folder.path().join("outrigger.yaml");
    std::fs::write(&file, with_servers(&yaml(""))).unwrap();
    let proxy = Proxy::start_file(folder, &file);
    let mut plain = crate::support::live::KeepAlive::new(proxy.address("in"));
    assert_eq!(plain.get("/").status, 200);
    proxy.reload_with(&yaml(", tls: { certFile: tls.crt, keyFile: tls.key }"));
    assert!(plain.closes());
    let mut secure = Client::new(&ca).connect(proxy.address("in")).unwrap();
    assert_eq!(secure.get("/").unwrap().status, 200);
    // And the reverse: TLS that is no longer required does no harm.
    proxy.reload_with(&yaml(""));
    assert_eq!(secure.get("/").unwrap().status, 200);
    assert_eq!(crate::support::get(proxy.address("in"), "/").0, 200);
}
