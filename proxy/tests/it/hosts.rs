//! One host has one form, whatever a client writes: for the route, for what counts by it, for `extAuth`, and in the log.

use crate::support::{
    Proxy,
    client::{H2, full, request},
    frames::{Frames, Outcome, PROTOCOL_ERROR},
    recording::Recording,
    wire::{Wire, status},
};

/// A guarded host, a guarded family of hosts, and an open route for every other one.
const GUARDED: &str = "routes:\n\
    - { name: admin, hostnames: [admin.example.com], directResponse: { status: 401 } }\n\
    - { name: family, hostnames: [\"*.family.example\"], directResponse: { status: 403 } }\n\
    - { name: dotted, hostnames: [dotted.example., \"*.dots.example.\"], directResponse: { status: 410 } }\n\
    - { name: open }\n";

fn start(app: &Recording, rest: &str) -> Proxy {
    Proxy::start(&format!(
        "app: {{ port: {} }}\nlisteners: [{{ port: 0 }}]\n{rest}",
        app.port()
    ))
}

/// Spellings of hosts and the status of their route; 400 for what is no host.
const HOSTS: &[(&str, u16)] = &[
    ("admin.example.com", 401),
    ("admin.example.com.", 401),
    ("ADMIN.Example.com.", 401),
    ("admin.example.com:80", 401),
    ("admin.example.com.:8080", 401),
    ("a.family.example", 403),
    ("a.b.FAMILY.example.", 403),
    ("a.family.example.:81", 403),
    ("dotted.example", 410),
    ("dotted.example.:80", 410),
    ("x.dots.example", 410),
    ("x.dots.example.", 410),
    ("other.example.", 200),
    ("family.example.", 200),
    ("admin.example.com..", 400),
    ("admin..example.com", 400),
    (".admin.example.com", 400),
    (".", 400),
];

