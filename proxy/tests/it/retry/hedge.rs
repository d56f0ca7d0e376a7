//! Hedging: a second try in parallel to a slow first one.

use super::*;
use crate::support::wait_for;

const BALANCER: &str = ", loadBalancer: { policy: roundRobin }";

fn hedges(proxy: &Proxy, result: &str) -> f64 {
    proxy.metric(&format!(
        "outrigger_hedges_total{{upstream=\"u\",result=\"{result}\"}}"
    ))
}

/// An app that hangs on every request, and counts connections that were closed on it meanwhile.
fn hanging() -> (App, Arc<AtomicUsize>) {
    let closed = Arc::<AtomicUsize>::default();
    let shared = Arc::clone(&closed);
    let app = App::start(move |mut wire, _| {
        wire.rest();
        shared.fetch_add(1, Ordering::SeqCst);
    });
    (app, closed)
}

#[test]
fn the_first_answer_wins_and_the_other_try_is_cut() {
    let ((slow, closed), fast) = (hanging(), Recording::ok());
    let proxy = proxy(
        &[slow.port(), fast.port()],
        BALANCER,
        ", hedge: { after: 50ms, maxPercent: 100 }",
    );
    let mut wire = Wire::connect(proxy.inbound());
    for _ in 0..10 {
        assert_eq!(wire.ask(GET).1, "ok");
    }
    let began_slow = slow.connections();
    assert_eq!(began_slow, 5, "every other one begins at the slow endpoint");
    assert_eq!(
        fast.messages().len(),
        10,
        "nothing comes twice where it was answered"
    );
    wait_for("the slow tries to be cut", || {
        (closed.load(Ordering::SeqCst) == began_slow).then_some(())
    });
    let line = proxy.logged(|line| line["attempts"] == 2);
    assert_eq!(line["endpoint"], format!("127.0.0.1:{}", fast.port()));
    assert!((hedges(&proxy, "won") - began_slow as f64).abs() < 0.5);
    let counts: Vec<String> = fast
        .messages()
        .iter()
        .map(|message| count(message).to_owned())
        .collect();
    assert_eq!(
        counts.iter().filter(|count| *count == "2").count(),
        began_slow
    );
}

#[test]
fn both_tries_are_the_same_request() {
    let silent = Recording::answering(|_| Act::Answer(Vec::new()));
    let fast = Recording::ok();
    let proxy = proxy(
        &[silent.port(), fast.port()],
        BALANCER,
        ", hedge: { after: 50ms, maxPercent: 100 }",
    );
    let mut wire = Wire::connect(proxy.inbound());
    for _ in 0..2 {
        assert_eq!(
            wire.ask("GET /a HTTP/1.1\r\nhost: a\r\nx-mine: 1\r\n\r\n")
                .1,
            "ok"
        );
    }
    let without_id = |message: Message| {
        let mut message = without_count(message);
        message.fields.retain(|(name, _)| name != "x-request-id");
        message
    };
    let messages: Vec<Message> = [silent, fast]
        .iter()
        .flat_map(Recording::messages)
        .map(without_id)
        .collect();
    assert!(messages.len() >= 3);
    assert!(
        messages.iter().all(|message| *message == messages[0]),
        "{messages:?}"
    );
    assert_eq!(messages[0].all("x-mine"), ["1"]);
}

#[test]
fn a_first_try_that_answers_after_all_wins() {
    // Both take a moment; the first is ahead.
    let app = || {
        App::start(|mut wire, _| {
            while !wire.head().is_empty() {
                thread::sleep(Duration::from_millis(600));
                if !wire.try_send(OK) {
                    return;
                }
            }
        })
    };
    let (one, two) = (app(), app());
    let proxy = proxy(
        &[one.port(), two.port()],
        BALANCER,
        ", hedge: { after: 200ms, maxPercent: 100 }",
    );
    assert_eq!(Wire::connect(proxy.inbound()).ask(GET).1, "ok");
    assert_eq!(one.connections() + two.connections(), 2);
    assert!((hedges(&proxy, "lost") - 1.0).abs() < 0.5);
}

