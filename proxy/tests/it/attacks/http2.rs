//! The limits of HTTP/2 by their numbers: the last that is allowed, and the first that is not. Frames are written by hand.

use super::*;
use crate::support::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR, Field,
    Frames, HEADERS, Outcome, PING, REFUSED_STREAM, RST_STREAM, SETTINGS, WINDOW_UPDATE, block,
    frame,
};

pub(super) const GET: [Field<'static>; 4] = [
    (b":method", b"GET"),
    (b":scheme", b"http"),
    (b":authority", b"a"),
    (b":path", b"/delay/500"),
];
pub(super) const POST: [Field<'static>; 4] = [
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":authority", b"a"),
    (b":path", b"/sink"),
];

/// Odd numbers, as a client has them.
pub(super) fn streams() -> impl Iterator<Item = u32> {
    (0..).map(|n| 2 * n + 1)
}

pub(super) fn get(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&GET))
}

/// HEADERS and RST_STREAM right behind it.
pub(super) fn rapid_reset(stream: u32) -> Vec<u8> {
    [get(stream), frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
}

/// HEADERS and a window that overflows, which resets the stream.
pub(super) fn made_to_reset(stream: u32) -> Vec<u8> {
    [
        get(stream),
        frame(WINDOW_UPDATE, 0, stream, &[0x7f, 0xff, 0xff, 0xff]),
    ]
    .concat()
}

/// A request, and how that ends.
fn ask(client: &mut Frames, stream: u32) -> Outcome {
    client.headers(stream, &[GET[0], GET[1], GET[2], (b":path", b"/")], true);
    client.outcome(stream)
}

const CALM: Outcome = Outcome::GoAway(ENHANCE_YOUR_CALM);

/// `docs/security.md`, "Limits": the numbers themselves. The first SETTINGS of the client counts.
#[test]
fn pings_and_settings_that_are_just_allowed_are_served_and_one_more_ends_the_connection() {
    let siege = Siege::new("");
    for (reason, just, next) in [
        ("limit.http2_pings", 100, frame(PING, 0, 0, &[0; 8])),
        ("limit.http2_settings", 19, frame(SETTINGS, 0, 0, &[])),
    ] {
        for (count, outcome) in [(just, Outcome::Status(200)), (just + 1, CALM)] {
            let mut client = Frames::connect(siege.proxy.inbound());
            client.send(&next.repeat(count));
            assert_eq!(ask(&mut client, 1), outcome, "{count}, {reason}");
        }
        siege.wait_rejected(reason, 1.0);
        let line = siege.proxy.logged(|line| line["reason"] == reason);
        assert_eq!(
            (&line["flag"], &line["protocol"]),
            (&"LIM".into(), &"HTTP/2".into()),
            "{line}"
        );
    }
}

/// `docs/security.md`, "Limits": the number itself, for resets that we are made to send.
#[test]
fn resets_that_are_just_allowed_are_served_and_one_more_ends_the_connection() {
    let siege = Siege::new("");
    for (count, outcome) in [(200, Outcome::Status(200)), (201, CALM)] {
        let mut client = Frames::connect(siege.proxy.inbound());
        for stream in streams().take(count) {
            client.send(&made_to_reset(stream));
            assert_eq!(
                client.outcome(stream),
                Outcome::Reset(FLOW_CONTROL_ERROR),
                "{stream}"
            );
        }
        assert_eq!(ask(&mut client, 1001), outcome, "{count}");
    }
    siege.wait_rejected("limit.http2_resets", 1.0);
}

/// `docs/security.md` 17: each kind of excess has its reason.
#[test]
fn what_is_too_much_is_logged_by_its_reason() {
    let siege = Siege::new("");
    let begin = [
        frame(HEADERS, END_HEADERS, 1, &block(&POST)),
        frame(HEADERS, END_STREAM, 1, &block(&GET)),
    ];
    let [post, get] = &begin;
    let unfolding = [
        &block(&GET)[..],
        &[0x40],
        &block(&[(b"x", &[b'y'; 3900])])[1..],
        &[0xbe; 200],
    ]
    .concat();
    for (reason, begin, next) in [
        ("limit.http2_data", &post[..], frame(DATA, 0, 1, &[])),
        (
            "limit.http2_continuation",
            &get[..],
            frame(CONTINUATION, 0, 1, &[]),
        ),
        (
            "limit.headers",
            &[],
            frame(HEADERS, END_HEADERS | END_STREAM, 1, &unfolding),
        ),
        (
            "limit.http2_resets",
            &[],
            streams().take(21).flat_map(rapid_reset).collect(),
        ),
    ] {
        let count = siege.rejected(reason);
        let mut client = Frames::connect(siege.proxy.inbound());
        client.send(begin);
        client.send(&next.repeat(if next.len() < 100 { 300 } else { 1 }));
        assert_eq!(
            client.outcome(1),
            Outcome::GoAway(ENHANCE_YOUR_CALM),
            "{reason}"
        );
        siege.wait_rejected(reason, count + 1.0);
    }
}

/// `docs/security.md` 17.
#[test]
pub(super) fn streams_that_are_reset_slowly_are_too_many_as_well() {
    let siege = Siege::new("");
    let mut client = Frames::connect(siege.proxy.inbound());
    let mut sent = 0;
    for (n, stream) in streams().enumerate().take(400) {
        let before = siege.origin.hits();
        if !client.send(&get(stream)) {
            break;
        }
        sent = n + 1;
        let arrived = || {
            (siege.origin.hits() > before || siege.rejected("limit.http2_resets") > 0.5)
                .then_some(())
        };
        wait_for("the request to arrive", arrived);
        client.frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]);
    }
    assert_eq!(
        client.outcome(sent as u32 * 2 + 1),
        Outcome::GoAway(ENHANCE_YOUR_CALM)
    );
    assert!((201..210).contains(&sent), "{sent}");
    siege.wait_rejected("limit.http2_resets", 1.0);
}

