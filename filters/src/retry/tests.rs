use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use outrigger_config::{
    load_str,
    model::{Backoff, Percent, Retry, RetryBudget},
};
use tokio::time::Instant;

use super::{budget::RESERVE, *};
use crate::{error::Error, service::Body};

fn policy(block: &str) -> Policy {
    let text = format!("app: {{ port: 1 }}\nroutes: [{{ name: r, retry: {block} }}]\n");
    let loaded = load_str("t", &text, &|_: &str| None);
    let config = loaded
        .unwrap_or_else(|error| panic!("{}", error.render(false)))
        .config;
    let retry: &Retry = config.routes[0].retry.as_ref().unwrap();
    Policy::new(retry)
}

// === which requests and failures ===

#[test]
fn methods_that_may_go_again_are_the_idempotent_ones_or_those_that_are_named() {
    let all = [
        "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "POST", "PATCH", "PROPFIND",
    ];
    for (block, taken) in [
        ("{}", &all[..6]),
        ("{ methods: idempotent }", &all[..6]),
        ("{ methods: any }", &all[..]),
        ("{ methods: [GET, POST] }", &["GET", "POST"]),
    ] {
        let policy = policy(block);
        for method in all {
            let named = Method::from_bytes(method.as_bytes()).unwrap();
            assert_eq!(
                policy.takes(&named, &HeaderMap::new()),
                taken.contains(&method),
                "{block} {method}"
            );
            let mut headers = HeaderMap::new();
            headers.insert("idempotency-key", HeaderValue::from_static("\"8e03978e\""));
            assert!(
                policy.takes(&named, &headers),
                "{block} {method} with a key"
            );
            assert!(is_idempotent(&named, &headers));
            assert_eq!(
                is_idempotent(&named, &HeaderMap::new()),
                all[..6].contains(&method)
            );
        }
    }
}

/// docs/security.md 19.
#[test]
fn what_may_have_reached_an_endpoint_goes_again_only_where_that_is_allowed() {
    use Failure::*;
    let (all, none) = (policy("{}"), policy("{ conditions: [], codes: [503] }"));
    // The failure, then: without `retry`, with it, with it for a request that must not go twice, without conditions.
    for (failure, unasked_for, taken, not_taken, without) in [
        (NotConnected, true, true, true, false),
        (Refused, true, true, true, false),
        (Unsent, true, true, true, true),
        (Stale, true, true, true, true),
        (Broken, false, true, false, false),
        (TimedOut, false, true, false, false),
        (Final, false, false, false, false),
    ] {
        assert_eq!(unasked(failure).is_some(), unasked_for, "{failure:?}");
        assert_eq!(
            all.after_failure(failure, true).is_some(),
            taken,
            "{failure:?}"
        );
        assert_eq!(
            all.after_failure(failure, false).is_some(),
            not_taken,
            "{failure:?}"
        );
        assert_eq!(
            none.after_failure(failure, true).is_some(),
            without,
            "{failure:?}"
        );
    }
}

#[test]
fn each_condition_stands_for_one_failure() {
    use Failure::*;
    for (condition, wanted) in [
        ("connectFailure", NotConnected),
        ("refusedStream", Refused),
        ("reset", Broken),
        ("timeout", TimedOut),
    ] {
        let policy = policy(&format!("{{ conditions: [{condition}] }}"));
        for failure in [NotConnected, Refused, Broken, TimedOut] {
            assert_eq!(
                policy.after_failure(failure, true).is_some(),
                failure == wanted,
                "{condition}"
            );
        }
    }
}

