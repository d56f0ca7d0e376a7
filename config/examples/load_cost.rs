//! Load time of files with many routes: `cargo run --release -p outrigger-config --example
//! load_cost`. The results are in docs/performance.md.
//!
//! Every route has a name, a host name, a path, a method and one of 100 upstreams. Ten thousand
//! such routes fill a file of the maximum size.

#![allow(
    clippy::disallowed_types,
    reason = "there is no clock of a test here, and no tokio"
)]

use std::{fmt::Write, time::Instant};

fn main() {
    println!("| routes | KiB | ms | µs a route |\n|---|---|---|---|");
    for routes in [10, 100, 1_000, 10_000] {
        let text = file(routes);
        let best = (0..5).map(|_| millis(&text)).fold(f64::INFINITY, f64::min);
        println!(
            "| {routes} | {} | {best:.1} | {:.1} |",
            text.len() / 1024,
            best * 1_000.0 / routes as f64
        );
    }
}

/// A file with this many routes.
fn file(routes: usize) -> String {
    let mut text = "upstreams:\n".to_owned();
    for number in 0..100.min(routes) {
        let _ = writeln!(
            text,
            "  u{number}: {{ endpoints: [{{ url: http://u{number} }}] }}"
        );
    }
    text.push_str("routes:\n");
    for number in 0..routes {
        let (host, upstream) = (number % 500, number % 100);
        let _ = writeln!(
            text,
            "- {{name: r{number}, hostnames: [h{host}.a.io], matches: [{{path: /r{number}, method: GET}}], \
             backendRefs: [u{upstream}]}}"
        );
    }
    text
}

fn millis(text: &str) -> f64 {
    let begin = Instant::now();
    let loaded = outrigger_config::load_str("outrigger.yaml", text, &|_: &str| None);
    let took = begin.elapsed();
    let loaded = loaded.unwrap_or_else(|error| panic!("{}", error.render(false)));
    assert!(loaded.warnings.is_empty());
    took.as_secs_f64() * 1_000.0
}
