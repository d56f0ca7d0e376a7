//! Prints the cost of one route choice, in nanoseconds, as the number of routes grows.
//!
//! `cargo run --release -p outrigger-decision --example route_choice`. The figures should not grow with the number of routes.

use std::{hint::black_box, time::Duration};

use http::{HeaderMap, Method, StatusCode};
use outrigger_config::model::{
    Action, DirectResponse, Hostname, ListenerId, PathMatch, PathTemplate, Route, RouteMatch,
    Scheme, TemplateSegment,
};
use outrigger_decision::router::{Head, RouteTable};
use tokio::time::Instant;

const LISTENER: ListenerId = ListenerId(0);
const ROUNDS: u32 = 1_000_000;

fn main() {
    println!(
        "{:>28} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "routes", 1, 10, 100, 1_000, 10_000
    );
    print(
        "one catch-all",
        |_| route(None, prefix("/")),
        |_| ("svc.example".into(), "/api/v1/orders/42".into()),
    );
    print(
        "prefixes",
        |n| route(None, prefix(&format!("/api/v1/res{n}"))),
        |n| ("svc.example".into(), format!("/api/v1/res{n}/42/items")),
    );
    print(
        "exact paths",
        |n| route(None, PathMatch::Exact(format!("/api/v1/res{n}").into())),
        |n| ("svc.example".into(), format!("/api/v1/res{n}")),
    );
    print(
        "templates",
        |n| route(None, template(&format!("res{n}"))),
        |n| ("svc.example".into(), format!("/api/res{n}/42")),
    );
    print(
        "hosts",
        |n| route(Some(exact(n)), prefix("/")),
        |n| (format!("svc{n}.example"), "/api/v1".into()),
    );
    print(
        "hosts with port and case",
        |n| route(Some(exact(n)), prefix("/")),
        |n| (format!("Svc{n}.Example:8443"), "/api/v1".into()),
    );
    print(
        "wildcard hosts",
        |n| route(Some(wildcard(n)), prefix("/")),
        |n| (format!("a.b.svc{n}.example"), "/api/v1".into()),
    );
    print(
        "no match",
        |n| route(Some(exact(n)), prefix(&format!("/api/v1/res{n}"))),
        |_| ("svc.example".into(), "/api/v1/orders/42".into()),
    );
}

/// One line: each request matches the last route of its table.
fn print(name: &str, route: impl Fn(usize) -> Route, request: impl Fn(usize) -> (String, String)) {
    print!("{name:>28}");
    for size in [1, 10, 100, 1_000, 10_000] {
        let routes: Vec<Route> = (0..size).map(&route).collect();
        let table = RouteTable::of_routes(&routes, LISTENER);
        let (host, path) = request(size - 1);
        print!(" {:>8.1}", nanos_per_choice(&table, &host, &path));
    }
    println!();
}

fn nanos_per_choice(table: &RouteTable, host: &str, path: &str) -> f64 {
    let headers = HeaderMap::new();
    let head = Head {
        host: Some(host),
        path,
        query: None,
        method: &Method::GET,
        scheme: Scheme::Http,
        headers: &headers,
        own: None,
        preflight: false,
        tokens: None,
    };
    let round = || {
        let start = Instant::now();
        for _ in 0..ROUNDS {
            black_box(table.choose(black_box(&head)));
        }
        start.elapsed()
    };
    let best: Duration = (0..5).map(|_| round()).min().unwrap_or_default();
    best.as_secs_f64() * 1e9 / f64::from(ROUNDS)
}

fn route(hostname: Option<Hostname>, path: PathMatch) -> Route {
    let action = Action::Respond(DirectResponse::new(StatusCode::OK, "".into()));
    let mut route = Route::new(
        "r".into(),
        vec![LISTENER],
        vec![RouteMatch::new(path)],
        action,
    );
    route.hostnames.extend(hostname);
    route
}

fn prefix(path: &str) -> PathMatch {
    PathMatch::Prefix(path.into())
}

fn exact(n: usize) -> Hostname {
    Hostname::Exact(format!("svc{n}.example").into())
}

fn wildcard(n: usize) -> Hostname {
    Hostname::Wildcard(format!(".svc{n}.example").into())
}

fn template(element: &str) -> PathMatch {
    let segments = vec![
        TemplateSegment::Literal("api".into()),
        TemplateSegment::Literal(element.into()),
        TemplateSegment::Variable("id".into()),
    ];
    PathMatch::Template(PathTemplate::new(
        format!("/api/{element}/{{id}}").into(),
        segments,
    ))
}
