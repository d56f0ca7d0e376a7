//! A strict receiver of `_bulk`: an index that knows every id, and answers as Elasticsearch does.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use outrigger_logs::sink::{Index, SinkKind};
use serde_json::{Value, json};

use crate::support::{Answer, Bench, Got, Server, http, number, numbered, ok, sink, status, until};

/// What was indexed: documents by index and id.
#[derive(Default)]
struct Store {
    documents: BTreeMap<(String, String), Value>,
    /// Answers for the next items, by their order.
    refusals: Vec<u16>,
    conflicts: usize,
    /// The order in which numbers came for the first time.
    order: Vec<usize>,
}

/// Checks a bulk request to the last byte and answers it.
fn bulk(store: &Mutex<Store>, got: &Got) -> Answer {
    assert!(got.path.starts_with("/_bulk?filter_path="), "{}", got.path);
    assert_eq!(got.headers["content-type"], "application/x-ndjson");
    let body = std::str::from_utf8(&got.body).unwrap();
    assert!(body.ends_with('\n'), "a bulk body ends with a newline");
    let lines: Vec<&str> = body.lines().collect();
    assert_eq!(lines.len() % 2, 0);
    let mut store = store.lock().unwrap();
    let mut items = Vec::new();
    for pair in lines.chunks(2) {
        let action: Value = serde_json::from_str(pair[0]).unwrap();
        let action = action.as_object().unwrap();
        assert_eq!(action.len(), 1);
        let meta = &action["create"];
        assert_eq!(meta.as_object().unwrap().len(), 2);
        let key = (
            meta["_index"].as_str().unwrap().to_owned(),
            meta["_id"].as_str().unwrap().to_owned(),
        );
        let document: Value = serde_json::from_str(pair[1]).unwrap();
        assert!(document["@timestamp"].is_string());
        let refusal = if store.refusals.is_empty() {
            0
        } else {
            store.refusals.remove(0)
        };
        let status = match refusal {
            0 if store.documents.contains_key(&key) => 409,
            0 => 201,
            other => other,
        };
        if status == 201 {
            let n = number(document["message"].as_str().unwrap());
            store.order.push(n);
            store.documents.insert(key, document);
        }
        store.conflicts += usize::from(status == 409);
        items.push(match status {
            201 => json!({ "create": { "status": 201 } }),
            409 => json!({ "create": { "status": 409, "error": { "type": "version_conflict_engine_exception", "reason": "exists" } } }),
            429 => json!({ "create": { "status": 429, "error": { "type": "es_rejected_execution_exception", "reason": "queue is full" } } }),
            other => json!({ "create": { "status": other, "error": { "type": "document_parsing_exception", "reason": "field [x] \u{201c}is\u{201d} no date" } } }),
        });
    }
    let errors = items.iter().any(|item| item["create"]["status"] != 201);
    ok(json!({ "errors": errors, "items": items }).to_string())
}

async fn start(pattern: &str) -> (Bench, Server, Arc<Mutex<Store>>) {
    let store = Arc::<Mutex<Store>>::default();
    let shared = Arc::clone(&store);
    let server = Server::start(move |got| bulk(&shared, got)).await;
    let kind = SinkKind::Elasticsearch {
        http: Box::new(http(&server)),
        index: Index::new("orders-%Y.%m.%d"),
    };
    (Bench::new(pattern, vec![sink("elk", kind)]), server, store)
}

