//! How an endpoint handles one request.

use std::future::pending;
use std::io;

use fastrand::Rng;
use http::header::{CONTENT_LENGTH, RETRY_AFTER};
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::sleep;

use super::behaviour::{Behaviour, Fail, Reset, ResetAt};
use super::endpoint::Endpoint;
use crate::content::{self, CHECKSUM_HEADER, Content};
use crate::load::ID_HEADER;
use crate::origin::abort::{Aborted, Wishes};
use crate::origin::body::{Body, Paced, boxed, full};

/// The path of health checks.
pub const CHECK_PATH: &str = "/healthz";

/// The outcome of one request, drawn when it arrives.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Good,
    Fail(Fail),
    Hang,
    Reset(ResetAt),
}

impl Fate {
    /// One draw for all outcomes, so that their percentages add up.
    fn draw(behaviour: &Behaviour, rng: &mut Rng) -> Self {
        let mut left = rng.f64() * 100.0;
        let mut falls_to = |percent: f64| {
            left -= percent;
            left < 0.0
        };
        if falls_to(behaviour.hang) {
            return Self::Hang;
        }
        match (behaviour.reset, behaviour.fail) {
            (Some(Reset { percent, at }), _) if falls_to(percent) => Self::Reset(at),
            (_, Some(fail)) if falls_to(fail.percent) => Self::Fail(fail),
            _ => Self::Good,
        }
    }
}

/// Handles one request. An error closes the connection (HTTP/2: resets the stream) without a
/// response.
pub(super) async fn answer(
    endpoint: &Endpoint,
    wishes: &Wishes,
    request: Request<Incoming>,
) -> io::Result<Response<Body>> {
    let (counters, index) = (&endpoint.counters, endpoint.index);
    let behaviour = endpoint.behaviour();
    let is_check = request.uri().path() == CHECK_PATH;
    let id = request
        .headers()
        .get(ID_HEADER)
        .and_then(|id| id.to_str().ok()?.parse().ok());
    if is_check {
        counters.count(index, |received| received.checks += 1);
        if !behaviour.same_checks {
            return Ok(Response::new(full("")));
        }
    } else {
        counters.request(index, id);
    }
    let version = request.version();
    let mut body = request.into_body();
    while let Some(frame) = body.frame().await {
        frame.map_err(io::Error::other)?;
    }
    let (fate, latency) =
        endpoint.draw(|rng| (Fate::draw(&behaviour, rng), behaviour.latency.draw(rng)));
    if fate == Fate::Hang {
        counters.count(index, |received| received.hung += u64::from(!is_check));
        return pending().await;
    }
    let slot = endpoint.slot(&behaviour).await;
    if !latency.is_zero() {
        sleep(latency).await;
    }
    drop(slot);
    match fate {
        Fate::Reset(ResetAt::Head) => {
            counters.count(index, |received| received.reset += u64::from(!is_check));
            wishes.reset_when_flushed();
            Err(io::ErrorKind::ConnectionReset.into())
        }
        Fate::Reset(ResetAt::Body) => {
            counters.count(index, |received| received.reset += u64::from(!is_check));
            let half = boxed(Aborted::after(behaviour.body / 2, version, wishes.clone()));
            Ok(sized(&behaviour, half))
        }
        Fate::Fail(Fail { status, .. }) => {
            counters.count(index, |received| received.failed += u64::from(!is_check));
            let mut response = Response::new(full("injected failure\n"));
            *response.status_mut() = status;
            if let Some(seconds) = behaviour.retry_after {
                response
                    .headers_mut()
                    .insert(RETRY_AFTER, HeaderValue::from(seconds));
            }
            Ok(response)
        }
        Fate::Hang | Fate::Good => {
            if !is_check {
                counters.good(index, id);
            }
            Ok(sized(&behaviour, whole(&behaviour)))
        }
    }
}

fn whole(behaviour: &Behaviour) -> Body {
    match behaviour.drip {
        Some(drip) => {
            let mut content =
                Content::in_frames(behaviour.body, behaviour.body.div_ceil(drip.chunks));
            boxed(Paced::new(
                std::iter::from_fn(move || content.next_frame()),
                drip.pause,
            ))
        }
        None => boxed(Content::new(behaviour.body)),
    }
}

/// Announces the whole body, even if only a part is sent.
fn sized(behaviour: &Behaviour, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let checksum = content::hex(content::checksum(behaviour.body));
    let checksum =
        HeaderValue::from_str(&checksum).expect("hexadecimal digits are valid in a header");
    response
        .headers_mut()
        .insert(CONTENT_LENGTH, HeaderValue::from(behaviour.body));
    response.headers_mut().insert(CHECKSUM_HEADER, checksum);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fates_come_as_often_as_their_percentages_say() {
        let behaviour: Behaviour = "hang=10% reset=20%:body fail=30%:502".parse().unwrap();
        let mut rng = Rng::with_seed(7);
        let mut counts = [0_u32; 4];
        for _ in 0..10_000 {
            let fate = match Fate::draw(&behaviour, &mut rng) {
                Fate::Hang => 0,
                Fate::Reset(ResetAt::Body) => 1,
                Fate::Fail(Fail { status, .. }) if status.as_u16() == 502 => 2,
                Fate::Good => 3,
                other => panic!("{other:?}"),
            };
            counts[fate] += 1;
        }
        for (count, expected) in counts.into_iter().zip([1_000, 2_000, 3_000, 4_000]) {
            assert!(count.abs_diff(expected) < 200, "{counts:?}");
        }
    }

    #[test]
    fn a_hundred_percent_leaves_nothing_to_chance() {
        let mut rng = Rng::with_seed(7);
        let behaviour: Behaviour = "fail=100%".parse().unwrap();
        assert!((0..10_000).all(|_| matches!(Fate::draw(&behaviour, &mut rng), Fate::Fail(_))));
        assert!((0..10_000).all(|_| Fate::draw(&Behaviour::default(), &mut rng) == Fate::Good));
    }
}
