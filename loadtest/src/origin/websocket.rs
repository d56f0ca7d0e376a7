//! WebSocket echo over the HTTP/1.1 upgrade (RFC 6455): text and binary are returned, pings and
//! closes get a response.

use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::body::{Body, boxed, full};
use futures_util::{SinkExt, StreamExt};

/// Accepts the handshake and echoes on the upgraded connection, or reports what was missing.
pub(super) fn accept(mut request: Request<Incoming>) -> Response<Body> {
    let Some(accept) = accept_key(request.headers()) else {
        return refusal();
    };
    let mut response = Response::new(boxed(Empty::new()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    if let Some(protocol) = first_protocol(request.headers()) {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    tokio::spawn(serve(hyper::upgrade::on(&mut request)));
    response
}

/// The response to the client's key, if the request has everything that RFC 6455 §4.2.1 requires.
fn accept_key(headers: &HeaderMap) -> Option<HeaderValue> {
    let upgrade = headers.get(UPGRADE)?;
    let version = headers.get(SEC_WEBSOCKET_VERSION)?;
    let key = headers.get(SEC_WEBSOCKET_KEY)?;
    let fits = upgrade.as_bytes().eq_ignore_ascii_case(b"websocket") && version == "13";
    fits.then(|| HeaderValue::from_str(&derive_accept_key(key.as_bytes())).ok())?
}

fn first_protocol(headers: &HeaderMap) -> Option<HeaderValue> {
    let offered = headers.get(SEC_WEBSOCKET_PROTOCOL)?.to_str().ok()?;
    HeaderValue::from_str(offered.split(',').next()?.trim()).ok()
}

fn refusal() -> Response<Body> {
    let mut response = Response::new(full("a WebSocket handshake, version 13, is required\n"));
    *response.status_mut() = StatusCode::UPGRADE_REQUIRED;
    response
        .headers_mut()
        .insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    response
}

async fn serve(upgrade: OnUpgrade) {
    // Either peer may vanish at any time; that ends the echo and is not an error of the origin.
    if let Ok(upgraded) = upgrade.await {
        let _ = echo(upgraded).await;
    }
}

async fn echo(upgraded: Upgraded) -> Result<(), tokio_tungstenite::tungstenite::Error> {
    let mut socket =
        WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
    while let Some(message) = socket.next().await {
        let message = message?;
        // tungstenite handles pongs and the closing handshake.
        if message.is_text() || message.is_binary() {
            socket.send(message).await?;
        }
    }
    Ok(())
}
