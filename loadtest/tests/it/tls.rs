//! TLS: verified in both directions, ALPN, resumption, and handshakes only.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use outrigger_loadtest::load::{self, FailureKind, Handshakes, Plan, Protocol, TlsPlan};
use outrigger_loadtest::origin::Origin;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::{PROTOCOLS, forty};

/// A CA, with which files and servers are created.
pub(super) struct Ca {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

/// Unusual behavior of a test's server.
#[derive(Clone, Copy)]
pub(super) struct Settings {
    pub(super) name: &'static str,
    pub(super) tickets: usize,
    pub(super) wants_client: bool,
    pub(super) alpn: &'static [&'static str],
    /// Responds to a close_notify without a request.
    pub(super) complains: bool,
}

pub(super) const ORDINARY: Settings = Settings {
    name: "127.0.0.1",
    tickets: 2,
    wants_client: false,
    alpn: &["h2", "http/1.1"],
    complains: false,
};

impl Ca {
    pub(super) fn new() -> Self {
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer =
            CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn issue(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let parameters = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (parameters.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// The files of a client's certificate and key.
    fn client(&self) -> (PathBuf, PathBuf) {
        let (certificate, key) = self.issue("client");
        std::fs::write(self.file("client.pem"), certificate.pem()).unwrap();
        std::fs::write(self.file("client.key"), key.serialize_pem()).unwrap();
        (self.file("client.pem"), self.file("client.key"))
    }

    pub(super) fn plan(&self) -> TlsPlan {
        TlsPlan {
            ca: self.file("ca.pem"),
            server_name: None,
            identity: None,
            resume: false,
        }
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from(self.issuer.der().to_vec()))
            .unwrap();
        Arc::new(roots)
    }

    /// Terminates TLS in front of an origin.
    pub(super) async fn serve(&self, origin: &Origin, settings: Settings) -> SocketAddr {
        let (certificate, key) = self.issue(settings.name);
        let builder = ServerConfig::builder();
        let builder = match settings.wants_client {
            true => builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder(self.roots()).build().unwrap(),
            ),
            false => builder.with_no_client_auth(),
        };
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let mut config = builder
            .with_single_cert(vec![certificate.der().clone()], key.into())
            .unwrap();
        config.alpn_protocols = settings
            .alpn
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        config.send_tls13_tickets = settings.tickets;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, to) = (listener.local_addr().unwrap(), origin.address());
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    if let Ok(mut stream) = acceptor.accept(stream).await {
                        if settings.complains {
                            assert_eq!(stream.read(&mut [0; 64]).await.unwrap(), 0);
                            stream
                                .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                                .await
                                .unwrap();
                            let _ = stream.shutdown().await;
                            return;
                        }
                        let mut onward = TcpStream::connect(to).await.unwrap();
                        let _ = copy_bidirectional(&mut stream, &mut onward).await;
                    }
                });
            }
        });
        address
    }
}

fn over_tls(ca: &Ca, address: SocketAddr, protocol: Protocol) -> Plan {
    let (connections, requests) = (4, Some(40));
    let url = format!("https://{address}/bytes/1000");
    Plan {
        protocol,
        connections,
        requests,
        tls: Some(ca.plan()),
        ..Plan::new(url)
    }
}

#[tokio::test]
async fn requests_go_over_tls_in_both_protocols() {
    let (ca, origin) = (Ca::new(), Origin::start().await.unwrap());
    let address = ca.serve(&origin, ORDINARY).await;
    for protocol in PROTOCOLS {
        let report = load::run(over_tls(&ca, address, protocol)).await.unwrap();
        assert!(report.is_clean(), "{protocol:?}: {report:?}");
        assert_eq!(
            report.handshakes,
            Some(Handshakes {
                completed: 4,
                resumed: 0
            })
        );
        assert_eq!((report.connections, report.body_bytes), (4, 40_000));
        assert!(report.bytes_received > report.body_bytes);
        let mut upload = over_tls(&ca, address, protocol);
        upload.url = format!("https://{address}/echo");
        upload.method = http::Method::POST;
        upload.body_size = Some(300_000);
        upload.expect.length = Some(300_000);
        let report = load::run(upload).await.unwrap();
        assert!(report.is_clean(), "{protocol:?}: {report:?}");
    }
    assert_eq!(origin.hits(), 160);
}

