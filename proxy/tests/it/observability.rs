//! Access log, metrics, request IDs, and which peers may report the client address.

use outrigger_loadtest::origin::Origin;
use serde_json::Value;

use crate::support::{
    Proxy,
    client::H2,
    get, http, origin, wait_for,
    wire::{App, Wire, header, status},
};

fn ask(proxy: &Proxy, request: &str) -> (String, String) {
    Wire::connect(proxy.inbound()).ask(request)
}

fn with_log(port: u16, log: &str) -> Proxy {
    Proxy::start(&format!(
        "app: {{ port: {port} }}\nlisteners: [{{ port: 0 }}]\ntelemetry: {{ accessLog: {{ {log} }} }}\n"
    ))
}

#[test]
fn a_json_line_has_every_field() {
    let origin = origin();
    let proxy = Proxy::in_front_of(&origin);
    let request =
        "POST /sink?secret=1 HTTP/1.1\r\nhost: a.example:80\r\ncontent-length: 5\r\n\r\nhello";
    let (head, body) = ask(&proxy, request);
    assert_eq!(status(&head), 200);
    let line = proxy.logged(|line| line["path"] == "/sink");
    let text = |key: &str| {
        line[key]
            .as_str()
            .unwrap_or_else(|| panic!("no text {key} in {line}"))
            .to_owned()
    };
    for (key, expected) in [
        ("listener", "in-0"),
        ("route", "app"),
        ("clientAddress", "127.0.0.1"),
        ("method", "POST"),
        ("host", "a.example"),
        ("protocol", "HTTP/1.1"),
        ("flag", ""),
        ("reason", ""),
        ("upstream", "app"),
        ("endpoint", &origin.address().to_string()),
    ] {
        assert_eq!(text(key), expected, "{key}");
    }
    assert!(
        text("time").ends_with('Z') && text("requestId").len() > 10,
        "{line}"
    );
    let numbers =
        ["status", "attempts", "bytesIn", "bytesOut"].map(|key| line[key].as_u64().unwrap());
    assert_eq!(numbers, [200, 1, 5, body.len() as u64]);
    assert!(line["durationMs"].as_f64().unwrap() > 0.0);
    assert_eq!(line.as_object().unwrap().len(), 18, "{line}");
}

#[tokio::test]
async fn a_line_names_the_host_whatever_the_protocol_says_it_with() {
    let origin = Origin::start().await.unwrap();
    let proxy = Proxy::in_front_of(&origin);
    H2::connect(proxy.inbound()).await.get("/bytes/2").await;
    let line = proxy.logged(|line| line["path"] == "/bytes/2");
    assert_eq!(
        (&line["host"], &line["protocol"]),
        (&"a.example".into(), &"HTTP/2".into())
    );
    ask(
        &proxy,
        "GET http://b.example/bytes/3 HTTP/1.1\r\nhost: a.example\r\n\r\n",
    );
    assert_eq!(
        proxy.logged(|line| line["path"] == "/bytes/3")["host"],
        "b.example"
    );
}

#[test]
fn an_ecs_line_has_the_names_of_the_schema() {
    let origin = origin();
    let proxy = with_log(origin.address().port(), "format: ecs");
    ask(
        &proxy,
        "GET /bytes/7 HTTP/1.1\r\nhost: a.example:80\r\n\r\n",
    );
    let line = proxy.logged(|line| line["url"]["path"] == "/bytes/7");
    assert_eq!(line["url"]["domain"], "a.example");
    assert_eq!(line["http"]["version"], "1.1");
    assert_eq!(
        (
            &line["http"]["response"]["status_code"],
            &line["http"]["response"]["body"]["bytes"]
        ),
        (&200.into(), &7.into())
    );
    assert_eq!(
        (&line["event"]["outcome"], &line["outrigger"]["route"]),
        (&"success".into(), &"app".into())
    );
    assert_eq!(line["client"]["ip"], "127.0.0.1");
}

#[test]
fn a_text_line_is_for_people() {
    let origin = origin();
    let proxy = with_log(origin.address().port(), "format: text");
    ask(
        &proxy,
        "GET /bytes/7?q=1 HTTP/1.1\r\nhost: a.example\r\n\r\n",
    );
    let line = wait_for("a line", || {
        proxy.stdout().lines().next().map(str::to_owned)
    });
    assert!(
        line.contains(" GET a.example /bytes/7 HTTP/1.1 200 "),
        "{line}"
    );
    assert!(
        line.contains(" listener=in-0 route=app clientAddress=127.0.0.1 upstream=app "),
        "{line}"
    );
}

