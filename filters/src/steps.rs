//! The steps of a chain, outermost first, each of which a route has or has not.
//!
//! The list itself knows whether a route has any step. No other place lists the conditions again, so that a new guard cannot
//! be left out of the chain of a route that asks for it.

use std::task::{Context as TaskContext, Poll};

use http::Response;
use tower::{
    Layer, Service,
    layer::util::{Identity, Stack},
};

use crate::{
    error::Error,
    service::{Body, BoxService, Next, Request, ResponseFuture},
};

/// Steps in the order in which a request meets them.
#[derive(Debug, Clone)]
pub struct Steps<L = Identity> {
    layers: L,
    is_empty: bool,
}

impl Default for Steps {
    fn default() -> Self {
        Self { layers: Identity::new(), is_empty: true }
    }
}

impl<L> Steps<L> {
    /// Adds a step behind those that are there, or nothing.
    #[must_use]
    pub fn then<T>(self, step: Option<T>) -> Steps<Stack<Optional<T>, L>> {
        let is_empty = self.is_empty && step.is_none();
        Steps { layers: Stack::new(Optional(step), self.layers), is_empty }
    }

    /// The steps around `end`; `end` itself where there are none.
    pub fn around(self, end: BoxService) -> BoxService
    where
        L: Layer<BoxService>,
        L::Service: Next,
    {
        match self.is_empty {
            true => end,
            false => BoxService::steps(self.layers.layer(end)),
        }
    }
}

/// A step that is there or not.
#[derive(Debug, Clone)]
pub struct Optional<L>(Option<L>);

/// What follows, with or without the step in front of it.
#[derive(Debug, Clone)]
pub enum Perhaps<A, B> {
    /// With it.
    Step(A),
    /// Without.
    Next(B),
}

impl<L: Layer<S>, S> Layer<S> for Optional<L> {
    type Service = Perhaps<L::Service, S>;

    fn layer(&self, inner: S) -> Self::Service {
        match &self.0 {
            Some(layer) => Perhaps::Step(layer.layer(inner)),
            None => Perhaps::Next(inner),
        }
    }
}

impl<A: Next, B: Next> Service<Request> for Perhaps<A, B> {
    type Response = Response<Body>;
    type Error = Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> ResponseFuture {
        match self {
            Self::Step(step) => step.call(request),
            Self::Next(next) => next.call(request),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, rc::Rc};

    use tower::service_fn;

    use super::*;

    type Seen = Rc<RefCell<Vec<&'static str>>>;

    /// A step that notes its name and hands the request on.
    #[derive(Clone)]
    struct Noting<S> {
        name: &'static str,
        seen: Seen,
        next: S,
    }

    impl<S> Layer<S> for Noting<()> {
        type Service = Noting<S>;

        fn layer(&self, next: S) -> Noting<S> {
            Noting { name: self.name, seen: Rc::clone(&self.seen), next }
        }
    }

    impl<S: Next> Service<Request> for Noting<S> {
        type Response = Response<Body>;
        type Error = Error;
        type Future = ResponseFuture;

        fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Error>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: Request) -> ResponseFuture {
            self.seen.borrow_mut().push(self.name);
            self.next.call(request)
        }
    }

    #[tokio::test]
    async fn every_step_that_is_there_is_taken_in_order_whichever_others_are_missing() {
        for mask in 0..8_u8 {
            let seen = Seen::default();
            let step = |bit: u8, name| {
                (mask & (1 << bit) != 0).then(|| Noting { name, seen: Rc::clone(&seen), next: () })
            };
            let end =
                BoxService::new(service_fn(async |_: Request| Ok::<_, Error>(Response::new(Body::Empty))));
            let steps = Steps::default().then(step(0, "a")).then(step(1, "b")).then(step(2, "c"));
            let is_empty = steps.is_empty;
            steps.around(end).answer(http::Request::new(Body::Empty).into()).await.unwrap();
            let names = ["a", "b", "c"];
            let wanted: Vec<_> = (0..3).filter(|bit| mask & (1 << bit) != 0).map(|bit| names[bit]).collect();
            assert_eq!((&*seen.borrow(), is_empty), (&wanted, mask == 0));
        }
    }
}
