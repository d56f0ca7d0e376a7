//! The cases of `peer.py` for tonic as a client. Each runs to its end whatever the others do.

use std::{future::Future, time::Duration};

use bytes::Bytes;
use futures_util::{FutureExt, Stream, future::BoxFuture, stream};
use http::uri::PathAndQuery;
use tokio::sync::mpsc;
use tonic::{Code, Request, Status, Streaming, client::Grpc, metadata::MetadataValue};

use super::Route;
use crate::{
    grpc::{Channel, Plain},
    support::{PATIENCE, client::patient},
};

/// Cases of `peer.py`, and of this file.
pub(super) const COUNT: usize = 13;

const WHITESPACE_AND_UNICODE: &str =
    "\t\ntest with whitespace\r\nand Unicode BMP \u{263a} and non-BMP \u{1f608}\t\n";

type Client = Grpc<Channel>;
type Case = fn(Client) -> BoxFuture<'static, ()>;

/// The names of those that fail, and why.
pub(super) async fn failed(route: &Route) -> Vec<String> {
    let cases: [(&str, Case); COUNT] = [
        ("empty_unary", |client| empty_unary(client).boxed()),
        ("large_unary", |client| large_unary(client).boxed()),
        ("client_streaming", |client| {
            client_streaming(client).boxed()
        }),
        ("server_streaming", |client| {
            server_streaming(client).boxed()
        }),
        ("ping_pong", |client| ping_pong(client).boxed()),
        ("empty_stream", |client| empty_stream(client).boxed()),
        ("status_code_and_message", |client| {
            status_code_and_message(client).boxed()
        }),
        ("custom_metadata", |client| custom_metadata(client).boxed()),
        ("unimplemented_method", |client| {
            unimplemented_method(client).boxed()
        }),
        ("cancel_after_begin", |client| {
            cancel_after(client, 0).boxed()
        }),
        ("cancel_after_first_response", |client| {
            cancel_after(client, 1).boxed()
        }),
        ("deadline_exceeded", |client| {
            deadline_exceeded(client).boxed()
        }),
        ("still_answers", |client| empty_unary(client).boxed()),
    ];
    let client = route.tonic().await;
    let mut failed = Vec::new();
    for (name, case) in cases {
        if let Err(error) = tokio::spawn(case(client.clone())).await {
            failed.push(format!("{name}: {error}"));
        }
    }
    failed
}

pub(super) fn method(name: &str) -> PathAndQuery {
    format!("/test.Interop/{name}").parse().unwrap()
}

/// A unary call.
async fn unary(
    client: &mut Client,
    name: &str,
    message: impl Into<Bytes>,
) -> Result<Bytes, Status> {
    patient(client.unary(Request::new(message.into()), method(name), Plain))
        .await
        .map(|one| one.into_inner())
}

/// A bidirectional call with these messages.
pub(super) async fn both(
    client: &mut Client,
    name: &str,
    messages: impl Stream<Item = Bytes> + Send + 'static,
) -> Result<Streaming<Bytes>, Status> {
    let call = client.streaming(Request::new(messages), method(name), Plain);
    Ok(patient(call).await?.into_inner())
}

/// A stream that is fed by a channel.
pub(super) fn fed() -> (
    mpsc::Sender<Bytes>,
    impl Stream<Item = Bytes> + Send + 'static,
) {
    let (sender, receiver) = mpsc::channel(1);
    let messages = stream::unfold(receiver, |mut receiver| async {
        Some((receiver.recv().await?, receiver))
    });
    (sender, messages)
}

async fn empty_unary(mut client: Client) {
    assert_eq!(unary(&mut client, "Echo", "").await.unwrap(), "");
}

async fn large_unary(mut client: Client) {
    for size in [300_000, 3_900_000] {
        let message = Bytes::from(vec![b'x'; size]);
        assert_eq!(
            unary(&mut client, "Echo", message.clone()).await.unwrap(),
            message
        );
    }
}

async fn client_streaming(mut client: Client) {
    let messages = stream::iter([27182, 8, 1828, 45904].map(|size| Bytes::from(vec![b'x'; size])));
    let call = client.client_streaming(Request::new(messages), method("Up"), Plain);
    assert_eq!(patient(call).await.unwrap().into_inner(), "74922");
}

async fn server_streaming(mut client: Client) {
    let request = Request::new(Bytes::from("40 30000"));
    let call = client.server_streaming(request, method("Down"), Plain);
    let mut messages = patient(call).await.unwrap().into_inner();
    for _ in 0..40 {
        assert_eq!(
            patient(messages.message()).await.unwrap().unwrap().len(),
            30_000
        );
    }
    assert!(patient(messages.message()).await.unwrap().is_none());
}

