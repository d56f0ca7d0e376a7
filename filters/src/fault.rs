//! `fault`: injects delays and failures, for tests of resilience.
//!
//! The step is where an upstream's own delays and failures would occur: after every decision,
//! inside the timeout of the whole request, outside of attempts, so that no retry hides it.

use std::{
    future::Future,
    pin::Pin,
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use futures_util::future::Either;
use http::{Response, StatusCode};
use outrigger_config::model::{Fault as Model, Percent};
use tower::{Layer, Service};

use crate::{
    error::Error,
    reason::Reason,
    service::{Body, HttpService, Request},
};

/// What is injected into one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Verdict {
    delay: Option<Duration>,
    abort: Option<StatusCode>,
}

/// Delays and failures for a percentage of the requests each, drawn independently.
#[derive(Debug, Clone)]
pub struct FaultLayer(Model);

impl FaultLayer {
    /// `fault` of a route.
    pub fn new(model: &Model) -> Self {
        Self(model.clone())
    }
}

impl<S> Layer<S> for FaultLayer {
    type Service = Fault<S>;

    fn layer(&self, inner: S) -> Fault<S> {
        Fault {
            model: self.0.clone(),
            inner,
        }
    }
}

/// Delays and failures for a percentage of the requests each.
#[derive(Debug, Clone)]
pub struct Fault<S> {
    model: Model,
    inner: S,
}

/// `draw` returns a number below 1 000 000.
fn decide(model: &Model, mut draw: impl FnMut() -> u32) -> Verdict {
    let mut falls_on = |share: Percent| draw() < share.per_million();
    Verdict {
        delay: model
            .delay
            .filter(|(_, share)| falls_on(*share))
            .map(|(time, _)| time),
        abort: model
            .abort
            .filter(|(_, share)| falls_on(*share))
            .map(|(status, _)| status),
    }
}

type Faulty = Pin<Box<dyn Future<Output = Result<Response<Body>, Error>>>>;

impl<S: HttpService> Service<Request> for Fault<S>
where
    S::Future: 'static,
{
    type Response = Response<Body>;
    type Error = Error;
    type Future = Either<S::Future, Faulty>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let verdict = decide(&self.model, || fastrand::u32(..1_000_000));
        if verdict
            == (Verdict {
                delay: None,
                abort: None,
            })
        {
            return Either::Left(self.inner.call(request));
        }
        let mut this = self.clone();
        Either::Right(Box::pin(async move {
            if let Some(delay) = verdict.delay {
                tokio::time::sleep(delay).await;
            }
            if let Some(status) = verdict.abort {
                return Err(Error::FaultInjected(status));
            }
            let context = std::rc::Rc::clone(&request.context);
            let answered = this.inner.call(request).await;
            if answered.is_ok() {
                context.blame(Reason::FaultDelay); // if the request fails later, that reason is logged instead
            }
            answered
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::Flag;

    #[test]
    fn each_share_is_drawn_by_itself_and_nothing_is_a_share_of_none() {
        let percent = Percent::of_million;
        let delay = Some((Duration::from_millis(100), percent(10_000)));
        let abort = Some((StatusCode::SERVICE_UNAVAILABLE, percent(500_000)));
        for (model, draws, expected) in [
            (Model::new(delay, abort), vec![9_999, 499_999], (true, true)),
            (
                Model::new(delay, abort),
                vec![10_000, 499_999],
                (false, true),
            ),
            (Model::new(delay, abort), vec![0, 500_000], (true, false)),
            (Model::new(delay, None), vec![0], (true, false)),
            (Model::new(None, abort), vec![0], (false, true)),
            (
                Model::new(delay.map(|(time, _)| (time, percent(0))), None),
                vec![0],
                (false, false),
            ),
            (
                Model::new(delay.map(|(time, _)| (time, percent(1_000_000))), None),
                vec![999_999],
                (true, false),
            ),
        ] {
            let mut draws = draws.into_iter();
            let verdict = decide(&model, || draws.next().unwrap());
            assert_eq!(
                (verdict.delay.is_some(), verdict.abort.is_some()),
                expected,
                "{model:?}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_delay_is_served_before_the_upstream_is_asked_and_told_in_the_log() {
        let all = Percent::of_million(1_000_000);
        let delay = Duration::from_secs(3);
        let mut service = FaultLayer::new(&Model::new(Some((delay, all)), None)).layer(
            tower::service_fn(async |_: Request| Ok(Response::new(Body::Empty))),
        );
        let request: Request = http::Request::new(Body::Empty).into();
        let context = std::rc::Rc::clone(&request.context);
        let begun = tokio::time::Instant::now();
        assert_eq!(service.call(request).await.unwrap().status(), 200);
        assert_eq!(begun.elapsed(), delay);
        assert_eq!(
            (context.flag(), context.reason.get()),
            (Flag::Di, Some(Reason::FaultDelay))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_abort_never_reaches_the_upstream() {
        let all = Percent::of_million(1_000_000);
        let mut service = FaultLayer::new(&Model::new(None, Some((StatusCode::BAD_GATEWAY, all))))
            .layer(tower::service_fn(async |_: Request| {
                panic!("the upstream was asked")
            }));
        let error = service
            .call(http::Request::new(Body::Empty).into())
            .await
            .unwrap_err();
        assert_eq!(
            (error.status(), error.flag()),
            (StatusCode::BAD_GATEWAY, Flag::Fi)
        );
    }
}
