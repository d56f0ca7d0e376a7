//! Heads that are refused: requirements 1, 2, 3, 6 and 10, and the limits.

use super::*;

fn table(bench: &Bench, cases: &[(u8, &str, Vec<u8>, Refusal)]) {
    let mut report = Report::default();
    for (requirement, name, bytes, refusal) in cases {
        report.case(*requirement, name, bench.refuses(bytes, *refusal));
    }
    // A good request afterwards: the proxy is well, and nothing of the above was left anywhere.
    report.case(
        3,
        "a good request afterwards",
        bench
            .accepts(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            .map(drop),
    );
    report.case(3, "nothing else, however late", bench.only_one_reached());
    report.finish();
}

/// A POST whose head has `field` and whose body is `abcde`.
fn post(field: &[u8]) -> Vec<u8> {
    bytes(&[b"POST / HTTP/1.1\r\nHost: a\r\n", field, b"\r\n\r\nabcde"])
}

fn get(field: &[u8]) -> Vec<u8> {
    bytes(&[b"GET / HTTP/1.1\r\nHost: a\r\n", field, b"\r\n\r\n"])
}

fn line(line: &[u8]) -> Vec<u8> {
    bytes(&[line, b"\r\nHost: a\r\n\r\n"])
}

#[test]
fn an_ambiguous_length_is_refused() {
    const LENGTH: Refusal = UNPARSED;
    const ENCODING: Refusal = Refusal(400, "request.transfer_encoding");
    let cases = [
        (
            2,
            "differing lengths",
            post(b"Content-Length: 5\r\nContent-Length: 6"),
            LENGTH,
        ),
        (
            2,
            "differing lengths, the longer first",
            post(b"Content-Length: 6\r\nContent-Length: 5"),
            LENGTH,
        ),
        (
            2,
            "list of equal lengths",
            post(b"Content-Length: 5, 5"),
            LENGTH,
        ),
        (
            2,
            "list of differing lengths",
            post(b"Content-Length: 5, 6"),
            LENGTH,
        ),
        (2, "plus sign", post(b"Content-Length: +5"), LENGTH),
        (2, "minus sign", post(b"Content-Length: -5"), LENGTH),
        (2, "minus zero", post(b"Content-Length: -0"), LENGTH),
        (2, "hex", post(b"Content-Length: 0x5"), LENGTH),
        (2, "hex digit", post(b"Content-Length: a"), LENGTH),
        (2, "empty length", post(b"Content-Length:"), LENGTH),
        (2, "blank length", post(b"Content-Length:   "), LENGTH),
        (2, "space inside", post(b"Content-Length: 5 5"), LENGTH),
        (2, "decimal point", post(b"Content-Length: 5.0"), LENGTH),
        (2, "exponent", post(b"Content-Length: 5e0"), LENGTH),
        (
            2,
            "one over 64 bits",
            post(b"Content-Length: 18446744073709551616"),
            LENGTH,
        ),
        (
            2,
            "far over 64 bits",
            post(b"Content-Length: 99999999999999999999999999"),
            LENGTH,
        ),
        (2, "a semicolon behind", post(b"Content-Length: 5;"), LENGTH),
        (2, "quoted", post(b"Content-Length: \"5\""), LENGTH),
        (
            2,
            "vertical tab before",
            post(b"Content-Length: \x0b5"),
            LENGTH,
        ),
        (
            2,
            "no-break space before",
            post(b"Content-Length: \xa05"),
            LENGTH,
        ),
        (
            2,
            "arabic digit",
            post("Content-Length: \u{665}".as_bytes()),
            LENGTH,
        ),
        (
            2,
            "gzip, chunked",
            post(b"Transfer-Encoding: gzip, chunked"),
            ENCODING,
        ),
        (
            2,
            "chunked, gzip",
            post(b"Transfer-Encoding: chunked, gzip"),
            UNPARSED,
        ),
        (
            2,
            "chunked, chunked",
            post(b"Transfer-Encoding: chunked, chunked"),
            ENCODING,
        ),
        (
            2,
            "chunked, identity",
            post(b"Transfer-Encoding: chunked, identity"),
            UNPARSED,
        ),
        (
            2,
            "identity, chunked",
            post(b"Transfer-Encoding: identity, chunked"),
            ENCODING,
        ),
        (
            2,
            "chunked twice",
            post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
            ENCODING,
        ),
        (
            2,
            "gzip, then chunked",
            post(b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked"),
            ENCODING,
        ),
        (
            2,
            "chunked, then cow",
            post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: cow"),
            UNPARSED,
        ),
        (
            2,
            "identity",
            post(b"Transfer-Encoding: identity"),
            UNPARSED,
        ),
        (
            2,
            "xchunked",
            post(b"Transfer-Encoding: xchunked"),
            UNPARSED,
        ),
        (
            2,
            "chunkedx",
            post(b"Transfer-Encoding: chunkedx"),
            UNPARSED,
        ),
        (
            2,
            "quoted chunked",
            post(b"Transfer-Encoding: \"chunked\""),
            UNPARSED,
        ),
        (
            2,
            "chunked with a parameter",
            post(b"Transfer-Encoding: chunked;q=1"),
            UNPARSED,
        ),
        (2, "empty encoding", post(b"Transfer-Encoding:"), UNPARSED),
        (
            2,
            "leading comma",
            post(b"Transfer-Encoding: ,chunked"),
            ENCODING,
        ),
        (
            2,
            "trailing comma",
            post(b"Transfer-Encoding: chunked,"),
            UNPARSED,
        ),
        (
            2,
            "vertical tab before chunked",
            post(b"Transfer-Encoding: \x0bchunked"),
            UNPARSED,
        ),
        (
            2,
            "non-ASCII in the encoding",
            post(b"Transfer-Encoding: chunked\xff"),
            UNPARSED,
        ),
        (
            2,
            "chunked with HTTP/1.0",
            b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_vec(),
            UNPARSED,
        ),
        (
            1,
            "length and gzip, chunked",
            post(b"Content-Length: 5\r\nTransfer-Encoding: gzip, chunked"),
            ENCODING,
        ),
        (
            1,
            "length and chunked",
            post(b"Content-Length: 5\r\nTransfer-Encoding: chunked"),
            ENCODING,
        ),
        (
            1,
            "chunked and length",
            post(b"Transfer-Encoding: chunked\r\nContent-Length: 5"),
            ENCODING,
        ),
        (
            1,
            "chunked and a bad length",
            post(b"Transfer-Encoding: chunked\r\nContent-Length: x"),
            LENGTH,
        ),
        (
            1,
            "length and identity",
            post(b"Content-Length: 5\r\nTransfer-Encoding: identity"),
            UNPARSED,
        ),
        (
            1,
            "identity and length",
            post(b"Transfer-Encoding: identity\r\nContent-Length: 5"),
            UNPARSED,
        ),
    ];
    table(&Bench::new(), &cases);
}

#[test]
fn a_malformed_head_is_refused() {
    let cases = [
        (2, "space before a colon", get(b"X : y"), UNPARSED),
        (2, "only a colon", get(b":"), UNPARSED),
        (2, "a quote in a name", get(b"X\"Y: z"), UNPARSED),
        (
            2,
            "a method of 65 bytes",
            line(&bytes(&[&[b'M'; 65], b" / HTTP/1.1"])),
            UNPARSED,
        ),
        (2, "a method without an end", vec![b'M'; 65], UNPARSED),
        (2, "something else without an end", b"\0".to_vec(), UNPARSED),
        (2, "HTTP/0.9, the real one", b"GET /\r\n".to_vec(), UNPARSED),
        (2, "HTTP/1", line(b"GET / HTTP/1"), UNPARSED),
        (
            2,
            "HTTP/1.1 in full width",
            line("GET / \u{ff28}TTP/1.1".as_bytes()),
            UNPARSED,
        ),
        (2, "no target", line(b"GET HTTP/1.1"), UNPARSED),
        (2, "an empty target", line(b"GET  HTTP/1.1"), UNPARSED),
        (2, "CR CR LF behind a field", get(b"X: a\r"), UNPARSED),
        (
            2,
            "CR before the request",
            b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
            UNPARSED,
        ),
        (
            2,
            "a space before the request",
            b" GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
            UNPARSED,
        ),
        (2, "tab before a colon", get(b"X\t: y"), UNPARSED),
        (
            2,
            "space before the colon of a length",
            post(b"Content-Length : 5"),
            UNPARSED,
        ),
        (
            2,
            "space before the colon of an encoding",
            post(b"Transfer-Encoding : chunked"),
            UNPARSED,
        ),
        (2, "space in a name", get(b"X y: z"), UNPARSED),
        (2, "no colon", get(b"X"), UNPARSED),
        (2, "empty name", get(b": x"), UNPARSED),
        (2, "non-ASCII name", get(b"X\xc3\xa9: y"), UNPARSED),
        (2, "bracket in a name", get(b"X[]: y"), UNPARSED),
        (2, "NUL in a name", get(b"X\0: y"), UNPARSED),
        (2, "CR in a name", get(b"X\r: y"), UNPARSED),
        (2, "bare CR in a value", get(b"X: a\rb"), UNPARSED),
        (
            2,
            "bare CR before a smuggled field",
            get(b"X: a\rContent-Length: 5"),
            UNPARSED,
        ),
        (2, "NUL in a value", get(b"X: a\0b"), UNPARSED),
        (2, "control byte in a value", get(b"X: a\x01b"), UNPARSED),
        (2, "DEL in a value", get(b"X: a\x7fb"), UNPARSED),
        (2, "obs-fold with a space", get(b"X: a\r\n b"), UNPARSED),
        (2, "obs-fold with a tab", get(b"X: a\r\n\tb"), UNPARSED),
        (
            2,
            "obs-fold of an encoding",
            post(b"Transfer-Encoding:\r\n chunked"),
            UNPARSED,
        ),
        (
            2,
            "fold before the first field",
            b"GET / HTTP/1.1\r\n X: y\r\nHost: a\r\n\r\n".to_vec(),
            UNPARSED,
        ),
        (2, "no method", line(b" / HTTP/1.1"), UNPARSED),
        (2, "bad method", line(b"G@T / HTTP/1.1"), UNPARSED),
        (2, "NUL in the method", line(b"G\0T / HTTP/1.1"), UNPARSED),
        (
            2,
            "a colon in the method",
            line(b"GET: / HTTP/1.1"),
            UNPARSED,
        ),
        (
            2,
            "tab behind the method",
            line(b"GET\t/ HTTP/1.1"),
            UNPARSED,
        ),
        (
            2,
            "two spaces behind the method",
            line(b"GET  / HTTP/1.1"),
            UNPARSED,
        ),
        (
            2,
            "two spaces behind the target",
            line(b"GET /  HTTP/1.1"),
            UNPARSED,
        ),
        (
            2,
            "space in the target",
            line(b"GET /a b HTTP/1.1"),
            UNPARSED,
        ),
        (2, "no version", line(b"GET /"), UNPARSED),
        (2, "HTTP/0.9", line(b"GET / HTTP/0.9"), UNPARSED),
        (2, "HTTP/1.2", line(b"GET / HTTP/1.2"), UNPARSED),
        (2, "HTTP/2.0", line(b"GET / HTTP/2.0"), UNPARSED),
        (2, "HTTP/1.10", line(b"GET / HTTP/1.10"), UNPARSED),
        (
            2,
            "version in lower case",
            line(b"GET / http/1.1"),
            UNPARSED,
        ),
        (
            2,
            "space behind the version",
            line(b"GET / HTTP/1.1 "),
            UNPARSED,
        ),
        (
            2,
            "TLS",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(),
            UNPARSED,
        ),
        (
            2,
            "control byte in the target",
            line(b"GET /a\x01b HTTP/1.1"),
            UNPARSED,
        ),
        (
            2,
            "NUL in the target",
            line(b"GET /a\0b HTTP/1.1"),
            UNPARSED,
        ),
        (
            2,
            "bare CR in the target",
            line(b"GET /a\rb HTTP/1.1"),
            UNPARSED,
        ),
        (
            2,
            "DEL in the target",
            line(b"GET /a\x7fb HTTP/1.1"),
            UNPARSED,
        ),
        (
            2,
            "UTF-8 in the authority of a target",
            line("GET http://\u{e9}/ HTTP/1.1".as_bytes()),
            UNPARSED,
        ),
        (
            2,
            "a brace in the authority of a target",
            line(b"GET http://{/ HTTP/1.1"),
            UNPARSED,
        ),
        (
            2,
            "asterisk with GET",
            line(b"GET * HTTP/1.1"),
            Refusal(400, "request.target"),
        ),
        (
            2,
            "authority form with GET",
            line(b"GET a:80 HTTP/1.1"),
            Refusal(400, "request.target"),
        ),
        (
            2,
            "a target without a slash",
            line(b"GET a HTTP/1.1"),
            Refusal(400, "request.target"),
        ),
        (2, "a query alone", line(b"GET ?a HTTP/1.1"), UNPARSED),
        (
            2,
            "an unknown scheme",
            line(b"GET ftp://a/ HTTP/1.1"),
            Refusal(400, "request.target"),
        ),
        (2, "a fragment alone", line(b"GET # HTTP/1.1"), UNPARSED),
        (
            2,
            "a fragment behind a path",
            line(b"GET /a#b HTTP/1.1"),
            UNPARSED,
        ),
        (
            2,
            "a fragment behind a query",
            line(b"GET /a?b#/../c HTTP/1.1"),
            UNPARSED,
        ),
        (
            2,
            "an absolute form without an authority",
            line(b"GET http:/// HTTP/1.1"),
            UNPARSED,
        ),
    ];
    table(&Bench::new(), &cases);
}

#[test]
fn a_host_that_is_not_exactly_one_is_refused() {
    const HOST: Refusal = Refusal(400, "request.host");
    let host = |fields: &[u8]| bytes(&[b"GET / HTTP/1.1\r\n", fields, b"\r\n"]);
    let cases = [
        (2, "missing", host(b""), HOST),
        (2, "twice", host(b"Host: a\r\nHost: b\r\n"), HOST),
        (2, "twice the same", host(b"Host: a\r\nHost: a\r\n"), HOST),
        (
            2,
            "twice in two cases",
            host(b"Host: a\r\nHOST: a\r\n"),
            HOST,
        ),
        (2, "empty", host(b"Host:\r\n"), HOST),
        (2, "a list", host(b"Host: a, b\r\n"), HOST),
        (2, "userinfo", host(b"Host: u@a\r\n"), HOST),
        (
            2,
            "userinfo with a password",
            host(b"Host: u:p@a\r\n"),
            HOST,
        ),
        (2, "a path", host(b"Host: a/b\r\n"), HOST),
        (2, "a query", host(b"Host: a?b\r\n"), HOST),
        (2, "a fragment", host(b"Host: a#b\r\n"), HOST),
        (2, "a bad port", host(b"Host: a:b\r\n"), HOST),
        (2, "a port too large", host(b"Host: a:65536\r\n"), HOST),
        (2, "two ports", host(b"Host: a:1:2\r\n"), HOST),
        (2, "a space", host(b"Host: a b\r\n"), HOST),
        (2, "an open bracket", host(b"Host: [::1\r\n"), HOST),
        (2, "non-ASCII", host(b"Host: \xc3\xa9\r\n"), HOST),
        (2, "a percent escape", host(b"Host: a%00\r\n"), HOST),
        (
            5,
            "absolute form without Host",
            b"GET http://a/ HTTP/1.1\r\n\r\n".to_vec(),
            HOST,
        ),
        (
            5,
            "absolute form with a bad Host",
            b"GET http://a/ HTTP/1.1\r\nHost: b@c\r\n\r\n".to_vec(),
            HOST,
        ),
        (
            5,
            "absolute form with userinfo",
            line(b"GET http://u@a/ HTTP/1.1"),
            HOST,
        ),
        (
            2,
            "HTTP/1.0 with a bad Host",
            b"GET / HTTP/1.0\r\nHost: a,b\r\n\r\n".to_vec(),
            HOST,
        ),
    ];
    table(&Bench::new(), &cases);
}

#[test]
fn connect_underscores_and_two_authorizations_are_refused() {
    const CONNECT: Refusal = Refusal(405, "request.connect");
    const UNDERSCORE: Refusal = Refusal(400, "request.underscore_header");
    let cases = [
        (
            3,
            "CONNECT in authority form",
            line(b"CONNECT a:443 HTTP/1.1"),
            CONNECT,
        ),
        (
            3,
            "CONNECT with a body",
            bytes(&[&line(b"CONNECT a:443 HTTP/1.1"), b"GET / HTTP/1.1\r\n"]),
            CONNECT,
        ),
        (6, "an unknown name with _", get(b"X_Y: 1"), UNDERSCORE),
        (
            6,
            "Transfer_Encoding",
            post(b"Transfer_Encoding: chunked"),
            UNDERSCORE,
        ),
        (6, "Content_Length", post(b"Content_Length: 5"), UNDERSCORE),
        (
            6,
            "X_Forwarded_For",
            get(b"X_Forwarded_For: 1.2.3.4"),
            UNDERSCORE,
        ),
        (
            6,
            "X-Forwarded_For",
            get(b"X-Forwarded_For: 1.2.3.4"),
            UNDERSCORE,
        ),
        (
            6,
            "X_Forwarded-Client_Cert",
            get(b"X_Forwarded-Client_Cert: Hash=1"),
            UNDERSCORE,
        ),
        (
            10,
            "two Authorization",
            get(b"Authorization: Bearer a\r\nAuthorization: Bearer b"),
            Refusal(400, "request.authorization"),
        ),
        (
            10,
            "the same Authorization twice",
            get(b"Authorization: x\r\nauthorization: x"),
            Refusal(400, "request.authorization"),
        ),
    ];
    table(&Bench::new(), &cases);
}

#[test]
fn what_is_too_large_is_refused() {
    let many = "x: y\r\n".repeat(100);
    let crumbs = "cookie: a=b\r\n".repeat(100);
    let long = "y".repeat(66 * 1024);
    let path = format!("GET /{} HTTP/1.1", "p".repeat(17 * 1024));
    let cases = [
        (
            2,
            "a head over 64 KiB",
            get(format!("x: {long}").as_bytes()),
            Refusal(431, "limit.headers"),
        ),
        (
            2,
            "101 fields",
            get(many.trim_end().as_bytes()),
            Refusal(431, "limit.headers"),
        ),
        (
            2,
            "101 fields, all cookies",
            get(crumbs.trim_end().as_bytes()),
            Refusal(431, "limit.headers"),
        ),
        (
            2,
            "a target over 16 KiB",
            line(path.as_bytes()),
            Refusal(414, "limit.target"),
        ),
        (
            2,
            "a declared body over the limit",
            post(b"Content-Length: 9000"),
            Refusal(413, "limit.body"),
        ),
    ];
    table(&Bench::listener(", limits: { bodyBytes: 8KiB }"), &cases);
}

#[test]
fn what_is_too_slow_is_refused() {
    let bench = Bench::listener(", timeouts: { requestHeaders: 500ms, bodyIdle: 500ms }");
    let mut report = Report::default();
    let slow = Refusal(408, "timeout.request_headers");
    report.case(
        2,
        "half a head",
        bench.refuses(b"GET / HTTP/1.1\r\nHo", slow),
    );
    report.case(
        2,
        "half a preface",
        bench.refuses(b"PRI * HTTP/2.0\r\n", slow),
    );
    report.finish();
}

/// What can be no head any more is answered at once: the client, which may wait for an answer before it sends more, does
/// not wait until the time for the head is over.
#[test]
fn what_can_be_no_head_any_more_is_refused_before_it_ends() {
    let field = |text: &str| format!("GET / HTTP/1.1\r\nHost: a\r\n{text}");
    let cases: Vec<(&str, String)> = vec![
        ("a bare CR in the target", "GET /a\rb".into()),
        ("a bare CR behind the method", "GET\r".into()),
        (
            "a bare CR behind the version",
            "GET / HTTP/1.1\rHost: a".into(),
        ),
        (
            "a bare CR before the end of the line",
            "GET / HTTP/1.1\r\r".into(),
        ),
        ("a bare CR after an empty line", "\r\nGET /a\rb".into()),
        ("NUL in the target", "GET /a\0".into()),
        ("a tab in the target", "GET /a\tb".into()),
        ("DEL in the target", "GET /a\x7f".into()),
        ("a line without spaces", "GET/HTTP/1.1\r\n".into()),
        ("a line with one space", "GET /\r\n".into()),
        ("a third space", "GET /a b HTTP".into()),
        ("no version", "GET / a".into()),
        ("a version in lower case", "GET / http".into()),
        ("HTTP/1.2", "GET / HTTP/1.2".into()),
        ("HTTP/2", "GET / HTTP/2".into()),
        ("a bare CR in a value", field("X: a\rb")),
        (
            "a bare CR in a value of a whole line",
            field("X: a\rb\r\nY: c\r\n"),
        ),
        ("a bare CR in a name", field("X\rY")),
        ("NUL in a value", field("X: a\0")),
        ("a line without a colon", field("X\r\n")),
        ("space before a colon", field("X : y\r\n")),
        ("a folded line", field("X: y\r\n z\r\n")),
    ];
    let bench = Bench::new();
    let mut report = Report::default();
    for (name, text) in &cases {
        // 408 would be the answer when the time for a head is over.
        report.case(2, name, bench.refuses(text.as_bytes(), UNPARSED));
    }
    report.finish();
}
