//! Step 17: mirrors a share of the requests to another upstream, and discards the responses.
//!
//! The copy equals the forwarded request: path, host and headers as earlier steps left them,
//! including the request id. It is sent when the request body is complete, so that it never slows
//! the request down. Requests with a body over 64 KiB and upgrade requests are not mirrored. Copies
//! have their own limit on concurrency; over the limit, no copy is made.

mod tee;

use std::{cell::Cell, future::poll_fn, pin::Pin, rc::Rc, sync::Arc, time::Duration};

use bytes::Bytes;
use http::header;
use http_body::Body as HttpBody;
use outrigger_config::model::{Config, Percent, Route, WeightedBackend};
use outrigger_filters::{
    context::{Context, Exchange},
    error::Error,
    hop_by_hop::Hop,
    recycle::Alarm,
    service::{Body, BoxService, Request},
    step::{Counting, Step, Verdict},
};
use tokio::time::{Instant, timeout};

use self::tee::Tee;
use crate::{
    forward,
    telemetry::metrics::{MirrorCounters, MirrorResult},
    upstream::local::LocalUpstream,
};

/// The longest body that is mirrored.
const MAX_BODY: usize = 64 * 1024;

/// Most copies of one route in flight on a worker, including those whose body is being collected.
const IN_FLIGHT: u32 = 64;

/// Timeout of a copy, when the route sets no request timeout.
const LIMIT: Duration = Duration::from_secs(15);

/// Bytes of a response that are read so that its connection can be reused.
const DRAINED: usize = 64 * 1024;

/// Mirrors a share of the requests.
pub(crate) struct MirrorStep(Rc<Mirror>);

/// The target of one route's copies.
struct Mirror {
    to: BoxService,
    share: Percent,
    limit: Duration,
    in_flight: Cell<u32>,
    counters: Arc<MirrorCounters>,
}

impl MirrorStep {
    /// `requestMirror` of a route; `None` where it has none.
    pub(crate) fn new(
        config: &Config,
        route: &Route,
        upstreams: Rc<[Rc<LocalUpstream>]>,
        counters: Arc<MirrorCounters>,
    ) -> Option<Self> {
        let mirror = route.request_mirror.as_ref()?;
        let backend = WeightedBackend::new(mirror.upstream, 1);
        let to = BoxService::new(forward::service(config, route, &[backend], upstreams));
        let limit = route.timeouts.request.unwrap_or(LIMIT);
        let (share, in_flight) = (mirror.percent, Cell::new(0));
        Some(Self(Rc::new(Mirror {
            to,
            share,
            limit,
            in_flight,
            counters,
        })))
    }
}

/// One copy, from its head to the end of its response.
struct Copy {
    mirror: Rc<Mirror>,
    request: Request,
}

impl Drop for Copy {
    fn drop(&mut self) {
        self.mirror.in_flight.set(self.mirror.in_flight.get() - 1);
    }
}

impl Mirror {
    /// The head of a copy, if the request is mirrored.
    fn copy(self: &Rc<Self>, request: &Request) -> Option<Copy> {
        if fastrand::u32(..1_000_000) >= self.share.per_million() || upgrades(&request.context) {
            return None;
        }
        if request.body.size_hint().lower() > MAX_BODY as u64 {
            self.counters.ended(MirrorResult::TooLarge);
            return None;
        }
        if self.in_flight.get() >= IN_FLIGHT {
            self.counters.ended(MirrorResult::Dropped);
            return None;
        }
        self.in_flight.set(self.in_flight.get() + 1);
        Some(Copy {
            mirror: Rc::clone(self),
            request: head_of(request),
        })
    }
}

fn upgrades(context: &Context) -> bool {
    context.hop.get().is_some_and(|hop| hop.upgrade.is_some())
}

/// The same head, in an exchange without access log.
fn head_of(request: &Request) -> Request {
    let (from, told) = (&request.head, &request.context);
    let (mut head, ()) = http::Request::new(()).into_parts();
    head.method = from.method.clone();
    head.uri = from.uri.clone();
    head.version = from.version;
    head.headers = from.headers.clone();
    head.headers.remove(header::EXPECT); // the body is sent at once
    let context = Exchange::begin(
        Instant::now(),
        told.client_address.get(),
        None,
        Alarm::default(),
    );
    context.is_grpc.set(told.is_grpc.get());
    context.complete_request(context.started);
    if let Some(hop) = told.hop.get() {
        let _ = context.hop.set(Hop {
            te_trailers: hop.te_trailers,
            upgrade: None,
        });
    }
    Request {
        head: Box::new(head),
        body: Body::Empty,
        context,
    }
}

impl Copy {
    /// Sends it with this body, and discards the response.
    fn send(mut self, body: Bytes) {
        self.request.body = if body.is_empty() {
            Body::Empty
        } else {
            Body::Full(body)
        };
        tokio::task::spawn_local(async move {
            let head = Box::new(http::Request::new(()).into_parts().0);
            let context = Rc::clone(&self.request.context);
            let request = std::mem::replace(
                &mut self.request,
                Request {
                    head,
                    body: Body::Empty,
                    context,
                },
            );
            let answered = timeout(self.mirror.limit, async {
                drain(self.mirror.to.answer(request).await?.into_body()).await;
                Ok::<_, Error>(())
            });
            let result = match answered.await {
                Ok(Ok(())) => MirrorResult::Answered,
                Ok(Err(_)) | Err(_) => MirrorResult::Failed,
            };
            self.mirror.counters.ended(result);
        });
    }

    fn too_large(self) {
        self.mirror.counters.ended(MirrorResult::TooLarge);
    }
}

/// Reads a response up to a limit; a longer one closes its connection.
async fn drain(mut body: Body) {
    let mut read = 0;
    while let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        read += frame.data_ref().map_or(0, Bytes::len);
        if read > DRAINED {
            return;
        }
    }
}

impl Step for MirrorStep {
    fn on_request(&self, request: &mut Request) -> Verdict {
        if let Some(copy) = self.0.copy(request) {
            if request.body.is_end_stream() {
                copy.send(Bytes::new());
            } else {
                request.body = Tee::wrap(std::mem::take(&mut request.body), copy);
            }
        }
        Verdict::Pass
    }

    /// Makes no copy.
    fn peek(&self, _: &mut Request, _: Counting) -> Option<Verdict> {
        Some(Verdict::Pass)
    }
}