#[test]
fn what_is_not_sampled_is_counted_but_not_logged() {
    let origin = origin();
    let proxy = with_log(origin.address().port(), "samplePercent: 0");
    for _ in 0..3 {
        ask(&proxy, "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    }
    http(proxy.inbound(), "BAD\r\n\r\n");
    let series = r#"outrigger_requests_total{listener="in-0",route="app",upstream="app",status="200",flag=""}"#;
    wait_for("the count", || (proxy.metric(series) > 2.5).then_some(()));
    assert_eq!(proxy.stdout(), "");
}

#[test]
fn metrics_tell_requests_durations_connections_and_refusals() {
    let origin = origin();
    let proxy = Proxy::start(&format!(
        "app: {{ port: {} }}\nlisteners: [{{ port: 0 }}]\nroutes: [{{ name: some, matches: [{{ path: /bytes }}] }}]\n",
        origin.address().port()
    ));
    let mut wire = Wire::connect(proxy.inbound());
    wire.ask("GET /bytes/1 HTTP/1.1\r\nhost: a\r\n\r\n");
    wire.ask("GET /none HTTP/1.1\r\nhost: a\r\n\r\n");
    http(proxy.inbound(), "GET / HTTP/1.1\r\n\r\n");
    for series in [
        r#"outrigger_requests_total{listener="in-0",route="some",upstream="app",status="200",flag=""}"#,
        r#"outrigger_requests_total{listener="in-0",route="",upstream="none",status="404",flag="NR"}"#,
        r#"outrigger_requests_total{listener="in-0",route="",upstream="none",status="400",flag="DPE"}"#,
        r#"outrigger_request_duration_seconds_count{listener="in-0",route="some",upstream="app"}"#,
        r#"outrigger_downstream_rejected_total{reason="request.host"}"#,
        r#"outrigger_upstream_connects_total{upstream="app",result="ok"}"#,
        r#"outrigger_downstream_connections_active{listener="in-0"}"#,
        "outrigger_config_last_reload_successful",
        "outrigger_config_generation",
    ] {
        wait_for(series, || {
            ((proxy.metric(series) - 1.0).abs() < 0.5).then_some(())
        });
    }
    let (code, page) = get(proxy.address("status"), "/metrics");
    assert_eq!(code, 200);
    // Features that are not configured have no series.
    for absent in [r#"upstream="extAuth""#, "outrigger_redis_requests_total{"] {
        assert!(!page.contains(absent), "{page}");
    }
    for line in page
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let (_, value) = line.rsplit_once(' ').unwrap();
        value
            .parse::<f64>()
            .unwrap_or_else(|_| panic!("{line} has no number"));
    }
}

#[test]
fn an_error_body_carries_the_request_id_of_its_log_line() {
    let proxy = Proxy::start(
        "app: { port: 1 }\nlisteners: [{ port: 0 }]\nroutes: [{ name: a, matches: [{ path: /a }] }]\n",
    );
    for (path, message, code) in [("/b", "no route", 404), ("/a", "upstream failed", 502)] {
        let (head, body) = ask(
            &proxy,
            &format!("GET {path} HTTP/1.1\r\nhost: a\r\nx-request-id: mine\r\n\r\n"),
        );
        assert_eq!(
            (status(&head), header(&head, "content-type")),
            (code, Some("application/json")),
            "{head}"
        );
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["error"], message);
        assert_eq!(body.as_object().unwrap().len(), 2);
        let line = proxy.logged(|line| line["path"] == path);
        assert_eq!(line["requestId"], body["requestId"]);
        assert_ne!(body["requestId"], "mine");
    }
}

/// The headers that the app sees.
fn seen(proxy: &Proxy, fields: &str) -> Vec<(String, String)> {
    let (head, body) = ask(
        proxy,
        &format!("GET /headers HTTP/1.1\r\nhost: a.example\r\n{fields}\r\n"),
    );
    assert_eq!(status(&head), 200, "{body}");
    let body: Value = serde_json::from_str(&body).unwrap();
    let pair = |pair: &Value| {
        (
            pair[0].as_str().unwrap().to_owned(),
            pair[1].as_str().unwrap().to_owned(),
        )
    };
    body["headers"]
        .as_array()
        .unwrap()
        .iter()
        .map(pair)
        .collect()
}

fn all<'a>(headers: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    headers
        .iter()
        .filter(|(one, _)| one == name)
        .map(|(_, value)| &**value)
        .collect()
}

const CLAIMS: &str = "x-request-id: mine\r\nx-forwarded-for: 203.0.113.9, 10.1.2.3\r\nx-forwarded-proto: https\r\n\
                      x-forwarded-host: front.example\r\nx-real-ip: 1.2.3.4\r\nforwarded: for=1.2.3.4\r\n";

