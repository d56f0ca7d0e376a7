use crate::support::{Proxy, http, origin};

#[test]
fn a_request_reaches_the_app_and_is_logged_and_counted() {
    let origin = origin();
    let proxy = Proxy::in_front_of(&origin);
    let answer = http(
        proxy.address("in-0"),
        "GET /bytes/5 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    );
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let line = proxy.logged(|line| line["path"] == "/bytes/5");
    assert_eq!(line["status"], 200);
    assert_eq!(line["bytesOut"], 5);
    let metrics = proxy.metrics();
    assert!(
        metrics.contains(
            r#"outrigger_requests_total{listener="in-0",route="app",upstream="app",status="200",flag=""} 1"#
        ),
        "{metrics}"
    );
}
