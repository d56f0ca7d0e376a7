//! The proxy as a process: YAML in, real sockets, bytes, access log and metrics out. One file per feature.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "tests are named as sentences, support is seen by tests alone, and a failure is a panic"
)]

mod framing;
mod smoke;
mod support;
