//! The simulator: every behavior as seen by a client, and its counters.

use std::time::Duration;

use http::Method;
use outrigger_loadtest::load::{self, FailureKind, Plan, Report};
use outrigger_loadtest::simulator::{Received, Simulator, Spec};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

/// More than any of these tests needs, however busy the machine is.
const LONG: Duration = Duration::from_secs(60);

async fn simulate(behaviours: &[&str]) -> Simulator {
    let spec = |(index, behaviour): (usize, &&str)| Spec {
        name: format!("e{index}"),
        port: 0,
        behaviour: behaviour.parse().unwrap(),
    };
    Simulator::start(behaviours.iter().enumerate().map(spec).collect(), 0, 1)
        .await
        .unwrap()
}

fn plan(simulator: &Simulator, endpoint: usize, requests: u64) -> Plan {
    Plan {
        connections: 4,
        requests: Some(requests),
        first_id: Some(0),
        retry_stale: false,
        ..Plan::new(format!("http://{}/", simulator.endpoints()[endpoint].1))
    }
}

async fn run(simulator: &Simulator, requests: u64) -> Report {
    load::run(plan(simulator, 0, requests)).await.unwrap()
}

fn received(simulator: &Simulator) -> Received {
    simulator.counts().endpoints[0].1
}

/// The complete response of a new connection to the control port, or to an endpoint.
async fn ask(address: std::net::SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(LONG, stream.read_to_string(&mut answer))
        .await
        .unwrap()
        .unwrap();
    answer
}

#[tokio::test]
async fn a_healthy_endpoint_answers_and_counts() {
    let simulator = simulate(&["body=1k"]).await;
    let report = run(&simulator, 40).await;
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(report.body_bytes, 40 * 1024);
    let counts = simulator.counts();
    assert_eq!(
        (received(&simulator).requests, received(&simulator).good),
        (40, 40)
    );
    assert_eq!(
        (
            counts.attempts.distinct,
            counts.attempts.most,
            counts.attempts.answered
        ),
        (40, 1, 40)
    );
    assert_eq!(received(&simulator).connections, 4);
    simulator.stop().await.unwrap();
}

#[tokio::test]
async fn a_repeated_request_is_told_from_a_new_one() {
    let simulator = simulate(&["fail=100%", ""]).await;
    for (endpoint, first) in [(0, 0), (1, 0), (1, 5)] {
        let plan = Plan {
            first_id: Some(first),
            ..plan(&simulator, endpoint, 10)
        };
        load::run(plan).await.unwrap();
    }
    let attempts = simulator.counts().attempts;
    // 0 to 9 arrived twice, 5 to 9 a third time, 10 to 14 once.
    assert_eq!(
        (
            attempts.distinct,
            attempts.total,
            attempts.most,
            attempts.repeated
        ),
        (15, 30, 3, 10)
    );
    assert_eq!(attempts.answered, 15);
    assert_eq!(
        simulator
            .counts()
            .shares()
            .iter()
            .map(|share| share.round())
            .collect::<Vec<_>>(),
        [33.0, 67.0]
    );
    load::run(Plan {
        first_id: None,
        ..plan(&simulator, 1, 3)
    })
    .await
    .unwrap();
    assert_eq!(simulator.counts().attempts.unnumbered, 3);
}

#[tokio::test]
async fn latency_is_kept_at_least() {
    let simulator = simulate(&["latency=30ms"]).await;
    let report = run(&simulator, 8).await;
    assert!(
        report.is_clean() && report.latency.min() >= 29_000_000,
        "{report:?}"
    );
}

