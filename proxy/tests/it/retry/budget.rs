//! An outage is not made worse: whatever routes ask for, an upstream gets a fifth more than what is offered.

use super::*;

/// What an upstream may have got of `offered` requests that began `since` then.
fn most(offered: usize, since: Instant) -> usize {
    let seconds = since.elapsed().as_secs_f64();
    (offered as f64 * 1.2 + 10.0 * (seconds + 1.0)).ceil() as usize
}

#[test]
fn an_upstream_that_always_fails_gets_a_fifth_more_and_the_minimum() {
    const OFFERED: usize = 1_000;
    for (route, app) in [
        (
            ", retry: { attempts: 10, codes: [503], backoff: { base: 0s, max: 0s } }",
            BUSY,
        ),
        (
            ", retry: { attempts: 10, backoff: { base: 0s, max: 0s } }",
            "garbage\r\n\r\n",
        ),
    ] {
        let app = Recording::answering(move |_| Act::Close(app.into()));
        let began = Instant::now();
        let proxy = proxy(&[app.port()], "", route);
        let mut wire = Wire::connect(proxy.inbound());
        for _ in 0..OFFERED {
            assert!([502, 503].contains(&status(&wire.ask(GET).0)));
        }
        let (got, most) = (app.messages().len(), most(OFFERED, began));
        assert!((OFFERED..=most).contains(&got), "{got} of {most}");
        assert!(
            got >= OFFERED * 119 / 100,
            "what is allowed is given: {got}"
        );
        assert!(proxy.metric("outrigger_retry_budget_exhausted_total{upstream=\"u\"}") > 1.0);
    }
}

#[test]
fn all_routes_and_workers_share_the_budget_of_an_upstream() {
    let app = Recording::answering(|_| Act::Answer(BUSY.into()));
    let retry = "retry: { attempts: 10, codes: [503], backoff: { base: 0s, max: 0s } }";
    let began = Instant::now();
    let proxy = Proxy::start(&format!(
        "workers: 2\nlisteners: [{{ port: 0 }}]\nupstreams:\n  \
         u: {{ endpoints: [{{ url: \"http://127.0.0.1:{}\" }}], retryBudget: {{ percent: 50, minPerSecond: 0 }} }}\n\
         routes:\n- {{ name: a, matches: [{{ path: /a }}], backendRefs: [u], {retry} }}\n\
         - {{ name: b, matches: [{{ path: /b }}], backendRefs: [u], {retry} }}\n",
        app.port()
    ));
    let clients: Vec<_> = (0..8)
        .map(|client| {
            let address = proxy.inbound();
            thread::spawn(move || {
                let mut wire = Wire::connect(address);
                let path = if client % 2 == 0 { "/a" } else { "/b" };
                for _ in 0..100 {
                    wire.ask(&format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n"));
                }
            })
        })
        .collect();
    clients
        .into_iter()
        .for_each(|client| client.join().unwrap());
    let got = app.messages().len();
    assert!(
        (1_190..=1_200).contains(&got),
        "{got} of 800 after {:?}",
        began.elapsed()
    );
}

#[test]
fn also_what_is_repeated_without_being_asked_for_uses_the_budget() {
    for (budget, attempts) in [("{}", 2), ("{ percent: 0, minPerSecond: 0 }", 1)] {
        let proxy = proxy(&[free_port()], &format!(", retryBudget: {budget}"), "");
        assert_eq!(status(&Wire::connect(proxy.inbound()).ask(GET).0), 502);
        assert_eq!(proxy.logged(|_| true)["attempts"], attempts, "{budget}");
    }
}

#[test]
fn an_upstream_that_fails_a_tenth_answers_nearly_everything() {
    const OFFERED: usize = 3_000;
    // An even tenth; and a random one (the same in every run), of which a third try in a row fails one of a thousand.
    for (even, attempts) in [(true, 2), (false, 3)] {
        let random = std::sync::Mutex::new((0, fastrand::Rng::with_seed(4)));
        let app = Recording::answering(move |_| {
            let (number, random) = &mut *random.lock().unwrap();
            *number += 1;
            let fails = if even {
                *number % 10 == 0
            } else {
                random.u8(..10) == 0
            };
            Act::Answer(if fails { BUSY } else { OK }.into())
        });
        let route = format!(
            ", retry: {{ attempts: {attempts}, codes: [503], backoff: {{ base: 1ms, max: 1ms }} }}"
        );
        let proxy = proxy(&[app.port()], "", &route);
        let mut wire = Wire::connect(proxy.inbound());
        let good = (0..OFFERED)
            .filter(|_| status(&wire.ask(GET).0) == 200)
            .count();
        assert!(good * 1_000 >= OFFERED * 999, "{good} of {OFFERED}");
        let tries = app.messages().len();
        assert!(
            (OFFERED * 105..=OFFERED * 115).contains(&(tries * 100)),
            "{tries} tries"
        );
    }
}

#[test]
fn a_budget_survives_a_reload_that_does_not_change_its_upstream() {
    let app = Recording::answering(|_| Act::Answer(BUSY.into()));
    let yaml = |upstream: &str, route: &str| {
        format!(
            "workers: 1\nlisteners: [{{ port: 0 }}]\nupstreams:\n  u: {{ endpoints: [{{ url: \"http://127.0.0.1:{}\" }}], \
             retryBudget: {{ percent: 10, minPerSecond: 0 }}{upstream} }}\n\
             routes: [{{ name: u, backendRefs: [u], retry: {{ attempts: 10, codes: [503]{route} }} }}]\n",
            app.port()
        )
    };
    let proxy = Proxy::start(&yaml("", ""));
    let ask = || {
        let before = app.messages().len();
        Wire::connect(proxy.inbound()).ask(GET);
        app.messages().len() - before
    };
    // Ten requests earn one retry.
    let tries: Vec<usize> = (0..9).map(|_| ask()).collect();
    assert_eq!(tries, [1; 9]);
    proxy.reload_with(&yaml("", ", bufferBytes: 1KiB"));
    assert_eq!(
        ask(),
        2,
        "what nine earned before the reload and one after it"
    );
    let tries: Vec<usize> = (0..9).map(|_| ask()).collect();
    assert_eq!(tries, [1; 9]);
    proxy.reload_with(&yaml(", connections: { idleTimeout: 9s }", ""));
    assert_eq!(ask(), 1, "a changed upstream begins anew");
}
