//! Entry points for the fuzz targets in `fuzz/`: the codec over the bytes of a client, without a
//! socket.

use bytes::BytesMut;
use http::{HeaderMap, Method, Version};

use super::head::{Limits, Rejection, Scan};
use crate::codec::decode::Step;

/// One parsed request.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// The method.
    pub method: Method,
    /// The target.
    pub target: String,
    /// Whether it is HTTP/1.1, and not 1.0.
    pub is_http11: bool,
    /// The headers.
    pub fields: HeaderMap,
    /// The body so far.
    pub body: Vec<u8>,
    /// The trailers.
    pub trailers: HeaderMap,
    /// Whether the body ended.
    pub ended: bool,
}

/// The requests of a connection.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// In order; the last may be incomplete.
    pub all: Vec<Received>,
    /// The status that rejects the rest.
    pub refused: Option<u16>,
}

/// Reads the bytes of a client in pieces of this size (at least 1).
pub fn read_requests(bytes: &[u8], size: usize) -> Requests {
    let mut requests = Requests::default();
    if let Err(status) = read_pieces(bytes.chunks(size.max(1)), &mut requests) {
        requests.refused = Some(status);
    }
    requests
}

/// The same in pieces that end at these positions.
pub fn read_requests_cut_at(bytes: &[u8], places: &[usize]) -> Requests {
    let mut requests = Requests::default();
    let mut ends: Vec<usize> = places
        .iter()
        .map(|place| place % (bytes.len() + 1))
        .collect();
    ends.push(bytes.len());
    ends.sort_unstable();
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let pieces = starts.zip(&ends).map(|(start, end)| &bytes[start..*end]);
    if let Err(status) = read_pieces(pieces, &mut requests) {
        requests.refused = Some(status);
    }
    requests
}

fn read_pieces<'a>(
    pieces: impl Iterator<Item = &'a [u8]>,
    requests: &mut Requests,
) -> Result<(), u16> {
    let limits = Limits {
        bytes: 64 * 1024,
        fields: 100,
    };
    let (mut buffer, mut scan, mut decoder) = (BytesMut::new(), Scan::default(), None);
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            let Some(body) = &mut decoder else {
                if buffer.is_empty() {
                    break;
                }
                let head = scan
                    .take(&mut buffer, &mut HeaderMap::new(), limits)
                    .map_err(status)?;
                let Some(head) = head else { break };
                requests.all.push(Received {
                    method: head.parts.method,
                    target: head.parts.uri.to_string(),
                    is_http11: head.parts.version == Version::HTTP_11,
                    fields: head.parts.headers,
                    ..Received::default()
                });
                decoder = Some(head.decoder);
                continue;
            };
            let Some(request) = requests.all.last_mut() else {
                break;
            };
            match body.next(&mut buffer).map_err(|_| 400_u16)? {
                Step::Frame(frame) => match frame.into_data() {
                    Ok(data) => request.body.extend_from_slice(&data),
                    Err(frame) => request.trailers = frame.into_trailers().unwrap_or_default(),
                },
                Step::More => break,
                Step::Done => {
                    request.ended = true;
                    decoder = None;
                }
            }
        }
    }
    Ok(())
}

fn status(refused: Rejection) -> u16 {
    match refused {
        Rejection::Malformed | Rejection::Preface => 400,
        Rejection::TooLarge => 431,
        Rejection::TargetTooLong => 414,
    }
}
