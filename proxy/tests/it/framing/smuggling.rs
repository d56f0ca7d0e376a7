//! Requests that two servers may parse differently: never two messages at the origin; requirements
//! 1, 3, 4 and 5.

use super::*;

const EVIL: &[u8] = b"GET /evil HTTP/1.1\r\nHost: a\r\n\r\n";

fn head(fields: &[u8]) -> Vec<u8> {
    bytes(&[b"POST /good HTTP/1.1\r\nHost: a\r\n", fields, b"\r\n\r\n"])
}

/// Sends bytes that a server could parse as a second request, and reads until the connection is
/// quiet.
fn never_two(bench: &Bench, bytes: &[u8]) -> Result<(), String> {
    let before = bench.origin.messages().len();
    let answer = bench.ask(bytes);
    let all = bench.origin.messages();
    let text = String::from_utf8_lossy(&answer).into_owned();
    if all.len() > before + 1 {
        return Err(format!(
            "{} messages at the origin: {:?}",
            all.len() - before,
            bench.origin.bytes()
        ));
    }
    if all
        .iter()
        .any(|message| message.line.contains("evil") || message.line.contains("EVIL"))
    {
        return Err(format!(
            "the smuggled request reached the origin; answered {text:?}"
        ));
    }
    for message in &all[before.min(all.len())..] {
        unambiguous(message)?;
    }
    Ok(())
}

#[test]
fn no_pair_of_framings_makes_two_requests() {
    let cl_te: Vec<(&str, Vec<u8>)> = [
        ("CL.TE", "Content-Length: 36\r\nTransfer-Encoding: chunked"),
        ("TE.CL", "Transfer-Encoding: chunked\r\nContent-Length: 4"),
        (
            "CL.TE, upper case",
            "CONTENT-LENGTH: 36\r\nTRANSFER-ENCODING: CHUNKED",
        ),
        (
            "CL.TE.CL",
            "Content-Length: 36\r\nTransfer-Encoding: chunked\r\nContent-Length: 36",
        ),
        (
            "TE.TE with a tab",
            "Transfer-Encoding:\tchunked\r\nContent-Length: 4",
        ),
        (
            "TE.TE identity",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\nContent-Length: 4",
        ),
        (
            "TE.TE cow",
            "Transfer-Encoding: cow\r\nTransfer-Encoding: chunked\r\nContent-Length: 4",
        ),
        (
            "TE.TE space before the colon",
            "Transfer-Encoding : chunked\r\nContent-Length: 4",
        ),
        (
            "TE.TE fold",
            "Transfer-Encoding:\r\n chunked\r\nContent-Length: 4",
        ),
        (
            "TE.TE after a bare CR",
            "X: y\rTransfer-Encoding: chunked\r\nContent-Length: 4",
        ),
        (
            "TE.TE after a NUL",
            "Transfer-Encoding: chunked\0\r\nContent-Length: 4",
        ),
        (
            "TE.TE with _",
            "Transfer_Encoding: chunked\r\nContent-Length: 4",
        ),
        ("CL.CL", "Content-Length: 4\r\nContent-Length: 36"),
        ("CL.0", "Content-Length: 0"),
        (
            "nominated CL",
            "Content-Length: 36\r\nConnection: content-length",
        ),
        (
            "nominated TE",
            "Transfer-Encoding: chunked\r\nConnection: transfer-encoding",
        ),
    ]
    .into_iter()
    .map(|(name, fields)| (name, head(fields.as_bytes())))
    .collect();
    let bench = Bench::new();
    let mut report = Report::default();
    for (name, head) in cl_te {
        let mut hidden = head.clone();
        hidden.extend_from_slice(b"0\r\n\r\n");
        hidden.extend_from_slice(EVIL);
        // CL.0 is two valid requests on one connection: only the body that hides one counts.
        if name != "CL.0" && name != "nominated TE" {
            report.case(1, name, never_two(&bench, &hidden));
        }
        let mut chunk = head;
        chunk.extend_from_slice(b"21\r\nGET /evil HTTP/1.1\r\nHost: abc\r\n\r\n\r\n0\r\n\r\n");
        if name != "CL.0" {
            report.case(1, name, never_two(&bench, &chunk));
        }
    }
    report.finish();
}

/// Requirement 1: it is refused, and nothing behind it is served.
#[test]
fn a_length_beside_chunks_ends_the_connection_after_one_message() {
    for fields in [
        "Content-Length: 6\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 6",
    ] {
        let bench = Bench::new();
        let mut bytes = head(fields.as_bytes());
        bytes.extend_from_slice(b"3\r\nabc\r\n0\r\n\r\n");
        bytes.extend_from_slice(EVIL);
        let answer = String::from_utf8(bench.to_the_end(&bytes)).unwrap();
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
        let all = bench.origin.messages();
        assert!(all.len() <= 1, "{all:?}");
        if let [message] = &all[..] {
            assert_eq!(
                (&*message.body, message.all("content-length").len()),
                (&b"abc"[..], 0),
                "{message:?}"
            );
            unambiguous(message).unwrap();
        }
    }
}

