//! The steps before forwarding: a [`Step`] checks a request and returns its [`Verdict`], and one
//! adapter, [`Chain`], makes a tower service of a list of steps.
//!
//! A step sees only the request. Its changes to the response are stored in the
//! [`context`](crate::context) of the exchange, and the edge applies them, through which every
//! response passes: `concurrency` stores its permit there, `extAuth` the cookies for the client. So
//! no future is wrapped for a step that passes a request on. A filter that needs the future of the
//! response, as `timeout` and `fault` do, is a tower layer instead.

use std::{
    any::type_name,
    fmt,
    future::{Future, ready},
    pin::Pin,
    rc::Rc,
    task::{Context as TaskContext, Poll},
};

use http::Response;
use tower::{Layer, Service};

use crate::{
    error::Error,
    service::{Answering, Body, BoxService, Request, ResponseFuture, later, refused},
};

/// One step of a chain.
pub trait Step {
    /// Checks a request, and may change it.
    fn on_request(&self, request: &mut Request) -> Verdict;

    /// The verdict of [`on_request`](Self::on_request) without any network access; `None` if it
    /// cannot be known without. A step that decides by the request alone needs no implementation of
    /// its own.
    fn peek(&self, request: &mut Request, _counting: Counting) -> Option<Verdict> {
        match self.on_request(request) {
            Verdict::Wait(_) => None,
            known => Some(known),
        }
    }

    /// The name of the step in an evaluation.
    fn name(&self) -> &'static str {
        short(type_name::<Self>())
    }

    /// The step in a box, for a list.
    fn boxed(self) -> Box<dyn Step>
    where
        Self: Sized + 'static,
    {
        Box::new(self)
    }
}

/// Whether a request that is only evaluated counts towards limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counting {
    /// It does not, so it can be evaluated any number of times.
    No,
    /// It counts like a served request: for a series of requests, or a copy of live ones.
    Yes,
}

/// The result of a step.
pub enum Verdict {
    /// The request continues with the next step.
    Pass,
    /// The request is rejected.
    Refuse(Error),
    /// The request gets this response.
    Answer(Response<Body>),
    /// The step has to wait. The future owns what it needs of the request, which stays in the chain
    /// meanwhile.
    Wait(Waiting),
}

/// A future verdict.
pub type Waiting = Pin<Box<dyn Future<Output = Verdict>>>;

impl Verdict {
    /// A verdict that is known when the future completes.
    pub fn wait(verdict: impl Future<Output = Self> + 'static) -> Self {
        Self::Wait(Box::pin(verdict))
    }
}

impl From<Result<(), Error>> for Verdict {
    fn from(decided: Result<(), Error>) -> Self {
        decided.map_or_else(Self::Refuse, |()| Self::Pass)
    }
}

impl fmt::Debug for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass => f.write_str("Pass"),
            Self::Refuse(error) => f.debug_tuple("Refuse").field(error).finish(),
            Self::Answer(response) => f.debug_tuple("Answer").field(&response.status()).finish(),
            Self::Wait(_) => f.write_str("Wait"),
        }
    }
}

/// Steps in the order in which they run: the tower layer around the service that responds.
#[derive(Clone)]
pub struct Steps(Rc<[Box<dyn Step>]>);

impl Steps {
    /// The steps, in the order in which they run.
    pub fn iter(&self) -> impl Iterator<Item = &dyn Step> {
        self.0.iter().map(|step| &**step)
    }

    /// The steps around `end`; `end` itself if there are none.
    pub fn around(&self, end: BoxService) -> BoxService {
        match self.0.is_empty() {
            true => end,
            false => BoxService::over(self.layer(end)),
        }
    }
}

/// The name of a type, without its path and its parameters.
fn short(name: &'static str) -> &'static str {
    let name = name.split('<').next().unwrap_or(name);
    name.rsplit("::").next().unwrap_or(name)
}

impl FromIterator<Box<dyn Step>> for Steps {
    fn from_iter<I: IntoIterator<Item = Box<dyn Step>>>(steps: I) -> Self {
        Self(steps.into_iter().collect())
    }
}

impl fmt::Debug for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Steps")
            .field("count", &self.0.len())
            .finish()
    }
}

impl Layer<BoxService> for Steps {
    type Service = Chain;

    fn layer(&self, end: BoxService) -> Chain {
        Chain {
            steps: self.clone(),
            end,
        }
    }
}

/// The tower service of a list of steps. If all steps pass a request on, the future of the inner
/// service is returned unchanged.
#[derive(Debug, Clone)]
pub struct Chain {
    steps: Steps,
    end: BoxService,
}

impl Chain {
    /// Runs the steps, starting with the one at `first`.
    fn enter(&self, first: usize, mut request: Request) -> ResponseFuture {
        for (index, step) in self.steps.0.iter().enumerate().skip(first) {
            match step.on_request(&mut request) {
                Verdict::Pass => {}
                Verdict::Refuse(error) => return refused(error),
                Verdict::Answer(response) => return later(ready(Ok(response))),
                Verdict::Wait(waiting) => {
                    return later(self.clone().wait(waiting, index + 1, request));
                }
            }
        }
        self.end.answer(request)
    }

    /// The response to a request whose step has to wait; `next` is the step after it.
    async fn wait(
        self,
        mut waiting: Waiting,
        next: usize,
        request: Request,
    ) -> Result<Response<Body>, Error> {
        loop {
            match waiting.await {
                Verdict::Pass => return self.enter(next, request).await,
                Verdict::Refuse(error) => return Err(error),
                Verdict::Answer(response) => return Ok(response),
                Verdict::Wait(more) => waiting = more,
            }
        }
    }
}

impl Answering for Chain {
    fn answer(&self, request: Request) -> ResponseFuture {
        self.enter(0, request)
    }
}

