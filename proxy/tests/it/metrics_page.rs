//! The pages of `/metrics`, read by parsers that are not ours: promtool, and the strict parsers of Python's
//! prometheus-client.

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

use crate::{
    monitor::{answer, exporter},
    support::{Proxy, get, http, is_there, origin, python::python_with},
};

/// The version that this was written with.
const PACKAGE: &str = "prometheus-client==0.25.0";

const OPEN_METRICS: &str = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.2";

/// A proxy that has answered well and badly, so that there are series of most kinds.
fn used(port: u16) -> Proxy {
    let proxy = Proxy::start(&format!(
        "app: {{ port: {port} }}\nlisteners: [{{ port: 0 }}]\n\
         upstreams: {{ gone: {{ endpoints: [{{ url: \"http://127.0.0.1:1\" }}] }} }}\n\
         routes:\n- {{ name: gone, matches: [{{ path: /gone }}], backendRefs: [gone] }}\n- {{ name: app }}\n"
    ));
    for path in ["/", "/gone", "/%00"] {
        get(proxy.inbound(), path);
    }
    proxy
}

/// A proxy that merges the page of an app, with exemplars where the app may write OpenMetrics.
fn merging() -> Proxy {
    let port = exporter(|request| match request.contains("openmetrics") {
        true => answer(
            "200 OK\r\ncontent-type: application/openmetrics-text; version=1.0.0\r\n",
            "# HELP orders Orders.\n# TYPE orders counter\norders_total{x=\"1\"} 7 # {trace_id=\"t\"} 0.5\n# EOF\n",
        ),
        false => answer(
            "200 OK\r\ncontent-type: text/plain\r\n",
            "# HELP orders_total Orders.\n# TYPE orders_total counter\norders_total{x=\"1\"} 7\n",
        ),
    });
    Proxy::start(&format!(
        "app: {{ port: {port} }}\nlisteners: [{{ port: 0 }}]\nmonitor: {{ scrape: {{ timeout: 20s }} }}\n"
    ))
}

/// Head and body of the page for this `Accept`.
fn page(proxy: &Proxy, accept: &str) -> (String, String) {
    let request = format!(
        "GET /metrics HTTP/1.1\r\nhost: localhost\r\naccept: {accept}\r\nconnection: close\r\n\r\n"
    );
    let answer = http(proxy.address("status"), &request);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_ascii_lowercase(), body.to_owned())
}

/// What a program says about a text on its stdin.
fn judged(program: &mut Command, text: &str) -> Output {
    let piped = program
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut process = piped.spawn().unwrap();
    let mut stdin = process.stdin.take().unwrap();
    stdin.write_all(text.as_bytes()).unwrap();
    drop(stdin);
    process.wait_with_output().unwrap()
}

#[test]
fn promtool_has_nothing_to_say_about_the_page() {
    if !is_there("promtool") {
        return;
    }
    let origin = origin();
    for proxy in [used(origin.address().port()), merging()] {
        promtool_is_silent(&proxy);
    }
}

fn promtool_is_silent(proxy: &Proxy) {
    let (head, text) = page(proxy, "*/*");
    assert!(
        head.contains("content-type: text/plain; version=0.0.4"),
        "{head}"
    );
    let said = judged(Command::new("promtool").args(["check", "metrics"]), &text);
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&said.stdout),
        String::from_utf8_lossy(&said.stderr)
    );
    assert_eq!(said.trim(), "");
}

#[test]
fn strict_parsers_read_either_format_and_find_the_same_series() {
    let Some(python) = python_with(PACKAGE, "prometheus_client") else {
        return;
    };
    let origin = origin();
    let families = |module: &str, text: &str| {
        let program = format!(
            "import sys\nfrom {module} import text_string_to_metric_families as read\n\
             for family in read(sys.stdin.read()):\n  for one in family.samples:\n    \
             print(one.name, sorted(one.labels.items()))\n"
        );
        let read = judged(Command::new(&python).args(["-c", &program]), text);
        let errors = String::from_utf8_lossy(&read.stderr).into_owned();
        assert!(read.status.success(), "{errors}\n{text}");
        String::from_utf8(read.stdout).unwrap()
    };
    for (proxy, own) in [(used(origin.address().port()), 0), (merging(), 1)] {
        let (head, text) = page(&proxy, OPEN_METRICS);
        assert!(
            head.contains("content-type: application/openmetrics-text; version=1.0.0"),
            "{head}"
        );
        let open_metrics = families("prometheus_client.openmetrics.parser", &text);
        let prometheus = families("prometheus_client.parser", &page(&proxy, "text/plain").1);
        assert!(open_metrics.lines().count() > 50, "{open_metrics}");
        assert_eq!(open_metrics.matches("orders_total").count(), own);
        assert_eq!(open_metrics, prometheus);
    }
}
