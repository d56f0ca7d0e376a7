//! Requirements 3 and 6 to 8: which headers are trusted.

use super::*;

const SPOOFED: &str = "X-Forwarded-For: 6.6.6.6\r\nx-forwarded-FOR: 7.7.7.7\r\nX-Forwarded-Proto: https\r\n\
    X-Forwarded-Host: evil\r\nX-Forwarded-Port: 1\r\nX-Forwarded-Prefix: /p\r\nX-Real-IP: 6.6.6.6\r\n\
    Forwarded: for=6.6.6.6\r\nX-Request-Id: mine\r\nX-Outrigger-User: root\r\nx-outrigger-overloaded: true\r\n\
    X-Forwarded-Client-Cert: Hash=1;URI=spiffe://a/b\r\n";

fn get(fields: &str) -> Vec<u8> {
    format!("GET /x HTTP/1.1\r\nHost: a\r\n{fields}\r\n").into_bytes()
}

#[test]
fn what_a_stranger_says_about_the_client_is_overwritten() {
    let bench = Bench::new();
    let message = bench.accepts(&get(SPOOFED)).unwrap();
    assert_eq!(
        message.all("x-forwarded-for"),
        ["127.0.0.1"],
        "requirement 8"
    );
    assert_eq!(message.all("x-forwarded-proto"), ["http"], "requirement 8");
    assert_eq!(message.all("x-forwarded-host"), ["a"], "requirement 8");
    assert!(
        message.all("x-forwarded-port").is_empty() && message.all("x-forwarded-prefix").is_empty()
    );
    assert_ne!(message.all("x-request-id"), ["mine"], "requirement 6");
    let line = bench.last_logged();
    assert_eq!(line["clientAddress"], "127.0.0.1", "requirement 8");
    assert_eq!(
        line["requestId"],
        message.all("x-request-id")[0],
        "requirement 6"
    );
}

#[test]
fn what_a_trusted_peer_says_is_kept_or_appended_to() {
    let bench =
        Bench::listener(", clientAddress: { trustedCIDRs: [\"127.0.0.0/8\", \"10.0.0.0/8\"] }");
    let message = bench.accepts(&get(SPOOFED)).unwrap();
    assert_eq!(
        message.all("x-forwarded-for"),
        ["6.6.6.6, 7.7.7.7, 127.0.0.1"],
        "requirement 8"
    );
    assert_eq!(message.all("x-forwarded-proto"), ["https"], "requirement 8");
    assert_eq!(message.all("x-forwarded-host"), ["evil"], "requirement 8");
    assert_eq!(message.all("x-request-id"), ["mine"], "requirement 6");
    assert_eq!(
        bench.last_logged()["clientAddress"],
        "7.7.7.7",
        "requirement 8"
    );
    // Requirement 6: a duplicate field is not trusted, and an ID that is too long is replaced.
    let twice = "X-Request-Id: a\r\nX-Request-Id: b\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Proto: http\r\n";
    let message = bench.accepts(&get(twice)).unwrap();
    assert_eq!(
        (
            message.all("x-request-id")[0].len(),
            message.all("x-forwarded-proto")
        ),
        (36, vec!["http"])
    );
    let long = format!("X-Request-Id: {}\r\n", "i".repeat(129));
    assert_eq!(
        bench.accepts(&get(&long)).unwrap().all("x-request-id")[0].len(),
        36
    );
}

/// Requirement 7.
#[test]
fn nominations_never_remove_what_the_proxy_or_the_message_needs() {
    let bench = Bench::new();
    for connection in [
        "close, x-forwarded-for, host, authorization, x-request-id, content-length",
        "close, X-Forwarded-For, HOST, Authorization, X-Request-Id, Content-Length",
        "x-forwarded-proto,x-forwarded-host\r\nConnection: authorization, host , content-length,, x-forwarded-for, close",
        "transfer-encoding, trailer, x-forwarded-client-cert, x-request-id, close",
    ] {
        let bytes = format!(
            "POST /x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer t\r\nX-Drop: 1\r\nContent-Length: 3\r\nConnection: {connection}, x-drop\r\n\r\nabc"
        );
        let message = bench.accepts(bytes.as_bytes()).unwrap();
        assert_eq!(message.all("host"), ["a"], "requirement 7, {connection}");
        assert_eq!(
            message.all("authorization"),
            ["Bearer t"],
            "requirement 7, {connection}"
        );
        assert_eq!(
            message.all("x-forwarded-for"),
            ["127.0.0.1"],
            "requirement 7, {connection}"
        );
        assert_eq!(
            (message.all("content-length"), &*message.body),
            (vec!["3"], &b"abc"[..]),
            "{connection}"
        );
        assert!(
            message.all("x-drop").is_empty() && message.all("connection").is_empty(),
            "{message:?}"
        );
    }
}

