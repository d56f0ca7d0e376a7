//! HTTP/1.1 on both sides, read and written by hand.

use crate::support::{
    Proxy, http, origin, wait_for,
    wire::{App, Wire, header, status},
};

#[test]
fn get_post_and_head_pass_with_their_bodies() {
    let origin = origin();
    let proxy = Proxy::in_front_of(&origin);
    let mut wire = Wire::connect(proxy.inbound());
    let (head, body) = wire.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!((status(&head), &*body), (200, "Hello, world!"), "{head}");
    let (head, body) = wire.ask("POST /sink HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello");
    assert_eq!(status(&head), 200);
    assert!(body.contains("\"bytes\":5"), "{body}");
    wire.send("HEAD /bytes/70000 HTTP/1.1\r\nhost: a\r\n\r\n");
    let head = wire.head();
    assert_eq!(
        (status(&head), header(&head, "content-length")),
        (200, Some("70000"))
    );
    let (head, body) = wire.ask("GET /status/200 HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(
        (status(&head), &*body),
        (200, "200\n"),
        "no body followed the answer to HEAD"
    );
}

#[test]
fn connections_to_the_app_are_used_again() {
    let origin = origin();
    let proxy = Proxy::start(&format!(
        "workers: 1\napp: {{ port: {} }}\nlisteners: [{{ port: 0 }}]\n",
        origin.address().port()
    ));
    for _ in 0..5 {
        let answer = http(
            proxy.inbound(),
            "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
        );
        assert!(answer.ends_with("Hello, world!"), "{answer}");
    }
    assert_eq!((origin.hits(), origin.stats().connections), (5, 1));
}

#[test]
fn chunked_bodies_pass_both_ways() {
    let origin = origin();
    let proxy = Proxy::in_front_of(&origin);
    let mut wire = Wire::connect(proxy.inbound());
    wire.send("POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n");
    let head = wire.head();
    assert_eq!(
        (status(&head), header(&head, "transfer-encoding")),
        (200, Some("chunked"))
    );
    assert_eq!(
        wire.chunk(),
        "abc",
        "the first chunk comes back before the second is sent"
    );
    wire.send("4;x=y\r\ndefg\r\n");
    assert_eq!(wire.chunk(), "defg");
    wire.send("0\r\n\r\n");
    assert_eq!((wire.chunk(), wire.line()), (String::new(), "\r\n".into()));
    wire.send("GET /chunked/100000 HTTP/1.1\r\nhost: a\r\n\r\n");
    wire.head();
    assert!(!wire.chunks().is_empty());
    wire.line();
    assert_eq!(
        status(&wire.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").0),
        200
    );
}

#[test]
fn a_body_on_get_is_sent_on_whatever_its_framing() {
    let app = App::start(|mut wire, _| {
        let head = wire.head();
        assert_eq!(
            header(&head, "transfer-encoding"),
            Some("chunked"),
            "{head}"
        );
        let body = wire.chunks();
        wire.send(format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ));
    });
    let proxy = Proxy::in_front_of_port(app.port());
    let mut wire = Wire::connect(proxy.inbound());
    let request =
        "GET / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
    assert_eq!(wire.ask(request).1, "hi");
}

#[test]
fn trailers_pass_both_ways() {
    let app = App::start(|mut wire, _| {
        let head = wire.head();
        assert_eq!(header(&head, "te"), Some("trailers"), "{head}");
        assert_eq!(header(&head, "connection"), Some("te"));
        let body = wire.chunks();
        let trailers = wire.head();
        assert_eq!((&*body, &*trailers), ("abc", "x-sum: 1\r\n\r\n"));
        wire.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-back\r\n\r\n");
        wire.send("2\r\nok\r\n0\r\nx-back: 2\r\n\r\n");
        wire.head();
    });
    let proxy = Proxy::in_front_of_port(app.port());
    let mut wire = Wire::connect(proxy.inbound());
    wire.send("POST / HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: te\r\ntrailer: x-sum\r\n");
    wire.send("transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n");
    let head = wire.head();
    assert_eq!(
        (status(&head), header(&head, "trailer")),
        (200, Some("x-back")),
        "{head}"
    );
    assert_eq!(
        (&*wire.chunks(), &*wire.head()),
        ("ok", "x-back: 2\r\n\r\n")
    );
}