#[test]
fn answers_are_judged_by_status_and_grpc_status_and_never_when_a_peer_is_overloaded() {
    let policy = policy("{ codes: [502, 503], grpcCodes: [unavailable, cancelled] }");
    let head = |fields: &[(&'static str, &'static str)]| {
        HeaderMap::from_iter(
            fields
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))),
        )
    };
    for (status, fields, taken, expected) in [
        (503, &[][..], true, Some(RetryReason::Code)),
        (502, &[], true, Some(RetryReason::Code)),
        (500, &[], true, None),
        (200, &[], true, None),
        (503, &[], false, None),
        (503, &[("x-outrigger-overloaded", "true")], true, None),
        (
            503,
            &[("x-outrigger-overloaded", "no")],
            true,
            Some(RetryReason::Code),
        ),
        (
            200,
            &[("grpc-status", "14")],
            true,
            Some(RetryReason::GrpcCode),
        ),
        (
            200,
            &[("grpc-status", "1")],
            true,
            Some(RetryReason::GrpcCode),
        ),
        (200, &[("grpc-status", "4")], true, None),
        (200, &[("grpc-status", "0")], true, None),
        (200, &[("grpc-status", "14")], false, None),
        (
            200,
            &[("grpc-status", "14"), ("x-outrigger-overloaded", "true")],
            true,
            None,
        ),
    ] {
        let status = StatusCode::from_u16(status).unwrap();
        assert_eq!(
            policy.after_answer(status, &head(fields), taken),
            expected,
            "{status} {fields:?} {taken}"
        );
    }
}

// === budget ===

fn budget(percent: u32, min_per_second: u32, start: Instant) -> Budget {
    Budget::new(
        RetryBudget::new(Percent::of_million(percent * 10_000), min_per_second),
        start,
    )
}

/// Offered requests at an even rate, all of which fail and ask for `attempts` more attempts.
fn storm(budget: &Budget, start: Instant, rate: u32, seconds: u32, attempts: u32) -> u32 {
    let mut retries = 0;
    for request in 0..rate * seconds {
        let now = start + Duration::from_secs(1) * request / rate;
        budget.earn();
        retries += (0..attempts).take_while(|_| budget.spend(now)).count() as u32;
    }
    retries
}

#[test]
fn a_storm_gets_a_fifth_more_and_the_minimum_and_not_its_attempts() {
    let start = Instant::now();
    for (rate, seconds) in [(1_000, 60), (10_000, 5), (100, 60), (1, 600)] {
        for attempts in [1, 10] {
            let retries = storm(&budget(20, 10, start), start, rate, seconds, attempts);
            let most = rate * seconds / 5 + 10 * seconds + 10;
            assert!(
                retries <= most,
                "{rate}/s for {seconds}s: {retries} retries, at most {most}"
            );
            // And it is not stingy: what is allowed is given, as far as it is asked for.
            let wanted = (rate * seconds * attempts).min(rate * seconds / 5 + 10 * seconds);
            assert!(
                retries + 15 >= wanted,
                "{rate}/s for {seconds}s: {retries} retries of {wanted}"
            );
        }
    }
}

#[test]
fn a_tenth_of_failures_is_always_paid_for() {
    let start = Instant::now();
    let budget = budget(20, 10, start);
    for request in 0..100_000_u32 {
        budget.earn();
        assert!(request % 10 != 0 || budget.spend(start + Duration::from_millis(request.into())));
    }
}

#[test]
fn what_a_long_good_time_leaves_is_a_fixed_number() {
    let start = Instant::now();
    let budget = budget(20, 0, start);
    (0..1_000_000).for_each(|_| budget.earn());
    let now = start + Duration::from_secs(1_000);
    assert_eq!(
        (0..1_000).filter(|_| budget.spend(now)).count() as u64,
        RESERVE / 1_000_000
    );
}

#[test]
fn a_minimum_that_was_not_used_is_not_kept_beyond_a_second() {
    let start = Instant::now();
    let budget = budget(0, 10, start);
    budget.earn();
    for seconds in [0, 1, 100] {
        let now = start + Duration::from_secs(seconds);
        assert_eq!(
            (0..100).filter(|_| budget.spend(now)).count(),
            10,
            "after {seconds}s"
        );
    }
    let now = start + Duration::from_millis(100_250);
    assert_eq!(
        (0..100).filter(|_| budget.spend(now)).count(),
        2,
        "a quarter of a second later"
    );
}

#[test]
fn a_budget_of_nothing_pays_for_nothing() {
    let start = Instant::now();
    let budget = budget(0, 0, start);
    budget.earn();
    assert!(!budget.spend(start + Duration::from_secs(100)));
}

