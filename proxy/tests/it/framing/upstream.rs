//! Hostile upstreams: requirements 1, 3 and 5. The connection is never reused.

use super::*;
use crate::support::recording::Act;

const REQUEST: &[u8] = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n";

/// The first request gets `bytes`, every other one `200 ok`.
fn once(bytes: Vec<u8>) -> Recording {
    let first = std::sync::Mutex::new(Some(bytes));
    Recording::answering(move |_| {
        let ok = || b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec();
        Act::Answer(first.lock().unwrap().take().unwrap_or_else(ok))
    })
}

fn then_works(bench: &Bench, connections: usize) -> Result<(), String> {
    let answer = String::from_utf8_lossy(&bench.ask(REQUEST)).into_owned();
    if !answer.starts_with("HTTP/1.1 200 OK\r\n") || !answer.ends_with("\r\n\r\nok") {
        return Err(format!("the next request got {answer:?}"));
    }
    match bench.origin.connections() {
        count if count == connections => Ok(()),
        count => Err(format!("{count} upstream connections, not {connections}")),
    }
}

fn refused(bytes: Vec<u8>, reason: &str) -> Result<(), String> {
    let bench = Bench::over(once(bytes), "");
    let answer = String::from_utf8_lossy(&bench.ask(REQUEST)).into_owned();
    if !answer.starts_with("HTTP/1.1 502 ") || answer.matches("HTTP/1.1 ").count() != 1 {
        return Err(format!("answered {answer:?}"));
    }
    let line = bench.one_line(0)?;
    if line["reason"] != reason || line["status"] != 502 {
        return Err(format!("logged as {line}"));
    }
    bench.origin.wait_closed(0);
    then_works(&bench, 2)
}

