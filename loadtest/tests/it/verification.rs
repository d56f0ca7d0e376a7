//! Wrong responses are detected and classified.

use http::StatusCode;
use outrigger_loadtest::load::{self, Expect, FailureKind, Plan, Protocol, Report};
use outrigger_loadtest::origin::{HELLO, Origin};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{PROTOCOLS, forty};

async fn expecting(origin: &Origin, path: &str, expect: Expect, protocol: Protocol) -> Report {
    load::run(Plan {
        expect,
        ..forty(origin, path, protocol)
    })
    .await
    .unwrap()
}

/// Sends these bytes on each connection and closes it.
async fn raw_server(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await.unwrap();
            stream.write_all(answer).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    url
}

/// Sends its number on each connection.
async fn serve_counted() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        for number in 0..10 {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await.unwrap();
            let answer = format!(
                "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 1\r\n\r\n{number}"
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    url
}

async fn against(answer: &'static [u8]) -> Report {
    let plan = Plan {
        connections: 1,
        requests: Some(3),
        ..Plan::new(raw_server(answer).await)
    };
    load::run(plan).await.unwrap()
}

#[tokio::test]
async fn a_wrong_status_is_caught_and_the_right_one_is_not() {
    let origin = Origin::start().await.unwrap();
    for protocol in PROTOCOLS {
        let report = load::run(forty(&origin, "/status/503", protocol))
            .await
            .unwrap();
        assert_eq!(report.failed_by(FailureKind::Status(503)), 40);
        assert_eq!(report.statuses.get(&503), Some(&40));
        assert!(
            report.connections <= 4,
            "a complete answer leaves the connection usable"
        );
        assert!(report.latency.is_empty());
        let statuses = vec![StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE];
        let expected = Expect {
            statuses,
            ..Expect::default()
        };
        assert!(
            expecting(&origin, "/status/503", expected, protocol)
                .await
                .is_clean()
        );
    }
}

#[tokio::test]
async fn a_wrong_length_is_caught() {
    let origin = Origin::start().await.unwrap();
    for protocol in PROTOCOLS {
        for path in ["/bytes/1000", "/chunked/1000"] {
            let expect = |length| Expect {
                length: Some(length),
                ..Expect::default()
            };
            let report = expecting(&origin, path, expect(1001), protocol).await;
            assert_eq!(report.failed_by(FailureKind::Length), 40, "{report:?}");
            assert!(
                expecting(&origin, path, expect(1000), protocol)
                    .await
                    .is_clean()
            );
        }
    }
}

#[tokio::test]
async fn a_wrong_digest_is_caught() {
    let origin = Origin::start().await.unwrap();
    for protocol in PROTOCOLS {
        let expect = |text: &str| Expect {
            sha256: Some(Sha256::digest(text).into()),
            ..Expect::default()
        };
        let report = expecting(&origin, "/", expect("something else"), protocol).await;
        assert_eq!(report.failed_by(FailureKind::Checksum), 40, "{report:?}");
        assert!(
            expecting(&origin, "/", expect(HELLO), protocol)
                .await
                .is_clean()
        );
    }
}

#[tokio::test]
async fn a_body_that_differs_from_its_announced_checksum_is_caught() {
    // CRC-32 of "123456789" is cbf43926.
    let right = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\nx-body-crc32: cbf43926\r\n\r\n123456789";
    let wrong = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\nx-body-crc32: cbf43926\r\n\r\n123456780";
    assert!(against(right).await.is_clean());
    let report = against(wrong).await;
    assert_eq!(report.failed_by(FailureKind::Checksum), 3, "{report:?}");
}

#[tokio::test]
async fn answers_that_should_be_the_same_are_compared() {
    let origin = Origin::start().await.unwrap();
    let same = Expect {
        same: true,
        ..Expect::default()
    };
    assert!(
        expecting(&origin, "/bytes/500", same.clone(), Protocol::Http1)
            .await
            .is_clean()
    );
    let counting = serve_counted().await;
    let report = load::run(Plan {
        connections: 1,
        requests: Some(3),
        expect: same,
        ..Plan::new(counting)
    })
    .await;
    assert_eq!(report.unwrap().failed_by(FailureKind::Checksum), 2);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_caught() {
    let origin = Origin::start().await.unwrap();
    for protocol in PROTOCOLS {
        for path in ["/abort/0", "/abort/500", "/abort/50000"] {
            let report = load::run(forty(&origin, path, protocol)).await.unwrap();
            assert_eq!((report.passed, report.failed()), (0, 40), "{report:?}");
            let broken =
                report.failed_by(FailureKind::Reset) + report.failed_by(FailureKind::Closed);
            assert_eq!(broken, 40, "{protocol:?} {path} {report:?}");
        }
    }
    let ended = against(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort").await;
    assert_eq!(ended.failed_by(FailureKind::Closed), 3, "{ended:?}");
    let unfinished =
        against(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nshort\r\n").await;
    assert_eq!(
        unfinished.failed_by(FailureKind::Closed),
        3,
        "{unfinished:?}"
    );
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_a_failure_of_the_protocol() {
    for answer in [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n".as_slice(),
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
    ] {
        let report = against(answer).await;
        let text = String::from_utf8_lossy(answer);
        assert_eq!(
            report.failed_by(FailureKind::Protocol),
            3,
            "{text:?} {report:?}"
        );
        assert!(!report.examples.is_empty());
    }
}

#[tokio::test]
async fn bytes_that_belong_to_no_answer_are_found_out() {
    let surplus = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok!";
    let report = against(surplus).await;
    assert_eq!(report.failed_by(FailureKind::Protocol), 3, "{report:?}");
    // The same a moment later, when the connection waits for the next request.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 1024];
        let _ = stream.read(&mut request).await.unwrap();
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            .await
            .unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nko")
            .await
            .unwrap();
        let _ = stream.read(&mut request).await;
    });
    let plan = Plan {
        connections: 1,
        requests: Some(2),
        rate: Some(2.0),
        ..Plan::new(url)
    };
    let report = load::run(plan).await.unwrap();
    assert_eq!(
        (report.passed, report.failed_by(FailureKind::Protocol)),
        (1, 1),
        "{report:?}"
    );
}

#[tokio::test]
async fn interim_answers_and_answers_in_pieces_are_understood() {
    let interim =
        b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    assert!(against(interim).await.is_clean());
    let until_end = b"HTTP/1.1 200 OK\r\nx-body-crc32: cbf43926\r\n\r\n123456789";
    assert!(against(until_end).await.is_clean());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\n123456789\r\n0\r\nx-checksum: cbf43926\r\n\r\n";
        while stream.read(&mut [0; 1024]).await.unwrap() > 0 {
            for byte in answer {
                stream.write_all(&[*byte]).await.unwrap();
                tokio::task::yield_now().await;
            }
        }
    });
    let plan = Plan {
        connections: 1,
        requests: Some(5),
        ..Plan::new(url)
    };
    let report = load::run(plan).await.unwrap();
    assert!(report.is_clean() && report.connections == 1, "{report:?}");
}

#[tokio::test]
async fn an_answer_that_comes_before_the_body_is_sent_is_an_answer() {
    let origin = Origin::start().await.unwrap();
    let mut plan = forty(&origin, "/early", Protocol::Http1);
    plan.method = http::Method::POST;
    plan.body_size = Some(20_000_000);
    plan.expect.statuses = vec![StatusCode::PAYLOAD_TOO_LARGE];
    plan.requests = Some(4);
    let report = load::run(plan).await.unwrap();
    assert!(
        report.statuses.get(&413).copied().unwrap_or(0) + report.failed_by(FailureKind::Reset) == 4,
        "{report:?}"
    );
}