#[test]
fn threads_share_one_budget() {
    let start = Instant::now();
    let budget = &budget(20, 10, start);
    let retries: u32 = std::thread::scope(|scope| {
        let worker = || storm(budget, start, 1_000, 10, 3);
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(worker)).collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap())
            .sum()
    });
    let most = 4 * 10_000 / 5 + 10 * 10 + 10;
    assert!(
        retries <= most && retries + 200 >= most,
        "{retries} of {most}"
    );
}

// === how long to wait ===

#[test]
fn pauses_double_up_to_the_longest_and_are_a_random_part_of_that() {
    let backoff = Backoff::new(Duration::from_millis(25), Duration::from_millis(250));
    for (retries, millis) in [
        (0, 25),
        (1, 50),
        (2, 100),
        (3, 200),
        (4, 250),
        (9, 250),
        (u32::MAX, 250),
    ] {
        assert_eq!(
            pause(backoff, retries, 1.0),
            Duration::from_millis(millis),
            "{retries}"
        );
        assert_eq!(
            pause(backoff, retries, 0.5),
            Duration::from_millis(millis) / 2,
            "{retries}"
        );
        assert_eq!(pause(backoff, retries, 0.0), Duration::ZERO, "{retries}");
    }
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
    for (value, seconds) in [
        ("0", Some(0)),
        ("120", Some(120)),
        (" 3 ", Some(3)),
        ("99999999999999999999999", Some(1 << 32)),
        ("Sun, 06 Nov 1994 08:49:37 GMT", Some(7)),
        ("Sunday, 06-Nov-94 08:49:37 GMT", Some(7)),
        ("Sun Nov  6 08:49:37 1994", Some(7)),
        ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("Sun, 99 Nov 1994 08:49:37 GMT", None),
    ] {
        let headers =
            HeaderMap::from_iter([(http::header::RETRY_AFTER, HeaderValue::from_static(value))]);
        assert_eq!(
            retry_after(&headers, now),
            seconds.map(Duration::from_secs),
            "{value:?}"
        );
    }
    assert_eq!(retry_after(&HeaderMap::new(), now), None);
}

// === the kept body ===

/// A body of frames; an empty place is a frame that is not there yet.
struct Script {
    frames: VecDeque<Option<Frame<Bytes>>>,
    length: Option<u64>,
}

impl HttpBody for Script {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match self.frames.pop_front() {
            Some(None) => Poll::Pending,
            Some(Some(frame)) => {
                if let (Some(left), Some(data)) = (self.length.as_mut(), frame.data_ref()) {
                    *left -= data.len() as u64;
                }
                Poll::Ready(Some(Ok(frame)))
            }
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty() && self.length.is_some()
    }

    fn size_hint(&self) -> SizeHint {
        self.length
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

fn data(text: &'static str) -> Option<Frame<Bytes>> {
    Some(Frame::data(Bytes::from_static(text.as_bytes())))
}

fn script(frames: Vec<Option<Frame<Bytes>>>, length: Option<u64>) -> Body {
    Body::boxed(Script {
        frames: frames.into(),
        length,
    })
}

fn poll(body: &mut Body) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
    Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()))
}

/// What there is of a body now, its trailers in brackets, and whether it has ended, waits or failed.
fn read(body: &mut Body) -> (String, &'static str) {
    let mut text = String::new();
    loop {
        match poll(body) {
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => text.push_str(std::str::from_utf8(&data).unwrap()),
                Err(frame) => text.push_str(&format!("[{}]", frame.into_trailers().unwrap().len())),
            },
            Poll::Ready(Some(Err(_))) => return (text, "failed"),
            Poll::Ready(None) => return (text, "ended"),
            Poll::Pending => return (text, "waits"),
        }
    }
}

