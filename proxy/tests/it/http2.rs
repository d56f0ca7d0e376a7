//! HTTP/2 with prior knowledge, to apps that speak HTTP/1.1 or HTTP/2.

use bytes::Bytes;
use futures_util::future::join_all;
use http::HeaderMap;
use http_body_util::{BodyExt, Full};
use outrigger_loadtest::origin::Origin;

use crate::support::{
    Proxy,
    client::{Answer, H2, full, request, wait_for_async},
    wait_for,
    wire::{App, header},
};

fn proxy(port: u16, protocol: &str) -> Proxy {
    Proxy::start(&format!(
        "app: {{ port: {port}, protocol: {protocol} }}\nlisteners: [{{ port: 0 }}]\nroutes:\n- name: app\n\
         - {{ name: fixed, matches: [{{ path: /fixed }}], directResponse: {{ status: 200, body: text }} }}\n\
         - {{ name: slow, matches: [{{ path: /slow }}], timeouts: {{ request: 300ms }}, \
             urlRewrite: {{ path: {{ replaceFull: /delay/60000 }} }} }}\n"
    ))
}

#[tokio::test]
async fn requests_pass_to_apps_of_either_protocol() {
    let origin = Origin::start().await.unwrap();
    for protocol in ["auto", "http1", "h2c"] {
        let proxy = proxy(origin.address().port(), protocol);
        let mut client = H2::connect(proxy.inbound()).await;
        let answer = client.get("/bytes/100000").await;
        assert_eq!((answer.status, answer.body.len()), (200, 100_000));
        let post = request("POST", "/sink")
            .body(full(vec![1; 100_000]))
            .unwrap();
        let answer = Answer::of(client.send(post).await).await;
        assert_eq!(
            (answer.status, &answer.json()["bytes"]),
            (200, &100_000.into())
        );
        let seen = client.get("/headers?a=b").await.json();
        assert_eq!(
            seen["target"]
                .as_str()
                .unwrap()
                .trim_start_matches("http://a.example"),
            "/headers?a=b"
        );
        let version = if protocol == "h2c" {
            "HTTP/2.0"
        } else {
            "HTTP/1.1"
        };
        assert_eq!(seen["version"], version);
        let answers = join_all((0..50).map(|n| {
            let mut client = client.clone();
            async move { client.get(&format!("/bytes/{n}")).await.body.len() }
        }));
        assert_eq!(answers.await, (0..50).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn an_answer_to_head_has_no_body_also_when_it_is_ours() {
    let origin = Origin::start().await.unwrap();
    for protocol in ["http1", "h2c"] {
        let proxy = proxy(origin.address().port(), protocol);
        let mut client = H2::connect(proxy.inbound()).await;
        for (path, length) in [("/fixed", "4"), ("/bytes/1000", "1000")] {
            let response = client
                .send(request("HEAD", path).body(full("")).unwrap())
                .await;
            let answer = Answer::of(response).await;
            assert_eq!((answer.status, answer.body.len()), (200, 0), "{path}");
            assert_eq!(answer.header("content-length"), length, "{path}");
        }
        assert_eq!(client.get("/fixed").await.text(), "text");
    }
}

#[tokio::test]
async fn an_error_of_ours_has_no_body_for_head() {
    let proxy = Proxy::start(
        "app: { port: 1 }\nlisteners: [{ port: 0 }]\nroutes: [{ name: a, matches: [{ path: /a }] }]\n",
    );
    let mut client = H2::connect(proxy.inbound()).await;
    let answer = Answer::of(
        client
            .send(request("HEAD", "/b").body(full("")).unwrap())
            .await,
    )
    .await;
    assert_eq!((answer.status, answer.body.len()), (404, 0));
}

#[tokio::test]
async fn trailers_of_an_app_of_either_protocol_reach_the_client() {
    let origin = Origin::start().await.unwrap();
    for protocol in ["http1", "h2c"] {
        let proxy = proxy(origin.address().port(), protocol);
        let mut client = H2::connect(proxy.inbound()).await;
        let get = request("GET", "/trailers")
            .header("te", "trailers")
            .body(full(""))
            .unwrap();
        let answer = Answer::of(client.send(get).await).await;
        assert_eq!((answer.status, answer.body.len()), (200, 3 * 8192));
        assert!(
            answer.trailers.contains_key("x-checksum"),
            "{protocol}: {:?}",
            answer.headers
        );
    }
}

#[tokio::test]
async fn trailers_of_the_client_reach_an_app_of_either_protocol() {
    let origin = Origin::start().await.unwrap();
    for protocol in ["http1", "h2c"] {
        let proxy = proxy(origin.address().port(), protocol);
        let mut client = H2::connect(proxy.inbound()).await;
        let trailers = HeaderMap::from_iter([(
            http::HeaderName::from_static("x-checksum"),
            http::HeaderValue::from_static("1234"),
        )]);
        let body = Full::new(Bytes::from("abc"))
            .with_trailers(async { Some(Ok(trailers)) })
            .boxed_unsync();
        let post = request("POST", "/echo")
            .header("te", "trailers")
            .header("trailer", "x-checksum");
        let answer = Answer::of(client.send(post.body(body).unwrap()).await).await;
        assert_eq!(
            (answer.text(), &answer.trailers["x-checksum"]),
            ("abc", &"1234".parse().unwrap())
        );
    }
}

#[tokio::test]
async fn cookie_crumbs_are_one_cookie_for_an_http_1_app() {
    let app = App::start(|mut wire, _| {
        let head = wire.head();
        let cookies = head
            .lines()
            .filter(|line| line.starts_with("cookie:"))
            .count();
        let cookie = header(&head, "cookie").unwrap_or_default();
        let body = format!("{cookies} {cookie}");
        wire.send(format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ));
    });
    let proxy = proxy(app.port(), "http1");
    let mut client = H2::connect(proxy.inbound()).await;
    let get = request("GET", "/")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .body(full(""))
        .unwrap();
    assert_eq!(
        Answer::of(client.send(get).await).await.text(),
        "1 a=1; b=2"
    );
}

#[tokio::test]
async fn an_upload_to_a_silent_app_is_timed_out_on_either_protocol() {
    let origin = Origin::start().await.unwrap();
    for protocol in ["http1", "h2c"] {
        let proxy = proxy(origin.address().port(), protocol);
        let mut client = H2::connect(proxy.inbound()).await;
        let post = request("POST", "/slow")
            .body(full(vec![0; 200_000]))
            .unwrap();
        let answer = Answer::of(client.send(post).await).await;
        assert_eq!(answer.status, 504, "{protocol}");
        assert_eq!(proxy.logged(|line| line["path"] == "/slow")["flag"], "UT");
    }
}

#[tokio::test]
async fn a_malformed_request_resets_its_stream_and_nothing_else() {
    let origin = Origin::start().await.unwrap();
    let proxy = proxy(origin.address().port(), "auto");
    let mut client = H2::connect(proxy.inbound()).await;
    let bad = request("GET", "/bad")
        .header("host", "another")
        .body(full(""))
        .unwrap();
    let error = client.try_send(bad).await.unwrap_err();
    let cause = std::error::Error::source(&error)
        .unwrap()
        .downcast_ref::<h2::Error>()
        .unwrap();
    assert_eq!(cause.reason(), Some(h2::Reason::PROTOCOL_ERROR));
    let line = proxy.logged(|line| line["path"] == "/bad");
    assert_eq!(
        (&line["status"], &line["flag"], &line["reason"]),
        (
            &0.into(),
            &"DPE".into(),
            &"request.authority_mismatch".into()
        )
    );
    assert_eq!(client.get("/").await.status, 200);
}

/// A violation of a rule of the proxy gets a response, with the request body complete or not.
#[tokio::test]
async fn a_refused_path_is_answered_and_a_grpc_call_in_its_own_way() {
    let origin = Origin::start().await.unwrap();
    let proxy = proxy(origin.address().port(), "auto");
    let mut client = H2::connect(proxy.inbound()).await;
    for (path, body) in [
        ("/a/../b", ""),
        ("/a%2Fb", "abc"),
        ("/%00", &"x".repeat(300_000)),
        ("/a\\b", ""),
    ] {
        let asked = request("POST", "/")
            .uri(format!("http://a.example{path}"))
            .body(full(body.to_owned()));
        let answer = Answer::of(client.send(asked.unwrap()).await).await;
        assert_eq!(
            (answer.status, &answer.json()["error"]),
            (400, &"bad request".into()),
            "{path}"
        );
        let line = proxy.logged(|line| line["path"] == path);
        assert_eq!(
            (&line["status"], &line["flag"], &line["reason"]),
            (&400.into(), &"DPE".into(), &"request.path".into())
        );
        assert_eq!(line["requestId"], answer.json()["requestId"]);
    }
    let call = request("POST", "/a/../Call")
        .header("content-type", "application/grpc")
        .body(full("\0\0\0\0\0"));
    let answer = Answer::of(client.send(call.unwrap()).await).await;
    assert_eq!(
        (answer.status, answer.header("grpc-status"), answer.text()),
        (200, "13", "")
    );
    let line = proxy.logged(|line| line["path"] == "/a/../Call");
    assert_eq!(
        (&line["status"], &line["reason"]),
        (&200.into(), &"request.path".into())
    );
    assert_eq!(client.get("/").await.status, 200);
    assert_eq!(origin.stats().requests, 1, "only the good one");
}

#[tokio::test]
async fn a_stream_that_the_client_resets_ends_its_request_at_the_app() {
    let origin = Origin::start().await.unwrap();
    for protocol in ["http1", "h2c"] {
        let proxy = proxy(origin.address().port(), protocol);
        let mut client = H2::connect(proxy.inbound()).await;
        let response = client
            .send(request("GET", "/drip/1000000/10").body(full("")).unwrap())
            .await;
        drop(response);
        // The client's connection must be driven meanwhile.
        wait_for_async("the access-log line", || proxy.stdout().contains("drip")).await;
        assert_eq!(
            proxy.logged(|line| line["path"] == "/drip/1000000/10")["flag"],
            "DC"
        );
        if protocol == "http1" {
            wait_for("the app's connection to end", || {
                (origin.stats().open_connections == 0).then_some(())
            });
        }
    }
}

/// An app that answers the first request of its first connection and breaks that connection with the second.
async fn breaks_its_first_connection() -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        for number in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            let mut connection = h2::server::handshake(stream).await.unwrap();
            tokio::spawn(async move {
                for turn in 0.. {
                    let Some(Ok((_, mut respond))) = connection.accept().await else {
                        return;
                    };
                    if (number, turn) == (0, 1) {
                        return;
                    }
                    respond
                        .send_response(http::Response::new(()), true)
                        .unwrap();
                }
            });
        }
    });
    port
}

