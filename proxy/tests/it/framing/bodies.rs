//! Request bodies: chunks, extensions, trailers, lengths that lie; requirements 1 to 3.

use super::*;

const BODY: Refusal = Refusal(400, "request.body");

fn chunked(body: &[u8]) -> Vec<u8> {
    bytes(&[b"POST /c HTTP/1.1\r\nHost: a\r\nTrailer: x-sum, x-forwarded-for, x-request-id, host, content-length\r\nTransfer-Encoding: chunked\r\n\r\n", body])
}

#[test]
fn a_broken_chunk_is_the_clients_fault_and_cuts_the_upstream_connection() {
    let extension = [
        b"1;".as_slice(),
        &vec![b'e'; 17 * 1024],
        b"\r\na\r\n0\r\n\r\n",
    ]
    .concat();
    let many = "1;e=0123456789abcdef\r\na\r\n".repeat(1200) + "0\r\n\r\n";
    let trailer = [
        b"1\r\na\r\n0\r\nx-sum: ".as_slice(),
        &vec![b't'; 9 * 1024],
        b"\r\n\r\n",
    ]
    .concat();
    let trailers = "1\r\na\r\n0\r\n".to_owned()
        + &"x-sum: 0123456789\r\n".repeat(90)
        + &format!("x-sum: {}\r\n\r\n", "b".repeat(7000));
    let cases: Vec<(u8, &str, Vec<u8>)> = vec![
        (2, "size is no hex", b"g\r\na\r\n0\r\n\r\n".to_vec()),
        (2, "size is empty", b"\r\na\r\n0\r\n\r\n".to_vec()),
        (2, "size with a minus", b"-1\r\na\r\n0\r\n\r\n".to_vec()),
        (2, "size with a plus", b"+1\r\na\r\n0\r\n\r\n".to_vec()),
        (2, "size with 0x", b"0x1\r\na\r\n0\r\n\r\n".to_vec()),
        (
            2,
            "size over 64 bits",
            b"fffffffffffffffff\r\na\r\n0\r\n\r\n".to_vec(),
        ),
        (
            2,
            "size over 64 bits, by one digit",
            b"10000000000000001\r\na\r\n0\r\n\r\n".to_vec(),
        ),
        (2, "a comma in the size", b"1,1\r\na\r\n0\r\n\r\n".to_vec()),
        (
            2,
            "a bare LF behind the size",
            b"1\na\r\n0\r\n\r\n".to_vec(),
        ),
        (
            2,
            "a bare CR behind the size",
            b"1\ra\r\n0\r\n\r\n".to_vec(),
        ),
        (
            2,
            "a bare LF in an extension",
            b"1;a\nb\r\na\r\n0\r\n\r\n".to_vec(),
        ),
        (
            2,
            "NUL in an extension",
            b"1;a=\0\r\na\r\n0\r\n\r\n".to_vec(),
        ),
        (
            2,
            "a byte over ASCII in an extension",
            b"1;a=\xff\r\na\r\n0\r\n\r\n".to_vec(),
        ),
        (
            2,
            "an extension without a semicolon",
            b"1 a\r\na\r\n0\r\n\r\n".to_vec(),
        ),
        (2, "space before the size", b" 1\r\na\r\n0\r\n\r\n".to_vec()),
        (
            2,
            "more bytes than the size",
            b"1\r\nab\r\n0\r\n\r\n".to_vec(),
        ),
        (2, "no CR LF behind the data", b"1\r\na0\r\n\r\n".to_vec()),
        (
            2,
            "a bare LF behind the data",
            b"1\r\na\n0\r\n\r\n".to_vec(),
        ),
        (
            2,
            "a second chunk is broken",
            b"1\r\na\r\nz\r\nb\r\n0\r\n\r\n".to_vec(),
        ),
        (
            2,
            "a bare LF at the end",
            b"1\r\na\r\n0\r\n\n\r\n\r\n".to_vec(),
        ),
        (
            2,
            "a bare LF at the end and a request",
            b"1\r\na\r\n0\r\n\nGET /evil HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        ),
        (2, "one extension over 16 KiB", extension),
        (2, "extensions over 16 KiB together", many.into_bytes()),
        (2, "a trailer over 8 KiB", trailer),
        (2, "trailers over 8 KiB together", trailers.into_bytes()),
        (
            2,
            "a bare LF behind a trailer",
            b"1\r\na\r\n0\r\nx-sum: 1\n\r\n".to_vec(),
        ),
        (
            2,
            "a bare LF behind the trailers",
            b"1\r\na\r\n0\r\nx-sum: 1\r\n\n".to_vec(),
        ),
        (
            2,
            "a bare CR in a trailer",
            b"1\r\na\r\n0\r\nx-sum: 1\ry: 2\r\n\r\n".to_vec(),
        ),
        (
            2,
            "a folded trailer",
            b"1\r\na\r\n0\r\nx-sum: 1\r\n 2\r\n\r\n".to_vec(),
        ),
        (
            2,
            "a trailer without a name",
            b"1\r\na\r\n0\r\n: 1\r\n\r\n".to_vec(),
        ),
        (
            2,
            "more than 100 trailers",
            [
                b"1\r\na\r\n0\r\n".as_slice(),
                &b"x-sum: 1\r\n".repeat(101),
                b"\r\n",
            ]
            .concat(),
        ),
        (
            2,
            "a trailer without a colon",
            b"1\r\na\r\n0\r\nx-sum\r\n\r\n".to_vec(),
        ),
        (
            2,
            "space before a trailer's colon",
            b"1\r\na\r\n0\r\nx-sum : 1\r\n\r\n".to_vec(),
        ),
        (
            2,
            "NUL in a trailer",
            b"1\r\na\r\n0\r\nx-sum: \0\r\n\r\n".to_vec(),
        ),
    ];
    let bench = Bench::new();
    let mut report = Report::default();
    for (requirement, name, body) in &cases {
        report.case(*requirement, name, bench.refuses(&chunked(body), BODY));
    }
    report.finish();
}

#[test]
fn a_good_body_is_written_anew() {
    let cases: &[(u8, &str, &[u8], &[u8])] = &[
        (1, "plain", b"5\r\nabcde\r\n0\r\n\r\n", b"abcde"),
        (
            1,
            "two chunks",
            b"2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n",
            b"abcde",
        ),
        (1, "leading zeros", b"005\r\nabcde\r\n00\r\n\r\n", b"abcde"),
        (
            1,
            "upper-case hex",
            b"A\r\n0123456789\r\n0\r\n\r\n",
            b"0123456789",
        ),
        (2, "an extension", b"5;a=b\r\nabcde\r\n0\r\n\r\n", b"abcde"),
        (
            2,
            "a quoted extension with a fake end",
            b"5;a=\"0\"\r\nabcde\r\n0;x\r\n\r\n",
            b"abcde",
        ),
        (
            2,
            "a tab in an extension",
            b"5;a=\tb\r\nabcde\r\n0\r\n\r\n",
            b"abcde",
        ),
        (
            2,
            "space behind the size",
            b"5 \t\r\nabcde\r\n0\r\n\r\n",
            b"abcde",
        ),
        (3, "no bytes at all", b"0\r\n\r\n", b""),
        (
            3,
            "a body that reads like a request",
            b"1f\r\nGET /evil HTTP/1.1\r\nHost: b\r\n\r\n\r\n0\r\n\r\n",
            b"GET /evil HTTP/1.1\r\nHost: b\r\n\r\n",
        ),
    ];
    let bench = Bench::new();
    let mut report = Report::default();
    for (requirement, name, body, wanted) in cases {
        let result = bench.accepts(&chunked(body)).and_then(|message| {
            let same = message.body == *wanted;
            same.then_some(())
                .ok_or_else(|| format!("another body: {message:?}"))
        });
        report.case(*requirement, name, result);
    }
    report.finish();
}

#[test]
fn trailers_that_frame_route_or_name_the_client_are_dropped() {
    let names = "host,content-length,transfer-encoding,authorization,connection,upgrade,te,trailer,keep-alive,\
                 x-forwarded-for,x-forwarded-client-cert,x-real-ip,forwarded,x-request-id,x-outrigger-user,\
                 x_forwarded_for,x_sum,cookie,expect,x-sum";
    let announced = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nTrailer: {names}\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"
    );
    let trailers: String = names
        .split(',')
        .map(|name| format!("{name}: 1\r\n"))
        .collect();
    let bench = Bench::new();
    let message = bench
        .accepts(format!("{announced}{trailers}\r\n").as_bytes())
        .unwrap();
    assert_eq!(
        message.trailers,
        [("x-sum".to_owned(), "1".to_owned())],
        "requirement 4: {message:?}"
    );
    let bad = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nx-other: 1\r\n\r\n";
    let message = bench.accepts(bad.as_bytes()).unwrap();
    assert!(
        message.trailers.is_empty(),
        "requirement 4: nothing that was not announced: {message:?}"
    );
}