/// `docs/security.md`, "Limits": the client has read no SETTINGS of ours yet, so it may not know better.
#[test]
pub(super) fn streams_over_the_limit_are_refused_and_counted() {
    let siege = Siege::new(", limits: { streams: 10 }");
    let mut client = Frames::connect(siege.proxy.inbound());
    client.send(&streams().take(12).flat_map(get).collect::<Vec<_>>());
    assert_eq!(client.outcome(21), Outcome::Reset(REFUSED_STREAM));
    siege.wait_rejected("limit.streams", 2.0);
    assert_eq!(client.outcome(19), Outcome::Status(200));
    assert_eq!(siege.origin.hits(), 10);
    assert_eq!(ask(&mut client, 25), Outcome::Status(200));
}

/// Who cancels less than every second stream may go on.
#[test]
fn a_client_that_cancels_much_and_takes_more_is_served() {
    let siege = Siege::new("");
    let mut client = Frames::connect(siege.proxy.inbound());
    for stream in streams().take(900) {
        if stream % 4 == 1 || stream % 8 == 3 {
            client.headers(stream, &[GET[0], GET[1], GET[2], (b":path", b"/")], true);
            assert_eq!(client.outcome(stream), Outcome::Status(200), "{stream}");
        } else {
            client.send(&rapid_reset(stream));
        }
    }
    assert_eq!(siege.rejected("limit.http2_resets"), 0.0);
}

/// gRPC clients ask often, while something moves.
#[test]
fn pings_are_free_while_answers_move() {
    let siege = Siege::new("");
    let mut client = Frames::connect(siege.proxy.inbound());
    for stream in streams().take(500) {
        client.headers(stream, &[GET[0], GET[1], GET[2], (b":path", b"/")], true);
        assert_eq!(client.outcome(stream), Outcome::Status(200), "{stream}");
        client.frame(PING, 0, 0, &[0; 8]);
    }
    assert_eq!(siege.rejected("limit.http2_pings"), 0.0);
}

/// `docs/security.md`, "Limits": the time for a head holds for HTTP/2 as well.
#[test]
fn heads_that_stop_midway() {
    let siege = Siege::new(", timeouts: { requestHeaders: 500ms, idle: 60s }");
    let head = get(1);
    let begin = frame(HEADERS, END_STREAM, 1, &block(&GET));
    for bytes in [&head[..5], &head[..head.len() - 1], &begin[..]] {
        let mut client = Frames::connect(siege.proxy.inbound());
        client.send(bytes);
        assert_eq!(client.outcome(1), CALM);
    }
    let reason = "timeout.request_headers";
    siege.wait_rejected(reason, 3.0);
    let line = siege.proxy.logged(|line| line["reason"] == reason);
    assert_eq!(
        (&line["status"], &line["flag"]),
        (&0.into(), &"SLOW".into()),
        "{line}"
    );
}
