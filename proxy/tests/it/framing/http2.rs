//! HTTP/2 to HTTP/1.1: requirement 4, and what 2, 3, 5, 6, 9 and 10 mean there. Frames are written by hand.

use super::*;
use crate::support::frames::{
    CONTINUATION, DATA, END_HEADERS, GOAWAY, HEADERS, PING, PROTOCOL_ERROR, SETTINGS,
    WINDOW_UPDATE, block,
};

const BASE: [Field<'static>; 4] = [
    (b":method", b"GET"),
    (b":scheme", b"http"),
    (b":authority", b"a"),
    (b":path", b"/"),
];

fn with<'a>(more: &[Field<'a>]) -> Vec<Field<'a>> {
    BASE.iter().chain(more).copied().collect()
}

fn target(path: &[u8]) -> Vec<Field<'_>> {
    vec![
        (b":method", b"GET"),
        (b":scheme", b"http"),
        (b":authority", b"a"),
        (b":path", path),
    ]
}

impl Bench {
    /// Requirements on every refused stream: reset or GOAWAY, nothing upstream, one line, one count.
    fn resets(&self, reason: &str, send: impl FnOnce(&mut Frames)) -> Result<(), String> {
        let (lines, count, reached) = (
            self.log().len(),
            self.rejected(reason),
            self.origin.messages().len(),
        );
        let mut client = Frames::connect(self.proxy.address("in-0"));
        send(&mut client);
        let outcome = client.outcome(1);
        if !matches!(outcome, Outcome::Reset(PROTOCOL_ERROR) | Outcome::GoAway(_)) {
            return Err(format!(
                "ended with {outcome:?}; log {:?}",
                self.log().last()
            ));
        }
        drop(client);
        let line = self.one_line(lines)?;
        if line["reason"] != reason || line["status"] != 0 {
            return Err(format!("logged as {line}, not {reason} without a status"));
        }
        self.is_counted(lines + 1)?;
        if self.rejected(reason) != count + 1.0 {
            return Err(format!(
                "{reason} counted {} times",
                self.rejected(reason) - count
            ));
        }
        if self.origin.messages().len() != reached {
            return Err(format!(
                "reached the origin: {:?}",
                self.origin.messages().last()
            ));
        }
        Ok(())
    }

    /// Requirements on a request that a rule of ours refuses: an answer, nothing upstream, one line, one count.
    fn answers_400(&self, reason: &str, fields: &[Field<'_>]) -> Result<(), String> {
        let (lines, count, reached) = (
            self.log().len(),
            self.rejected(reason),
            self.origin.messages().len(),
        );
        let mut client = Frames::connect(self.proxy.address("in-0"));
        client.headers(1, fields, true);
        let outcome = client.outcome(1);
        if outcome != Outcome::Status(400) {
            return Err(format!(
                "ended with {outcome:?}; log {:?}",
                self.log().last()
            ));
        }
        let line = self.one_line(lines)?;
        if line["reason"] != reason || line["status"] != 400 || line["flag"] != "DPE" {
            return Err(format!("logged as {line}, not {reason} with 400"));
        }
        self.is_counted(lines + 1)?;
        if self.rejected(reason) != count + 1.0 {
            return Err(format!(
                "{reason} counted {} times",
                self.rejected(reason) - count
            ));
        }
        if self.origin.messages().len() != reached {
            return Err(format!(
                "reached the origin: {:?}",
                self.origin.messages().last()
            ));
        }
        client.headers(3, &BASE, true);
        match client.outcome(3) {
            Outcome::Status(200) => {
                wait_for("the line of the next request", || {
                    (self.log().len() > lines + 1).then_some(())
                });
                self.one_message(reached).map(drop)
            }
            other => Err(format!(
                "the next request of the connection ended with {other:?}"
            )),
        }
    }

    /// Whether as many requests are counted with each status as the access log has lines with it.
    fn is_counted(&self, lines: usize) -> Result<(), String> {
        let log = self.log();
        let page = self.proxy.metrics();
        for status in [0, 400] {
            let labels = format!("status=\"{status}\",flag=\"DPE\"}}");
            let series = page.lines().filter(|line| {
                line.starts_with("outrigger_requests_total{") && line.contains(&labels)
            });
            let counted: f64 = series
                .map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap())
                .sum();
            let logged = log[..lines]
                .iter()
                .filter(|line| line["status"] == status)
                .count();
            if counted != logged as f64 {
                return Err(format!(
                    "{counted} counted with status {status}, {logged} logged"
                ));
            }
        }
        Ok(())
    }

