//! Writes requests: the head at once, the body as it comes.

use std::{
    future::Future,
    io::Write,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};
use http_body::Body as _;
use outrigger_filters::{error::Error, owned_headers::Own, service::Body};
use tokio::time::{Sleep, sleep};

/// How long a body waits for `100 Continue`; an endpoint that says nothing gets it after this time, as curl does it.
const CONTINUE_PATIENCE: Duration = Duration::from_secs(1);

/// What is still to be sent of a request.
pub(crate) struct Sending {
    framing: Framing,
    /// The body is held back until the endpoint asks for it (RFC 9110 section 10.1.1).
    held: bool,
    patience: Option<Pin<Box<Sleep>>>,
    /// The values of `Trailer`: only what they name is sent behind the body.
    announced: Vec<HeaderValue>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// So many bytes are left.
    Length(u64),
    /// Until the body ends.
    Chunked,
    /// A chunk's data is on its way; its CRLF comes next.
    ChunkEnd,
    /// Everything is in the buffer or sent.
    Done,
}

/// Writes the head, with the one framing field that fits the body.
pub(super) fn head(out: &mut Vec<u8>, request: &Request<Body>, own: Option<&Own>) -> Sending {
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    out.extend_from_slice(request.method().as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    let (mut declares_length, mut expects) = (false, false);
    let mut announced = Vec::new();
    for (name, value) in request.headers() {
        match *name {
            header::CONTENT_LENGTH => {
                declares_length = true;
                continue;
            }
            header::TRANSFER_ENCODING => continue,
            header::EXPECT => expects |= value.as_bytes().eq_ignore_ascii_case(b"100-continue"),
            header::TRAILER => announced.push(value.clone()),
            _ => {}
        }
        field(out, name, value.as_bytes());
    }
    if let Some(own) = own {
        own.each(|name, value| field(out, name, value));
    }
    let framing = framing(request.body(), !announced.is_empty());
    match framing {
        Framing::Length(length) => length_field(out, length),
        Framing::Chunked | Framing::ChunkEnd => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        // Without a body these methods say so (RFC 9110 section 8.6), and a declared zero stays declared.
        Framing::Done if declares_length || has_content(request.method()) => length_field(out, 0),
        Framing::Done => {}
    }
    out.extend_from_slice(b"\r\n");
    Sending { framing, held: expects && framing != Framing::Done, patience: None, announced }
}

fn framing(body: &Body, announces_trailers: bool) -> Framing {
    match body.size_hint().exact() {
        _ if body.is_end_stream() => Framing::Done,
        // HTTP/2 may announce trailers behind a known length; here only the chunked coding has a place for them.
        Some(length) if !announces_trailers => Framing::Length(length),
        _ => Framing::Chunked,
    }
}

fn has_content(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}

fn field(out: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    let name = name.as_str().as_bytes();
    out.reserve(name.len() + value.len() + ": \r\n".len());
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn length_field(out: &mut Vec<u8>, length: u64) {
    out.extend_from_slice(b"content-length: ");
    out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
    out.extend_from_slice(b"\r\n");
}

impl Sending {
    /// Whether everything is in the buffer or sent.
    pub(crate) fn is_done(&self) -> bool {
        self.framing == Framing::Done
    }

    /// The endpoint asked for the body.
    pub(super) fn go_on(&mut self) {
        self.held = false;
    }

    /// Puts the next piece into `out`, or gives it back as data that comes right after `out`.
    pub(super) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        body: &mut Body,
        out: &mut Vec<u8>,
    ) -> Poll<Result<Option<Bytes>, Error>> {
        ready!(self.poll_go_on(cx));
        if self.framing == Framing::ChunkEnd {
            out.extend_from_slice(b"\r\n");
            self.framing = Framing::Chunked;
        }
        match ready!(Pin::new(body).poll_frame(cx)).transpose()? {
            None => self.end(None, out).map(|()| None),
            Some(frame) => match frame.into_data() {
                Ok(data) => self.data(data, out),
                Err(frame) => self.end(frame.into_trailers().ok().as_ref(), out).map(|()| None),
            },
        }
        .into()
    }

    fn poll_go_on(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.held {
            let patience = self.patience.get_or_insert_with(|| Box::pin(sleep(CONTINUE_PATIENCE)));
            ready!(patience.as_mut().poll(cx));
            self.held = false;
        }
        Poll::Ready(())
    }

    fn data(&mut self, data: Bytes, out: &mut Vec<u8>) -> Result<Option<Bytes>, Error> {
        if data.is_empty() {
            return Ok(None); // an empty chunk would be the last
        }
        match &mut self.framing {
            Framing::Length(left) => {
                *left = left.checked_sub(data.len() as u64).ok_or_else(contradiction)?;
                if *left == 0 {
                    self.framing = Framing::Done;
                }
            }
            _ => {
                let _ = write!(out, "{:x}\r\n", data.len()); // a Vec takes everything
                self.framing = Framing::ChunkEnd;
            }
        }
        Ok(Some(data))
    }

    /// A recipient may ignore what was not announced, or take it for something else; so it is not sent at all.
    fn announces(&self, name: &HeaderName) -> bool {
        let values = self.announced.iter().filter_map(|value| value.to_str().ok());
        values
            .flat_map(|value| value.split(','))
            .any(|token| token.trim().eq_ignore_ascii_case(name.as_str()))
    }

    fn end(&mut self, trailers: Option<&HeaderMap>, out: &mut Vec<u8>) -> Result<(), Error> {
        match self.framing {
            Framing::Length(_) => return Err(contradiction()),
            Framing::Chunked | Framing::ChunkEnd => {
                out.extend_from_slice(b"0\r\n");
                for (name, value) in trailers.into_iter().flatten().filter(|(name, _)| self.announces(name)) {
                    field(out, name, value.as_bytes());
                }
                out.extend_from_slice(b"\r\n");
            }
            Framing::Done => {}
        }
        self.framing = Framing::Done;
        Ok(())
    }
}

fn contradiction() -> Error {
    Error::ClientGone("the body does not have the declared length".into())
}
