//! Bearer tokens are sent in turn.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use http::HeaderValue;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use outrigger_loadtest::load::{self, Plan};
use tokio::net::TcpListener;

use super::PROTOCOLS;

type Seen = Arc<Mutex<BTreeMap<String, usize>>>;

/// Counts the values of `authorization`.
async fn counter() -> (String, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let seen = Seen::default();
    let kept = Arc::clone(&seen);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let seen = Arc::clone(&kept);
            let service = service_fn(move |request: http::Request<Incoming>| {
                let value = request.headers()["authorization"]
                    .to_str()
                    .unwrap()
                    .to_owned();
                *seen.lock().unwrap().entry(value).or_default() += 1;
                async {
                    Ok::<_, std::convert::Infallible>(http::Response::new(Full::new(Bytes::new())))
                }
            });
            tokio::spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    (url, seen)
}

#[tokio::test]
async fn every_token_has_its_turn() {
    for protocol in PROTOCOLS {
        let (url, seen) = counter().await;
        let bearer_tokens = ["one", "two", "three", "four"]
            .map(HeaderValue::from_static)
            .to_vec();
        let plan = Plan {
            protocol,
            bearer_tokens,
            connections: 2,
            requests: Some(40),
            ..Plan::new(url)
        };
        let report = load::run(plan).await.unwrap();
        assert!(report.is_clean(), "{report:?}");
        let expected = ["four", "one", "three", "two"].map(|token| (format!("Bearer {token}"), 10));
        assert_eq!(
            seen.lock().unwrap().clone().into_iter().collect::<Vec<_>>(),
            expected
        );
    }
}
