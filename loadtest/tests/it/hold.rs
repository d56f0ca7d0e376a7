//! Held connections, and their source addresses.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use outrigger_loadtest::load::{self, FailureKind, Held, Plan};
use outrigger_loadtest::origin::Origin;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::PROTOCOLS;
use super::tls::{Ca, ORDINARY};

const LONG: Option<Duration> = Some(Duration::from_secs(600));

#[tokio::test]
async fn connections_are_opened_used_once_and_kept() {
    let (ca, origin) = (Ca::new(), Origin::start().await.unwrap());
    let secure = ca.serve(&origin, ORDINARY).await;
    for protocol in PROTOCOLS {
        for tls in [None, Some(ca.plan())] {
            let url = match &tls {
                None => origin.url("/bytes/100"),
                Some(_) => format!("https://{secure}/bytes/100"),
            };
            let before = origin.hits();
            let plan = Plan {
                protocol,
                tls,
                hold: LONG,
                connections: 200,
                threads: 2,
                ..Plan::new(url)
            };
            let running = load::start(plan).unwrap();
            while running.progress().held.is_none() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            assert_eq!(
                running.progress().held,
                Some(Held {
                    open: 200,
                    failed: 0
                })
            );
            assert_eq!(origin.hits() - before, 200);
            assert!(origin.stats().open_connections >= 200);
            running.stop();
            let report = running.finish().await;
            assert!(report.is_clean(), "{report:?}");
            assert_eq!((report.requests, report.connections), (200, 200));
            assert_eq!(
                report.held,
                Some(Held {
                    open: 200,
                    failed: 0
                })
            );
        }
    }
}

#[tokio::test]
async fn a_peer_that_closes_what_should_stay_open_is_found_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut kept = Vec::new();
        for number in 0..10 {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await.unwrap();
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                .await
                .unwrap();
            // The fifth sends nothing and closes.
            if number != 5 {
                kept.push(stream);
            }
        }
        std::future::pending::<()>().await;
    });
    let hold = Some(Duration::from_millis(300));
    let report = load::run(Plan {
        hold,
        connections: 10,
        ..Plan::new(url)
    })
    .await
    .unwrap();
    assert_eq!(
        (report.requests, report.failed_by(FailureKind::Closed)),
        (10, 1),
        "{report:?}"
    );
    assert_eq!(report.held, Some(Held { open: 9, failed: 1 }));
}

#[tokio::test]
async fn connections_that_cannot_be_opened_are_told() {
    let port = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let plan = Plan {
        hold: LONG,
        connections: 3,
        ..Plan::new(format!("http://127.0.0.1:{port}/"))
    };
    let report = load::run(plan).await.unwrap();
    assert_eq!(
        (report.failed_by(FailureKind::Connect), report.held),
        (3, Some(Held { open: 0, failed: 3 }))
    );
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn connections_come_from_as_many_addresses_as_asked() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let sources = Arc::new(Mutex::new(BTreeSet::new()));
    let seen = Arc::clone(&sources);
    tokio::spawn(async move {
        loop {
            let (mut stream, from) = listener.accept().await.unwrap();
            seen.lock().unwrap().insert(from.ip().to_string());
            tokio::spawn(async move {
                while stream.read(&mut [0; 1024]).await.unwrap() > 0 {
                    stream
                        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                        .await
                        .unwrap();
                }
            });
        }
    });
    let plan = Plan {
        source_addresses: Some(3),
        connections: 7,
        ..Plan::new(url)
    };
    let report = load::run(Plan {
        requests: Some(70),
        ..plan.clone()
    })
    .await
    .unwrap();
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(
        *sources.lock().unwrap(),
        ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
            .map(str::to_owned)
            .into()
    );
    let elsewhere = Plan {
        url: "http://[::1]/".to_owned(),
        ..plan
    };
    assert!(load::run(elsewhere).await.is_err());
}
