//! Writes requests: the head at once, the body as it arrives.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{Method, header, request::Parts};
use http_body::Body as _;
use outrigger_filters::{error::Error, owned_headers::Own, service::Body};
use tokio::time::{Sleep, sleep};

use crate::codec::{
    encode::{Encoder, Framing, WrongLength},
    fields,
    outgoing::Outgoing,
};

/// How long a body waits for `100 Continue`. After this time it is sent anyway, as curl does.
pub(crate) const CONTINUE_PATIENCE: Duration = Duration::from_secs(1);

/// The part of a request that is still to be sent.
pub(crate) struct Sending {
    body: Encoder,
    /// The body is held back until the endpoint sends `100 Continue` (RFC 9110 section 10.1.1).
    held: bool,
    patience: Option<Pin<Box<Sleep>>>,
    /// The request is a HEAD.
    is_head: bool,
}

/// Writes the head, with the one framing header that fits the body.
pub(super) fn head(out: &mut Vec<u8>, head: &Parts, body: &Body, own: Option<&Own>) -> Sending {
    let target = head
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str());
    out.extend_from_slice(head.method.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    let (mut declares_length, mut expects) = (false, false);
    let mut announced = Vec::new();
    for (name, value) in &head.headers {
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
        fields::write(out, name, value.as_bytes());
    }
    if let Some(own) = own {
        own.each(|name, value| fields::write(out, name, value));
    }
    let framing = framing(body, !announced.is_empty());
    match framing {
        Framing::Length(length) => fields::write_length(out, length),
        Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        // Without a body these methods send a zero length (RFC 9110 section 8.6), and a declared
        // zero stays.
        Framing::Done if declares_length || has_content(&head.method) => {
            fields::write_length(out, 0)
        }
        // Only a response may be delimited by the close of its connection.
        Framing::Done | Framing::UntilClose => {}
    }
    out.extend_from_slice(b"\r\n");
    let mut encoder = Encoder::new(framing);
    announced
        .into_iter()
        .for_each(|value| encoder.announce(value));
    Sending {
        body: encoder,
        held: expects && framing != Framing::Done,
        patience: None,
        is_head: head.method == Method::HEAD,
    }
}

fn framing(body: &Body, announces_trailers: bool) -> Framing {
    match body.size_hint().exact() {
        _ if body.is_end_stream() => Framing::Done,
        // HTTP/2 may announce trailers with a known length; in HTTP/1.1 only the chunked coding can
        // carry them.
        Some(length) if !announces_trailers => Framing::Length(length),
        _ => Framing::Chunked,
    }
}

fn has_content(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}

impl Sending {
    /// Whether everything is in the buffer or sent.
    pub(crate) fn is_done(&self) -> bool {
        self.body.is_done()
    }

    /// Whether the response has no body, whatever its headers say.
    pub(super) fn answers_are_bodiless(&self) -> bool {
        self.is_head
    }

    /// The endpoint sent `100 Continue`.
    pub(super) fn go_on(&mut self) {
        self.held = false;
    }

    /// Appends the next piece to `out`.
    pub(super) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        body: &mut Body,
        out: &mut Outgoing,
    ) -> Poll<Result<(), Error>> {
        ready!(self.poll_go_on(cx));
        let written = match ready!(Pin::new(body).poll_frame(cx)).transpose()? {
            None => self.body.end(None, out),
            Some(frame) => self.body.frame(frame, false, out),
        };
        Poll::Ready(written.map_err(|WrongLength| contradiction()))
    }

    fn poll_go_on(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.held {
            let patience = self
                .patience
                .get_or_insert_with(|| Box::pin(sleep(CONTINUE_PATIENCE)));
            ready!(patience.as_mut().poll(cx));
            self.held = false;
        }
        Poll::Ready(())
    }
}

fn contradiction() -> Error {
    Error::ClientGone("the body does not have the declared length".into())
}
