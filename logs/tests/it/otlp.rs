//! A receiver of OTLP over HTTP, and a partial success.

use std::{
    sync::{Arc, Mutex, atomic::Ordering::Relaxed},
    time::Duration,
};

use outrigger_logs::{
    record::{Format, Labels},
    sink::{
        SinkKind,
        otlp::message::{AnyValue, KeyValue, Kind, LogRecord, PartialSuccess, Request, Response},
    },
};
use prost::Message;

use crate::support::{Answer, Bench, Got, Server, http, number, numbered, ok, sink, status, until};

/// The records of a request. What it does not know would be lost on the way back to bytes.
fn exported(got: &Got) -> Request {
    assert_eq!(got.path, "/v1/logs");
    assert_eq!(got.headers["content-type"], "application/x-protobuf");
    let request = Request::decode(&got.body[..]).unwrap();
    assert_eq!(request.encode_to_vec(), got.body);
    assert!(!request.resource_logs.is_empty());
    request
}

fn records(request: &Request) -> Vec<LogRecord> {
    let scopes = request.resource_logs.iter().flat_map(|one| &one.scope_logs);
    scopes.flat_map(|one| one.log_records.clone()).collect()
}

fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|one| one.value.clone()) {
        Some(Kind::Text(text)) => text,
        other => panic!("{other:?} is no text"),
    }
}

fn get<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a AnyValue> {
    attributes.iter().find(|one| one.key == key)?.value.as_ref()
}

async fn start() -> (Bench, Server, Arc<Mutex<Vec<Request>>>) {
    let taken = Arc::<Mutex<Vec<Request>>>::default();
    let shared = Arc::clone(&taken);
    let server = Server::start(move |got| {
        shared.lock().unwrap().push(exported(got));
        ok(Response::default().encode_to_vec())
    })
    .await;
    let kind = SinkKind::Otlp {
        http: Box::new(http(&server)),
    };
    (
        Bench::new("app.log", vec![sink("otel", kind)]),
        server,
        taken,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_become_records_with_the_names_of_the_semantic_conventions() {
    let (mut bench, _server, taken) = start().await;
    let fields = [
        ("service.name", "orders"),
        ("kubernetes.pod.name", "orders-1"),
    ];
    let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
    bench.settings.sources[0].parser.labels = Labels::new(&fields.into());
    bench.settings.sources[0].parser.format = Format::Json;
    bench.start();
    bench.write(
        "app.log",
        concat!(
            r#"{"ts":1798757999,"level":"warn","msg":"hot","trace_id":"0af7651916cd43dd8448eb211c80319c","#,
            r#""span_id":"b7ad6b7169203331","n":{"x":[1,2.5,null,true]},"big":18446744073709551615}"#,
            "\n"
        ),
    );
    until("the record", || !taken.lock().unwrap().is_empty()).await;
    bench.stop(Duration::from_secs(20)).await;
    let taken = taken.lock().unwrap();
    let resource = taken[0].resource_logs[0].resource.as_ref().unwrap();
    assert_eq!(text(get(&resource.attributes, "service.name")), "orders");
    assert_eq!(text(get(&resource.attributes, "k8s.pod.name")), "orders-1");
    assert_eq!(resource.attributes.len(), 2);
    let record = &records(&taken[0])[0];
    assert_eq!(record.time_unix_nano, 1_798_757_999_000_000_000);
    assert!(record.observed_time_unix_nano > 1_700_000_000_000_000_000);
    assert_eq!(
        (record.severity_number, &*record.severity_text),
        (13, "warn")
    );
    assert_eq!(text(record.body.as_ref()), "hot");
    assert_eq!(record.trace_id[..2], [0x0a, 0xf7]);
    assert_eq!((record.trace_id.len(), record.span_id.len()), (16, 8));
    assert!(text(get(&record.attributes, "log.file.path")).ends_with("/app.log"));
    let Some(Kind::Int(0)) = get(&record.attributes, "log.file.offset").unwrap().value else {
        panic!("{record:?}");
    };
    let Some(Kind::Double(_)) = get(&record.attributes, "big").unwrap().value else {
        panic!("{record:?}");
    };
    let Some(Kind::Map(n)) = &get(&record.attributes, "n").unwrap().value else {
        panic!("{record:?}");
    };
    let Some(Kind::List(x)) = &get(&n.values, "x").unwrap().value else {
        panic!("{record:?}");
    };
    assert_eq!(x.values[2].value, None);
    assert_eq!(record.attributes.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_repeated_and_a_partial_success_is_not() {
    let (mut bench, server, taken) = start().await;
    let partial = Response {
        partial_success: Some(PartialSuccess {
            rejected_log_records: 2,
            error_message: "too old".to_owned(),
        }),
    };
    server.say([
        Answer::Status(503, vec![("retry-after", "1".to_owned())], Vec::new()),
        status(404),
        status(413),
        ok(partial.encode_to_vec()),
    ]);
    bench.start();
    bench.write("app.log", &numbered(0..1000));
    let numbers = || -> Vec<usize> {
        let taken = taken.lock().unwrap();
        taken
            .iter()
            .flat_map(records)
            .map(|one| number(&text(one.body.as_ref())))
            .collect()
    };
    until("the rest", || numbers().last() == Some(&999)).await;
    bench.stop(Duration::from_secs(20)).await;
    let numbers = numbers();
    // The request with the partial success was taken by the queued answer, and did not come again.
    assert!(
        numbers.len() < 1000 && numbers.is_sorted(),
        "{}",
        numbers.len()
    );
    let counters = bench.counters.sink("otel");
    assert_eq!(counters.sent.load(Relaxed), 1000);
    assert_eq!(counters.dead_letters.load(Relaxed), 2);
}