    /// Sends one request; the one message at the origin.
    fn takes(&self, fields: &[Field<'_>], body: Option<&[u8]>) -> Result<Message, String> {
        let before = self.origin.messages().len();
        match self.http2(fields, body) {
            Outcome::Status(200) => self.one_message(before),
            other => Err(format!("ended with {other:?}; log {:?}", self.log().last())),
        }
    }
}

#[test]
fn a_malformed_head_resets_the_stream_and_is_not_forwarded() {
    const H2: &str = "request.http2_protocol";
    const HEADER: &str = "request.header";
    const PSEUDO: &str = "request.pseudo_header";
    let long = vec![b'x'; 300];
    let cases: Vec<(u8, &str, &str, Vec<Field<'_>>)> = vec![
        (4, "connection", H2, with(&[(b"connection", b"close")])),
        (
            4,
            "connection nominates",
            H2,
            with(&[(b"connection", b"x-forwarded-for")]),
        ),
        (4, "keep-alive", H2, with(&[(b"keep-alive", b"timeout=5")])),
        (
            4,
            "proxy-connection",
            H2,
            with(&[(b"proxy-connection", b"keep-alive")]),
        ),
        (
            4,
            "transfer-encoding",
            H2,
            with(&[(b"transfer-encoding", b"chunked")]),
        ),
        (4, "upgrade", H2, with(&[(b"upgrade", b"websocket")])),
        (4, "te gzip", H2, with(&[(b"te", b"gzip")])),
        (
            4,
            "te trailers, gzip",
            H2,
            with(&[(b"te", b"trailers, gzip")]),
        ),
        (4, "te chunked", H2, with(&[(b"te", b"chunked")])),
        (
            4,
            "CR LF in a value",
            H2,
            with(&[(b"x", b"a\r\nContent-Length: 5")]),
        ),
        (4, "CR in a value", H2, with(&[(b"x", b"a\rb")])),
        (4, "LF in a value", H2, with(&[(b"x", b"a\nb")])),
        (4, "NUL in a value", H2, with(&[(b"x", b"a\0b")])),
        (
            4,
            "CR LF in a long value",
            H2,
            with(&[
                (b"x", &long),
                (b"y", b"\r\n\r\nGET /evil HTTP/1.1\r\nHost: a\r\n\r\n"),
            ]),
        ),
        (4, "space before a value", HEADER, with(&[(b"x", b" a")])),
        (4, "space behind a value", HEADER, with(&[(b"x", b"a ")])),
        (4, "tab before a value", HEADER, with(&[(b"x", b"\ta")])),
        (4, "space in a name", H2, with(&[(b"x y", b"a")])),
        (4, "colon in a name", H2, with(&[(b"x:y", b"a")])),
        (4, "CR LF in a name", H2, with(&[(b"x\r\ny", b"a")])),
        (4, "NUL in a name", H2, with(&[(b"x\0", b"a")])),
        (4, "upper case in a name", H2, with(&[(b"X-A", b"a")])),
        (
            4,
            "an encoding in upper case",
            H2,
            with(&[(b"Transfer-Encoding", b"chunked")]),
        ),
        (4, "empty name", H2, with(&[(b"", b"a")])),
        (4, ":method twice", H2, with(&[(b":method", b"POST")])),
        (4, ":path twice", H2, with(&[(b":path", b"/x")])),
        (4, ":authority twice", H2, with(&[(b":authority", b"a")])),
        (4, ":scheme twice", H2, with(&[(b":scheme", b"http")])),
        (4, "unknown pseudo-header", H2, with(&[(b":evil", b"1")])),
        (4, ":status in a request", H2, with(&[(b":status", b"200")])),
        (
            4,
            "pseudo-header behind a field",
            H2,
            vec![
                (b":method", b"GET"),
                (b":scheme", b"http"),
                (b":authority", b"a"),
                (b"x", b"y"),
                (b":path", b"/"),
            ],
        ),
        (
            4,
            "no :method",
            H2,
            vec![
                (b":scheme", b"http"),
                (b":authority", b"a"),
                (b":path", b"/"),
            ],
        ),
        (
            4,
            "no :path",
            H2,
            vec![
                (b":method", b"GET"),
                (b":scheme", b"http"),
                (b":authority", b"a"),
            ],
        ),
        (
            4,
            "no :scheme",
            H2,
            vec![
                (b":method", b"GET"),
                (b":authority", b"a"),
                (b":path", b"/"),
            ],
        ),
        (4, "empty :path", H2, target(b"")),
        (4, ":path without a slash", H2, target(b"a")),
        (4, ":path that is a URL", H2, target(b"http://a/")),
        (4, ":path is *", PSEUDO, target(b"*")),
        (4, ":path is * with a query", H2, target(b"*?a")),
        (4, ":path is a query", PSEUDO, target(b"?a")),
        (4, "space in :path", H2, target(b"/a b")),
        (
            4,
            "a request line in :path",
            H2,
            target(b"/ HTTP/1.1\r\nHost: b\r\n\r\nGET /evil"),
        ),
        (4, "NUL in :path", H2, target(b"/\0")),
        (
            4,
            "space in :method",
            H2,
            vec![
                (b":method", b"GET / HTTP/1.1\r\nX:"),
                (b":scheme", b"http"),
                (b":authority", b"a"),
                (b":path", b"/"),
            ],
        ),
        (
            4,
            "empty :method",
            H2,
            vec![
                (b":method", b""),
                (b":scheme", b"http"),
                (b":authority", b"a"),
                (b":path", b"/"),
            ],
        ),
        (
            4,
            "bad :scheme",
            H2,
            vec![
                (b":method", b"GET"),
                (b":scheme", b"ht tp"),
                (b":authority", b"a"),
                (b":path", b"/"),
            ],
        ),
        (
            4,
            "userinfo in :authority",
            PSEUDO,
            vec![
                (b":method", b"GET"),
                (b":scheme", b"http"),
                (b":authority", b"u@a"),
                (b":path", b"/"),
            ],
        ),
        (
            4,
            "CR LF in :authority",
            H2,
            vec![
                (b":method", b"GET"),
                (b":scheme", b"http"),
                (b":authority", b"a\r\nX: y"),
                (b":path", b"/"),
            ],
        ),
        (
            4,
            "host differs",
            "request.authority_mismatch",
            with(&[(b"host", b"b")]),
        ),
        (
            4,
            "host differs in its port",
            "request.authority_mismatch",
            with(&[(b"host", b"a:81")]),
        ),
        (
            4,
            "a length with END_STREAM",
            H2,
            with(&[(b"content-length", b"5")]),
        ),
        (
            2,
            "a length twice",
            "request.content_length",
            with(&[(b"content-length", b"0"), (b"content-length", b"0")]),
        ),
        (2, "a bad length", H2, with(&[(b"content-length", b"x")])),
        (
            2,
            "a signed length",
            H2,
            with(&[(b"content-length", b"+0")]),
        ),
        // Beside what a rule of ours refuses, whatever stands first.
        (4, "space before a value, and %2f", HEADER, {
            let mut fields = target(b"/a%2fb");
            fields.push((b"x", b" a"));
            fields
        }),
        (
            4,
            "space before a value, and a name with _",
            HEADER,
            with(&[(b"x_y", b"1"), (b"x", b" a")]),
        ),
        (
            4,
            "space before a value, and two authorizations",
            HEADER,
            with(&[
                (b"authorization", b"a"),
                (b"authorization", b"b"),
                (b"x", b"a "),
            ]),
        ),
        (
            4,
            "host differs, and two authorizations",
            "request.authority_mismatch",
            {
                with(&[
                    (b"authorization", b"a"),
                    (b"authorization", b"b"),
                    (b"host", b"b"),
                ])
            },
        ),
        (
            4,
            "host differs, and UTF-8 in :path",
            "request.authority_mismatch",
            {
                let mut fields = target(b"/\xc3\xa9");
                fields.push((b"host", b"b"));
                fields
            },
        ),
    ];
    let bench = Bench::new();
    let mut report = Report::default();
    for (requirement, name, reason, fields) in &cases {
        report.case(
            *requirement,
            name,
            bench.resets(reason, |client| client.headers(1, fields, true)),
        );
    }
    report.case(
        4,
        "a good request afterwards",
        bench.takes(&BASE, None).map(drop),
    );
    report.case(4, "nothing else, however late", bench.only_one_reached());
    report.finish();
}

/// What RFC 9113 does not call malformed is refused with an answer, as over HTTP/1.1: a client shows it, and repeats nothing.
#[test]
fn what_a_rule_of_ours_refuses_is_answered_with_400() {
    const HOST: &str = "request.host";
    const TARGET: &str = "request.target";
    const PATH: &str = "request.path";
    const UNDERSCORE: &str = "request.underscore_header";
    fn authority(of: &[u8]) -> Vec<Field<'_>> {
        vec![BASE[0], BASE[1], (b":authority", of), BASE[3]]
    }
    let without_authority = |more: &[Field<'static>]| [&[BASE[0], BASE[1], BASE[3]], more].concat();
    let scheme = |scheme| vec![BASE[0], (&b":scheme"[..], scheme), BASE[2], BASE[3]];
    let cases: Vec<(u8, &str, &str, Vec<Field<'_>>)> = vec![
        (2, "no :authority and no host", HOST, without_authority(&[])),
        (
            2,
            "a bad host and no :authority",
            HOST,
            without_authority(&[(b"host", b"a,b")]),
        ),
        (
            2,
            "userinfo in host",
            HOST,
            without_authority(&[(b"host", b"u@a")]),
        ),
        (
            2,
            "host twice",
            HOST,
            with(&[(b"host", b"a"), (b"host", b"a")]),
        ),
        (2, "a bad port in :authority", HOST, authority(b"a:0")),
        (2, "a list in :authority", HOST, authority(b"a,b")),
        (2, "unknown :scheme", TARGET, scheme(b"ftp")),
        (6, "a name with _", UNDERSCORE, with(&[(b"x_y", b"1")])),
        (
            6,
            "transfer_encoding",
            UNDERSCORE,
            with(&[(b"transfer_encoding", b"chunked")]),
        ),
        (
            10,
            "two authorizations",
            "request.authorization",
            with(&[(b"authorization", b"a"), (b"authorization", b"b")]),
        ),
        (9, "%2f", PATH, target(b"/a%2fb")),
        (9, "%5c", PATH, target(b"/a%5Cb")),
        (9, "dot segment", PATH, target(b"/a/../b")),
        (9, "dot segment behind a slash", PATH, target(b"/a/./")),
        (9, "encoded dot segment", PATH, target(b"/%2e%2e/b")),
        (9, "backslash", PATH, target(b"/a\\b")),
        (9, "%00", PATH, target(b"/%00")),
        (9, "a broken escape", PATH, target(b"/%zz")),
    ];
    let bench = Bench::new();
    let mut report = Report::default();
    for (requirement, name, reason, fields) in &cases {
        report.case(*requirement, name, bench.answers_400(reason, fields));
    }
    report.finish();
}

/// Trailers over 8 KiB are a limit of ours as well.
#[test]
fn trailers_that_are_too_large_are_answered_with_400() {
    let bench = Bench::new();
    let mut client = Frames::connect(bench.proxy.address("in-0"));
    client.headers(
        1,
        &[(b":method", b"POST"), BASE[1], BASE[2], BASE[3]],
        false,
    );
    client.data(1, b"abc", false);
    let long = vec![b'x'; 9_000];
    client.headers(1, &[(b"x-sum", &long)], true);
    assert_eq!(client.outcome(1), Outcome::Status(400));
    let line = bench.one_line(0).unwrap();
    assert_eq!(
        (&line["status"], &line["reason"]),
        (&400.into(), &"request.trailers".into()),
        "{line}"
    );
    bench.origin.wait_closed(0);
    assert!(
        bench.origin.messages().is_empty(),
        "{:?}",
        bench.origin.bytes()
    );
    client.headers(3, &BASE, true);
    assert_eq!(client.outcome(3), Outcome::Status(200));
}

#[test]
fn a_length_that_data_contradicts_resets_the_stream_and_cuts_the_upstream_connection() {
    let bench = Bench::new();
    let mut report = Report::default();
    let fields = |length: &'static [u8]| -> Vec<Field<'static>> {
        let mut all = vec![(&b":method"[..], &b"POST"[..])];
        all.extend_from_slice(&BASE[1..]);
        all.push((b"content-length", length));
        all
    };
    for (name, length, data) in [
        ("shorter", &b"5"[..], &b"abc"[..]),
        ("longer", b"2", b"abc"),
        ("longer than nothing", b"0", b"abc"),
        (
            "a request in the rest",
            b"1",
            b"aGET /evil HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
    ] {
        let result = bench.resets("request.body", |client| {
            client.headers(1, &fields(length), false);
            client.data(1, data, true);
        });
        report.case(4, name, result);
        if bench.origin.connections() > 0 {
            bench.origin.wait_closed(bench.origin.connections() - 1);
        }
    }
    let result = bench.resets("request.body", |client| {
        client.headers(1, &fields(b"5"), false);
        client.data(1, b"ab", false);
        client.headers(1, &[(b"x-sum", b"1")], true);
    });
    report.case(4, "trailers before the end of the length", result);
    report.finish();
}

#[test]
fn broken_framing_of_the_connection_ends_it() {
    let request = block(&BASE);
    type Send = Box<dyn Fn(&mut Frames)>;
    let cases: Vec<(&str, Send)> = vec![
        (
            "DATA on stream 0",
            Box::new(|client| client.frame(DATA, 0, 0, b"x")),
        ),
        (
            "HEADERS on stream 0",
            Box::new({
                let request = request.clone();
                move |client| client.frame(HEADERS, END_HEADERS | 1, 0, &request)
            }),
        ),
        (
            "an even stream",
            Box::new({
                let request = request.clone();
                move |client| client.frame(HEADERS, END_HEADERS | 1, 2, &request)
            }),
        ),
        (
            "DATA on an idle stream",
            Box::new(|client| client.frame(DATA, 0, 1, b"x")),
        ),
        (
            "CONTINUATION alone",
            Box::new(|client| client.frame(CONTINUATION, END_HEADERS, 1, &[])),
        ),
        (
            "PING inside a header block",
            Box::new({
                let request = request.clone();
                move |client| {
                    client.frame(HEADERS, 1, 1, &request[..4]);
                    client.frame(PING, 0, 0, &[0; 8]);
                }
            }),
        ),
        (
            "CONTINUATION of another stream",
            Box::new({
                let request = request.clone();
                move |client| {
                    client.frame(HEADERS, 1, 1, &request[..4]);
                    client.frame(CONTINUATION, END_HEADERS, 3, &request[4..]);
                }
            }),
        ),
        (
            "an index beyond the table",
            Box::new(|client| client.frame(HEADERS, END_HEADERS | 1, 1, &[0xff, 0x80, 0x01])),
        ),
        (
            "a block that ends in a literal",
            Box::new(|client| client.frame(HEADERS, END_HEADERS | 1, 1, &[0, 5, b'a'])),
        ),
        (
            "SETTINGS of five bytes",
            Box::new(|client| client.frame(SETTINGS, 0, 0, &[0; 5])),
        ),
        (
            "a window of zero",
            Box::new(|client| client.frame(WINDOW_UPDATE, 0, 0, &[0; 4])),
        ),
        (
            "PING of seven bytes",
            Box::new(|client| client.frame(PING, 0, 0, &[0; 7])),
        ),
        (
            "GOAWAY on a stream",
            Box::new(|client| client.frame(GOAWAY, 0, 1, &[0; 8])),
        ),
    ];
    let bench = Bench::new();
    let mut report = Report::default();
    for (name, send) in &cases {
        report.case(
            4,
            name,
            bench.resets("request.http2_protocol", |client| send(client)),
        );
    }
    report.finish();
    assert_eq!(bench.origin.total_bytes(), 0);
}

#[test]
fn a_good_request_becomes_one_message() {
    let bench = Bench::new();
    let mut report = Report::default();
    let mut case = |requirement,
                    name: &str,
                    fields: &[Field<'_>],
                    body: Option<&[u8]>,
                    check: &dyn Fn(&Message) -> bool| {
        let result = bench
            .takes(fields, body)
            .and_then(|message| match check(&message) {
                true => Ok(()),
                false => Err(format!("{message:?}")),
            });
        report.case(requirement, name, result);
    };
    let post = |more: &[Field<'static>]| -> Vec<Field<'static>> {
        let mut all = vec![(&b":method"[..], &b"POST"[..])];
        all.extend_from_slice(&BASE[1..]);
        all.extend_from_slice(more);
        all
    };
    case(4, "plain", &BASE, None, &|one| {
        one.line == "GET / HTTP/1.1" && one.all("host") == ["a"]
    });
    case(
        4,
        "host beside :authority",
        &with(&[(b"host", b"a")]),
        None,
        &|one| one.all("host") == ["a"],
    );
    case(
        4,
        "host instead of :authority",
        &[BASE[0], BASE[1], BASE[3], (b"host", b"b")],
        None,
        &|one| one.all("host") == ["b"],
    );
    case(
        4,
        "te: trailers",
        &with(&[(b"te", b"trailers")]),
        None,
        &|one| one.all("te") == ["trailers"],
    );
    case(
        4,
        "cookie crumbs",
        &with(&[
            (b"cookie", b"a=1"),
            (b"cookie", b"b=2"),
            (b"cookie", b"c=3"),
        ]),
        None,
        &|one| one.all("cookie") == ["a=1; b=2; c=3"],
    );
    case(
        4,
        "a length",
        &post(&[(b"content-length", b"3")]),
        Some(b"abc"),
        &|one| one.all("content-length") == ["3"] && one.body == b"abc",
    );
    // A body that has arrived with its head has a length; one that arrives later is chunked.
    let one_framing = |one: &Message| {
        let framing = [one.all("transfer-encoding"), one.all("content-length")].concat();
        (framing == ["chunked"] || framing == ["3"]) && one.body == b"abc"
    };
    case(4, "no length", &post(&[]), Some(b"abc"), &one_framing);
    case(4, "no length and GET", &BASE, Some(b"abc"), &one_framing);
    case(
        4,
        "a body that reads like a request",
        &post(&[]),
        Some(b"0\r\n\r\nGET /evil HTTP/1.1\r\nHost: a\r\n\r\n"),
        &|one| one.body.starts_with(b"0\r\n\r\nGET /evil"),
    );
    case(9, "canonical path", &target(b"//%61/b?%2f"), None, &|one| {
        one.target() == "/a/b?%2f"
    });
    case(9, "UTF-8 in :path", &target(b"/\xc3\xa9"), None, &|one| {
        one.target() == "/%C3%A9"
    });
    case(
        9,
        "quotes and braces",
        &target(b"/{a}?f={\"a\":\xc3\xa9}"),
        None,
        &|one| one.target() == "/%7Ba%7D?f=%7B%22a%22:%C3%A9%7D",
    );
    case(
        6,
        "spoofed headers",
        &with(&[
            (b"x-forwarded-for", b"6.6.6.6"),
            (b"x-real-ip", b"6.6.6.6"),
            (b"forwarded", b"for=6.6.6.6"),
            (b"x-request-id", b"mine"),
            (b"x-forwarded-client-cert", b"Hash=1"),
        ]),
        None,
        &|one| one.all("x-forwarded-for") == ["127.0.0.1"] && one.all("x-request-id") != ["mine"],
    );
    report.finish();
}

/// Requirement 4: what a trailer must not say is dropped.
#[test]
fn forbidden_trailers_are_dropped() {
    let bench = Bench::new();
    let mut client = Frames::connect(bench.proxy.address("in-0"));
    let mut fields: Vec<Field<'_>> = vec![(b":method", b"POST")];
    fields.extend_from_slice(&BASE[1..]);
    fields.push((
        b"trailer",
        b"x-sum, host, content-length, authorization, x-forwarded-for, x_sum, x-request-id",
    ));
    client.headers(1, &fields, false);
    client.data(1, b"abc", false);
    let trailers: [Field<'_>; 7] = [
        (b"x-sum", b"1"),
        (b"host", b"evil"),
        (b"content-length", b"5"),
        (b"authorization", b"x"),
        (b"x-forwarded-for", b"6.6.6.6"),
        (b"x_sum", b"1"),
        (b"x-request-id", b"mine"),
    ];
    client.headers(1, &trailers, true);
    assert_eq!(client.outcome(1), Outcome::Status(200));
    let message = bench.one_message(0).unwrap();
    assert_eq!(
        message.trailers,
        [("x-sum".to_owned(), "1".to_owned())],
        "{message:?}"
    );
}

/// Limits: 431 and 414 need no reset, since nothing is ambiguous; CONNECT is 405 (requirement 3).
#[test]
fn what_is_too_large_or_not_served_gets_its_status() {
    let bench = Bench::listener(", limits: { bodyBytes: 1KiB, targetBytes: 1KiB }");
    let many: Vec<Field<'_>> = with(&[(&b"x"[..], &b"a"[..]); 101]);
    let crumbs: Vec<Field<'_>> = with(&[(&b"cookie"[..], &b"a=b"[..]); 1_000]);
    let beside: Vec<Field<'_>> =
        [crumbs[..4 + 90].to_vec(), vec![(&b"x"[..], &b"a"[..]); 100]].concat();
    let path = [b"/".as_slice(), &[b'p'; 2000]].concat();
    let lengthy = with(&[(b"content-length", b"9000")]);
    for (name, fields, body, status, reason) in [
        ("101 fields", many, None, 431, "limit.headers"),
        ("1 000 crumbs", crumbs, None, 431, "limit.headers"),
        (
            "100 fields beside crumbs",
            beside,
            None,
            431,
            "limit.headers",
        ),
        ("long target", target(&path), None, 414, "limit.target"),
        (
            "CONNECT",
            vec![
                (&b":method"[..], &b"CONNECT"[..]),
                (b":authority", b"a:443"),
            ],
            None,
            405,
            "request.connect",
        ),
        (
            "declared body",
            lengthy,
            Some(&b"abc"[..]),
            413,
            "limit.body",
        ),
    ] {
        let (lines, count) = (bench.log().len(), bench.rejected(reason));
        let mut client = Frames::connect(bench.proxy.address("in-0"));
        client.headers(1, &fields, body.is_none());
        assert_eq!(client.outcome(1), Outcome::Status(status), "{name}");
        assert_eq!(bench.one_line(lines).unwrap()["reason"], reason, "{name}");
        assert_eq!(bench.rejected(reason), count + 1.0, "{name}");
    }
    assert_eq!(bench.origin.total_bytes(), 0);
}

/// Requirement 3: a client that resets its stream midway leaves no partial message that another
/// request could complete.
#[test]
fn a_reset_midway_cuts_the_upstream_connection() {
    let bench = Bench::new();
    let mut client = Frames::connect(bench.proxy.address("in-0"));
    client.headers(
        1,
        &[(b":method", b"POST"), BASE[1], BASE[2], BASE[3]],
        false,
    );
    client.data(1, b"abc", false);
    wait_for("the head at the origin", || {
        (bench.origin.total_bytes() > 0).then_some(())
    });
    client.frame(crate::support::frames::RST_STREAM, 0, 1, &[0, 0, 0, 8]);
    bench.origin.wait_closed(0);
    assert!(
        bench.origin.messages().is_empty(),
        "{:?}",
        bench.origin.bytes()
    );
    client.headers(3, &BASE, true);
    assert_eq!(client.outcome(3), Outcome::Status(200));
    assert_eq!(bench.origin.connections(), 2);
}

/// Crumbs are one field (RFC 9113 section 8.2.3), and so they are for the limit on the number of fields: a browser with many
/// cookies sends each in a crumb of its own.
#[test]
fn cookie_crumbs_count_as_one_field() {
    let bench = Bench::new();
    let mut report = Report::default();
    for (crumbs, fields) in [(90, 15), (101, 0), (180, 50), (500, 0), (500, 99)] {
        let cookies: Vec<String> = (0..crumbs).map(|n| format!("c{n}={n}")).collect();
        let mut all = with(&[]);
        all.extend(
            cookies
                .iter()
                .map(|cookie| (&b"cookie"[..], cookie.as_bytes())),
        );
        all.extend(std::iter::repeat_n((&b"x"[..], &b"a"[..]), fields));
        let result = bench
            .takes(&all, None)
            .and_then(|message| match message.all("cookie")[..] {
                [one] if one == cookies.join("; ") && message.all("x").len() == fields => Ok(()),
                _ => Err(format!("{message:?}")),
            });
        report.case(
            4,
            &format!("{crumbs} crumbs beside {fields} fields"),
            result,
        );
    }
    report.finish();
}
