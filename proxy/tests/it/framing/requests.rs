//! Valid requests in every form; requirements 1 to 3.

use super::*;

/// Requests of all kinds, one right behind the other.
const MIXED: &str = "\r\n\r\nPOST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello\
    GET /get HTTP/1.1\r\nHost: a\r\n\r\n\
    \r\npost /lower HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n\
    PUT /chunks HTTP/1.1\r\nHost: a\r\nTrailer: x-sum\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nhe\r\n3\r\nllo\r\n0\r\nx-sum: 1\r\n\r\n\
    GET http://b.example/absolute?q HTTP/1.1\r\nHost: a\r\n\r\n\
    OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n\
    M-SEARCH!#$%&'*+.^_`|~ /method HTTP/1.1\r\nHost: a\r\n\r\n\
    GET /old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n\
    DELETE /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// What the origin must see of them: request line, body, trailers.
const SEEN: &[(&str, &str, usize)] = &[
    ("POST /length", "hello", 0),
    ("GET /get", "", 0),
    ("post /lower", "", 0),
    ("PUT /chunks", "hello", 1),
    ("GET /absolute?q", "", 0),
    ("OPTIONS *", "", 0),
    ("M-SEARCH!#$%&'*+.^_`|~ /method", "", 0),
    ("GET /old", "", 0),
    ("DELETE /last", "", 0),
];

fn all_are_seen(bench: &Bench, answers: &[u8], how: &str) {
    let answers = String::from_utf8_lossy(answers);
    let statuses = answers.matches("HTTP/1.1 200 OK\r\n").count()
        + answers.matches("HTTP/1.0 200 OK\r\n").count();
    assert_eq!(statuses, SEEN.len(), "{how}: {answers}");
    let all = bench.origin.messages();
    let seen: Vec<_> = all
        .iter()
        .map(|message| {
            let line = message
                .line
                .strip_suffix(" HTTP/1.1")
                .unwrap_or("not HTTP/1.1");
            (
                line,
                std::str::from_utf8(&message.body).unwrap(),
                message.trailers.len(),
            )
        })
        .collect();
    assert_eq!(seen, SEEN, "{how}");
    all.iter().for_each(|message| unambiguous(message).unwrap());
}

/// Requirement 3.
#[test]
fn pipelined_requests_of_all_kinds_stay_what_they_are() {
    let bench = Bench::new();
    let answers = bench.to_the_end(MIXED.as_bytes());
    all_are_seen(&bench, &answers, "in one piece");
    let old = String::from_utf8_lossy(&answers).into_owned();
    assert!(
        old.contains("HTTP/1.0 200 OK\r\n") && old.contains("\r\nconnection: keep-alive\r\n"),
        "{old}"
    );
}

/// Requirement 3: a reader that looks at bytes twice, or forgets some, shows here.
#[test]
fn requests_are_the_same_however_they_are_cut() {
    for size in [1, 2, 3, 7, 64] {
        let bench = Bench::new();
        let mut stream = bench.connect();
        stream.set_nodelay(true).unwrap();
        for piece in MIXED.as_bytes().chunks(size) {
            stream.write_all(piece).unwrap();
            std::thread::sleep(Duration::from_micros(300)); // so that most are read alone
        }
        let answers = read_to_end(&mut stream);
        all_are_seen(&bench, &answers, &format!("in pieces of {size}"));
    }
}

/// Requirement 2: a refusal is the same, however slowly it is earned.
#[test]
fn what_is_refused_is_refused_byte_by_byte_as_well() {
    let bench = Bench::new();
    let mut report = Report::default();
    for bad in [
        "GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "\u{1}",
        "GET / HTTP/3.0\r\n",
    ] {
        let before = bench.rejected("request.http1_syntax");
        let mut stream = bench.connect();
        stream.set_nodelay(true).unwrap();
        for byte in bad.as_bytes() {
            let _ = stream.write_all(&[*byte]);
            std::thread::sleep(Duration::from_micros(300));
        }
        let answer = String::from_utf8_lossy(&read_to_end(&mut stream)).into_owned();
        let good =
            answer.starts_with("HTTP/1.1 400 ") && answer.contains("\r\nconnection: close\r\n");
        let counted = bench.rejected("request.http1_syntax") == before + 1.0;
        report.case(2, bad, (good && counted).then_some(()).ok_or(answer));
    }
    report.finish();
    assert_eq!(bench.origin.total_bytes(), 0);
}

