//! Decides what a new connection speaks: HTTP/2 when it begins with the HTTP/2 preface (RFC 9113 section 3.4,
//! prior knowledge), HTTP/1.1 otherwise.

use std::{io, rc::Rc};

use bytes::BytesMut;
use tokio::{
    io::AsyncReadExt,
    net::TcpStream,
    time::{Instant, timeout_at},
};

use super::{client::Client, http1, http2, io::ClientIo};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The first read; what it takes beyond the preface is put back.
const FIRST_READ: usize = 1024;

/// Serves one connection to its end.
pub(crate) async fn serve(client: Rc<Client>, mut socket: TcpStream) {
    let (view, id) = client.listener.current(&client.worker);
    let timeouts = view.config().listener(id).timeouts.clone();
    drop(view);
    // A silent connection is an idle one; one that stops within the preface is a slow head.
    let Some(mut front) = first_bytes(&client, &socket, timeouts.idle).await else { return };
    let sniff = sniff(&mut socket, &mut front);
    let protocol = match timeouts.request_headers {
        Some(limit) => timeout_at(Instant::now() + limit, sniff).await.unwrap_or(Ok(Protocol::TooSlow)),
        None => sniff.await,
    };
    let io = ClientIo::new(socket, front.freeze(), Rc::clone(&client.watch));
    match protocol {
        Ok(Protocol::Http1) => http1::serve(client, io).await,
        Ok(Protocol::Http2) => http2::serve(client, io).await,
        Ok(Protocol::TooSlow) => http1::refuse_slow_head(&client, io).await,
        Err(error) => tracing::debug!(%error, "connection ended before its first request"),
    }
}

enum Protocol {
    Http1,
    Http2,
    /// Not to be told within the time for a head.
    TooSlow,
}

/// What comes first; `None` when nothing comes in time. Readiness can be a false alarm, so only bytes count.
async fn first_bytes(
    client: &Client,
    socket: &TcpStream,
    idle: Option<std::time::Duration>,
) -> Option<BytesMut> {
    let mut front = BytesMut::with_capacity(FIRST_READ);
    let mut deadline = idle.map(|idle| Instant::now() + idle);
    loop {
        if client.is_ending() {
            deadline = Some(Instant::now() + http1::LAST_CHANCE);
        }
        let readable = super::or_ending(client, socket.readable());
        let waited = match deadline {
            Some(at) => timeout_at(at, readable).await,
            None => Ok(readable.await),
        };
        match waited {
            Ok(Some(Ok(()))) => match socket.try_read_buf(&mut front) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(0) | Err(_) => return None,
                Ok(_) => return Some(front),
            },
            Ok(None) => {} // asked to end: once more, with a short deadline
            Ok(Some(Err(_))) | Err(_) => return None,
        }
    }
}

async fn sniff(socket: &mut TcpStream, front: &mut BytesMut) -> io::Result<Protocol> {
    loop {
        let common = front.len().min(PREFACE.len());
        if front[..common] != PREFACE[..common] {
            return Ok(Protocol::Http1);
        }
        if common == PREFACE.len() {
            return Ok(Protocol::Http2);
        }
        if socket.read_buf(front).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}
