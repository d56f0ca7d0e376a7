//! Series of requests: which labels they have, and how long they stay.

use crate::support::{
    Proxy, origin, wait_for,
    wire::{Wire, status},
};

fn ask(proxy: &Proxy, listener: &str, path: &str) -> u16 {
    let (head, _) = Wire::connect(proxy.address(listener))
        .ask(&format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n"));
    status(&head)
}

/// What a counter of requests has come to, once it is that.
fn counted(proxy: &Proxy, labels: &str, expected: f64) {
    let series = format!("outrigger_requests_total{{{labels}}}");
    wait_for(&series, || {
        (proxy.metric(&series) == expected).then_some(())
    });
}

fn yaml(app: u16, other: u16, routes: &str) -> String {
    format!(
        "app: {{ port: {app} }}
listeners:
  - {{ name: in, port: 0 }}
  - {{ name: out, port: 0, direction: outbound }}
upstreams:
  other: {{ endpoints: [{{ url: \"http://127.0.0.1:{other}\" }}] }}
  down: {{ endpoints: [{{ url: \"http://127.0.0.1:1\" }}] }}
routes:
  - {{ name: out, listeners: [out], backendRefs: [other] }}
{routes}reload: {{ watch: false, poll: 0s }}
"
    )
}

const ROUTES: &str = "  - { name: app }
  - { name: said, matches: [{ path: /said }], directResponse: { status: 200 } }
  - { name: split, matches: [{ path: /bytes/2 }], backendRefs: [{ name: app, weight: 1 }, { name: other, weight: 1 }] }
  - { name: down, matches: [{ path: /down }], backendRefs: [down] }
  - { name: closed, matches: [{ path: /closed }], authorize: { rules: [{ name: all, action: deny, when: { methods: [GET] } }] } }
";

#[test]
fn the_upstream_of_a_request_is_a_label() {
    let (app, other) = (origin(), origin());
    let proxy = Proxy::start(&yaml(app.address().port(), other.address().port(), ROUTES));
    assert_eq!(ask(&proxy, "in", "/bytes/1"), 200);
    assert_eq!(ask(&proxy, "out", "/bytes/1"), 200);
    assert_eq!(ask(&proxy, "in", "/said"), 200);
    assert_eq!(ask(&proxy, "in", "/down"), 502);
    assert_eq!(ask(&proxy, "in", "/closed"), 403);
    counted(
        &proxy,
        r#"listener="in",route="app",upstream="app",status="200",flag="""#,
        1.0,
    );
    counted(
        &proxy,
        r#"listener="out",route="out",upstream="other",status="200",flag="""#,
        1.0,
    );
    counted(
        &proxy,
        r#"listener="in",route="said",upstream="none",status="200",flag="""#,
        1.0,
    );
    counted(
        &proxy,
        r#"listener="in",route="down",upstream="down",status="502",flag="UF""#,
        1.0,
    );
    counted(
        &proxy,
        r#"listener="in",route="closed",upstream="none",status="403",flag="UZ""#,
        1.0,
    );
    // A request that is no request has neither route nor upstream.
    let _ = Wire::connect(proxy.address("in")).ask("GET / HTTP/1.1\r\n\r\n");
    counted(
        &proxy,
        r#"listener="in",route="",upstream="none",status="400",flag="DPE""#,
        1.0,
    );
    let durations =
        r#"outrigger_request_duration_seconds_count{listener="out",route="out",upstream="other"}"#;
    assert_eq!(proxy.metric(durations), 1.0);
}

#[test]
fn two_upstreams_of_a_route_are_counted_apart() {
    let (app, other) = (origin(), origin());
    let proxy = Proxy::start(&yaml(app.address().port(), other.address().port(), ROUTES));
    let series = |upstream: &str| {
        format!(
            r#"outrigger_requests_total{{listener="in",route="split",upstream="{upstream}",status="200",flag=""}}"#
        )
    };
    // Both weights are one half: one of them alone 100 times in a row does not happen.
    for _ in 0..100 {
        assert_eq!(ask(&proxy, "in", "/bytes/2"), 200);
    }
    let sum = |proxy: &Proxy| proxy.metric(&series("app")) + proxy.metric(&series("other"));
    wait_for("all of them", || (sum(&proxy) == 100.0).then_some(()));
    for (upstream, origin) in [("app", &app), ("other", &other)] {
        assert_eq!(
            proxy.metric(&series(upstream)),
            origin.hits() as f64,
            "{upstream}"
        );
        assert!(proxy.metric(&series(upstream)) > 0.0, "{upstream}");
    }
}

#[test]
fn series_that_nothing_names_any_more_are_gone_after_a_reload() {
    let (app, other) = (origin(), origin());
    let yaml = |routes: &str| yaml(app.address().port(), other.address().port(), routes);
    let extra = "  - { name: extra, matches: [{ path: /bytes/3 }], requestMirror: { backendRef: other } }\n";
    let proxy = Proxy::start(&yaml(&format!("{ROUTES}{extra}")));
    for path in ["/bytes/1", "/bytes/3", "/down"] {
        ask(&proxy, "in", path);
    }
    for _ in 0..40 {
        ask(&proxy, "in", "/bytes/2");
    }
    ask(&proxy, "out", "/bytes/1");
    let kept = r#"listener="in",route="app",upstream="app",status="200",flag="""#;
    counted(&proxy, kept, 1.0);
    counted(
        &proxy,
        r#"listener="in",route="extra",upstream="app",status="200",flag="""#,
        1.0,
    );
    counted(
        &proxy,
        r#"listener="in",route="down",upstream="down",status="502",flag="UF""#,
        1.0,
    );
    wait_for("the split", || {
        proxy
            .metrics()
            .contains(r#"route="split",upstream="other""#)
            .then_some(())
    });

    // One route is gone, one has another upstream, one has one upstream less.
    let fewer = "  - { name: app }
  - { name: split, matches: [{ path: /bytes/2 }], backendRefs: [app] }
  - { name: down, matches: [{ path: /down }], backendRefs: [other] }
";
    proxy.reload_with(&yaml(fewer).replace(
        "  down: { endpoints: [{ url: \"http://127.0.0.1:1\" }] }\n",
        "",
    ));
    let page = proxy.metrics();
    let requests = || {
        page.lines()
            .filter(|line| line.starts_with("outrigger_request"))
    };
    for gone in [
        r#"route="extra""#,
        r#"upstream="down""#,
        r#"route="split",upstream="other""#,
    ] {
        assert_eq!(requests().find(|line| line.contains(gone)), None, "{gone}");
    }
    assert!(
        requests().any(|line| line.contains(r#"route="split",upstream="app""#)),
        "{page}"
    );
    counted(&proxy, kept, 1.0);
    counted(
        &proxy,
        r#"listener="out",route="out",upstream="other",status="200",flag="""#,
        1.0,
    );
    assert_eq!(ask(&proxy, "in", "/bytes/1"), 200);
    counted(&proxy, kept, 2.0);

    // What is named again begins at nothing.
    proxy.reload_with(&yaml(&format!("{ROUTES}{extra}")));
    assert_eq!(ask(&proxy, "in", "/bytes/3"), 200);
    counted(
        &proxy,
        r#"listener="in",route="extra",upstream="app",status="200",flag="""#,
        1.0,
    );
    counted(&proxy, kept, 2.0);
}

/// The neighbours: what is counted by listener, upstream or route leaves the page when nothing uses it any more.
#[test]
fn counters_of_listeners_and_upstreams_that_are_gone_leave_the_page() {
    let (app, other) = (origin(), origin());
    let (app, other) = (app.address().port(), other.address().port());
    let extra =
        "  - { name: extra, matches: [{ path: /bytes/3 }], requestMirror: { backendRef: down } }\n";
    let proxy = Proxy::start(&yaml(app, other, &format!("{ROUTES}{extra}")));
    let all = [
        r#"outrigger_downstream_connections_total{listener="out"}"#,
        r#"outrigger_upstream_connects_total{upstream="down",result="ok"}"#,
        r#"outrigger_mirrored_requests_total{route="extra",result="completed"}"#,
    ];
    let page = proxy.metrics();
    assert!(all.iter().all(|series| page.contains(series)), "{page}");
    proxy.reload_with(&format!(
        "app: {{ port: {app} }}\nlisteners: [{{ name: in, port: 0 }}]\nreload: {{ watch: false, poll: 0s }}\n"
    ));
    // They go with the last view of the old configuration.
    wait_for("them to be gone", || {
        let page = proxy.metrics();
        all.iter()
            .all(|series| !page.contains(series))
            .then_some(())
    });
    assert!(
        proxy
            .metrics()
            .contains(r#"outrigger_downstream_connections_total{listener="in"}"#)
    );
}
