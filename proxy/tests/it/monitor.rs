//! What the page of metrics says of the app.

use std::{
    io::{Read, Write},
    net::TcpListener,
    thread,
};

use crate::support::{Proxy, http, origin, pki::Ca, wait_for};

/// The page, as a scraper with these headers gets it: head and body.
fn page(proxy: &Proxy, headers: &str) -> (String, String) {
    let request =
        format!("GET /metrics HTTP/1.1\r\nhost: localhost\r\n{headers}connection: close\r\n\r\n");
    let answer = http(proxy.address("status"), &request);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_ascii_lowercase(), body.to_owned())
}

/// The value of a series, as it is written.
fn value<'a>(page: &'a str, series: &str) -> Option<&'a str> {
    let mut lines = page.lines();
    lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))
}

/// Takes connections and never says a word.
fn silent() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || stream.read_to_end(&mut Vec::new()));
        }
    });
    port
}

#[test]
fn an_app_is_up_or_down_and_its_recoveries_are_counted() {
    let app = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = app.local_addr().unwrap();
    let proxy = Proxy::start(&format!(
        "app: {{ port: {}, readiness: {{ interval: 1ms }} }}\nlisteners: [{{ port: 0 }}]\n",
        address.port()
    ));
    let (head, body) = page(&proxy, "");
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert_eq!(value(&body, "outrigger_app_up"), Some("1"));
    let since: f64 = value(&body, "outrigger_app_up_since_timestamp_seconds")
        .unwrap()
        .parse()
        .unwrap();
    assert!(since > 1e9, "{since}");
    assert_eq!(value(&body, "outrigger_app_recoveries_total"), Some("0"));
    drop(app);
    let (head, body) = wait_for("the app to be down", || {
        let (head, body) = page(&proxy, "");
        (value(&body, "outrigger_app_up") == Some("0")).then_some((head, body))
    });
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert_eq!(
        value(&body, "outrigger_app_up_since_timestamp_seconds"),
        None
    );
    let _app = TcpListener::bind(address).unwrap();
    wait_for("the app to be up again", || {
        (value(&page(&proxy, "").1, "outrigger_app_up") == Some("1")).then_some(())
    });
    let body = page(&proxy, "").1;
    assert_eq!(value(&body, "outrigger_app_recoveries_total"), Some("1"));
}

/// MON-8: the scraper's own time decides, not the minute that the app may take.
#[test]
fn mon_08_an_app_that_hangs_is_down_within_the_time_of_the_scraper() {
    let proxy = Proxy::start(&format!(
        "app: {{ port: {}, readiness: {{ path: /healthz, timeout: 1h }} }}\nlisteners: [{{ port: 0 }}]\n",
        silent()
    ));
    let (head, body) = page(&proxy, "x-prometheus-scrape-timeout-seconds: 1\r\n");
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert_eq!(value(&body, "outrigger_app_up"), Some("0"));
}

#[test]
fn without_an_app_there_is_nothing_to_say() {
    let origin = origin();
    let proxy = Proxy::start(&format!(
        "listeners: [{{ port: 0 }}]\nupstreams: {{ a: {{ endpoints: [{{ url: \"http://{}\" }}] }} }}\n\
         routes: [{{ name: all, backendRefs: [a] }}]\n",
        origin.address()
    ));
    assert_eq!(value(&page(&proxy, "").1, "outrigger_app_up"), None);
}

/// An app that listens for its metrics, and answers each request with `head` and `body`.
pub fn exporter(answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            let mut buffer = [0; 1024];
            while !request.windows(4).any(|four| four == b"\r\n\r\n") {
                match stream.read(&mut buffer) {
                    Ok(0) | Err(_) => break,
                    Ok(read) => request.extend_from_slice(&buffer[..read]),
                }
            }
            let request = String::from_utf8_lossy(&request).to_ascii_lowercase();
            // A connect of the readiness check asks for nothing.
            if !request.is_empty() {
                let _ = stream.write_all(&answer(&request));
            }
        }
    });
    port
}