#[tokio::test]
async fn one_slot_serves_one_request_at_a_time() {
    let simulator = simulate(&["latency=20ms slots=1"]).await;
    let begun = Instant::now();
    assert!(run(&simulator, 8).await.is_clean());
    assert!(
        begun.elapsed() >= Duration::from_millis(8 * 19),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn failures_come_at_their_rate_and_with_their_pause() {
    let simulator = simulate(&["fail=25%:429 retry-after=7"]).await;
    let report = run(&simulator, 400).await;
    let failed = report.failed_by(FailureKind::Status(429));
    assert!((60..140).contains(&failed), "{report:?}");
    assert_eq!(report.passed, 400 - failed);
    assert_eq!(received(&simulator).failed, failed);
    let simulator = simulate(&["fail=100% retry-after=7"]).await;
    let address = simulator.endpoints()[0].1;
    let answer = ask(
        address,
        "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    )
    .await;
    assert!(
        answer.starts_with("HTTP/1.1 503 ") && answer.contains("\r\nretry-after: 7\r\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_hanging_endpoint_accepts_and_never_answers() {
    let simulator = simulate(&["hang=100%"]).await;
    let plan = Plan {
        timeout: Duration::from_millis(100),
        ..plan(&simulator, 0, 4)
    };
    let report = load::run(plan).await.unwrap();
    assert_eq!(report.failed_by(FailureKind::Timeout), 4, "{report:?}");
    assert_eq!(
        (received(&simulator).requests, received(&simulator).hung),
        (4, 4)
    );
}

#[tokio::test]
async fn a_reset_comes_before_the_head_or_within_the_body() {
    for (behaviour, is_head_seen) in [("reset=100%", false), ("reset=100%:body body=4k", true)] {
        let simulator = simulate(&[behaviour]).await;
        let report = run(&simulator, 10).await;
        let failed = report.failed_by(FailureKind::Reset) + report.failed_by(FailureKind::Closed);
        assert_eq!(
            (failed, received(&simulator).reset),
            (10, 10),
            "{behaviour}: {report:?}"
        );
        let mut stream = TcpStream::connect(simulator.endpoints()[0].1)
            .await
            .unwrap();
        stream
            .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            .await
            .unwrap();
        let mut seen = Vec::new();
        let end = timeout(LONG, stream.read_to_end(&mut seen)).await.unwrap();
        assert_eq!(
            end.unwrap_err().kind(),
            std::io::ErrorKind::ConnectionReset,
            "{behaviour}"
        );
        assert_eq!(
            seen.starts_with(b"HTTP/1.1 200 "),
            is_head_seen,
            "{behaviour}"
        );
        assert!(seen.len() < 4096, "{behaviour}");
    }
}

#[tokio::test]
async fn a_dripping_body_is_whole_and_slow() {
    let simulator = simulate(&["drip=5:10ms body=1003"]).await;
    let report = run(&simulator, 8).await;
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(report.body_bytes, 8 * 1003);
    assert!(report.latency.min() >= 38_000_000, "{report:?}");
}

/// Waits until the port accepts a connection, which is dropped.
async fn comes_up(address: std::net::SocketAddr) {
    timeout(LONG, async {
        while TcpStream::connect(address).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_dead_endpoint_resets_and_refuses_and_comes_back_on_its_port() {
    let simulator = simulate(&["hang=100%"]).await;
    let address = simulator.endpoints()[0].1;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    simulator.change(0, "hang=100% down=0s..1h".parse().unwrap());
    let end = timeout(LONG, stream.read(&mut [0; 64])).await.unwrap();
    assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    timeout(LONG, async {
        while received(&simulator).open_connections > 0 {
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .unwrap();
    let refused = TcpStream::connect(address).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    simulator.change(0, "".parse().unwrap());
    comes_up(address).await;
    assert!(run(&simulator, 4).await.is_clean());
}

#[tokio::test]
async fn an_endpoint_that_begins_dead_comes_up_by_its_schedule() {
    let simulator = simulate(&["down=0s..200ms"]).await;
    comes_up(simulator.endpoints()[0].1).await;
    assert!(run(&simulator, 4).await.is_clean());
}

#[tokio::test]
async fn health_checks_are_counted_apart_and_lie_unless_told_otherwise() {
    let request = "GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    for (behaviour, status) in [("fail=100%", "200"), ("fail=100% checks=same", "503")] {
        let simulator = simulate(&[behaviour]).await;
        let answer = ask(simulator.endpoints()[0].1, request).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{behaviour}: {answer}"
        );
        let Received {
            requests,
            checks,
            failed,
            ..
        } = received(&simulator);
        assert_eq!((requests, checks, failed), (0, 1, 0), "{behaviour}");
    }
}

#[tokio::test]
async fn a_body_that_is_sent_is_read_before_the_answer() {
    let simulator = simulate(&[""]).await;
    let plan = Plan {
        method: Method::POST,
        body_size: Some(1 << 20),
        ..plan(&simulator, 0, 8)
    };
    assert!(load::run(plan).await.unwrap().is_clean());
}

#[tokio::test]
async fn the_control_port_tells_and_changes() {
    let simulator = simulate(&["", "fail=100%"]).await;
    run(&simulator, 3).await;
    let control = simulator.control();
    let close = "host: c\r\nconnection: close\r\n";
    let stats = ask(control, &format!("GET /stats HTTP/1.1\r\n{close}\r\n")).await;
    let stats: serde_json::Value =
        serde_json::from_str(stats.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(
        (
            &stats["endpoints"][0]["requests"],
            &stats["attempts"]["distinct"]
        ),
        (&3.into(), &3.into())
    );

    let put = |path: &str, words: &str| {
        format!(
            "PUT {path} HTTP/1.1\r\n{close}content-length: {}\r\n\r\n{words}",
            words.len()
        )
    };
    assert!(
        ask(control, &put("/endpoints/e0", "fail=100%:500"))
            .await
            .starts_with("HTTP/1.1 200 ")
    );
    assert_eq!(
        run(&simulator, 3).await.failed_by(FailureKind::Status(500)),
        3
    );
    assert!(
        ask(control, &put("/endpoints/e0", "fail=often"))
            .await
            .starts_with("HTTP/1.1 400 ")
    );
    assert!(
        ask(control, &put("/endpoints/e9", ""))
            .await
            .starts_with("HTTP/1.1 404 ")
    );
    let list = ask(control, &format!("GET /endpoints HTTP/1.1\r\n{close}\r\n")).await;
    assert!(list.contains("latency=0ms fail=100%:500 body=64"), "{list}");

    let reset = format!("POST /reset HTTP/1.1\r\n{close}content-length: 0\r\n\r\n");
    assert!(ask(control, &reset).await.starts_with("HTTP/1.1 200 "));
    assert_eq!(simulator.counts().requests(), 0);
}

#[tokio::test]
async fn a_taken_port_is_an_error_at_the_start() {
    let simulator = simulate(&[""]).await;
    let port = simulator.endpoints()[0].1.port();
    let again = Spec {
        name: "again".to_owned(),
        port,
        behaviour: "".parse().unwrap(),
    };
    assert!(Simulator::start(vec![again], 0, 1).await.is_err());
}
