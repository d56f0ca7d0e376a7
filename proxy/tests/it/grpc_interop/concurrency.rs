//! Many calls at once to a grpcio server that allows few streams on a connection, or ends its connections early.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use futures_util::future::join_all;
use tonic::{Code, Request};

use super::{
    Route, Service, Way,
    cases::{both, fed, method},
    python,
};
use crate::{
    grpc::Plain,
    support::{PATIENCE, client::patient},
};

/// How calls at once end: how many with each status; each takes the service so many milliseconds.
async fn ends(route: &Route, calls: usize, takes: &'static str) -> BTreeMap<String, usize> {
    let mut clients = Vec::new();
    for _ in 0..calls.div_ceil(100) {
        clients.push(route.tonic().await);
    }
    let calls = (0..calls).map(|call| {
        let mut client = clients[call / 100].clone();
        async move {
            let request = Request::new(Bytes::from(takes));
            let call = client.unary(request, method("Sleep"), Plain);
            let result = tokio::time::timeout(PATIENCE * 3, call)
                .await
                .expect("an answer in time");
            result.map_or_else(
                |status| format!("{:?}", status.code()),
                |_| format!("{:?}", Code::Ok),
            )
        }
    });
    let mut ends = BTreeMap::new();
    for end in join_all(calls).await {
        *ends.entry(end).or_default() += 1;
    }
    ends
}

#[tokio::test]
async fn calls_over_the_limit_of_grpcio_are_all_answered() {
    let Some(python) = python() else { return };
    for (limit, calls) in [(1, 20), (2, 20), (5, 20), (50, 120)] {
        let route = Way::Inbound("h2c").lay(|_| Service::limited(&python, limit));
        let ends = ends(&route, calls, "30").await;
        assert_eq!(
            ends,
            BTreeMap::from([("Ok".to_owned(), calls)]),
            "with a limit of {limit}"
        );
    }
}

#[tokio::test]
async fn a_thousand_calls_at_once_to_grpcio_that_allows_ten_are_all_answered() {
    let Some(python) = python() else { return };
    let route = Way::Inbound("auto").lay(|_| Service::limited(&python, 10));
    assert_eq!(
        ends(&route, 1000, "20").await,
        BTreeMap::from([("Ok".to_owned(), 1000)])
    );
}

#[tokio::test]
async fn watches_that_use_all_streams_of_grpcio_leave_other_calls_alone() {
    let Some(python) = python() else { return };
    let route = Way::Inbound("h2c").lay(|_| Service::limited(&python, 2));
    let mut client = route.tonic().await;
    let mut watches = Vec::new();
    for _ in 0..2 {
        let (sender, messages) = fed();
        sender.send("m".into()).await.unwrap();
        let mut answers = both(&mut client, "Wait", messages).await.unwrap();
        assert_eq!(patient(answers.message()).await.unwrap().unwrap(), "m");
        watches.push((sender, answers));
    }
    let begun = tokio::time::Instant::now();
    for _ in 0..10 {
        let call = client.unary(Request::new(Bytes::from("on")), method("Echo"), Plain);
        assert_eq!(patient(call).await.unwrap().into_inner(), "on");
    }
    // The default of `timeouts.request` is 15 s.
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
}

/// RFC 9113 section 6.8: calls cross each GOAWAY.
#[tokio::test]
async fn calls_to_grpcio_that_ends_its_connections_all_the_time_are_all_answered() {
    let Some(python) = python() else { return };
    let route = Way::Inbound("h2c").lay(|_| Service::short_lived(&python));
    for round in 0..30 {
        assert_eq!(
            ends(&route, 40, "50").await,
            BTreeMap::from([("Ok".to_owned(), 40)]),
            "round {round}"
        );
    }
}