pub fn answer(head: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!(
        "HTTP/1.1 {head}content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn scraping(port: u16, timeout: &str) -> Proxy {
    Proxy::start(&format!(
        "app: {{ port: {port} }}\nlisteners: [{{ port: 0 }}]\nmonitor: {{ scrape: {{ timeout: {timeout} }} }}\n"
    ))
}

const OPEN_METRICS: &str =
    "accept: application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2\r\n";

/// MON-1: whatever the app answers, the page is ours, whole and 200; what is no page of metrics never stands in it.
#[test]
fn mon_01_a_broken_page_of_the_app_leaves_ours_whole() {
    let large = || "a_total 1\n".repeat((8 << 20) / 10 + 1);
    let cases: [(&str, Vec<u8>); 7] = [
        (
            "status",
            answer(
                "404 Not Found\r\ncontent-type: text/html\r\n",
                "<html>MARK</html>",
            ),
        ),
        ("status", answer("500 Oops\r\n", "MARK 1\n")),
        ("status", answer("401 No\r\n", "MARK 1\n")),
        (
            "invalid",
            answer("200 OK\r\ncontent-type: text/html\r\n", "<html>MARK</html>"),
        ),
        (
            "content_type",
            answer(
                "200 OK\r\ncontent-type: application/vnd.google.protobuf\r\n",
                "MARK",
            ),
        ),
        ("too_large", answer("200 OK\r\n", large())),
        ("protocol", b"SMTP MARK\r\n\r\n".to_vec()),
    ];
    for (result, sent) in cases {
        let proxy = scraping(exporter(move |_| sent.clone()), "20s");
        let (head, body) = page(&proxy, "");
        assert!(head.starts_with("http/1.1 200"), "{result}: {head}");
        assert!(
            head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"),
            "{head}"
        );
        let series = format!("outrigger_app_scrapes_total{{result=\"{result}\"}}");
        assert_eq!(value(&body, &series), Some("1"), "{result}: {body}");
        assert_eq!(value(&body, "outrigger_app_up"), Some("1"), "{result}");
        assert_eq!(
            value(&body, "outrigger_app_scrape_samples"),
            Some("0"),
            "{result}"
        );
        assert!(
            !body.contains("MARK") && !body.contains("a_total"),
            "{result}"
        );
    }
}

/// MON-1: the app is gone, or its page never comes.
#[test]
fn mon_01_an_app_that_is_gone_or_hangs_leaves_ours_whole() {
    let gone = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    for (port, up, result) in [(gone, "0", "connect"), (silent(), "1", "timeout")] {
        let proxy = scraping(port, "100ms");
        let (head, body) = page(&proxy, "");
        assert!(head.starts_with("http/1.1 200"), "{head}");
        assert_eq!(value(&body, "outrigger_app_up"), Some(up));
        let series = format!("outrigger_app_scrapes_total{{result=\"{result}\"}}");
        assert_eq!(value(&body, &series), Some("1"), "{body}");
    }
}

/// MON-2: one `# EOF`, at the end, and the type is that of the whole page.
#[test]
fn mon_02_openmetrics_of_the_app_is_merged_with_one_end() {
    let text = "# TYPE orders counter\norders_total{x=\"1\"} 7 # {trace_id=\"t\"} 0.5\n# EOF\n";
    let port = exporter(move |request| {
        assert!(
            request.contains("accept: application/openmetrics-text;"),
            "{request}"
        );
        answer(
            "200 OK\r\ncontent-type: application/openmetrics-text; version=1.0.0\r\n",
            text,
        )
    });
    let (head, body) = page(&scraping(port, "20s"), OPEN_METRICS);
    assert!(
        head.contains("content-type: application/openmetrics-text; version=1.0.0"),
        "{head}"
    );
    assert_eq!(body.matches("# EOF").count(), 1);
    assert!(
        body.ends_with("orders_total{x=\"1\"} 7 # {trace_id=\"t\"} 0.5\n# EOF\n"),
        "{body}"
    );
    assert_eq!(value(&body, "outrigger_app_scrape_samples"), Some("1"));
    // An app with text alone makes all of it text.
    let port = exporter(|_| answer("200 OK\r\ncontent-type: text/plain\r\n", "orders_total 7\n"));
    let (head, body) = page(&scraping(port, "20s"), OPEN_METRICS);
    assert!(
        head.contains("content-type: text/plain; version=0.0.4"),
        "{head}"
    );
    assert!(body.ends_with("\norders_total 7\n"), "{body}");
    assert!(!body.contains("# EOF"), "{body}");
}

/// MON-4: protobuf is the first that Prometheus with native histograms lists.
#[test]
fn mon_04_protobuf_is_never_asked_of_the_app() {
    let port = exporter(|request| {
        let protobuf = request.contains("protobuf");
        answer(
            "200 OK\r\n",
            if protobuf {
                "asked 1\n"
            } else {
                "orders_total 7\n"
            },
        )
    });
    let accept = "accept: application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,text/plain;q=0.3\r\n";
    let (head, body) = page(&scraping(port, "20s"), accept);
    assert!(
        head.contains("content-type: text/plain; version=0.0.4"),
        "{head}"
    );
    assert_eq!(value(&body, "orders_total"), Some("7"), "{body}");
}

/// MON-5: an app that compresses although it was asked not to.
#[test]
fn mon_05_a_compressed_page_is_decompressed() {
    // `printf 'orders_total 7\n' | gzip -n`
    let gzip = [
        0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xcb, 0x2f, 0x4a, 0x49, 0x2d,
        0x2a, 0x8e, 0x2f, 0xc9, 0x2f, 0x49, 0xcc, 0x51, 0x30, 0xe7, 0x02, 0x00, 0x92, 0xf7, 0x6e,
        0xfa, 0x0f, 0x00, 0x00, 0x00,
    ];
    let port = exporter(move |request| {
        assert!(request.contains("accept-encoding: identity"), "{request}");
        answer("200 OK\r\ncontent-encoding: gzip\r\n", gzip)
    });
    let (head, body) = page(&scraping(port, "20s"), "accept-encoding: gzip\r\n");
    assert!(!head.contains("content-encoding"), "{head}");
    assert_eq!(value(&body, "orders_total"), Some("7"), "{body}");
}

/// MON-6, and a page with comments that stand twice.
#[test]
fn mon_06_a_page_without_a_type_is_text() {
    for head in [
        "200 OK\r\n",
        "200 OK\r\ncontent-type:\r\n",
        "200 OK\r\ncontent-type: text/html\r\n",
    ] {
        let text = "# TYPE orders_total counter\norders_total{x=\"1\"} 7\nb 1\n# TYPE orders_total counter\norders_total{x=\"2\"} 8\n";
        let port = exporter(move |_| answer(head, text));
        let (_, body) = page(&scraping(port, "20s"), "");
        let merged =
            "# TYPE orders_total counter\norders_total{x=\"1\"} 7\norders_total{x=\"2\"} 8\nb 1\n";
        assert!(body.ends_with(merged), "{head}: {body}");
    }
}

/// MON-8: the app takes longer than the scraper waits; a page without an end.
#[test]
fn mon_08_a_slow_or_endless_page_is_left_out_within_the_time_of_the_scraper() {
    let (head, body) = page(
        &scraping(silent(), "1h"),
        "x-prometheus-scrape-timeout-seconds: 1\r\n",
    );
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert_eq!(
        value(&body, "outrigger_app_scrapes_total{result=\"timeout\"}"),
        Some("1"),
        "{body}"
    );
    let endless = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = endless.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in endless.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                // The connect of the readiness check sends nothing.
                if stream.read(&mut [0; 4096]).is_ok_and(|read| read == 0) {
                    return;
                }
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
                while stream
                    .write_all("a_total 1\n".repeat(1000).as_bytes())
                    .is_ok()
                {}
            });
        }
    });
    let (_, body) = page(&scraping(port, "20s"), "");
    let result = ["too_large", "timeout"].map(|result| {
        value(
            &body,
            &format!("outrigger_app_scrapes_total{{result=\"{result}\"}}"),
        ) == Some("1")
    });
    assert!(result.contains(&true), "{body}");
    assert!(!body.contains("a_total"));
}