#[tokio::test]
async fn a_get_on_an_http_2_connection_that_breaks_is_repeated_and_a_post_is_not() {
    for (method, expected) in [("GET", 200), ("POST", 502)] {
        let proxy = Proxy::start(&format!(
            "workers: 1\napp: {{ port: {}, protocol: h2c }}\nlisteners: [{{ port: 0 }}]\n",
            breaks_its_first_connection().await
        ));
        let mut client = H2::connect(proxy.inbound()).await;
        assert_eq!(client.get("/").await.status, 200);
        let request = request(method, "/again")
            .body(full("x".repeat(usize::from(method == "POST"))))
            .unwrap();
        assert_eq!(client.send(request).await.status(), expected, "{method}");
        assert_eq!(
            proxy.logged(|line| line["path"] == "/again")["attempts"],
            if expected == 200 { 2 } else { 1 }
        );
        assert_eq!(client.get("/").await.status, 200);
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_resets_its_stream_alone() {
    let origin = Origin::start().await.unwrap();
    for protocol in ["http1", "h2c"] {
        let proxy = proxy(origin.address().port(), protocol);
        let mut client = H2::connect(proxy.inbound()).await;
        let response = client
            .send(request("GET", "/abort/5000").body(full("")).unwrap())
            .await;
        assert_eq!(response.status(), 200);
        assert!(Answer::try_of(response).await.is_err());
        assert_eq!(client.get("/").await.status, 200);
        assert_eq!(
            proxy.logged(|line| line["path"] == "/abort/5000")["flag"],
            "UC"
        );
    }
}
