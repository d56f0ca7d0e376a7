//! A request that is ready to be sent, and shared by its attempts.

use std::cell::{Cell, RefCell};

use http::{HeaderMap, HeaderValue, Method, header, request::Parts};
use http_body::Body as _;
use outrigger_config::model::Upstream;
use outrigger_decision::{
    tries,
    wire::{self, Sending},
};
use outrigger_filters::{
    context::Context,
    owned_headers::Own,
    recycle::{heads, maps},
    retry::Policy,
    service::Body,
};

use crate::codec::http2::Block;

/// A request that can be sent, without its body.
///
/// Its attempts share it: each reads the head while it writes, without waiting, and none takes it.
pub(super) struct Prepared {
    head: RefCell<Box<Parts>>,
    /// The protocol and what follows from it.
    pub(super) sending: Sending,
    /// Whether the head must be kept: another attempt may need it after a response, or at the same
    /// time.
    pub(super) keeps: bool,
    /// An attempt consumed a part of the body that was not buffered: there cannot be another one.
    pub(super) gone: Cell<bool>,
}

/// Headers that differ between attempts.
#[derive(Clone, Copy)]
pub(super) struct AttemptHeaders<'a> {
    /// The Host, if it is not the client's.
    pub(super) host: Option<&'a str>,
    /// The number of the attempt, if the route sends it.
    pub(super) number: Option<u32>,
}

impl Prepared {
    /// Calls `write` with the head, and with the headers that the proxy adds after its fields.
    pub(super) fn write<R>(
        &self,
        headers: AttemptHeaders<'_>,
        context: &Context,
        write: impl FnOnce(&Parts, Option<&Own>) -> R,
    ) -> R {
        let head = &mut *self.head.borrow_mut();
        if let Some(Ok(host)) = headers.host.map(HeaderValue::from_str) {
            head.headers.insert(header::HOST, host);
        }
        let mut own = context.own.borrow_mut();
        if let Some(number) = headers.number {
            tries::announce(number, &mut head.headers, own.as_mut());
        }
        write(head, own.as_ref())
    }

    /// Calls `read` with an empty map for the fields of a response: that of the request, if its
    /// head is not needed any more, else another one. `read` fills it without waiting, once the
    /// whole head has arrived.
    pub(super) fn with_answer_fields<R>(&self, read: impl FnOnce(&mut HeaderMap) -> R) -> R {
        if !self.keeps {
            return read(&mut self.head.borrow_mut().headers);
        }
        let mut fields = maps::take();
        let read = read(&mut fields);
        if fields.capacity() > 0 {
            maps::give_back(fields); // no head yet, or it was not understood
        }
        read
    }

    /// Writes the head for HTTP/2.
    pub(super) fn write_http2(
        &self,
        headers: AttemptHeaders<'_>,
        context: &Context,
        block: &mut Block<'_>,
    ) {
        self.write(headers, context, |head, own| {
            let fields = &head.headers;
            let authority = fields
                .get(header::HOST)
                .map_or(&b""[..], HeaderValue::as_bytes);
            let path = head
                .uri
                .path_and_query()
                .map_or("/", |target| target.as_str());
            block.request(&head.method, self.sending.scheme, authority, path);
            for (name, value) in fields.iter().filter(|(name, _)| *name != header::HOST) {
                block.field(name, value.as_bytes());
            }
            if self.sending.te_trailers {
                block.field(&header::TE, b"trailers");
            }
            if let Some(own) = own {
                own.each(|name, value| block.field(name, value));
            }
        });
    }

    /// Its method.
    pub(super) fn method(&self) -> Method {
        self.head.borrow().method.clone()
    }

    /// The further attempts that are permitted.
    pub(super) fn tries(&self, policy: Option<&Policy>, hedges: bool) -> tries::Tries {
        tries::plan(policy, hedges, &self.sending, &self.head.borrow())
    }

    /// Releases the head, which is not needed any more.
    pub(super) fn let_go(self) {
        heads::give_back(self.head.into_inner());
    }
}

/// Prepares a request for its first attempt.
pub(super) fn prepare(
    mut head: Box<Parts>,
    body: &Body,
    upstream: &Upstream,
    authorization: Option<&HeaderValue>,
    context: &Context,
) -> Prepared {
    let sending = wire::prepare(
        &mut head,
        !body.is_end_stream(),
        upstream,
        authorization,
        context,
    );
    Prepared {
        head: RefCell::new(head),
        sending,
        keeps: false,
        gone: Cell::new(false),
    }
}