/// Requirement 3: the body is drained or the connection closed.
#[test]
fn a_body_that_stops_midway_cuts_the_upstream_connection() {
    for head in ["Content-Length: 100", "Transfer-Encoding: chunked"] {
        let bench = Bench::new();
        let mut stream = bench.connect();
        stream
            .write_all(format!("POST / HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n1\r\na").as_bytes())
            .unwrap();
        wait_for("the head at the origin", || {
            (bench.origin.total_bytes() > 0).then_some(())
        });
        drop(stream);
        bench.origin.wait_closed(0);
        assert!(
            bench.origin.messages().is_empty(),
            "requirement 3: {:?}",
            bench.origin.bytes()
        );
        bench
            .accepts(b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
            .unwrap();
        assert_eq!(
            bench.origin.connections(),
            2,
            "requirement 3: never pooled again"
        );
    }
}

#[test]
fn a_body_that_is_too_slow_or_too_long_is_refused_and_cut() {
    let bench = Bench::listener(", limits: { bodyBytes: 1KiB }, timeouts: { bodyIdle: 500ms }");
    let long = [
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n800\r\n".as_slice(),
        &[b'x'; 0x800],
    ]
    .concat();
    for (bytes, status, reason) in [
        (long, 413, "limit.body"),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab".to_vec(),
            408,
            "timeout.body_idle",
        ),
    ] {
        let (count, lines) = (bench.rejected(reason), bench.log().len());
        let answer = String::from_utf8(bench.to_the_end(&bytes)).unwrap();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{reason}: {answer}"
        );
        assert!(
            answer
                .to_ascii_lowercase()
                .contains("\r\nconnection: close\r\n"),
            "{answer}"
        );
        assert_eq!(bench.one_line(lines).unwrap()["reason"], reason);
        assert_eq!(bench.rejected(reason), count + 1.0);
        bench.origin.wait_closed(bench.origin.connections() - 1);
        assert!(
            bench.origin.messages().is_empty(),
            "{:?}",
            bench.origin.bytes()
        );
    }
}