#[test]
fn each_try_sends_what_was_kept_and_then_what_comes() {
    for length in [None, Some(9)] {
        let kept = Kept::new(
            script(
                vec![data("abc"), None, data("def"), None, data("ghi")],
                length,
            ),
            64,
        );
        let (mut first, _) = kept.next_try();
        assert_eq!(first.size_hint().exact(), length);
        assert_eq!(read(&mut first), ("abc".into(), "waits"));
        assert!(kept.is_whole() && !kept.is_complete());
        let (mut second, _) = kept.next_try();
        assert_eq!(
            second.size_hint().exact(),
            length,
            "the whole length, also of a second try"
        );
        assert_eq!(read(&mut second), ("abcdef".into(), "waits"));
        assert_eq!(
            read(&mut first).1,
            "failed",
            "the body of the first attempt fails"
        );
        assert_eq!(read(&mut second), ("ghi".into(), "ended"));
        assert!(kept.is_whole() && kept.is_complete());
        let (mut third, _) = kept.next_try();
        assert_eq!(third.size_hint().exact(), Some(9));
        assert_eq!(read(&mut third), ("abcdefghi".into(), "ended"));
        assert!(third.is_end_stream());
    }
}

#[test]
fn a_body_over_the_limit_streams_on_and_is_not_sent_again() {
    for (limit, whole) in [(9, true), (8, false), (0, false)] {
        let kept = Kept::new(
            script(vec![data("abc"), data("def"), data("ghi")], None),
            limit,
        );
        assert_eq!(read(&mut kept.next_try().0), ("abcdefghi".into(), "ended"));
        assert_eq!(
            (kept.is_whole(), kept.is_complete()),
            (whole, whole),
            "{limit}"
        );
    }
    // One that says so itself is not kept at all, but may still go again while no attempt has read from it.
    let kept = Kept::new(script(vec![data("abc"), data("def")], Some(6)), 5);
    drop(kept.next_try());
    assert!(kept.is_whole());
    assert_eq!(read(&mut kept.next_try().0), ("abcdef".into(), "ended"));
    assert!(!kept.is_whole());
}

#[test]
fn trailers_are_kept_as_well() {
    let mut fields = HeaderMap::new();
    fields.insert("x-checksum", HeaderValue::from_static("1"));
    let kept = Kept::new(
        script(vec![data("abc"), Some(Frame::trailers(fields))], None),
        64,
    );
    assert_eq!(read(&mut kept.next_try().0), ("abc[1]".into(), "ended"));
    let (mut again, _) = kept.next_try();
    assert!(!again.is_end_stream());
    assert_eq!(read(&mut again), ("abc[1]".into(), "ended"));
}

#[test]
fn two_tries_beside_each_other_send_the_same_until_one_is_the_one() {
    let kept = Kept::new(script(vec![data("abc"), data("def")], None), 64);
    let (mut first, _) = kept.next_try();
    assert_eq!(read(&mut first), ("abcdef".into(), "ended"));
    let (mut second, turn) = kept.beside();
    let (mut late, _) = kept.beside();
    assert_eq!(read(&mut second), ("abcdef".into(), "ended"));
    assert_eq!(read(&mut first).1, "ended", "it is still in the race");
    kept.settle(turn);
    assert_eq!(read(&mut late).1, "failed");
}

#[test]
fn nothing_is_kept_once_a_try_is_the_one() {
    let kept = Kept::new(script(vec![data("abc"), None, data("def")], None), 64);
    let (mut body, turn) = kept.next_try();
    assert_eq!(read(&mut body), ("abc".into(), "waits"));
    kept.settle(turn);
    assert_eq!(read(&mut body), ("def".into(), "ended"));
    assert!(!kept.is_whole());
}

#[test]
fn all_bodies_end_when_no_attempt_has_the_response() {
    let kept = Kept::new(script(vec![data("abc"), None, data("def")], None), 64);
    let (mut body, turn) = kept.next_try();
    assert!(turn.is_some());
    assert_eq!(read(&mut body), ("abc".into(), "waits"));
    kept.settle(None);
    assert_eq!(read(&mut body).1, "failed");
}

#[test]
fn a_request_without_a_body_needs_no_keeping() {
    let kept = Kept::new(Body::Empty, 0);
    for _ in 0..3 {
        assert!(matches!(kept.next_try().0, Body::Empty));
        assert!(kept.is_whole() && kept.is_complete());
    }
}