#[test]
fn a_stranger_says_nothing_about_the_client() {
    let origin = origin();
    let proxy = Proxy::in_front_of(&origin);
    let headers = seen(&proxy, CLAIMS);
    assert_eq!(all(&headers, "x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(all(&headers, "x-forwarded-proto"), ["http"]);
    assert_eq!(all(&headers, "x-forwarded-host"), ["a.example"]);
    assert_eq!(
        (
            all(&headers, "x-real-ip").len(),
            all(&headers, "forwarded").len()
        ),
        (0, 0)
    );
    let ids = all(&headers, "x-request-id");
    assert!(ids.len() == 1 && ids[0] != "mine", "{ids:?}");
    let line = proxy.logged(|line| line["path"] == "/headers");
    assert_eq!(
        (&line["clientAddress"], &line["requestId"]),
        (&"127.0.0.1".into(), &ids[0].into())
    );
}

#[test]
fn a_trusted_peer_is_believed_and_added_to_the_list() {
    let origin = origin();
    let proxy = Proxy::start(&format!(
        "app: {{ port: {} }}\nlisteners: [{{ port: 0, clientAddress: {{ trustedCIDRs: [127.0.0.0/8, 10.0.0.0/8] }} }}]\n",
        origin.address().port()
    ));
    let headers = seen(&proxy, CLAIMS);
    assert_eq!(
        all(&headers, "x-forwarded-for"),
        ["203.0.113.9, 10.1.2.3, 127.0.0.1"]
    );
    assert_eq!(all(&headers, "x-forwarded-proto"), ["https"]);
    assert_eq!(all(&headers, "x-forwarded-host"), ["front.example"]);
    assert_eq!(all(&headers, "x-request-id"), ["mine"]);
    let line = proxy.logged(|line| line["path"] == "/headers");
    assert_eq!(
        (&line["clientAddress"], &line["requestId"]),
        (&"203.0.113.9".into(), &"mine".into())
    );
    let long = format!("x-request-id: {}\r\n", "i".repeat(129));
    assert_ne!(all(&seen(&proxy, &long), "x-request-id"), ["i".repeat(129)]);
}

#[test]
fn the_reason_of_a_failure_stands_in_log_and_metrics_alone() {
    let app = App::answering("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx");
    let proxy = Proxy::in_front_of_port(app.port());
    let (head, body) = ask(&proxy, "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(status(&head), 502);
    assert!(!body.contains("ontent-"), "{body}");
    let line = proxy.logged(|line| line["status"] == 502);
    assert_eq!(
        (&line["flag"], &line["reason"]),
        (&"UPE".into(), &"upstream.protocol".into())
    );
    assert_eq!(
        line["detail"],
        "the response header content-length is present twice"
    );
}

#[test]
fn an_answer_has_as_many_fields_as_the_limit_says() {
    for (count, limits, expected) in [
        (100, "", 204),
        (101, "", 502),
        (101, ", limits: { headers: 101 }", 204),
        (1000, ", limits: { headers: 1000 }", 204),
        (1001, ", limits: { headers: 1000 }", 502),
    ] {
        let app = App::answering(format!(
            "HTTP/1.1 204 X\r\n{}\r\n",
            "a: b\r\n".repeat(count)
        ));
        let yaml = format!(
            "app: {{ port: {}{limits} }}\nlisteners: [{{ port: 0 }}]\n",
            app.port()
        );
        let proxy = Proxy::start(&yaml);
        let (head, _) = ask(&proxy, "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
        assert_eq!(status(&head), expected, "{count}{limits}: {head}");
        if expected == 502 {
            let limit = count - 1;
            let detail = format!("the response has more than {limit} headers (limits.headers)");
            assert_eq!(proxy.logged(|line| line["status"] == 502)["detail"], detail);
        }
    }
}

#[test]
fn the_limit_of_an_upstream_is_its_own() {
    let app = App::answering(format!("HTTP/1.1 204 X\r\n{}\r\n", "a: b\r\n".repeat(3)));
    let proxy = Proxy::start(&format!(
        "listeners: [{{ port: 0 }}]\nupstreams:\n  a: {{ endpoints: [{{ url: \"http://127.0.0.1:{0}\" }}], limits: {{ headers: 2 }} }}\n\
         \x20 b: {{ endpoints: [{{ url: \"http://127.0.0.1:{0}\" }}] }}\nroutes:\n\
         - {{ name: a, matches: [{{ path: /a }}], backendRefs: [a] }}\n- {{ name: b, backendRefs: [b] }}\n",
        app.port()
    ));
    for (path, expected) in [("/a", 502), ("/b", 204)] {
        assert_eq!(
            status(&ask(&proxy, &format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")).0),
            expected
        );
    }
}
