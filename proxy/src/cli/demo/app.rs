//! The demo's app: responds to every request with what it received, on a thread of its own.

use std::{
    convert::Infallible,
    fs::OpenOptions,
    io::{self, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener as StdListener},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use http::{HeaderValue, Request, Response, header};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::{net::TcpListener, runtime::Builder};

/// Starts an app that calls itself `name` and writes a line about each request to `log`; its address. It lives as long as the process.
///
/// # Errors
/// Neither `port` nor any other can be bound, or there is no thread to be had.
pub(super) fn start(name: &'static str, port: u16, log: Option<PathBuf>) -> io::Result<SocketAddr> {
    let at = |port| StdListener::bind((Ipv4Addr::LOCALHOST, port));
    let socket = at(port).or_else(|_| at(0))?;
    socket.set_nonblocking(true)?;
    let address = socket.local_addr()?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || runtime.block_on(serve(name, socket, log)))?;
    Ok(address)
}

async fn serve(name: &'static str, socket: StdListener, log: Option<PathBuf>) {
    let log = Arc::new(log);
    let socket = match TcpListener::from_std(socket) {
        Ok(socket) => socket,
        Err(error) => return tracing::error!(%error, "the demo's app cannot accept"),
    };
    loop {
        match socket.accept().await {
            Ok((stream, _)) => {
                let log = Arc::clone(&log);
                let service = service_fn(move |request| {
                    let log = Arc::clone(&log);
                    async move {
                        if let Some(log) = &*log {
                            write_line(log, &request);
                        }
                        answer(name, &request)
                    }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
        }
    }
}

/// One line of JSON, as an app writes it. A line that cannot be written is not worth a failed request here.
fn write_line(log: &Path, request: &Request<Incoming>) {
    let time = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |time| time.as_secs_f64());
    let line = json!({
        "ts": time,
        "level": "info",
        "msg": format!("{} {}", request.method(), request.uri()),
    });
    let file = OpenOptions::new().create(true).append(true).open(log);
    let _ = file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()));
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