#[tokio::test]
async fn a_peer_that_cannot_be_verified_gets_no_request() {
    let (ca, other, origin) = (Ca::new(), Ca::new(), Origin::start().await.unwrap());
    for (passed, protocol) in [0, 40].into_iter().zip(PROTOCOLS) {
        let stranger = other.serve(&origin, ORDINARY).await;
        let report = load::run(over_tls(&ca, stranger, protocol)).await.unwrap();
        assert_eq!(report.failed_by(FailureKind::Tls), 40, "{report:?}");
        let settings = Settings {
            name: "other.example",
            ..ORDINARY
        };
        let misnamed = ca.serve(&origin, settings).await;
        let mut plan = over_tls(&ca, misnamed, protocol);
        let report = load::run(plan.clone()).await.unwrap();
        assert_eq!(report.failed_by(FailureKind::Tls), 40, "{report:?}");
        assert_eq!(origin.hits(), passed);
        plan.tls.as_mut().unwrap().server_name = Some("other.example".to_owned());
        assert!(load::run(plan).await.unwrap().is_clean());
    }
}

#[tokio::test]
async fn a_client_certificate_is_shown_where_it_is_asked_for() {
    let (ca, origin) = (Ca::new(), Origin::start().await.unwrap());
    let address = ca
        .serve(
            &origin,
            Settings {
                wants_client: true,
                ..ORDINARY
            },
        )
        .await;
    for protocol in PROTOCOLS {
        let mut plan = over_tls(&ca, address, protocol);
        let report = load::run(plan.clone()).await.unwrap();
        assert_eq!((report.passed, report.failed()), (0, 40), "{report:?}");
        plan.tls.as_mut().unwrap().identity = Some(ca.client());
        let report = load::run(plan).await.unwrap();
        assert!(report.is_clean(), "{report:?}");
    }
}

#[tokio::test]
async fn another_protocol_than_the_one_asked_for_is_a_failure() {
    let (ca, origin) = (Ca::new(), Origin::start().await.unwrap());
    for alpn in [&["http/1.1"][..], &[]] {
        let address = ca.serve(&origin, Settings { alpn, ..ORDINARY }).await;
        let report = load::run(over_tls(&ca, address, Protocol::Http2 { streams: 1 }))
            .await
            .unwrap();
        assert_eq!(report.failed_by(FailureKind::Tls), 40, "{report:?}");
        assert!(
            load::run(over_tls(&ca, address, Protocol::Http1))
                .await
                .unwrap()
                .is_clean()
        );
    }
}

#[tokio::test]
async fn resumption_that_is_claimed_is_checked() {
    let (ca, origin) = (Ca::new(), Origin::start().await.unwrap());
    let resuming = ca.serve(&origin, ORDINARY).await;
    let forgetful = ca
        .serve(
            &origin,
            Settings {
                tickets: 0,
                ..ORDINARY
            },
        )
        .await;
    for protocol in PROTOCOLS {
        let mut plan = over_tls(&ca, resuming, protocol);
        plan.connection_per_request = true;
        plan.connections = if protocol == Protocol::Http1 { 4 } else { 1 };
        let full = load::run(plan.clone()).await.unwrap();
        assert!(full.is_clean(), "{full:?}");
        assert_eq!(
            full.handshakes,
            Some(Handshakes {
                completed: 40,
                resumed: 0
            })
        );
        plan.tls.as_mut().unwrap().resume = true;
        if protocol == Protocol::Http1 {
            let report = load::run(plan.clone()).await.unwrap();
            assert!(report.is_clean(), "{report:?}");
            assert_eq!(
                report.handshakes,
                Some(Handshakes {
                    completed: 40,
                    resumed: 36
                })
            );
        }
        plan.url = format!("https://{forgetful}/");
        let report = load::run(plan).await.unwrap();
        assert!(
            report.failed_by(FailureKind::NotResumed) >= 36,
            "{report:?}"
        );
        assert!(!report.is_clean());
    }
    // One handshake each: none can have been resumed, so the claim is wrong.
    let mut plan = over_tls(&ca, resuming, Protocol::Http1);
    plan.tls.as_mut().unwrap().resume = true;
    assert!(
        load::run(plan.clone()).await.is_err(),
        "kept connections cannot show resumption"
    );
    plan.connection_per_request = true;
    plan.requests = Some(4);
    plan.url = format!("https://{resuming}/delay/100");
    let report = load::run(plan).await.unwrap();
    assert_eq!(
        report.handshakes,
        Some(Handshakes {
            completed: 4,
            resumed: 0
        })
    );
    assert!(report.failed() == 0 && !report.is_clean(), "{report:?}");
}

