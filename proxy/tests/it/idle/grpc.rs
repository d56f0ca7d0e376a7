//! Bidirectional gRPC calls of which one side is silent, with tonic on both ends.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use futures_util::{StreamExt, future::BoxFuture, join, stream};
use tokio::sync::Notify;
use tonic::{Code, Request, Response, Status, Streaming, client::Grpc, server::StreamingService};

use super::{LIMIT, NEVER, SHORT, TICKS, end_when, inbound, outbound, secure, ticks};
use crate::{
    grpc::{Channel, Messages, Plain, app, client, client_over, method},
    support::{client::patient, tls::Maker},
};

/// Sends on its own, and then how many messages came.
#[derive(Clone, Copy)]
pub struct Down;

/// Answers at once, and with how many messages came.
#[derive(Clone, Copy)]
pub struct Up;

async fn count(mut messages: Streaming<Bytes>) -> Result<Bytes, Status> {
    let mut came = 0;
    while messages.message().await?.is_some() {
        came += 1;
    }
    Ok(came.to_string().into())
}

impl StreamingService<Bytes> for Down {
    type Response = Bytes;
    type ResponseStream = Messages;
    type Future = BoxFuture<'static, Result<Response<Messages>, Status>>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let messages = ticks()
            .map(Ok)
            .chain(stream::once(count(request.into_inner())));
        Box::pin(async { Ok(Response::new(Box::pin(messages) as Messages)) })
    }
}

impl StreamingService<Bytes> for Up {
    type Response = Bytes;
    type ResponseStream = Messages;
    type Future = BoxFuture<'static, Result<Response<Messages>, Status>>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let messages = stream::once(count(request.into_inner()));
        Box::pin(async { Ok(Response::new(Box::pin(messages) as Messages)) })
    }
}

async fn only_the_app_moves(mut client: Grpc<Channel>) {
    let told = Arc::new(Notify::new());
    let up = stream::once(async { "first".into() }).chain(end_when(Arc::clone(&told)));
    let call = client.streaming(Request::new(up.boxed()), method("/test.Idle/Down"), Plain);
    let mut down = patient(call).await.unwrap().into_inner();
    for _ in 0..TICKS {
        assert_eq!(
            patient(down.message())
                .await
                .expect("it is not cut")
                .unwrap(),
            "tick\n"
        );
    }
    told.notify_one();
    assert_eq!(patient(down.message()).await.unwrap().unwrap(), "1");
    assert!(patient(down.message()).await.unwrap().is_none());
}

async fn only_the_client_moves(mut client: Grpc<Channel>) {
    let call = client.streaming(
        Request::new(ticks().boxed()),
        method("/test.Idle/Up"),
        Plain,
    );
    let mut down = patient(call).await.unwrap().into_inner();
    let came = patient(down.message())
        .await
        .expect("it is not cut")
        .unwrap();
    assert_eq!(came, TICKS.to_string());
}

#[tokio::test]
async fn one_side_of_a_call_may_be_silent() {
    let app = SocketAddr::from(([127, 0, 0, 1], app().await));
    let (proxy, way_out, setup) = (
        inbound(app, "auto", LIMIT, LIMIT),
        outbound(app, "h2c", LIMIT, LIMIT),
        secure(app),
    );
    let maker = Maker::new(&setup.ca).alpn(&["h2"]).done();
    let secure = async || {
        client_over(
            maker.stream(setup.address()).await.unwrap(),
            setup.address(),
        )
        .await
    };
    join!(
        only_the_app_moves(client(proxy.inbound()).await),
        only_the_client_moves(client(proxy.inbound()).await),
        only_the_app_moves(client(way_out.inbound()).await),
        only_the_client_moves(client(way_out.inbound()).await),
        only_the_app_moves(secure().await),
        only_the_client_moves(secure().await),
    );
    for path in ["/test.Idle/Down", "/test.Idle/Up"] {
        for proxy in [&proxy, &way_out, &setup.proxy] {
            assert_eq!(proxy.logged(|line| line["path"] == path)["flag"], "");
        }
    }
}

#[tokio::test]
async fn a_call_of_which_neither_side_moves_is_cut_after_stream_idle() {
    let app = SocketAddr::from(([127, 0, 0, 1], app().await));
    let proxy = inbound(app, "auto", NEVER, SHORT);
    let mut client = client(proxy.inbound()).await;
    let up = stream::once(async { "first".into() }).chain(end_when(Arc::default()));
    let call = client.streaming(Request::new(up.boxed()), method("/test.Idle/Up"), Plain);
    let mut down = patient(call).await.unwrap().into_inner();
    let status = patient(down.message()).await.unwrap_err();
    assert_ne!(status.code(), Code::Ok);
    assert_eq!(
        proxy.logged(|line| line["path"] == "/test.Idle/Up")["reason"],
        "timeout.stream_idle"
    );
}