#[test]
fn trailers_are_left_out_for_a_client_that_takes_none() {
    let origin = origin();
    let proxy = Proxy::in_front_of(&origin);
    let mut wire = Wire::connect(proxy.inbound());
    wire.send("GET /trailers HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(status(&wire.head()), 200);
    wire.chunks();
    assert_eq!(wire.line(), "\r\n");
}

#[test]
fn big_headers_pass_both_ways() {
    let value = "v".repeat(30_000);
    let answer = format!("HTTP/1.1 200 OK\r\nx-big: {value}\r\ncontent-length: 0\r\n\r\n");
    let app = App::start(move |mut wire, _| {
        let head = wire.head();
        assert_eq!(header(&head, "x-up").map(str::len), Some(50_000));
        wire.send(&answer);
    });
    let proxy = Proxy::in_front_of_port(app.port());
    let mut wire = Wire::connect(proxy.inbound());
    let (head, _) = wire.ask(&format!(
        "GET / HTTP/1.1\r\nhost: a\r\nx-up: {}\r\n\r\n",
        "u".repeat(50_000)
    ));
    assert_eq!(
        header(&head, "x-big").map(str::len),
        Some(30_000),
        "{}",
        &head[..100]
    );
}

#[test]
fn answers_without_body_keep_the_connection() {
    let origin = origin();
    let proxy = Proxy::in_front_of(&origin);
    let mut wire = Wire::connect(proxy.inbound());
    for code in [204, 304, 204, 200] {
        wire.send(format!("GET /status/{code} HTTP/1.1\r\nhost: a\r\n\r\n"));
        let head = wire.head();
        assert_eq!(status(&head), code, "{head}");
        if code == 200 {
            assert_eq!(wire.exactly(4), "200\n");
        }
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let origin = origin();
    let proxy = Proxy::in_front_of(&origin);
    let mut wire = Wire::connect(proxy.inbound());
    let requests: String = [5, 70_000, 0, 3]
        .iter()
        .map(|n| format!("GET /bytes/{n} HTTP/1.1\r\nhost: a\r\n\r\n"))
        .collect();
    wire.send(requests);
    for length in [5, 70_000, 0, 3] {
        let head = wire.head();
        assert_eq!(header(&head, "content-length"), Some(&*length.to_string()));
        wire.exactly(length);
    }
}

#[test]
fn what_comes_while_an_answer_is_awaited_is_answered_next() {
    let origin = origin();
    let proxy = Proxy::in_front_of(&origin);
    let mut wire = Wire::connect(proxy.inbound());
    for (turn, padding) in (1..).zip([1, 255, 1_000, 30_000]) {
        wire.send("GET /delay/200 HTTP/1.1\r\nhost: a\r\n\r\n");
        wait_for("the app to see it", || {
            (origin.hits_of("delay") == turn).then_some(())
        });
        let padding = "x".repeat(padding);
        wire.send(format!(
            "GET /bytes/7 HTTP/1.1\r\nhost: a\r\nx-padding: {padding}\r\n\r\n"
        ));
        for length in ["13", "7"] {
            let (head, _) = wire.answer();
            assert_eq!(
                (status(&head), header(&head, "content-length")),
                (200, Some(length)),
                "{head}"
            );
        }
    }
}

#[test]
fn what_is_pipelined_behind_the_last_answer_does_not_reset_it() {
    let origin = origin();
    let proxy = Proxy::in_front_of(&origin);
    let mut wire = Wire::connect(proxy.inbound());
    let more = "GET /bytes/1 HTTP/1.1\r\nhost: a\r\n\r\n".repeat(500);
    wire.send(format!(
        "GET /bytes/200000 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n{more}"
    ));
    let head = wire.head();
    assert_eq!(header(&head, "connection"), Some("close"), "{head}");
    wire.exactly(200_000);
    assert_eq!((wire.rest().len(), origin.hits()), (0, 1));
}

#[test]
fn an_http_1_0_client_gets_a_body_that_ends_with_the_connection() {
    let origin = origin();
    let proxy = Proxy::in_front_of(&origin);
    let answer = http(proxy.inbound(), "GET /drip/2/1 HTTP/1.0\r\n\r\n");
    assert!(
        answer.starts_with("HTTP/1.0 200 OK") || answer.starts_with("HTTP/1.1 200 OK"),
        "{answer}"
    );
    assert!(
        !answer.to_lowercase().contains("transfer-encoding"),
        "{answer}"
    );
    assert!(answer.ends_with("\r\n\r\ndrip 0\ndrip 1\n"), "{answer}");
    let mut wire = Wire::connect(proxy.inbound());
    for _ in 0..2 {
        let (head, body) = wire.ask("GET / HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n");
        assert_eq!((status(&head), &*body), (200, "Hello, world!"), "{head}");
    }
}

#[test]
fn an_absolute_form_target_decides_the_host() {
    let origin = origin();
    let proxy = Proxy::in_front_of(&origin);
    let mut wire = Wire::connect(proxy.inbound());
    let (head, body) =
        wire.ask("GET http://b.example:81/headers?q=1 HTTP/1.1\r\nhost: a.example\r\n\r\n");
    assert_eq!(status(&head), 200);
    let seen: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(seen["target"], "/headers?q=1");
    let host: Vec<_> = seen["headers"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|pair| pair[0] == "host")
        .collect();
    assert_eq!((host.len(), &host[0][1]), (1, &"b.example:81".into()));
}

#[test]
fn early_hints_of_the_app_do_no_harm() {
    let origin = origin();
    let proxy = Proxy::in_front_of(&origin);
    let mut wire = Wire::connect(proxy.inbound());
    for _ in 0..2 {
        let (head, body) = wire.ask("GET /informational HTTP/1.1\r\nhost: a\r\n\r\n");
        assert_eq!((status(&head), &*body), (200, "Hello, world!"), "{head}");
    }
}

#[test]
fn hop_by_hop_fields_end_here_and_the_proxy_names_itself_nowhere() {
    let app = App::start(|mut wire, _| {
        let head = wire.head();
        for gone in ["keep-alive", "proxy-connection", "x-hop", "via", "upgrade"] {
            assert_eq!(header(&head, gone), None, "{head}");
        }
        wire.send(
            "HTTP/1.1 200 OK\r\nconnection: x-back\r\nx-back: 1\r\nkeep-alive: timeout=5\r\n",
        );
        wire.send("content-length: 0\r\nproxy-authenticate: Basic\r\nx-stays: 1\r\n\r\n");
        wire.head();
    });
    let proxy = Proxy::in_front_of_port(app.port());
    let mut wire = Wire::connect(proxy.inbound());
    let (head, _) = wire.ask(
        "GET / HTTP/1.1\r\nhost: a\r\nconnection: x-hop, keep-alive\r\nx-hop: 1\r\nkeep-alive: 5\r\n\
         proxy-connection: keep-alive\r\nupgrade: h2c\r\n\r\n",
    );
    assert_eq!(
        (status(&head), header(&head, "x-stays")),
        (200, Some("1")),
        "{head}"
    );
    for gone in [
        "connection",
        "x-back",
        "keep-alive",
        "proxy-authenticate",
        "via",
        "server",
    ] {
        assert_eq!(header(&head, gone), None, "{head}");
    }
}

#[test]
fn an_early_answer_to_a_large_upload_reaches_the_client() {
    let origin = origin();
    let proxy = Proxy::in_front_of(&origin);
    for path in ["/early", "/early", "/early"] {
        let mut wire = Wire::connect(proxy.inbound());
        wire.send(format!(
            "POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 50000000\r\n\r\n"
        ));
        let piece = vec![b'x'; 65536];
        let _ = (0..8).all(|_| wire.try_send(&piece));
        let head = wire.head();
        assert_eq!(status(&head), 413, "{head}");
    }
}

#[test]
fn a_refusal_reaches_a_client_that_is_still_sending() {
    let origin = origin();
    let proxy = Proxy::start(&format!(
        "app: {{ port: {} }}\nlisteners: [{{ port: 0, limits: {{ bodyBytes: 1MiB }} }}]\n\
         routes:\n- {{ name: only, matches: [{{ path: /only }}] }}\n\
         - {{ name: fixed, matches: [{{ path: /fixed }}], directResponse: {{ status: 410 }} }}\n",
        origin.address().port()
    ));
    for (path, length, expected) in [
        ("/none", 900_000, 404),
        ("/fixed", 900_000, 410),
        ("/only", 9_000_000, 413),
    ] {
        let mut wire = Wire::connect(proxy.inbound());
        wire.send(format!(
            "POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n"
        ));
        let _ = (0..length / 1000)
            .take(900)
            .all(|_| wire.try_send(vec![b'x'; 1000]));
        let head = wire.head();
        assert_eq!(status(&head), expected, "{path}: {head}");
    }
    assert_eq!(origin.hits(), 0);
}

#[test]
fn a_client_that_goes_away_ends_its_request_at_the_app() {
    let origin = origin();
    let proxy = Proxy::in_front_of(&origin);
    let mut wire = Wire::connect(proxy.inbound());
    wire.send("GET /delay/60000 HTTP/1.1\r\nhost: a\r\n\r\n");
    wait_for("the app to see it", || {
        (origin.hits_of("delay") == 1).then_some(())
    });
    drop(wire);
    let line = proxy.logged(|line| line["path"] == "/delay/60000");
    assert_eq!(
        (&line["status"], &line["flag"]),
        (&499.into(), &"DC".into())
    );
    wait_for("the connection to the app to end", || {
        (origin.stats().open_connections == 0).then_some(())
    });
}