/// Requirement 3.
#[test]
fn fields_of_one_hop_end_at_the_proxy() {
    let bench = Bench::new();
    let hop = "Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: Basic x\r\n\
        Proxy-Authenticate: x\r\nTE: gzip, trailers\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nUpgrade: h2c\r\n";
    for (connection, upgrade) in [
        ("", ""),
        (
            "Connection: keep-alive, te, upgrade, http2-settings\r\n",
            "",
        ),
        ("Connection: keep-alive\r\nConnection: TE\r\n", ""),
    ] {
        let message = bench.accepts(&get(&format!("{connection}{hop}"))).unwrap();
        assert_eq!(message.all("upgrade").concat(), upgrade, "requirement 3");
        assert!(
            matches!(message.all("te")[..], [] | ["trailers"]),
            "requirement 3"
        );
    }
    for h2c in ["h2c", "H2C", "websocket, h2c", "h2c, websocket"] {
        let message = bench
            .accepts(&get(&format!("Connection: upgrade\r\nUpgrade: {h2c}\r\n")))
            .unwrap();
        assert!(
            message.all("upgrade").is_empty() && message.all("connection").is_empty(),
            "requirement 3, {h2c}"
        );
    }
    let message = bench.accepts(&get("Upgrade: websocket\r\n")).unwrap();
    assert!(
        message.all("upgrade").is_empty(),
        "requirement 3: not nominated"
    );
}

/// Requirement 6.
#[test]
fn names_with_an_underscore_are_dropped_or_kept_as_configured_but_never_look_alikes() {
    let fields = "X_Y: 1\r\nX_Forwarded_For: 6.6.6.6\r\nX-Forwarded_Client-Cert: Hash=1\r\nx_request-id: 1\r\n\
        X_Real_IP: 6.6.6.6\r\nX_Outrigger_User: root\r\nContent_Length: 5\r\nTransfer_Encoding: chunked\r\n";
    for (rule, kept) in [("drop", vec![]), ("keep", vec!["1"])] {
        let bench = Bench::listener(&format!(", underscoreHeaders: {rule}"));
        let message = bench.accepts(&get(fields)).unwrap();
        assert_eq!(message.all("x_y"), kept, "requirement 6");
        let underscored = message
            .fields
            .iter()
            .filter(|(name, _)| name.contains('_'))
            .count();
        assert_eq!(underscored, kept.len(), "requirement 6: {message:?}");
    }
}

/// Requirement 10, and messages serialized from their parsed form (requirement 3).
#[test]
fn what_may_be_repeated_stays_and_everything_is_written_anew() {
    let bench = Bench::new();
    let accepted: &[(u8, &str, &[u8])] = &[
        (
            3,
            "an empty line before",
            b"\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
        (3, "HTTP/1.0", b"GET /x HTTP/1.0\r\nHost: a\r\n\r\n"),
        (3, "HTTP/1.0 without Host", b"GET /x HTTP/1.0\r\n\r\n"),
        (
            3,
            "HTTP/1.0 keep-alive",
            b"GET /x HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
        ),
        (
            2,
            "chunked in upper case",
            b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED\r\n\r\n1\r\na\r\n0\r\n\r\n",
        ),
        (
            2,
            "space around values",
            b"POST /x HTTP/1.1\r\nHost:  a \t\r\nContent-Length:  3 \r\n\r\nabc",
        ),
        (
            2,
            "leading zeros",
            b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 003\r\n\r\nabc",
        ),
        (
            2,
            "equal lengths twice",
            b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        ),
        (
            3,
            "GET with a length",
            b"GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
        ),
        (
            3,
            "GET with chunks",
            b"GET /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        ),
        (
            3,
            "POST without a length",
            b"POST /x HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
        (
            3,
            "DELETE with a length of zero",
            b"DELETE /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        ),
        (
            3,
            "an unknown method",
            b"BREW /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        ),
        (
            3,
            "Expect: 100-continue",
            b"POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
        ),
        (
            10,
            "one field twice",
            b"GET /x HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nX-A: 2\r\n\r\n",
        ),
        (
            3,
            "non-ASCII in a value",
            b"GET /x HTTP/1.1\r\nHost: a\r\nX-A: \xc3\xa9\r\n\r\n",
        ),
        (
            3,
            "100 fields less one",
            b"GET /x HTTP/1.1\r\nHost: a\r\nX-A:\r\n\r\n",
        ),
    ];
    let mut report = Report::default();
    for (requirement, name, bytes) in accepted {
        let before = bench.origin.messages().len();
        let mut stream = bench.connect();
        stream.write_all(bytes).unwrap();
        let mut answer = read_answer(&mut stream);
        if answer.starts_with(b"HTTP/1.1 100 ") {
            answer.drain(..b"HTTP/1.1 100 Continue\r\n\r\n".len());
        }
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let result = match answer.contains(" 200 OK\r\n") {
            true => bench.one_message(before).map(drop),
            false => Err(format!("answered {answer:?}; log {:?}", bench.log().last())),
        };
        report.case(*requirement, name, result);
    }
    report.finish();
}
