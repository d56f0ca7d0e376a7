//! The demo's app: answers every request with what it was asked, on a thread of its own.

use std::{
    convert::Infallible,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener as StdListener},
    thread,
};

use http::{HeaderValue, Request, Response, header};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, runtime::Builder};

/// Starts an app that calls itself `name`; its address. It lives as long as the process.
///
/// # Errors
/// Neither `port` nor any other can be bound, or there is no thread to be had.
pub(super) fn start(name: &'static str, port: u16) -> io::Result<SocketAddr> {
    let at = |port| StdListener::bind((Ipv4Addr::LOCALHOST, port));
    let socket = at(port).or_else(|_| at(0))?;
    socket.set_nonblocking(true)?;
    let address = socket.local_addr()?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || runtime.block_on(serve(name, socket)))?;
    Ok(address)
}

async fn serve(name: &'static str, socket: StdListener) {
    let socket = match TcpListener::from_std(socket) {
        Ok(socket) => socket,
        Err(error) => return tracing::error!(%error, "the demo's app cannot accept"),
    };
    loop {
        match socket.accept().await {
            Ok((stream, _)) => {
                let service = service_fn(move |request| async move { answer(name, &request) });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
        }
    }
}

fn answer(name: &str, request: &Request<Incoming>) -> Result<Response<String>, Infallible> {
    let value = |key| {
        request
            .headers()
            .get(key)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("-")
    };
    let text = format!(
        "{name} answers {} {}\nhost: {}\nx-request-id: {}\nx-forwarded-for: {}\n",
        request.method(),
        request.uri(),
        value("host"),
        value("x-request-id"),
        value("x-forwarded-for"),
    );
    let mut response = Response::new(text);
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    Ok(response)
}
