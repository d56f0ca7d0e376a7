//! The step around [`Gate`]: an admitted request keeps its permit in the exchange, until its
//! response is complete or the exchange ends. The code that forwards the response releases the
//! permit ([`goes_on`]), so that no future is wrapped for it.

use std::{rc::Rc, sync::Arc};

use http::{Response, StatusCode};

use super::Gate;
use crate::{
    error::Error,
    service::{Body, Request},
    step::{Counting, Step, Verdict},
};

/// Lets in as many requests as there are places.
#[derive(Debug)]
pub struct ConcurrencyStep(Arc<Gate>);

impl ConcurrencyStep {
    /// Requests that pass this gate.
    pub fn new(gate: Arc<Gate>) -> Self {
        Self(gate)
    }
}

/// Whether the upstream still works on it: its body is not whole, or a tunnel begins.
pub fn goes_on(response: &Response<Body>) -> bool {
    matches!(response.body(), Body::Boxed(_))
        || response.status() == StatusCode::SWITCHING_PROTOCOLS
}

impl Step for ConcurrencyStep {
    fn on_request(&self, request: &mut Request) -> Verdict {
        if let Some(permit) = self.0.enter() {
            request.context.hold(permit);
            return Verdict::Pass;
        }
        let (gate, context) = (Arc::clone(&self.0), Rc::clone(&request.context));
        Verdict::wait(async move {
            let entered = gate.wait().await.map(|permit| context.hold(permit));
            entered.map_err(|_| Error::ConcurrencyFull).into()
        })
    }

    /// Where it is full, the queue decides, and time.
    fn peek(&self, _: &mut Request, _: Counting) -> Option<Verdict> {
        self.0.has_room().then_some(Verdict::Pass)
    }
}

#[cfg(test)]
mod tests {
    use std::{future::Future, task::Poll, time::Duration};

    use outrigger_config::model::Concurrency;
    use tower::service_fn;

    use super::*;
    use crate::{service::BoxService, step::Steps};

    /// A gate with one place, and what stands behind it.
    fn gated<F>(queue: u32, end: impl Fn(Request) -> F + Clone + 'static) -> (Arc<Gate>, BoxService)
    where
        F: Future<Output = Result<Response<Body>, Error>> + 'static,
    {
        let gate = Arc::new(Gate::new(&Concurrency::new(
            1,
            queue,
            Duration::from_millis(100),
        )));
        let steps = Steps::from_iter([ConcurrencyStep::new(Arc::clone(&gate)).boxed()]);
        (gate, steps.around(BoxService::new(service_fn(end))))
    }

    fn request() -> Request {
        http::Request::new(Body::Empty).into()
    }

    #[test]
    fn an_answer_goes_on_while_its_body_comes_or_a_tunnel_begins() {
        for (body, status, expected) in [
            (Body::boxed(Body::from("x")), 200, true),
            (Body::from("x"), 200, false),
            (Body::Empty, 204, false),
            (Body::Empty, 101, true),
        ] {
            let response = Response::builder().status(status).body(body).unwrap();
            assert_eq!(goes_on(&response), expected, "{status}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_lasts_as_long_as_its_exchange_or_until_it_is_released() {
        let (gate, hanging) = gated(1, |request| async move {
            let _under_way = request;
            std::future::pending().await
        });
        let first = request();
        let context = Rc::clone(&first.context);
        let call = hanging.answer(first);
        assert_eq!(gate.in_flight(), 1);
        let mut second = std::pin::pin!(hanging.answer(request()));
        let mut poll =
            async || std::future::poll_fn(|cx| Poll::Ready(second.as_mut().poll(cx))).await;
        assert!(poll().await.is_pending());
        assert!(matches!(
            hanging.answer(request()).await,
            Err(Error::ConcurrencyFull)
        ));
        context.release();
        assert!(poll().await.is_pending(), "let in, and on its way");
        assert_eq!((gate.in_flight(), gate.waiting()), (1, 0));
        drop((call, context));
        assert_eq!(gate.in_flight(), 1, "the second one's");
    }

    #[tokio::test(start_paused = true)]
    async fn an_exchange_that_ends_leaves_its_place() {
        let (gate, failing) = gated(0, |_| std::future::ready(Err(Error::BodyIdle)));
        assert!(failing.answer(request()).await.is_err());
        assert_eq!(gate.in_flight(), 0);
    }
}