impl Service<Request> for Chain {
    type Response = Response<Body>;
    type Error = Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> ResponseFuture {
        self.answer(request)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use tower::service_fn;

    use super::*;

    type Seen = Rc<RefCell<Vec<&'static str>>>;

    /// A step that notes its name and says what it is to say.
    struct Noting<F> {
        name: &'static str,
        seen: Seen,
        verdict: F,
    }

    impl<F: Fn() -> Verdict> Step for Noting<F> {
        fn on_request(&self, _: &mut Request) -> Verdict {
            self.seen.borrow_mut().push(self.name);
            (self.verdict)()
        }
    }

    fn noting(
        seen: &Seen,
        name: &'static str,
        verdict: impl Fn() -> Verdict + 'static,
    ) -> Box<dyn Step> {
        Noting {
            name,
            seen: Rc::clone(seen),
            verdict,
        }
        .boxed()
    }

    type Says = fn() -> Verdict;

    /// What answers in the end; it notes that as well.
    fn end(seen: &Seen) -> BoxService {
        let seen = Rc::clone(seen);
        BoxService::new(service_fn(move |_: Request| {
            seen.borrow_mut().push("end");
            ready(Ok::<_, Error>(Response::new(Body::Empty)))
        }))
    }

    fn request() -> Request {
        http::Request::new(Body::Empty).into()
    }

    /// The status of the response, or the reason of the error, with `verdict` between two steps that pass; and what was seen.
    async fn through(
        verdict: impl Fn() -> Verdict + 'static,
    ) -> (Result<u16, &'static str>, Vec<&'static str>) {
        let seen = Seen::default();
        let first = noting(&seen, "first", || Verdict::Pass);
        let last = noting(&seen, "last", || Verdict::Pass);
        let steps: Steps = [first, noting(&seen, "it", verdict), last]
            .into_iter()
            .collect();
        let answered = steps.layer(end(&seen)).call(request()).await;
        let answered = answered
            .map(|response| response.status().as_u16())
            .map_err(|error| error.reason().as_str());
        (answered, seen.take())
    }

    fn teapot() -> Verdict {
        Verdict::Answer(Response::builder().status(418).body(Body::Empty).unwrap())
    }

    #[tokio::test]
    async fn every_step_that_is_there_is_taken_in_order_whichever_others_are_missing() {
        for mask in 0..8_u8 {
            let seen = Seen::default();
            let names = ["a", "b", "c"];
            let there = || {
                (0..3)
                    .filter(|bit| mask & (1 << bit) != 0)
                    .map(|bit| names[bit])
            };
            let steps: Steps = there()
                .map(|name| noting(&seen, name, || Verdict::Pass))
                .collect();
            steps.around(end(&seen)).answer(request()).await.unwrap();
            let wanted: Vec<_> = there().chain(["end"]).collect();
            assert_eq!(*seen.borrow(), wanted);
        }
    }

    #[tokio::test]
    async fn a_request_that_is_refused_or_answered_goes_no_further() {
        let refused = Error::NoRoute.reason().as_str();
        let stops: [(Says, Result<u16, &str>); 4] = [
            (|| Verdict::Refuse(Error::NoRoute), Err(refused)),
            (teapot, Ok(418)),
            (
                || Verdict::wait(async { Verdict::Refuse(Error::NoRoute) }),
                Err(refused),
            ),
            (|| Verdict::wait(async { teapot() }), Ok(418)),
        ];
        for (verdict, expected) in stops {
            let (answered, seen) = through(verdict).await;
            assert_eq!((answered, seen), (expected, vec!["first", "it"]));
        }
    }

    #[tokio::test]
    async fn a_request_that_had_to_wait_goes_on_with_the_step_behind() {
        let waits: [Says; 3] = [
            || Verdict::Pass,
            || Verdict::wait(async { Verdict::Pass }),
            || {
                Verdict::wait(async {
                    tokio::task::yield_now().await;
                    Verdict::wait(async { Verdict::Pass })
                })
            },
        ];
        for verdict in waits {
            let (answered, seen) = through(verdict).await;
            assert_eq!(
                (answered, seen),
                (Ok(200), vec!["first", "it", "last", "end"])
            );
        }
    }

    #[test]
    fn a_peek_is_the_verdict_unless_the_step_would_have_to_wait() {
        let seen = Seen::default();
        let peek = |verdict: Says| {
            let step = noting(&seen, "it", verdict);
            step.peek(&mut request(), Counting::No)
                .map(|verdict| format!("{verdict:?}"))
        };
        assert_eq!(peek(|| Verdict::Pass), Some("Pass".into()));
        assert_eq!(peek(teapot), Some("Answer(418)".into()));
        assert_eq!(peek(|| Verdict::wait(async { Verdict::Pass })), None);
        assert_eq!(noting(&seen, "it", || Verdict::Pass).name(), "Noting");
    }

    #[tokio::test]
    async fn what_a_step_changes_the_next_one_sees() {
        struct Sets;
        impl Step for Sets {
            fn on_request(&self, request: &mut Request) -> Verdict {
                request.head.uri = "/changed".parse().unwrap();
                Verdict::wait(async { Verdict::Pass })
            }
        }
        let paths = Rc::new(RefCell::new(Vec::new()));
        let end = {
            let paths = Rc::clone(&paths);
            BoxService::new(service_fn(move |request: Request| {
                paths.borrow_mut().push(request.head.uri.path().to_owned());
                ready(Ok::<_, Error>(Response::new(Body::Empty)))
            }))
        };
        Steps::from_iter([Sets.boxed()])
            .around(end)
            .answer(request())
            .await
            .unwrap();
        assert_eq!(*paths.borrow(), ["/changed"]);
    }
}
