//! A request that is ready for the wire, and shared by its tries.

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
/// Its tries share it: each reads the head when it writes, which takes no time, and none takes it away.
pub(super) struct Prepared {
    head: RefCell<Box<Parts>>,
    /// How it is sent.
    pub(super) sending: Sending,
    /// Somebody may want it once more after an answer, or while a try is under way.
    pub(super) keeps: bool,
    /// A try took some of its body away, which was not kept: there cannot be another one.
    pub(super) gone: Cell<bool>,
}

/// What one try says about itself.
#[derive(Clone, Copy)]
pub(super) struct Told<'a> {
    /// Another Host than the client's.
    pub(super) host: Option<&'a str>,
    /// Which try it is, where endpoints are told.
    pub(super) number: Option<u32>,
}

impl Prepared {
    /// Lets `write` see the head, and what the proxy says about the request behind its fields.
    pub(super) fn write<R>(
        &self,
        told: Told<'_>,
        context: &Context,
        write: impl FnOnce(&Parts, Option<&Own>) -> R,
    ) -> R {
        let head = &mut *self.head.borrow_mut();
        if let Some(Ok(host)) = told.host.map(HeaderValue::from_str) {
            head.headers.insert(header::HOST, host);
        }
        let mut own = context.own.borrow_mut();
        if let Some(number) = told.number {
            tries::announce(number, &mut head.headers, own.as_mut());
        }
        write(head, own.as_ref())
    }

    /// Lets `read` fill a map with the fields of an answer: that of the request, which has been written and goes nowhere
    /// again, or another one where it may. It is filled at once, when the whole head has come.
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
    pub(super) fn write_http2(&self, told: Told<'_>, context: &Context, block: &mut Block<'_>) {
        self.write(told, context, |head, own| {
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

    /// Which tries it may have beside the first.
    pub(super) fn tries(&self, policy: Option<&Policy>, hedges: bool) -> tries::Tries {
        tries::plan(policy, hedges, &self.sending, &self.head.borrow())
    }

    /// It is not needed any more.
    pub(super) fn let_go(self) {
        heads::give_back(self.head.into_inner());
    }
}

/// Prepares a request for its first try.
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
