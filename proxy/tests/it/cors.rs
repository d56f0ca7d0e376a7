//! CORS, with the requests that browsers send.

use serde_json::json;

use crate::{
    jwt::{Setup, bearer, good},
    support::{
        client::{Answer, H2, full, request},
        recording::{Act, Recording},
        tokens::corp,
        wire::{Wire, header, status},
    },
};

const SHOP: &str = "https://shop.example.com";
const CORS: &str = "cors: { allowOrigins: [https://shop.example.com, \"https://*.dev.example\"], allowCredentials: true, maxAge: 10m, exposeHeaders: [x-total] }";

fn routes() -> String {
    corp(&format!(
        "routes:\n\
         - {{ name: cart, matches: [{{ path: /cart, method: PUT, headers: {{ x-env: prod }} }}], {CORS} }}\n\
         - {{ name: api, matches: [{{ path: /api }}], {CORS}, responseHeaders: {{ set: {{ x-set: \"1\" }} }} }}\n\
         - {{ name: public, matches: [{{ path: /public }}], auth: none, cors: {{ allowOrigins: [\"*\"] }} }}\n\
         - {{ name: own, matches: [{{ path: /own }}], auth: none }}\n"
    ))
}

fn preflight(setup: &Setup, path: &str, origin: &str, method: &str) -> String {
    let mut wire = Wire::connect(setup.proxy.inbound());
    let (head, _) = wire.ask(&format!(
        "OPTIONS {path} HTTP/1.1\r\nhost: a\r\norigin: {origin}\r\naccess-control-request-method: {method}\r\n\
         access-control-request-headers: authorization,content-type\r\n\r\n"
    ));
    head
}

/// The three fields that a browser looks at first.
fn granted(head: &str) -> (Option<&str>, Option<&str>, Option<&str>) {
    (
        header(head, "access-control-allow-origin"),
        header(head, "access-control-allow-credentials"),
        header(head, "vary"),
    )
}

/// A page asks whether it may, does, and reads why it may not any more.
#[test]
fn a_page_of_another_origin_preflights_sends_credentials_and_can_read_a_401() {
    let setup = Setup::start(&routes());
    let head = preflight(&setup, "/api/orders", SHOP, "DELETE");
    assert_eq!(status(&head), 204, "{head}");
    assert_eq!(
        (granted(&head).0, granted(&head).1),
        (Some(SHOP), Some("true"))
    );
    assert_eq!(
        header(&head, "access-control-allow-methods"),
        Some("DELETE")
    );
    assert_eq!(
        header(&head, "access-control-allow-headers"),
        Some("authorization,content-type")
    );
    assert_eq!(header(&head, "access-control-max-age"), Some("600"));
    assert_eq!(
        header(&head, "x-set"),
        Some("1"),
        "as every answer of the route"
    );
    assert_eq!(setup.app.connections(), 0, "the app is not asked");

    let (head, _) = setup.ask(
        "/api/orders",
        &format!("origin: {SHOP}\r\n{}", bearer(&good())),
    );
    assert_eq!(
        (status(&head), granted(&head)),
        (200, (Some(SHOP), Some("true"), Some("origin")))
    );
    assert_eq!(
        header(&head, "access-control-expose-headers"),
        Some("x-total")
    );

    let (head, _) = setup.ask("/api/orders", &format!("origin: {SHOP}\r\n"));
    assert_eq!(
        (status(&head), granted(&head)),
        (401, (Some(SHOP), Some("true"), Some("origin")))
    );

    let line = setup.proxy.logged(|line| line["method"] == "OPTIONS");
    assert_eq!(
        (&line["status"], &line["route"], &line["flag"]),
        (&json!(204), &json!("api"), &json!(""))
    );
}

#[test]
fn a_preflight_finds_the_route_of_the_request_that_it_asks_for() {
    let setup = Setup::start(&routes());
    // The header that the route asks for comes with the request, never with its preflight.
    assert_eq!(
        granted(&preflight(&setup, "/cart", SHOP, "PUT")).0,
        Some(SHOP)
    );
    assert_eq!(status(&preflight(&setup, "/cart", SHOP, "GET")), 404);
    // A route without `cors` is the app's own affair, and its authentication stays.
    assert_eq!(status(&preflight(&setup, "/own", SHOP, "PUT")), 200);
    assert_eq!(setup.app.messages().len(), 1);
}

