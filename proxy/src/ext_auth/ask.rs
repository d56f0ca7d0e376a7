//! Sends one check to the service over a pooled connection, and reads the whole response.

use std::{future::poll_fn, rc::Rc};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, Response, StatusCode, header, request, response::Parts};
use outrigger_filters::{error::Cause, ext_auth::MAX_BODY, hop_by_hop, service::Body};

use crate::upstream::{
    http1::{Failure, Reading},
    pool::{Lease, Pool},
};

/// Sends the check; retries once if a pooled connection turns out to be closed, which is safe
/// because a check changes nothing.
///
/// # Errors
/// There is no complete response.
pub(super) async fn ask(pool: &Rc<Pool>, question: Request<Body>) -> Result<Response<Body>, Cause> {
    let (head, mut content) = question.into_parts();
    if let Some(lease) = pool.checkout() {
        match exchange(lease, &head, &mut content).await {
            Err(Failure::Closed(_)) => {}
            answered => return answered.map_err(cause_of),
        }
    }
    let lease = pool.open().await?;
    exchange(lease, &head, &mut content).await.map_err(cause_of)
}

fn cause_of(failure: Failure) -> Cause {
    match failure {
        Failure::Closed(error) => error.into(),
        Failure::Protocol(problem) => problem.into(),
        Failure::RequestBody(error) => error.into(),
    }
}

async fn exchange(
    mut lease: Lease,
    head: &request::Parts,
    content: &mut Body,
) -> Result<Response<Body>, Failure> {
    let mut sending = lease.connection().begin(head, content, None);
    let (mut fields, mut informational) = (HeaderMap::new(), 0);
    let response = poll_fn(|cx| {
        lease.connection().poll_response(
            cx,
            content,
            &mut fields,
            &mut sending,
            &mut informational,
            MOST_FIELDS,
        )
    })
    .await?;
    if response.head.status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Failure::Protocol("101 without a request to upgrade".into()));
    }
    let mut reading = response.body;
    let body = read(&mut lease, &mut reading).await?;
    if response.sent && reading.keeps_alive() {
        lease.release();
    }
    Ok(Response::from_parts(
        cleaned(response.head),
        if body.is_empty() {
            Body::Empty
        } else {
            Body::Full(body)
        },
    ))
}

/// The most header fields of a response, the default of an upstream.
const MOST_FIELDS: u16 = 100;

fn too_long() -> Failure {
    Failure::Protocol("the body of the response is over 64 KiB".into())
}

async fn read(lease: &mut Lease, reading: &mut Reading) -> Result<Bytes, Failure> {
    if let Some(whole) = lease.connection().take_whole(reading) {
        return if whole.len() > MAX_BODY {
            Err(too_long())
        } else {
            Ok(whole)
        };
    }
    let mut body = BytesMut::new();
    while let Some(frame) = poll_fn(|cx| lease.connection().poll_frame(cx, reading)).await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        if body.len() + data.len() > MAX_BODY {
            return Err(too_long());
        }
        body.extend_from_slice(&data);
    }
    Ok(body.freeze())
}

/// Removes hop-by-hop fields; the length becomes that of the body that was read.
fn cleaned(mut head: Parts) -> Parts {
    hop_by_hop::strip_response(&mut head.headers);
    head.headers.remove(header::TRANSFER_ENCODING);
    head.headers.remove(header::CONTENT_LENGTH);
    head.headers.remove(header::TRAILER);
    head.version = http::Version::HTTP_11;
    head
}