/// MON-9: a port that is known only at run time.
#[test]
fn mon_09_the_page_of_this_proxy_is_not_fetched() {
    let proxy = Proxy::start("app: { port: 1 }\nlisteners: [{ port: 0 }]\n");
    let port = proxy.address("status").port();
    proxy.write_config(&format!(
        "app: {{ port: 1 }}\nlisteners: [{{ port: 0 }}]\nmonitor: {{ scrape: {{ port: {port} }} }}\n"
    ));
    let body = wait_for("the new configuration", || {
        let body = page(&proxy, "").1;
        body.contains("outrigger_app_scrapes_total{")
            .then_some(body)
    });
    assert_eq!(
        value(&body, "outrigger_app_scrapes_total{result=\"loop\"}"),
        Some("1"),
        "{body}"
    );
}

/// A family with one of our names is left out and counted; the rest of the page stays.
#[test]
fn a_family_with_a_name_of_ours_is_left_out() {
    let text =
        "# TYPE outrigger_panics_total counter\noutrigger_panics_total 99\noutrigger_own 1\n";
    let port = exporter(move |_| answer("200 OK\r\n", text));
    let (_, body) = page(&scraping(port, "20s"), "");
    assert_eq!(value(&body, "outrigger_panics_total"), Some("0"));
    assert_eq!(value(&body, "outrigger_own"), Some("1"));
    assert_eq!(
        value(&body, "outrigger_app_scrape_families_dropped"),
        Some("1")
    );
}

