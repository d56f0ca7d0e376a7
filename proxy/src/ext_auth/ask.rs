//! One question over a pooled connection, and its whole answer.

use std::{future::poll_fn, rc::Rc};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, Response, StatusCode, header, request, response::Parts};
use outrigger_filters::{error::Cause, ext_auth::MAX_BODY, hop_by_hop, service::Body};

use crate::upstream::{
    http1::{Failure, Reading},
    pool::{Lease, Pool},
};

/// Asks, a second time when an old connection turns out to be closed: a question changes nothing.
///
/// # Errors
/// There is no whole answer.
pub(super) async fn ask(pool: &Rc<Pool>, question: Request<Body>) -> Result<Response<Body>, Cause> {
    let (head, mut content) = question.into_parts();
    if let Some(lease) = pool.checkout() {
        match exchange(lease, &head, &mut content).await {
            Err(Failure::Closed(_)) => {}
            answered => return answered.map_err(told),
        }
    }
    let lease = pool.open().await?;
    exchange(lease, &head, &mut content).await.map_err(told)
}

fn told(failure: Failure) -> Cause {
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

/// Header fields of an answer, as many as an upstream's by default.
const MOST_FIELDS: u16 = 100;

fn too_long() -> Failure {
    Failure::Protocol("the body of its answer is over 64 KiB".into())
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

/// What was meant for the hop between the service and us goes; the length is that of the body that was read.
fn cleaned(mut head: Parts) -> Parts {
    hop_by_hop::strip_response(&mut head.headers);
    head.headers.remove(header::TRANSFER_ENCODING);
    head.headers.remove(header::CONTENT_LENGTH);
    head.headers.remove(header::TRAILER);
    head.version = http::Version::HTTP_11;
    head
}