#[test]
fn a_response_head_with_two_readings_is_a_502_and_the_end_of_its_connection() {
    let head = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n").into_bytes();
    let long = format!("x: {}\r\ncontent-length: 0\r\n", "y".repeat(66 * 1024));
    let cases: Vec<(u8, &str, Vec<u8>)> = vec![
        (1, "length, then chunks", head("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")),
        (1, "chunks, then length", head("Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n")),
        (1, "two lengths", head("Content-Length: 2\r\nContent-Length: 3\r\n\r\nok")),
        (1, "two equal lengths", head("Content-Length: 2\r\nContent-Length: 2\r\n\r\nok")),
        (1, "a list of lengths", head("Content-Length: 2, 2\r\n\r\nok")),
        (1, "a signed length", head("Content-Length: +2\r\n\r\nok")),
        (1, "a negative length", head("Content-Length: -2\r\n\r\nok")),
        (1, "a hex length", head("Content-Length: 0x2\r\n\r\nok")),
        (1, "an empty length", head("Content-Length:\r\n\r\nok")),
        (1, "a length over 64 bits", head("Content-Length: 18446744073709551616\r\n\r\nok")),
        (1, "gzip, chunked", head("Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n")),
        (1, "chunked, gzip", head("Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n")),
        (1, "chunked twice", head("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")),
        (1, "identity", head("Transfer-Encoding: identity\r\n\r\nok")),
        (1, "chunked with HTTP/1.0", b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_vec()),
        (1, "204 with length and chunks", b"HTTP/1.1 204 No\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec()),
        (2, "obs-fold", head("x: a\r\n b\r\ncontent-length: 0\r\n")),
        (2, "space before a colon", head("x : a\r\ncontent-length: 0\r\n")),
        (2, "bare CR in a value", head("x: a\rb\r\ncontent-length: 0\r\n")),
        (2, "NUL in a value", head("x: a\0b\r\ncontent-length: 0\r\n")),
        (2, "no colon", head("x\r\ncontent-length: 0\r\n")),
        (2, "status of two digits", b"HTTP/1.1 20 OK\r\ncontent-length: 0\r\n\r\n".to_vec()),
        (2, "status of letters", b"HTTP/1.1 abc OK\r\ncontent-length: 0\r\n\r\n".to_vec()),
        (2, "status 099", b"HTTP/1.1 099 OK\r\ncontent-length: 0\r\n\r\n".to_vec()),
        (2, "HTTP/2.0", b"HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec()),
        (2, "no HTTP at all", b"220 smtp.example ESMTP\r\n\r\n".to_vec()),
        (3, "101 without an upgrade request", b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nstray".to_vec()),
        (2, "a head over 64 KiB", head(&long)),
        (2, "11 informational answers", [b"HTTP/1.1 103 Early Hints\r\nx: y\r\n\r\n".repeat(11), head("content-length: 2\r\n\r\nok")].concat()),
    ];
    let mut report = Report::default();
    for (requirement, name, bytes) in cases {
        report.case(requirement, name, refused(bytes, "upstream.protocol"));
    }
    report.finish();
}

#[test]
fn ten_informational_answers_are_read_over() {
    let bytes = [
        b"HTTP/1.1 103 Early Hints\r\nx: y\r\n\r\n".repeat(10),
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec(),
    ]
    .concat();
    let bench = Bench::over(once(bytes), "");
    let answer = String::from_utf8_lossy(&bench.ask(REQUEST)).into_owned();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    then_works(&bench, 1).unwrap();
}

/// Requirement 5: unsolicited bytes of the upstream close its connection and are never sent to a
/// client.
#[test]
fn a_stray_answer_never_answers_another_request() {
    let stray = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nstray";
    for first in [
        format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok{stray}"),
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n{stray}"),
        format!("HTTP/1.1 204 No Content\r\n\r\n{stray}"),
        format!("HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n{stray}"),
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok\r\n".to_owned(),
        "HTTP/1.1 204 No Content\r\n\r\nx".to_owned(),
    ] {
        let bench = Bench::over(once(first.clone().into_bytes()), "");
        let answer = String::from_utf8_lossy(&bench.ask(REQUEST)).into_owned();
        assert!(!answer.contains("stray"), "requirement 5: {answer}");
        then_works(&bench, 2)
            .unwrap_or_else(|problem| panic!("requirement 5, {first:?}: {problem}"));
        bench.origin.wait_closed(0);
    }
}

/// Requirement 5, for an answer to HEAD with the body it must not have.
#[test]
fn a_body_behind_an_answer_to_head_never_answers_another_request() {
    let bench = Bench::over(
        once(
            b"HTTP/1.1 200 OK\r\ncontent-length: 41\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nstray"
                .to_vec(),
        ),
        "",
    );
    let answer = bench.to_the_end(b"HEAD /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\n"),
        "{answer}"
    );
    then_works(&bench, 2).unwrap();
}

/// Requirement 5: an answer before the request body ended ends that connection.
#[test]
fn an_early_response_closes_its_connection_and_reaches_no_other_client() {
    let origin = Recording::answering_early(|message| match message.target() {
        "/early" => Act::Answer(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno".to_vec()),
        _ => Act::Answer(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec()),
    });
    let bench = Bench::over(origin, "");
    let mut stream = bench.connect();
    stream
        .write_all(b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nabc")
        .unwrap();
    let answer = String::from_utf8_lossy(&read_answer(&mut stream)).into_owned();
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    bench.origin.wait_closed(0);
    // What follows on the client's connection is that body, not a request.
    let _ = stream.write_all(b"GET /evil HTTP/1.1\r\nHost: a\r\n\r\n");
    stream
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let rest = String::from_utf8_lossy(&read_to_end(&mut stream)).into_owned();
    assert!(!rest.contains("HTTP/1.1 "), "{rest}");
    then_works(&bench, 2).unwrap();
    assert!(
        bench
            .origin
            .messages()
            .iter()
            .all(|message| message.target() != "/evil")
    );
}

/// Requirement 1: a body that breaks is cut for the client too, and never ends as if it were whole.
#[test]
fn a_broken_response_body_is_cut_and_its_connection_not_used_again() {
    for (name, body) in [
        ("broken size", "2\r\nok\r\nz\r\n"),
        ("no CR LF behind the data", "2\r\nokX\r\n0\r\n\r\n"),
        ("size over 64 bits", "2\r\nok\r\nfffffffffffffffff\r\n"),
        ("broken trailer", "2\r\nok\r\n0\r\nx y\r\n\r\n"),
    ] {
        let bytes = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        let bench = Bench::over(once(bytes.into_bytes()), "");
        let answer = String::from_utf8_lossy(&bench.to_the_end(REQUEST)).into_owned();
        assert!(
            !answer.contains("\r\n0\r\n\r\n"),
            "{name}: ended as if it were whole: {answer}"
        );
        assert_eq!(
            bench.one_line(0).unwrap()["reason"],
            "upstream.protocol",
            "{name}"
        );
        bench.origin.wait_closed(0);
        then_works(&bench, 2).unwrap_or_else(|problem| panic!("{name}: {problem}"));
    }
}

/// A short body: the client sees a cut connection, the log why.
#[test]
fn a_response_that_ends_early_is_cut() {
    for head in ["Content-Length: 10", "Transfer-Encoding: chunked"] {
        let bytes = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n2\r\nok\r\n");
        let bench = Bench::over(
            Recording::answering(move |_| Act::Close(bytes.clone().into_bytes())),
            "",
        );
        let answer = String::from_utf8_lossy(&bench.to_the_end(REQUEST)).into_owned();
        // Head and end came at once, so the client may see nothing but the end; never a whole answer.
        assert!(messages(answer.as_bytes()).is_empty(), "{answer}");
        assert_eq!(
            bench.one_line(0).unwrap()["reason"],
            "upstream.closed",
            "{head}"
        );
    }
}

/// Requirement 3: no tunnel before the upstream's 101, and a refusal keeps both sides HTTP.
#[test]
fn an_upgrade_that_the_upstream_does_not_take_opens_no_tunnel() {
    let bench = Bench::new();
    let mut stream = bench.connect();
    stream.write_all(b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nGET /evil HTTP/1.1\r\nHost: a\r\nX-Request-Id: spoofed\r\n\r\n").unwrap();
    let _ = read_answer(&mut stream);
    for message in bench.origin.messages() {
        unambiguous(&message).unwrap();
        assert_ne!(
            message.all("x-request-id"),
            ["spoofed"],
            "requirement 3: raw bytes were relayed"
        );
    }
}

/// Requirement 6 and 3 on the way back: hop-by-hop fields of the upstream end here.
#[test]
fn fields_of_the_upstreams_hop_do_not_reach_the_client() {
    let bytes = b"HTTP/1.1 200 OK\r\nConnection: x-drop\r\nX-Drop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nok";
    let bench = Bench::over(once(bytes.to_vec()), "");
    let answer = String::from_utf8_lossy(&bench.ask(REQUEST)).to_ascii_lowercase();
    for name in [
        "x-drop",
        "keep-alive",
        "proxy-connection",
        "upgrade",
        "connection",
    ] {
        assert!(
            !answer.contains(&format!("\r\n{name}:")),
            "{name}: {answer}"
        );
    }
}

/// Requirement 5: the same when it comes while the connection is idle.
#[test]
fn a_stray_answer_on_an_idle_connection_never_answers_a_request() {
    let first = std::sync::atomic::AtomicBool::new(true);
    let bench = Bench::over(
        Recording::answering(move |_| {
            let ok = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec();
            match first.swap(false, std::sync::atomic::Ordering::Relaxed) {
                true => Act::Late(
                    ok,
                    b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nstray".to_vec(),
                ),
                false => Act::Answer(ok),
            }
        }),
        "",
    );
    assert!(bench.ask(REQUEST).ends_with(b"\r\n\r\nok"));
    std::thread::sleep(Duration::from_millis(300)); // until the stray one is there
    then_works(&bench, 2).unwrap();
    bench.origin.wait_closed(0);
}

/// Requirement 3: trailers of the upstream pass when the client takes them, those of its hop and framing do not.
#[test]
fn trailers_of_the_upstream_are_stripped() {
    let bytes = b"HTTP/1.1 200 OK\r\nTrailer: x-sum, connection, content-length, keep-alive, set-cookie\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: 1\r\nconnection: close\r\ncontent-length: 9\r\nkeep-alive: x\r\nset-cookie: a=b\r\n\r\n";
    let bench = Bench::over(once(bytes.to_vec()), "");
    let answer = bench.ask(b"GET /x HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: te\r\n\r\n");
    let answer = messages(&answer).remove(0);
    assert_eq!(
        answer.trailers,
        [("x-sum".to_owned(), "1".to_owned())],
        "{answer:?}"
    );
    then_works(&bench, 1).unwrap();
}