#[test]
fn a_dot_at_the_end_of_a_host_takes_no_other_route_over_http_1() {
    let app = Recording::ok();
    let proxy = start(&app, GUARDED);
    for (host, expected) in HOSTS {
        let ask = |request: String| status(&Wire::connect(proxy.inbound()).ask(&request).0);
        assert_eq!(
            ask(format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n")),
            *expected,
            "{host}"
        );
        let absolute = format!("GET http://{host}/ HTTP/1.1\r\nhost: open.example\r\n\r\n");
        assert_eq!(ask(absolute), *expected, "absolute form, {host}");
    }
}

/// A name that is longer than one can be would match no name and take the open route.
#[test]
fn a_host_that_is_longer_than_a_name_can_be_is_refused() {
    let app = Recording::ok();
    let proxy = start(&app, GUARDED);
    for (length, expected) in [(200, 403), (300, 400)] {
        let host = format!("{}.family.example", "a.".repeat(length / 2 - 8) + "b");
        let (head, _) =
            Wire::connect(proxy.inbound()).ask(&format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n"));
        assert_eq!(status(&head), expected, "{host}");
    }
    assert_eq!(app.messages().len(), 0);
}

#[tokio::test]
async fn a_dot_at_the_end_of_a_host_takes_no_other_route_over_http_2() {
    let app = Recording::ok();
    let proxy = start(&app, GUARDED);
    let mut client = H2::connect(proxy.inbound()).await;
    for (host, expected) in HOSTS.iter().filter(|(_, expected)| *expected != 400) {
        let by_authority = request("GET", "/")
            .uri(format!("http://{host}/"))
            .body(full(""))
            .unwrap();
        assert_eq!(
            client.send(by_authority).await.status(),
            *expected,
            "{host}"
        );
    }
}

/// RFC 9113 section 8.3.1: `host` and `:authority` are compared after normalization by the scheme.
#[test]
fn over_http_2_two_spellings_of_one_host_are_one_host() {
    let app = Recording::ok();
    let proxy = start(&app, GUARDED);
    for (authority, host, expected) in [
        ("admin.example.com", "admin.example.com.", Some(401)),
        ("admin.example.com.", "ADMIN.example.com:80", Some(401)),
        ("admin.example.com", "admin.example.com:81", None),
        ("admin.example.com", "other.example", None),
    ] {
        let mut frames = Frames::connect(proxy.inbound());
        let fields: &[(&[u8], &[u8])] = &[
            (b":method", b"GET"),
            (b":scheme", b"http"),
            (b":path", b"/"),
            (b":authority", authority.as_bytes()),
            (b"host", host.as_bytes()),
        ];
        frames.headers(1, fields, true);
        let expected = expected.map_or(Outcome::Reset(PROTOCOL_ERROR), Outcome::Status);
        assert_eq!(frames.outcome(1), expected, "{authority} and {host}");
    }
}

#[test]
fn the_app_gets_the_host_as_it_was_sent_and_the_log_has_the_one_form() {
    let app = Recording::ok();
    let proxy = start(&app, "");
    for (number, (sent, logged)) in [
        ("Shop.Example.", "shop.example"),
        ("shop.example:80", "shop.example"),
        ("shop.example.:8080", "shop.example:8080"),
        ("shop.example:443", "shop.example:443"),
        ("127.0.0.1.", "127.0.0.1"),
        ("[2001:DB8::1]:80", "[2001:db8::1]"),
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("/{number}");
        let request = format!("GET {path} HTTP/1.1\r\nhost: {sent}\r\n\r\n");
        assert_eq!(
            status(&Wire::connect(proxy.inbound()).ask(&request).0),
            200,
            "{sent}"
        );
        let message = app
            .messages()
            .into_iter()
            .find(|message| message.target() == path)
            .unwrap();
        assert_eq!(
            (message.all("host"), message.all("x-forwarded-host")),
            (vec![sent], vec![sent])
        );
        assert_eq!(
            proxy.logged(|line| line["path"] == *path)["host"],
            logged,
            "{sent}"
        );
    }
}

/// The default port is that of the scheme that the client speaks to the trusted peer in front of the proxy.
#[test]
fn behind_a_trusted_peer_the_default_port_is_that_of_the_clients_scheme() {
    let app = Recording::ok();
    let yaml = "listeners: [{ port: 0, clientAddress: { trustedCIDRs: [127.0.0.0/8] } }]\n";
    let proxy = Proxy::start(&format!("app: {{ port: {} }}\n{yaml}", app.port()));
    for (path, host, logged) in [
        ("/a", "a.test:443", "a.test"),
        ("/b", "a.test:80", "a.test:80"),
    ] {
        let fields = format!("host: {host}\r\nx-forwarded-proto: https\r\n");
        Wire::connect(proxy.inbound()).ask(&format!("GET {path} HTTP/1.1\r\n{fields}\r\n"));
        assert_eq!(proxy.logged(|line| line["path"] == path)["host"], logged);
    }
}

#[test]
fn every_spelling_of_a_host_counts_as_one() {
    let app = Recording::ok();
    let limits = "rateLimits: { each: { requests: 1, per: 1h, key: { header: host } } }\n";
    let proxy = start(
        &app,
        &format!("{limits}defaults: {{ rateLimits: [each] }}\n"),
    );
    let spellings = [
        "a.example",
        "A.example",
        "a.example.",
        "a.example:80",
        "b.example",
    ];
    let counted = spellings.map(|host| {
        status(
            &Wire::connect(proxy.inbound())
                .ask(&format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n"))
                .0,
        )
    });
    assert_eq!(counted, [200, 429, 429, 429, 200]);
}

#[test]
fn the_admin_server_knows_localhost_by_its_dot_too() {
    let proxy = Proxy::in_front_of_port(1);
    for (host, expected) in [
        ("localhost.", 200),
        ("LOCALHOST.:9901", 200),
        ("localhost.evil.example.", 403),
    ] {
        let (head, _) = Wire::connect(proxy.address("admin")).ask(&format!(
            "GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"
        ));
        assert_eq!(status(&head), expected, "{host}");
    }
}

/// The service decides by the same form as the routes.
#[test]
fn ext_auth_is_asked_about_the_one_form_of_a_host() {
    let (app, service) = (Recording::ok(), Recording::ok());
    let url = format!("http://127.0.0.1:{}/check", service.port());
    let proxy = start(
        &app,
        &format!("routes: [{{ name: a, extAuth: {{ url: \"{url}\" }} }}]\n"),
    );
    let (head, _) =
        Wire::connect(proxy.inbound()).ask("GET / HTTP/1.1\r\nhost: Admin.Example.:80\r\n\r\n");
    assert_eq!(status(&head), 200);
    assert_eq!(
        service.messages()[0].all("x-forwarded-host"),
        ["admin.example"]
    );
    assert_eq!(app.messages()[0].all("host"), ["Admin.Example.:80"]);
}
