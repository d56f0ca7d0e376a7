//! `grpc.health.v1.Health/Check`, as the gRPC health checking protocol describes it.
//!
//! The two messages have one field each, so they are written by hand and not generated. Other
//! fields of a response are skipped.

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Cause, Target};
use crate::client::{Connection, USER_AGENT};

/// More than any health response needs.
const MOST_BYTES: usize = 64 * 1024;

/// `grpc-status` for a service that the health service does not know.
const NOT_FOUND: u32 = 5;

#[derive(Clone, PartialEq, Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

#[derive(Clone, PartialEq, Message)]
struct HealthCheckResponse {
    #[prost(enumeration = "ServingStatus", tag = "1")]
    status: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
enum ServingStatus {
    Unknown = 0,
    Serving = 1,
    NotServing = 2,
    ServiceUnknown = 3,
}

/// Succeeds when the health service reports `service` as SERVING.
///
/// # Errors
/// It does not.
pub async fn grpc<S>(stream: S, target: Target<'_>, service: &str) -> Result<(), Cause>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut connection = Connection::http2(stream).await?;
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!(
            "{}://{}/grpc.health.v1.Health/Check",
            target.scheme, target.host
        ))
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .header(header::USER_AGENT, USER_AGENT)
        .body(Full::new(request_message(service)))?;
    judge(connection.send(request).await?).await
}

/// The request message of the call, with its gRPC frame.
fn request_message(service: &str) -> Bytes {
    let message = HealthCheckRequest {
        service: service.to_owned(),
    }
    .encode_to_vec();
    let mut frame = BytesMut::with_capacity(5 + message.len());
    frame.put_u8(0); // not compressed
    frame.put_u32(message.len() as u32); // the name comes from the configuration, far below 4 GiB
    frame.put_slice(&message);
    frame.freeze()
}

async fn judge(response: Response<Incoming>) -> Result<(), Cause> {
    if response.status() != StatusCode::OK {
        return Err(format!(
            "the health service responded with status {}",
            response.status().as_u16()
        )
        .into());
    }
    let early = grpc_status(response.headers());
    let body = Limited::new(response.into_body(), MOST_BYTES)
        .collect()
        .await?;
    match early.or_else(|| body.trailers().and_then(grpc_status)) {
        Some(0) => {}
        Some(NOT_FOUND) => {
            return Err(
                "the health service responded NOT_FOUND: it does not know the service name".into(),
            );
        }
        Some(other) => {
            return Err(format!("the health service responded with grpc-status {other}").into());
        }
        None => return Err("the health service responded without grpc-status".into()),
    }
    let says = HealthCheckResponse::decode(only_message(&body.to_bytes())?)
        .map_err(|error| format!("the response of the health service is invalid: {error}"))?;
    match ServingStatus::try_from(says.status) {
        Ok(ServingStatus::Serving) => Ok(()),
        Ok(other) => Err(format!("the health service reports {}", name(other)).into()),
        Err(_) => Err(format!("the health service reports {}", says.status).into()),
    }
}

fn grpc_status(headers: &HeaderMap) -> Option<u32> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

/// The message of a response with exactly one message.
fn only_message(body: &[u8]) -> Result<&[u8], Cause> {
    let Some((&[flag, length @ ..], message)) = body.split_first_chunk::<5>() else {
        let problem = if body.is_empty() {
            "responded without a message"
        } else {
            "responded with a truncated message"
        };
        return Err(format!("the health service {problem}").into());
    };
    if flag != 0 {
        // The request does not offer compression.
        return Err("the health service responded with a compressed message".into());
    }
    let length = u32::from_be_bytes(length) as usize;
    match message.len() {
        got if got < length => Err("the health service responded with a truncated message".into()),
        got if got > length => {
            Err("the health service responded with more than one message".into())
        }
        _ => Ok(message),
    }
}

/// Its name in the protocol.
fn name(status: ServingStatus) -> &'static str {
    match status {
        ServingStatus::Unknown => "UNKNOWN",
        ServingStatus::Serving => "SERVING",
        ServingStatus::NotServing => "NOT_SERVING",
        ServingStatus::ServiceUnknown => "SERVICE_UNKNOWN",
    }
}
