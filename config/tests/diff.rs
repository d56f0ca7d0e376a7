//! The changes of a reload are one log line.

// Helpers of tests are tests too.
#![allow(clippy::unwrap_used)]

use outrigger_config::{diff, load_str, model::Config};

fn load(text: &str) -> Config {
    load_str("t", text, &|_: &str| None)
        .unwrap_or_else(|error| panic!("{}", error.render(false)))
        .config
}

const BEFORE: &str = "
app: { port: 8080 }
listeners: [{ name: a, port: 8000 }, { name: b, port: 8001 }]
rateLimits: { a: { requests: 1, per: 1s, key: global }, b: { requests: 1, per: 1s, key: global } }
upstreams:
  one: { endpoints: [{ url: http://one }] }
  two: { endpoints: [{ url: http://two }] }
routes:
  - { name: r1, matches: [{ path: /1 }], backendRefs: [one], rateLimits: [b] }
  - { name: r2, matches: [{ path: /2 }], backendRefs: [two] }
";

#[test]
fn an_equal_configuration_changes_nothing() {
    let changes = diff(&load(BEFORE), &load(BEFORE));
    assert!(changes.is_empty());
    assert_eq!(changes.to_string(), "nothing changed");
}

#[test]
fn what_comes_goes_and_changes_is_named() {
    let after = "
app: { port: 8080 }
listeners: [{ name: c, port: 8002 }, { name: a, port: 8000, limits: { headers: 50 } }]
rateLimits: { c: { requests: 1, per: 1s, key: global }, b: { requests: 2, per: 1s, key: global } }
upstreams:
  two: { endpoints: [{ url: http://two:81 }] }
  three: { endpoints: [{ url: http://three }] }
routes:
  - { name: r3, matches: [{ path: /3 }], backendRefs: [three] }
  - { name: r2, matches: [{ path: /2 }], listeners: [a], backendRefs: [two] }
telemetry: { accessLog: { format: text } }
workers: 2
admin: off
";
    let changes = diff(&load(BEFORE), &load(after));
    assert_eq!(
        changes.to_string(),
        "listeners +c -b ~a; upstreams +three -one ~two; rateLimits +c -a ~b; routes +r3 -r1 ~r2; changed telemetry; \
         pending restart: workers, admin"
    );
    assert_eq!(changes.needs_restart, ["workers", "admin"]);
}

#[test]
fn a_route_is_the_same_when_only_indexes_shift() {
    let shifted = BEFORE.replace(
        "upstreams:\n",
        "upstreams:\n  zero: { endpoints: [{ url: http://zero }] }\n",
    );
    let changes = diff(&load(BEFORE), &load(&shifted));
    assert_eq!(changes.to_string(), "upstreams +zero");
    let shifted = BEFORE.replace(
        "rateLimits: { a",
        "rateLimits: { z: { requests: 1, per: 1s, key: global }, a",
    );
    assert_eq!(
        diff(&load(BEFORE), &load(&shifted)).to_string(),
        "rateLimits +z"
    );
    let other = BEFORE.replace("rateLimits: [b]", "rateLimits: [a]");
    assert_eq!(diff(&load(BEFORE), &load(&other)).to_string(), "routes ~r1");
}
