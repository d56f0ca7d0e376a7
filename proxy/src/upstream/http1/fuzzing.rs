//! Entry points for the fuzz targets in `fuzz/`: the codec over bytes, without a socket.

use bytes::BytesMut;
use http::{HeaderMap, request::Parts};
use outrigger_filters::service::Body;

use super::{
    encode,
    head::{self, Head, Problem},
};
use crate::codec::{decode::Step, lines::Lines};

/// The parsed part of a response.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// Status and number of headers of a final head.
    pub head: Option<(u16, usize)>,
    /// The body so far.
    pub body: Vec<u8>,
    /// Whether the body ended.
    pub ended: bool,
    /// The error, if any.
    pub broken: Option<Problem>,
}

/// Reads the response to a GET that arrives in pieces of this size (at least 1).
pub fn read_answer(bytes: &[u8], size: usize) -> Read {
    let mut read = Read::default();
    if let Err(broken) = read_pieces(bytes, size.max(1), &mut read) {
        read.broken = Some(broken);
    }
    read
}

fn read_pieces(bytes: &[u8], size: usize, read: &mut Read) -> Result<(), Problem> {
    let mut fields = HeaderMap::new();
    let (mut buffer, mut lines, mut decoder) = (BytesMut::new(), Lines::default(), None);
    for piece in bytes.chunks(size) {
        buffer.extend_from_slice(piece);
        while decoder.is_none() {
            match head::parse(&mut buffer, &mut lines, &mut fields, false, 100)? {
                Some(Head::Final(answer)) => {
                    read.head = Some((answer.head.status.as_u16(), answer.head.headers.len()));
                    decoder = Some(answer.decoder);
                }
                Some(Head::Informational(_)) => {}
                None => break,
            }
        }
        let Some(decoder) = &mut decoder else {
            continue;
        };
        loop {
            match decoder.next(&mut buffer)? {
                Step::Frame(frame) => {
                    if let Ok(data) = frame.into_data() {
                        read.body.extend_from_slice(&data);
                    }
                }
                Step::More => break,
                Step::Done => {
                    read.ended = true;
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

/// The head of a request without a body, as it is sent to an endpoint.
pub fn written_head(head: Parts) -> Vec<u8> {
    let mut out = Vec::new();
    drop(encode::head(&mut out, &head, &Body::Empty, None));
    out
}
