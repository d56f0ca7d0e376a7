//! Entry point for the fuzz target: processes bytes of a peer without a socket.

use std::rc::Rc;

use super::{
    connection::{Settings, Shared, Side},
    stream::Stream,
};

/// The result of processing a peer's bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Understood {
    /// Method, target and number of headers of each request, the received length of its body, and
    /// whether it is complete.
    pub requests: Vec<(String, usize, usize, bool)>,
    /// Why the connection ended.
    pub error: Option<String>,
    /// Bytes of bodies that are stored, of streams that were not reset.
    pub kept: usize,
}

/// Processes these bytes as a client's, or with `as_client` as those of an endpoint that was sent
/// three requests, in pieces of `piece` bytes.
pub fn take_frames(bytes: &[u8], as_client: bool, piece: usize) -> Understood {
    let side = if as_client {
        Side::Client
    } else {
        Side::Server
    };
    let shared = Shared::new(Settings {
        side,
        streams: 100,
        stream_window: 64 * 1024,
        connection_window: 256 * 1024,
        header_list: 16 * 1024,
    });
    let streams = if as_client { 3 } else { 0 };
    let _streams: Vec<_> = (0..streams)
        .flat_map(|n| {
            shared.open(&http::Method::GET, n == 0, |block| {
                block.request(&http::Method::GET, "http", b"a", "/");
            })
        })
        .collect();
    bytes
        .chunks(piece.max(1))
        .for_each(|part| shared.state().receive(part));
    understood(&shared)
}

fn understood(shared: &Rc<Shared>) -> Understood {
    let mut state = shared.state();
    let arrived: Vec<_> = state
        .arrived
        .iter()
        .map(|(head, key)| (head_text(head), *key))
        .collect();
    let requests = arrived.into_iter().map(|((text, fields), key)| {
        let stream = state.stream(key);
        (
            text,
            fields,
            kept(stream),
            stream.receiving.ended && stream.error.is_none(),
        )
    });
    let requests = requests.collect();
    let kept = state.streams.iter().flatten().map(kept).sum();
    Understood {
        requests,
        error: state.error.as_ref().map(ToString::to_string),
        kept,
    }
}

/// How much of a stream is read before its reset depends on the pieces.
fn kept(stream: &Stream) -> usize {
    if stream.error.is_some() {
        0
    } else {
        stream.receiving.data.len()
    }
}

fn head_text(head: &http::request::Parts) -> (String, usize) {
    (format!("{} {}", head.method, head.uri), head.headers.len())
}