/// This test is the app: it listens, and runs as the same user as the proxy.
#[test]
fn sockets_and_processes_of_the_app_are_on_the_page() {
    let app = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = app.local_addr().unwrap();
    let _waiting = std::net::TcpStream::connect(address).unwrap();
    let proxy = Proxy::start(&format!(
        "app: {{ port: {} }}\nlisteners: [{{ port: 0 }}]\nmonitor: {{}}\n",
        address.port()
    ));
    let (_, body) = page(&proxy, "");
    let number = |series: &str| -> f64 {
        let text = value(&body, series).unwrap_or_else(|| panic!("no {series} in {body}"));
        text.parse().unwrap()
    };
    assert_eq!(number("outrigger_app_listen_sockets"), 1.0);
    assert!(number("outrigger_app_listen_queue_connections") >= 1.0);
    assert!(number("outrigger_app_connections{state=\"established\"}") >= 1.0);
    assert!(number("outrigger_app_processes") >= 1.0);
    assert!(number("outrigger_app_process_resident_memory_bytes") > 1e6);
    assert_eq!(number("outrigger_app_process_restarts_total"), 0.0);
    assert!(!body.contains("outrigger_app_scrapes_total{"), "{body}");
}

/// Checks of a server that answers, of one whose body is another, of a port that is closed, and over TLS.
#[test]
fn checks_are_metrics_and_stand_in_the_status() {
    let server = exporter(|request| match request.contains("get /teapot ") {
        true => answer("418 Teapot\r\n", "short and stout"),
        false => answer("200 OK\r\n", "all is well"),
    });
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let proxy = Proxy::start(&format!(
        "app: {{ port: {server} }}\nlisteners: [{{ port: 0 }}]\nmonitor:\n  checks:\n\
         \x20 - {{ name: good, http: \"http://127.0.0.1:{server}/\", body: \"is w\", interval: 10ms }}\n\
         \x20 - {{ name: other-body, http: \"http://127.0.0.1:{server}/\", body: \"broken\", interval: 10ms }}\n\
         \x20 - {{ name: status, http: \"http://127.0.0.1:{server}/teapot\", interval: 10ms }}\n\
         \x20 - {{ name: expected, http: \"http://localhost:{server}/teapot\", status: [418], interval: 10ms }}\n\
         \x20 - {{ name: open, tcp: \"localhost:{server}\", interval: 10ms }}\n\
         \x20 - {{ name: closed, tcp: \"127.0.0.1:{closed}\", interval: 10ms }}\n\
         \x20 - {{ name: no-grpc, grpc: \"http://127.0.0.1:{server}\", interval: 10ms }}\n"
    ));
    let expected = [
        ("good", "1"),
        ("other-body", "0"),
        ("status", "0"),
        ("expected", "1"),
        ("open", "1"),
        ("closed", "0"),
        ("no-grpc", "0"),
    ];
    for (name, success) in expected {
        let series = format!("outrigger_check_success{{check=\"{name}\"}}");
        let body = wait_for(&series, || {
            let body = page(&proxy, "").1;
            value(&body, &series).is_some().then_some(body)
        });
        assert_eq!(value(&body, &series), Some(success), "{name}");
        let result = if success == "1" { "ok" } else { "failed" };
        let series = format!("outrigger_checks_total{{check=\"{name}\",result=\"{result}\"}}");
        assert!(
            value(&body, &series).unwrap().parse::<u64>().unwrap() >= 1,
            "{body}"
        );
    }
    let (status, text) = proxy.admin("GET", "/status");
    assert_eq!(status, 200);
    let told: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(told["checks"]["good"]["success"], true, "{told:#}");
    assert_eq!(
        told["checks"]["status"]["failure"], "/teapot answered 418",
        "{told:#}"
    );
    assert_eq!(
        told["checks"]["other-body"]["failure"],
        "the body of / does not match"
    );
    proxy.wait_stderr("check failed: /teapot answered 418 check=status");
}

