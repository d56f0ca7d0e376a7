//! The service of `peer.py`, made with tonic, on a thread of its own.

use std::{
    convert::Infallible,
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt, future::BoxFuture, stream};
use http::{Request as HttpRequest, Response as HttpResponse};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tonic::{
    Code, Request, Response, Status, Streaming,
    body::Body,
    server::{
        ClientStreamingService, Grpc, ServerStreamingService, StreamingService, UnaryService,
    },
};

use crate::grpc::{Messages, Plain};

/// Calls of `Wait` that have begun, and those that were cancelled.
#[derive(Default)]
struct Counts {
    begun: AtomicUsize,
    cancelled: AtomicUsize,
}

/// Counts a call as cancelled when it is dropped.
struct Waiting(Arc<Counts>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.cancelled.fetch_add(1, SeqCst);
    }
}

/// Starts it on a free port.
pub(super) fn start() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(serve(listener));
    });
    port
}

async fn serve(listener: TcpListener) {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let counts = Arc::<Counts>::default();
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).unwrap();
        let counts = Arc::clone(&counts);
        let service = service_fn(move |request| answer(request, Arc::clone(&counts)));
        let connection = http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), service);
        tokio::spawn(connection);
    }
}

/// One method of the service.
struct Method {
    name: String,
    counts: Arc<Counts>,
}

async fn answer(
    request: HttpRequest<Incoming>,
    counts: Arc<Counts>,
) -> Result<HttpResponse<Body>, Infallible> {
    let mut grpc = Grpc::new(Plain);
    let name = request
        .uri()
        .path()
        .trim_start_matches("/test.Interop/")
        .to_owned();
    let method = Method { name, counts };
    Ok(match &*method.name {
        "Echo" | "Status" | "Sleep" | "Counts" => grpc.unary(method, request).await,
        "Metadata" | "Down" => grpc.server_streaming(method, request).await,
        "Up" => grpc.client_streaming(method, request).await,
        "Both" | "Ticks" | "Takes" | "Wait" => grpc.streaming(method, request).await,
        _ => Status::unimplemented("no such method").into_http(),
    })
}

fn text(message: &[u8]) -> &str {
    std::str::from_utf8(message).unwrap()
}

fn numbers(message: &[u8]) -> (usize, usize) {
    let (first, second) = text(message).split_once(' ').unwrap();
    (first.parse().unwrap(), second.parse().unwrap())
}

impl UnaryService<Bytes> for Method {
    type Response = Bytes;
    type Future = BoxFuture<'static, Result<Response<Bytes>, Status>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let (name, counts) = (self.name.clone(), Arc::clone(&self.counts));
        Box::pin(async move {
            let (metadata, _, message) = request.into_parts();
            match &*name {
                "Status" => {
                    let code = Code::from_bytes(metadata.get("x-code").unwrap().as_bytes());
                    return Err(Status::new(code, text(&message)));
                }
                "Sleep" => {
                    tokio::time::sleep(Duration::from_millis(text(&message).parse().unwrap()))
                        .await;
                }
                "Counts" => {
                    let (begun, cancelled) =
                        (counts.begun.load(SeqCst), counts.cancelled.load(SeqCst));
                    return Ok(Response::new(format!("{begun} {cancelled}").into()));
                }
                _ => {}
            }
            Ok(Response::new(message))
        })
    }
}

impl ServerStreamingService<Bytes> for Method {
    type Response = Bytes;
    type ResponseStream = Messages;
    type Future = BoxFuture<'static, Result<Response<Messages>, Status>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let (metadata, _, message) = request.into_parts();
        let response = if self.name == "Down" {
            let (count, size) = numbers(&message);
            let messages = stream::iter((0..count).map(move |_| Ok(Bytes::from(vec![b'x'; size]))));
            Response::new(Box::pin(messages) as Messages)
        } else {
            // A status that is OK is the way to trailers of one's own.
            let mut end = Status::new(Code::Ok, "");
            let binary = metadata.get_bin("x-trail-bin").unwrap().clone();
            end.metadata_mut().insert_bin("x-trail-bin", binary);
            let mut response =
                Response::new(Box::pin(stream::iter([Ok(message), Err(end)])) as Messages);
            response
                .metadata_mut()
                .insert("x-lead", metadata.get("x-lead").unwrap().clone());
            response
        };
        Box::pin(async move { Ok(response) })
    }
}

impl ClientStreamingService<Bytes> for Method {
    type Response = Bytes;
    type Future = BoxFuture<'static, Result<Response<Bytes>, Status>>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        Box::pin(async move {
            let mut messages = request.into_inner();
            let mut total = 0;
            while let Some(message) = messages.message().await? {
                total += message.len();
            }
            Ok(Response::new(total.to_string().into()))
        })
    }
}

impl StreamingService<Bytes> for Method {
    type Response = Bytes;
    type ResponseStream = Messages;
    type Future = BoxFuture<'static, Result<Response<Messages>, Status>>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let (name, counts) = (self.name.clone(), Arc::clone(&self.counts));
        Box::pin(async move {
            let messages = request.into_inner();
            Ok(Response::new(match &*name {
                "Ticks" => ticks(messages).await?,
                "Takes" => takes(messages),
                "Wait" => {
                    counts.begun.fetch_add(1, SeqCst);
                    let waiting = Waiting(counts);
                    let endless = messages.chain(stream::pending());
                    Box::pin(endless.map(move |message| {
                        let _ = &waiting;
                        message
                    }))
                }
                _ => Box::pin(messages),
            }))
        })
    }
}

/// So many messages, so many milliseconds apart, whatever the client sends.
async fn ticks(mut messages: Streaming<Bytes>) -> Result<Messages, Status> {
    let (count, pause) = numbers(&messages.message().await?.unwrap());
    let ticks = stream::iter(0..count).then(move |tick| async move {
        if tick > 0 {
            tokio::time::sleep(Duration::from_millis(pause as u64)).await;
        }
        Ok(Bytes::from(tick.to_string()))
    });
    // What the client sends, or does not, lasts as long as the answers do.
    Ok(Box::pin(ticks.map(move |tick| {
        let _ = &messages;
        tick
    })))
}

/// Answers the first message at once, and says at the end how many came.
fn takes(messages: Streaming<Bytes>) -> Messages {
    let answers = stream::unfold(
        (messages, 0, false),
        |(mut messages, mut count, ended)| async move {
            if ended {
                return None;
            }
            loop {
                match messages.message().await {
                    Ok(Some(message)) => {
                        count += 1;
                        if count == 1 {
                            return Some((Ok(message), (messages, count, false)));
                        }
                    }
                    Ok(None) => {
                        return Some((Ok(Bytes::from(count.to_string())), (messages, count, true)));
                    }
                    Err(status) => return Some((Err(status), (messages, count, true))),
                }
            }
        },
    );
    Box::pin(answers)
}