#[test]
fn an_origin_that_is_not_listed_is_told_nothing_and_caches_are_told_why() {
    let setup = Setup::start(&routes());
    for origin in [
        "https://evil.example",
        "http://shop.example.com",
        "https://shop.example.com.evil",
        "null",
        "https://dev.example",
    ] {
        let head = preflight(&setup, "/api", origin, "PUT");
        assert_eq!(
            (
                status(&head),
                granted(&head).0,
                header(&head, "access-control-allow-methods")
            ),
            (204, None, None)
        );
        let (head, _) = setup.ask("/api", &format!("origin: {origin}\r\n{}", bearer(&good())));
        assert_eq!(
            (status(&head), granted(&head)),
            (200, (None, None, Some("origin"))),
            "{origin}"
        );
    }
    let (head, _) = setup.ask("/api", &bearer(&good()));
    assert_eq!(
        granted(&head),
        (None, None, Some("origin")),
        "also without an origin"
    );
    let (head, _) = setup.ask(
        "/api",
        &format!("origin: https://a.b.dev.example\r\n{}", bearer(&good())),
    );
    assert_eq!(granted(&head).0, Some("https://a.b.dev.example"));
}

#[test]
fn a_star_allows_every_origin_and_never_credentials() {
    let setup = Setup::start(&routes());
    for origin in [SHOP, "https://anything.example", "null"] {
        let (head, _) = setup.ask("/public", &format!("origin: {origin}\r\n"));
        assert_eq!(
            (status(&head), granted(&head)),
            (200, (Some("*"), None, None))
        );
        assert_eq!(
            granted(&preflight(&setup, "/public", origin, "GET")).0,
            Some("*")
        );
    }
}

#[test]
fn what_the_app_says_about_other_origins_is_replaced() {
    let app = Recording::answering(|_| {
        Act::Answer(
            b"HTTP/1.1 200 OK\r\naccess-control-allow-origin: *\r\nAccess-Control-Allow-Credentials: true\r\n\
              access-control-expose-headers: x-secret\r\nvary: accept\r\ncontent-length: 0\r\n\r\n"
                .to_vec(),
        )
    });
    let yaml = format!(
        "app: {{ port: {} }}\nlisteners: [{{ port: 0 }}]\nroutes:\n- {{ name: own, matches: [{{ path: /own }}] }}\n- {{ name: app, {CORS} }}\n",
        app.port()
    );
    let proxy = crate::support::Proxy::start(&yaml);
    let ask = |path: &str, origin: &str| {
        let mut wire = Wire::connect(proxy.inbound());
        wire.ask(&format!(
            "GET {path} HTTP/1.1\r\nhost: a\r\norigin: {origin}\r\n\r\n"
        ))
        .0
    };
    let head = ask("/", SHOP);
    assert_eq!(
        head.to_ascii_lowercase()
            .matches("access-control-allow-origin")
            .count(),
        1,
        "{head}"
    );
    assert_eq!(
        (
            granted(&head).0,
            header(&head, "access-control-expose-headers")
        ),
        (Some(SHOP), Some("x-total"))
    );
    assert!(
        head.contains("vary: accept") && head.contains("vary: origin"),
        "{head}"
    );
    assert_eq!(granted(&ask("/", "https://evil.example")).0, None);
    assert_eq!(
        granted(&ask("/own", SHOP)).0,
        Some("*"),
        "a route without the block is left alone"
    );
}

#[tokio::test]
async fn the_same_over_http2_and_for_a_head() {
    let setup = Setup::start(&routes());
    let mut client = H2::connect(setup.proxy.inbound()).await;
    let asks = request("OPTIONS", "/api")
        .header("origin", SHOP)
        .header("access-control-request-method", "PUT")
        .body(full(""))
        .unwrap();
    let answer = Answer::of(client.send(asks).await).await;
    assert_eq!(
        (answer.status, answer.header("access-control-allow-origin")),
        (204, SHOP)
    );
    let head = request("HEAD", "/api")
        .header("origin", SHOP)
        .body(full(""))
        .unwrap();
    let answer = Answer::of(client.send(head).await).await;
    assert_eq!(
        (answer.status, answer.header("access-control-allow-origin")),
        (401, SHOP)
    );
}