/// The certificate of a server over TLS, by its own word.
#[test]
fn a_check_over_tls_shows_when_the_certificate_expires() {
    let ca = Ca::new("servers");
    let app = origin();
    let front = Proxy::asking_clients((&ca, &ca), app.address().port(), "");
    let folder = front.folder().display();
    std::fs::write(front.folder().join("ca.pem"), ca.pem()).unwrap();
    let port = front.inbound().port();
    let proxy = Proxy::start(&format!(
        "app: {{ port: {} }}\nlisteners: [{{ port: 0 }}]\nmonitor:\n  checks:\n\
         \x20 - {{ name: tls, tcp: \"127.0.0.1:{port}\", tls: {{ hostname: localhost, caFiles: [\"{folder}/ca.pem\"] }}, interval: 10ms }}\n\
         \x20 - {{ name: name, tcp: \"127.0.0.1:{port}\", tls: {{ hostname: other.example, caFiles: [\"{folder}/ca.pem\"] }}, interval: 10ms }}\n",
        app.address().port()
    ));
    let series = "outrigger_check_certificate_expiry_timestamp_seconds{check=\"tls\"}";
    let expiry = wait_for(series, || {
        Some(value(&page(&proxy, "").1, series)?.parse::<f64>().unwrap())
    });
    assert!(expiry > 1.7e9, "{expiry}");
    let refused = "outrigger_check_success{check=\"name\"}";
    let success = wait_for(refused, || {
        value(&page(&proxy, "").1, refused).map(str::to_owned)
    });
    assert_eq!(success, "0");
}

/// A collector that notes what it gets.
#[test]
fn the_page_is_pushed_by_otlp_with_the_apps_own_metrics() {
    let (sender, received) = std::sync::mpsc::sync_channel::<(String, Vec<u8>)>(4);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let collector = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut all = Vec::new();
            let mut buffer = [0; 4096];
            // Head and body, whose length the head says.
            loop {
                let read = stream.read(&mut buffer).unwrap();
                all.extend_from_slice(&buffer[..read]);
                let Some(end) = all.windows(4).position(|four| four == b"\r\n\r\n") else {
                    continue;
                };
                let head = String::from_utf8_lossy(&all[..end]).to_ascii_lowercase();
                let length = head.split("content-length: ").nth(1).unwrap();
                let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
                if all.len() == end + 4 + length || read == 0 {
                    let _ = sender.try_send((head, all[end + 4..].to_vec()));
                    break;
                }
            }
            let _ = stream.write_all(&answer("200 OK\r\n", ""));
        }
    });
    let app = exporter(|_| {
        answer(
            "200 OK\r\n",
            "# TYPE orders_total counter\norders_total{x=\"1\"} 7\n",
        )
    });
    let proxy = Proxy::start(&format!(
        "app: {{ port: {app} }}\nlisteners: [{{ port: 0 }}]\nmonitor:\n  scrape: {{ timeout: 20s }}\n\
         \x20 push: {{ otlp: {{ url: \"http://127.0.0.1:{collector}/base\", interval: 10ms }} }}\n"
    ));
    let (head, body) = received.recv_timeout(crate::support::PATIENCE).unwrap();
    assert!(head.starts_with("post /base/v1/metrics http/1.1"), "{head}");
    assert!(
        head.contains("content-type: application/x-protobuf"),
        "{head}"
    );
    let has = |text: &str| {
        body.windows(text.len())
            .any(|window| window == text.as_bytes())
    };
    for name in [
        "orders_total",
        "outrigger_app_up",
        "outrigger_requests_total",
        "outrigger_build_info",
    ] {
        assert_eq!(has(name), name != "outrigger_requests_total", "{name}"); // no request was made yet
    }
    let series = "outrigger_pushes_total{result=\"ok\"}";
    wait_for(series, || {
        (value(&page(&proxy, "").1, series)? != "0").then_some(())
    });
}