/// Requirement 3: a body that is not read is removed from the connection, or the connection is
/// closed; it is never parsed as a request.
#[test]
fn a_body_that_is_not_read_is_no_request() {
    let origin = Recording::ok();
    let yaml = format!(
        "app: {{ port: {} }}\nworkers: 1\nlisteners: [{{ port: 0 }}]\nroutes:\n  - {{ name: fixed, matches: [{{ path: /fixed }}], directResponse: {{ status: 410 }} }}\n  - {{ name: rest }}\n",
        origin.port()
    );
    let bench = Bench {
        proxy: Proxy::start(&yaml),
        origin,
    };
    let evil = "GET /evil HTTP/1.1\r\nHost: a\r\n\r\n";
    for framing in [
        format!("Content-Length: {}\r\n\r\n{evil}", evil.len()),
        format!(
            "Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{evil}\r\n0\r\n\r\n",
            evil.len()
        ),
        "Transfer-Encoding: chunked\r\n\r\n0\r\nx: y\r\n\r\n".to_owned(),
    ] {
        let next = "GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        let answer = bench
            .to_the_end(format!("POST /fixed HTTP/1.1\r\nHost: a\r\n{framing}{next}").as_bytes());
        let answer = String::from_utf8(answer).unwrap();
        assert_eq!(answer.matches("HTTP/1.1 410 ").count(), 1, "{answer}");
        assert_eq!(
            answer.matches("HTTP/1.1 200 ").count(),
            1,
            "the connection is used again: {answer}"
        );
    }
    let targets: Vec<_> = bench
        .origin
        .messages()
        .iter()
        .map(|message| message.target().to_owned())
        .collect();
    assert_eq!(targets, ["/next", "/next", "/next"]);
    // More than is thrown away, or broken, or still to come.
    for framing in [
        format!("Content-Length: 1000000\r\n\r\n{}", evil.repeat(10_000)),
        format!(
            "Transfer-Encoding: chunked\r\n\r\nfffff\r\n{}",
            evil.repeat(10_000)
        ),
        format!("Transfer-Encoding: chunked\r\n\r\nx\r\n{evil}"),
        "Content-Length: 5\r\n\r\n".to_owned(),
    ] {
        let answer =
            bench.to_the_end(format!("POST /fixed HTTP/1.1\r\nHost: a\r\n{framing}").as_bytes());
        let answer = String::from_utf8(answer).unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 410 ") && answer.contains("\r\nconnection: close\r\n"),
            "{answer}"
        );
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    }
    assert_eq!(bench.origin.messages().len(), 3);
}

#[test]
fn a_connection_that_ends_within_a_head_leaves_no_line_and_no_answer() {
    let bench = Bench::new();
    for half in ["G", "GET / HTTP/1.1\r\nHost: a\r\n", "\r\n"] {
        let mut stream = bench.connect();
        stream.write_all(half.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(read_to_end(&mut stream), b"", "{half:?}");
    }
    bench.accepts(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    bench.last_logged();
    assert_eq!(bench.log().len(), 1);
}

#[test]
fn an_answer_has_a_date_and_only_one() {
    let origin = Recording::answering(|message| {
        let date = if message.target() == "/dated" {
            "Date: Mon, 01 Jan 2024 00:00:00 GMT\r\n"
        } else {
            ""
        };
        crate::support::recording::Act::Answer(
            format!("HTTP/1.1 200 OK\r\n{date}content-length: 0\r\n\r\n").into(),
        )
    });
    let bench = Bench::over(origin, "");
    for (path, expected) in [
        ("/dated", "date: Mon, 01 Jan 2024 00:00:00 GMT\r\n"),
        ("/", " GMT\r\n"),
    ] {
        let answer = bench.ask(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        let answer = String::from_utf8(answer).unwrap();
        assert!(
            answer.matches("date: ").count() == 1 && answer.contains(expected),
            "{answer}"
        );
    }
}

/// Requirement 3: what an app puts into a field or a reason never begins another message.
#[test]
fn nothing_of_an_answer_splits_it() {
    let origin = Recording::answering(|message| {
        let text = match message.target() {
            "/value" => "HTTP/1.1 200 OK\r\nx: a\rSet-Cookie: b\r\ncontent-length: 0\r\n\r\n",
            "/nul" => "HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 0\r\n\r\n",
            "/name" => "HTTP/1.1 200 OK\r\nx\r: a\r\ncontent-length: 0\r\n\r\n",
            _ => "HTTP/1.1 200 O\rK: x\r\ncontent-length: 0\r\n\r\n",
        };
        crate::support::recording::Act::Answer(text.into())
    });
    let bench = Bench::over(origin, "");
    for path in ["/value", "/nul", "/name", "/reason"] {
        let answer = bench.ask(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 502 "), "{path}: {answer}");
        assert!(
            !answer.to_lowercase().contains("set-cookie"),
            "{path}: {answer}"
        );
    }
}