fn numbers(store: &Mutex<Store>) -> Vec<usize> {
    let store = store.lock().unwrap();
    let mut numbers = store.order.clone();
    numbers.sort_unstable();
    numbers
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_created_once_in_the_index_of_their_day() {
    let (mut bench, server, store) = start("app.log").await;
    bench.start();
    bench.write("app.log", &numbered(0..5000));
    until("all", || store.lock().unwrap().documents.len() == 5000).await;
    bench.stop(Duration::from_secs(20)).await;
    assert_eq!(store.lock().unwrap().order, (0..5000).collect::<Vec<_>>());
    assert_eq!(store.lock().unwrap().conflicts, 0);
    let store = store.lock().unwrap();
    let (index, id) = store.documents.keys().next().unwrap();
    assert_eq!(index.len(), "orders-2026.11.30".len());
    assert!(id.len() > 17 && id.contains('-'));
    let first = store.documents.values().find(|one| one["log.offset"] == 0);
    assert_eq!(first.unwrap()["message"], "0 is the number of this line");
    // Compressed, and bounded by the batch.
    let got = server.got.lock().unwrap();
    assert!(
        got.iter()
            .all(|one| one.headers["content-encoding"] == "gzip")
    );
    assert!(got.iter().all(|one| one.body.len() <= 66 << 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn log_28_items_of_an_answer_are_told_apart() {
    let (mut bench, _server, store) = start("app.log").await;
    store.lock().unwrap().refusals = vec![0, 409, 429, 400, 503, 0];
    bench.start();
    bench.write("app.log", &numbered(0..6));
    // 1 counts as done, 2 and 4 come again, 3 is a dead letter.
    until("the rest", || numbers(&store) == [0, 2, 4, 5]).await;
    bench.stop(Duration::from_secs(20)).await;
    let letters = bench.settings.state_dir.join("dead-letters-elk.ndjson");
    let letters = std::fs::read_to_string(letters).unwrap();
    let letter: Value = serde_json::from_str(letters.trim_end()).unwrap();
    assert_eq!(
        letter["document"]["message"],
        "3 is the number of this line"
    );
    assert!(
        letter["reason"]
            .as_str()
            .unwrap()
            .starts_with("400 document_parsing_exception: field")
    );
    let counters = bench.counters.sink("elk");
    let load = |one: &std::sync::atomic::AtomicU64| one.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!((load(&counters.sent), load(&counters.dead_letters)), (5, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn log_28_an_answer_of_megabytes_with_errors_is_read() {
    let (mut bench, _server, store) = start("app.log").await;
    store.lock().unwrap().refusals = vec![429; 20_000];
    bench.settings.sinks[0].batch.bytes = 8 << 20;
    bench.settings.sinks[0].batch.records = 20_000;
    bench.settings.sinks[0].batch.age = Duration::from_secs(1);
    bench.settings.limits.memory = 16 << 20;
    bench.start();
    bench.write("app.log", &numbered(0..20_000));
    until("all", || store.lock().unwrap().documents.len() == 20_000).await;
    bench.stop(Duration::from_secs(20)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_refuses_hangs_resets_and_limits_gets_every_record_once() {
    let (mut bench, server, store) = start("app.log").await;
    server.say([
        status(500),
        Answer::Reset,
        Answer::Hang,
        status(401),
        Answer::Status(429, vec![("retry-after", "1".to_owned())], Vec::new()),
        ok("no JSON"),
        ok(r#"{"errors":true,"items":[]}"#),
        status(413),
        status(413),
    ]);
    bench.start();
    for round in 0..10 {
        bench.write("app.log", &numbered(round * 300..round * 300 + 300));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    until("all", || store.lock().unwrap().documents.len() == 3000).await;
    bench.stop(Duration::from_secs(20)).await;
    assert_eq!(numbers(&store), (0..3000).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_no_size_makes_acceptable_is_a_dead_letter_and_stops_nothing() {
    let store = Arc::<Mutex<Store>>::default();
    let shared = Arc::clone(&store);
    let server = Server::start(move |got| {
        if String::from_utf8_lossy(&got.body).contains("\"13 is") {
            return Answer::Status(400, Vec::new(), b"malformed".to_vec());
        }
        bulk(&shared, got)
    })
    .await;
    let kind = SinkKind::Elasticsearch {
        http: Box::new(http(&server)),
        index: Index::new("logs"),
    };
    let mut bench = Bench::new("app.log", vec![sink("elk", kind)]);
    bench.start();
    bench.write("app.log", &numbered(0..100));
    until("the others", || numbers(&store).len() == 99).await;
    bench.stop(Duration::from_secs(20)).await;
    let letters = bench.settings.state_dir.join("dead-letters-elk.ndjson");
    assert_eq!(std::fs::read_to_string(letters).unwrap().lines().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn log_28_a_repetition_after_a_crash_is_harmless() {
    let (mut bench, server, store) = start("app.log").await;
    // The server takes everything and its answers get lost.
    let shared = Arc::clone(&store);
    bench.start();
    bench.write("app.log", &numbered(0..1000));
    until("all", || shared.lock().unwrap().documents.len() == 1000).await;
    // No checkpoint of it: the thread goes without a word.
    let checkpoint = bench.settings.state_dir.join("checkpoint");
    bench.stop(Duration::from_secs(20)).await;
    let text = std::fs::read(&checkpoint).unwrap();
    let mut old = outrigger_logs::checkpoint::decode(&text).unwrap();
    for state in old.sources.get_mut("app").unwrap() {
        state.content.offset = 0;
        state.content.verified = outrigger_logs::source::identity::Verified::default();
    }
    std::fs::write(&checkpoint, outrigger_logs::checkpoint::encode(&old)).unwrap();
    let before = server.requests();
    bench.start();
    until("a repetition", || store.lock().unwrap().conflicts == 1000).await;
    bench.stop(Duration::from_secs(20)).await;
    assert!(server.requests() > before);
    assert_eq!(store.lock().unwrap().documents.len(), 1000);
}
