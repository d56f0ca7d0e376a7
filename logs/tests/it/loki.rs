//! A strict receiver of Loki's push API, and what it answers when it does not take everything.

use std::{
    sync::{Arc, Mutex, atomic::Ordering::Relaxed},
    time::Duration,
};

use outrigger_logs::sink::SinkKind;
use serde_json::Value;

use crate::support::{Answer, Bench, Got, Server, http, number, numbered, sink, status, until};

/// The numbers of the lines of a push request, which is checked to the last byte.
fn pushed(got: &Got) -> Vec<usize> {
    assert_eq!(got.path, "/loki/api/v1/push");
    assert_eq!(got.headers["content-type"], "application/json");
    let body: Value = serde_json::from_slice(&got.body).unwrap();
    assert_eq!(body.as_object().unwrap().len(), 1);
    let streams = body["streams"].as_array().unwrap();
    assert_eq!(streams.len(), 1);
    assert_eq!(streams[0].as_object().unwrap().len(), 2);
    assert_eq!(
        streams[0]["stream"],
        serde_json::json!({ "env": "prod", "job": "orders" })
    );
    let values = streams[0]["values"].as_array().unwrap();
    assert!(!values.is_empty());
    let line = |entry: &Value| {
        let entry = entry.as_array().unwrap();
        assert_eq!(entry.len(), 2);
        // Nanoseconds as a string.
        assert_eq!(entry[0].as_str().unwrap().len(), 19);
        let document: Value = serde_json::from_str(entry[1].as_str().unwrap()).unwrap();
        number(document["message"].as_str().unwrap())
    };
    values.iter().map(line).collect()
}

async fn start() -> (Bench, Server, Arc<Mutex<Vec<usize>>>) {
    let taken = Arc::<Mutex<Vec<usize>>>::default();
    let shared = Arc::clone(&taken);
    let server = Server::start(move |got| {
        shared.lock().unwrap().extend(pushed(got));
        status(204)
    })
    .await;
    let labels = [("job", "orders"), ("env", "prod")];
    let kind = SinkKind::Loki {
        http: Box::new(http(&server)),
        labels: labels
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
    };
    (
        Bench::new("app.log", vec![sink("loki", kind)]),
        server,
        taken,
    )
}

fn text(status: u16, body: &str) -> Answer {
    Answer::Status(status, Vec::new(), body.into())
}

#[tokio::test(flavor = "multi_thread")]
async fn log_29_what_is_refused_for_a_while_comes_again_and_messages_are_bounded() {
    let (mut bench, server, taken) = start().await;
    server.say([
        status(429),
        Answer::Status(429, vec![("retry-after", "1".to_owned())], Vec::new()),
        status(503),
        text(
            500,
            "rpc error: received message larger than max (10007365 vs. 4194304)",
        ),
        status(413),
    ]);
    bench.start();
    bench.write("app.log", &numbered(0..3000));
    until("all", || taken.lock().unwrap().len() == 3000).await;
    bench.stop(Duration::from_secs(20)).await;
    assert_eq!(*taken.lock().unwrap(), (0..3000).collect::<Vec<_>>());
    let got = server.got.lock().unwrap();
    // The limit is over the encoded bytes.
    assert!(got.iter().all(|one| one.body.len() <= (64 << 10) + 16));
    assert!(
        got.iter()
            .all(|one| one.headers["content-encoding"] == "gzip")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn log_29_a_400_is_final_and_what_loki_ignored_is_counted() {
    let (mut bench, server, taken) = start().await;
    server.say([
        text(400, "entry with timestamp 2026-01-01 ignored, reason: 'entry too far behind', user 'fake', total ignored: 3 out of 10 for stream: {job=orders}"),
        text(400, "Max entry size '262144' bytes exceeded for stream '{}' while adding an entry with length '300000' bytes"),
        text(400, "error parsing labels"),
    ]);
    bench.settings.sinks[0].batch.records = 10;
    bench.start();
    bench.write("app.log", &numbered(0..10));
    until("the first refusal", || server.requests() == 1).await;
    bench.write("app.log", &numbered(10..20));
    until("the second refusal", || server.requests() == 2).await;
    bench.write("app.log", &numbered(20..30));
    until("the third refusal", || server.requests() == 3).await;
    bench.write("app.log", &numbered(30..40));
    until("the rest", || taken.lock().unwrap().len() == 10).await;
    bench.stop(Duration::from_secs(20)).await;
    assert_eq!(*taken.lock().unwrap(), (30..40).collect::<Vec<_>>());
    let counters = bench.counters.sink("loki");
    assert_eq!(counters.dead_letters.load(Relaxed), 3 + 1 + 10);
    assert_eq!(counters.sent.load(Relaxed), 7 + 9 + 10);
}
