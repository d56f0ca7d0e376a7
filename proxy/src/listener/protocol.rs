//! Detects the protocol of a new connection: what ALPN selected (RFC 7301). Without ALPN, HTTP/2
//! when it starts with the HTTP/2 preface (RFC 9113 section 3.4, prior knowledge), otherwise
//! HTTP/1.1.

use std::{
    future::poll_fn,
    io,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::BytesMut;
use tokio::{
    io::AsyncReadExt,
    time::{Instant, timeout_at},
};

use super::{
    first::before,
    http1,
    http2::{self, PREFACE},
};
use crate::connection::{
    client::{CLOSE_GRACE, Client},
    io::ClientIo,
};

/// What client and proxy agreed on before the first request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alpn {
    Unknown,
    Http1,
    Http2,
}

/// Serves one connection to its end.
pub(crate) async fn serve(client: Rc<Client>, mut io: ClientIo, alpn: Alpn) {
    let (view, id) = client.listener.current(&client.worker);
    let timeouts = view.config().listener(id).timeouts.clone();
    drop(view);
    // A silent connection is idle; one that stops within the preface has a slow head.
    let Some(mut front) = first_bytes(&client, &mut io, timeouts.idle).await else {
        return io.close_notify();
    };
    client.mark_active();
    let sniff = sniff(&mut io, &mut front, alpn);
    let protocol = match timeouts.request_headers {
        Some(limit) => timeout_at(Instant::now() + limit, sniff)
            .await
            .unwrap_or(Ok(Protocol::TooSlow)),
        None => sniff.await,
    };
    io.put_back(front.freeze());
    match protocol {
        Ok(Protocol::Http1) => http1::serve(client, io).await,
        // Boxed: HTTP/1.1 would carry the space for it all its life.
        Ok(Protocol::Http2) => {
            client.set_multiplexed();
            Box::pin(http2::serve(client, io)).await;
        }
        Ok(Protocol::TooSlow) => Box::pin(http1::reject_slow_head(&client, io)).await,
        Err(error) => tracing::debug!(%error, "connection ended before its first request"),
    }
}

enum Protocol {
    Http1,
    Http2,
    /// Not known within the time limit of a head.
    TooSlow,
}

/// The first bytes; `None` when nothing arrives in time.
async fn first_bytes(
    client: &Client,
    io: &mut ClientIo,
    idle: Option<std::time::Duration>,
) -> Option<BytesMut> {
    let mut deadline = idle.map(|idle| Instant::now() + idle);
    loop {
        if client.check_eviction(|| io.has_unread()) {
            return None;
        }
        if client.check_closing() {
            deadline = Some(Instant::now() + CLOSE_GRACE);
        }
        match before(deadline, or_ending(client, |cx| io.poll_some(cx))).await {
            Some(Some(Ok(front))) if !front.is_empty() => return Some(front),
            Some(None) => {} // asked to close: once more, with a short deadline
            Some(Some(_)) | None => return None,
        }
    }
}

/// Detects the protocol. The result of ALPN is final: a wrong or missing preface is an error of
/// that protocol. The whole HTTP/2 preface is awaited, within the time limit of a head.
async fn sniff(io: &mut ClientIo, front: &mut BytesMut, alpn: Alpn) -> io::Result<Protocol> {
    if alpn == Alpn::Http1 {
        return Ok(Protocol::Http1);
    }
    loop {
        let common = front.len().min(PREFACE.len());
        if front[..common] != PREFACE[..common] {
            return Ok(if alpn == Alpn::Http2 {
                Protocol::Http2
            } else {
                Protocol::Http1
            });
        }
        if common == PREFACE.len() {
            return Ok(Protocol::Http2);
        }
        if io.read_buf(front).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Waits for `poll`, or, once, until connections are asked to close (`None`). Idle connections wait
/// here, so this future is as small as possible.
fn or_ending<T>(
    client: &Client,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> impl Future<Output = Option<T>> {
    let closing_before = client.check_closing();
    poll_fn(move |cx| match poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if !closing_before && client.check_closing() => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    })
}