async fn ping_pong(mut client: Client) {
    let (sender, messages) = fed();
    // grpcio sends its head with its first message, so the call is awaited only behind the first ping.
    sender.send("ping 0".into()).await.unwrap();
    let mut answers = both(&mut client, "Both", messages).await.unwrap();
    for number in 0..20 {
        assert_eq!(
            patient(answers.message()).await.unwrap().unwrap(),
            format!("ping {number}")
        );
        sender
            .send(format!("ping {}", number + 1).into())
            .await
            .unwrap();
    }
    drop(sender);
    assert_eq!(
        patient(answers.message()).await.unwrap().unwrap(),
        "ping 20"
    );
    assert!(patient(answers.message()).await.unwrap().is_none());
}

async fn empty_stream(mut client: Client) {
    let mut answers = both(&mut client, "Both", stream::empty()).await.unwrap();
    assert!(patient(answers.message()).await.unwrap().is_none());
}

async fn status_code_and_message(mut client: Client) {
    for (code, text) in [
        (Code::Unknown, "test status message"),
        (Code::DataLoss, WHITESPACE_AND_UNICODE),
    ] {
        let mut request = Request::new(Bytes::from(text));
        request
            .metadata_mut()
            .insert("x-code", (code as i32).to_string().parse().unwrap());
        let status = patient(client.unary(request, method("Status"), Plain))
            .await
            .unwrap_err();
        assert_eq!((status.code(), status.message()), (code, text));
    }
}

async fn custom_metadata(mut client: Client) {
    let binary: Vec<u8> = (0..=255).collect();
    let mut request = Request::new(Bytes::from("m"));
    request
        .metadata_mut()
        .insert("x-lead", "test_initial_metadata_value".parse().unwrap());
    request
        .metadata_mut()
        .insert_bin("x-trail-bin", MetadataValue::from_bytes(&binary));
    let response = patient(client.server_streaming(request, method("Metadata"), Plain))
        .await
        .unwrap();
    assert_eq!(
        response.metadata().get("x-lead").unwrap(),
        "test_initial_metadata_value"
    );
    let mut messages = response.into_inner();
    assert_eq!(patient(messages.message()).await.unwrap().unwrap(), "m");
    let trailers = patient(messages.trailers()).await.unwrap().unwrap();
    assert_eq!(
        trailers.get_bin("x-trail-bin").unwrap().to_bytes().unwrap(),
        binary
    );
}

async fn unimplemented_method(mut client: Client) {
    assert_eq!(
        unary(&mut client, "None", "").await.unwrap_err().code(),
        Code::Unimplemented
    );
}

async fn cancel_after(mut client: Client, messages: usize) {
    let (begun, cancelled) = counts(&mut client).await;
    let (sender, requests) = fed();
    let mut caller = client.clone();
    let (first, mut came) = mpsc::channel(1);
    let call = tokio::spawn(async move {
        let mut answers = both(&mut caller, "Wait", requests).await.unwrap();
        while let Ok(Some(message)) = answers.message().await {
            first.send(message).await.unwrap();
        }
    });
    for _ in 0..messages {
        sender.send("m".into()).await.unwrap();
        assert_eq!(patient(came.recv()).await.unwrap(), "m");
    }
    until(|| async { counts(&mut client.clone()).await.0 > begun }).await;
    // hyper resets the stream once neither side of it is in use.
    call.abort();
    drop(sender);
    until(|| async { counts(&mut client.clone()).await.1 > cancelled }).await;
}

/// Calls of `Wait` that have begun, and those that were cancelled.
async fn counts(client: &mut Client) -> (usize, usize) {
    let told = unary(client, "Counts", "").await.unwrap();
    let told = String::from_utf8(told.to_vec()).unwrap();
    let (begun, cancelled) = told.split_once(' ').unwrap();
    (begun.parse().unwrap(), cancelled.parse().unwrap())
}

async fn until<F: Future<Output = bool>>(holds: impl Fn() -> F) {
    let asked = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(
        tokio::time::timeout(PATIENCE, asked).await.is_ok(),
        "waited in vain"
    );
}

async fn deadline_exceeded(mut client: Client) {
    let mut request = Request::new(Bytes::from("60000"));
    request.set_timeout(Duration::from_millis(300));
    let status = patient(client.unary(request, method("Sleep"), Plain))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
}