#[test]
fn nothing_in_a_target_or_a_value_starts_a_second_request() {
    let cases: &[(u8, &str, &[u8])] = &[
        (2, "escaped CR LF in the path", b"GET /a%0d%0aHost:%20b%0d%0a%0d%0aGET%20/x HTTP/1.1\r\nHost: a\r\n\r\n"),
        (2, "escaped CR LF in the query", b"GET /?a%0d%0aX:%20y HTTP/1.1\r\nHost: a\r\n\r\n"),
        (2, "escaped CR LF in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX: a%0d%0aY: z\r\n\r\n"),
        (
            2,
            "a bare LF and a request in the trailers",
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nx: y\n\nGET /evil HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
        (2, "a space in the target", b"GET / HTTP/1.1 HTTP/1.1\r\nHost: a\r\n\r\n"),
        (2, "bare CR before a request", b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\rGET /evil HTTP/1.1\r\nHost: a\r\n\r\n"),
        (3, "an upgrade with a request behind it", b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade, close\r\nUpgrade: websocket\r\n\r\nGET /evil HTTP/1.1\r\nHost: a\r\n\r\n"),
        (3, "h2c with a preface behind it", b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade, http2-settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        (3, "a request behind Connection: close", b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /evil HTTP/1.1\r\nHost: a\r\n\r\n"),
        (3, "a request behind HTTP/1.0", b"GET / HTTP/1.0\r\nHost: a\r\n\r\nGET /evil HTTP/1.1\r\nHost: a\r\n\r\n"),
        (3, "a body of HTTP/1.0 without a length", b"POST / HTTP/1.0\r\nHost: a\r\n\r\nGET /evil HTTP/1.1\r\nHost: a\r\n\r\n"),
    ];
    let bench = Bench::new();
    let mut report = Report::default();
    for (requirement, name, bytes) in cases {
        report.case(*requirement, name, never_two(&bench, bytes));
    }
    report.finish();
    for message in bench.origin.messages() {
        assert!(
            message
                .all("upgrade")
                .iter()
                .all(|value| *value == "websocket"),
            "{message:?}"
        );
        assert!(
            message.all("y").is_empty() && message.all("http2-settings").is_empty(),
            "{message:?}"
        );
    }
}

/// Requirement 3: after a refusal nothing more of that connection is read as a request.
#[test]
fn a_pipelined_request_behind_a_refused_one_is_never_served() {
    let bench = Bench::new();
    let mut report = Report::default();
    for bad in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET /%2f HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX_Y: 1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
    ] {
        let mut bytes = bad.as_bytes().to_vec();
        bytes.extend_from_slice(EVIL);
        let answer = String::from_utf8(bench.to_the_end(&bytes)).unwrap();
        let problem = (answer.matches("HTTP/1.1 ").count() != 1 || bench.origin.total_bytes() > 0)
            .then_some(answer);
        report.case(3, bad, problem.map_or(Ok(()), Err));
    }
    report.finish();
}

/// Requirement 3: two honest requests stay two, each with its own answer.
#[test]
fn pipelined_requests_reach_the_origin_one_by_one() {
    let bench = Bench::new();
    let one = "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    let two = "GET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answer = String::from_utf8(bench.to_the_end(format!("{one}{two}").as_bytes())).unwrap();
    assert_eq!(answer.matches("HTTP/1.1 200 ").count(), 2, "{answer}");
    let all = bench.origin.messages();
    assert_eq!(
        all.iter().map(Message::target).collect::<Vec<_>>(),
        ["/1", "/2"]
    );
    all.iter().for_each(|message| unambiguous(message).unwrap());
}

/// Requirement 2: RFC 9112 section 2.2 lets a recipient treat a bare LF as the end of a line. A
/// proxy in front may not do that, so it is rejected everywhere.
#[test]
fn a_bare_lf_ends_no_line_of_a_head() {
    let bench = Bench::new();
    let mut report = Report::default();
    for (name, bytes) in [
        ("behind the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n"),
        ("behind a field", "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n"),
        (
            "as the empty line",
            "GET / HTTP/1.1\r\nHost: a\r\n\nGET /evil HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
        ("everywhere", "GET / HTTP/1.1\nHost: a\n\n"),
        (
            "before the request line",
            "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
        (
            "within a value",
            "GET / HTTP/1.1\r\nHost: a\r\nX: y\nz\r\n\r\n",
        ),
    ] {
        report.case(2, name, bench.refuses(bytes.as_bytes(), UNPARSED));
    }
    report.finish();
    assert_eq!(bench.origin.total_bytes(), 0);
}