#[test]
fn a_whole_body_goes_to_both() {
    let (slow, _) = hanging();
    let fast = Recording::ok();
    let proxy = proxy(
        &[slow.port(), fast.port()],
        BALANCER,
        ", hedge: { after: 50ms, maxPercent: 100 }",
    );
    for _ in 0..2 {
        let mut wire = Wire::connect(proxy.inbound());
        wire.send("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 11\r\n\r\nhello");
        wire.send(" world");
        assert_eq!(wire.answer().1, "ok");
    }
    let bodies: Vec<Vec<u8>> = fast
        .messages()
        .into_iter()
        .map(|message| message.body)
        .collect();
    assert_eq!(bodies, [b"hello world"; 2]);
}

/// docs/security.md 19.
#[test]
fn there_is_no_second_try_where_it_could_hurt() {
    let tiny =
        ", loadBalancer: { policy: roundRobin }, retryBudget: { percent: 0, minPerSecond: 0 }";
    for (upstream, hedge, request) in [
        (BALANCER, "after: 50ms, maxPercent: 100", POST),
        (tiny, "after: 50ms, maxPercent: 100", GET),
        (BALANCER, "after: 50ms, maxPercent: 0", GET),
        (BALANCER, "after: p50, maxPercent: 100", GET), // nothing was measured yet
    ] {
        let ((one, _), (two, _)) = (hanging(), hanging());
        let route = format!(", timeouts: {{ request: 500ms }}, hedge: {{ {hedge} }}");
        let proxy = proxy(&[one.port(), two.port()], upstream, &route);
        assert_eq!(
            status(&Wire::connect(proxy.inbound()).ask(request).0),
            504,
            "{hedge}"
        );
        assert_eq!(proxy.logged(|_| true)["attempts"], 1, "{hedge} {request}");
        assert_eq!(
            one.connections() + two.connections(),
            1,
            "{hedge} {request}"
        );
    }
    // With one endpoint there is no other.
    let (alone, _) = hanging();
    let route = ", timeouts: { request: 500ms }, hedge: { after: 50ms, maxPercent: 100 }";
    let proxy = proxy(&[alone.port()], "", route);
    assert_eq!(status(&Wire::connect(proxy.inbound()).ask(GET).0), 504);
    assert_eq!(alone.connections(), 1);
}

#[test]
fn a_keyed_post_may_have_a_second_try() {
    let ((slow, _), fast) = (hanging(), Recording::ok());
    let proxy = proxy(
        &[slow.port(), fast.port()],
        BALANCER,
        ", hedge: { after: 50ms, maxPercent: 100 }",
    );
    let mut wire = Wire::connect(proxy.inbound());
    for _ in 0..2 {
        assert_eq!(wire.ask(KEYED).1, "ok");
    }
}

#[test]
fn a_percentile_is_measured_first() {
    // Fast at first, hanging later; the path selects the endpoint that hangs.
    let hangs = Arc::<AtomicUsize>::default();
    let play = |hangs: Arc<AtomicUsize>| {
        App::start(move |mut wire, _| {
            while !wire.head().is_empty() {
                if hangs.load(Ordering::SeqCst) == 1 {
                    wire.rest();
                    return;
                }
                wire.send(OK);
            }
        })
    };
    let (one, two) = (play(Arc::clone(&hangs)), App::answering(OK));
    let proxy = proxy(
        &[one.port(), two.port()],
        BALANCER,
        ", hedge: { after: p95, maxPercent: 100 }",
    );
    let mut wire = Wire::connect(proxy.inbound());
    for _ in 0..200 {
        assert_eq!(wire.ask(GET).1, "ok");
    }
    hangs.store(1, Ordering::SeqCst);
    for _ in 0..4 {
        assert_eq!(wire.ask(GET).1, "ok");
    }
    assert!(hedges(&proxy, "won") >= 2.0);
}

#[test]
fn when_one_of_two_tries_fails_the_other_is_waited_for() {
    // The first hangs for a while and breaks, the second answers later than that.
    let breaks = App::start(|mut wire, _| {
        wire.head();
        thread::sleep(Duration::from_millis(300));
    });
    let answers = App::start(|mut wire, _| {
        while !wire.head().is_empty() {
            thread::sleep(Duration::from_millis(600));
            if !wire.try_send(OK) {
                return;
            }
        }
    });
    let proxy = proxy(
        &[breaks.port(), answers.port()],
        BALANCER,
        ", hedge: { after: 50ms, maxPercent: 100 }",
    );
    for _ in 0..2 {
        assert_eq!(Wire::connect(proxy.inbound()).ask(GET).1, "ok");
    }
}