#[tokio::test]
async fn tls_without_a_ca_and_a_ca_without_tls_are_refused() {
    let (ca, origin) = (Ca::new(), Origin::start().await.unwrap());
    let mut plan = forty(&origin, "/", Protocol::Http1);
    plan.tls = Some(ca.plan());
    assert!(load::run(plan).await.is_err());
    let plan = Plan::new("https://127.0.0.1:1/");
    assert!(load::run(plan.clone()).await.is_err());
    let tls = Some(TlsPlan {
        ca: ca.file("missing"),
        ..ca.plan()
    });
    assert!(
        load::run(Plan {
            tls,
            ..plan.clone()
        })
        .await
        .is_err()
    );
    std::fs::write(ca.file("empty.pem"), "nothing").unwrap();
    let tls = Some(TlsPlan {
        ca: ca.file("empty.pem"),
        ..ca.plan()
    });
    assert!(load::run(Plan { tls, ..plan }).await.is_err());
}

#[tokio::test]
async fn handshakes_are_made_and_counted_without_a_request() {
    let (ca, origin) = (Ca::new(), Origin::start().await.unwrap());
    let address = ca.serve(&origin, ORDINARY).await;
    let mut plan = Plan {
        handshakes: true,
        ..over_tls(&ca, address, Protocol::Http1)
    };
    let report = load::run(plan.clone()).await.unwrap();
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(
        report.handshakes,
        Some(Handshakes {
            completed: 40,
            resumed: 0
        })
    );
    assert_eq!(
        (report.requests, report.connections, report.latency.len()),
        (40, 40, 40)
    );
    plan.tls.as_mut().unwrap().resume = true;
    let report = load::run(plan.clone()).await.unwrap();
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(
        report.handshakes,
        Some(Handshakes {
            completed: 40,
            resumed: 36
        })
    );
    assert!(report.statuses.is_empty() && origin.hits() == 0);
    let complaining = ca
        .serve(
            &origin,
            Settings {
                complains: true,
                ..ORDINARY
            },
        )
        .await;
    let report = load::run(Plan {
        url: format!("https://{complaining}/"),
        ..plan.clone()
    })
    .await
    .unwrap();
    assert!(report.is_clean(), "{report:?}");
    let forgetful = ca
        .serve(
            &origin,
            Settings {
                tickets: 0,
                ..ORDINARY
            },
        )
        .await;
    let report = load::run(Plan {
        url: format!("https://{forgetful}/"),
        ..plan
    })
    .await
    .unwrap();
    assert_eq!(
        (report.passed, report.failed_by(FailureKind::NotResumed)),
        (4, 36),
        "{report:?}"
    );
}

#[tokio::test]
async fn a_handshake_counts_only_when_the_peer_has_taken_it() {
    let (ca, origin) = (Ca::new(), Origin::start().await.unwrap());
    let address = ca
        .serve(
            &origin,
            Settings {
                wants_client: true,
                ..ORDINARY
            },
        )
        .await;
    let mut plan = Plan {
        handshakes: true,
        ..over_tls(&ca, address, Protocol::Http1)
    };
    let report = load::run(plan.clone()).await.unwrap();
    assert_eq!((report.passed, report.failed()), (0, 40), "{report:?}");
    plan.tls.as_mut().unwrap().identity = Some(ca.client());
    assert!(load::run(plan).await.unwrap().is_clean());
}
