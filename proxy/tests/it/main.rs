//! The proxy as a process: YAML in, real sockets, bytes, access log and metrics out. One file per feature.
#![allow(
    missing_docs,
    unreachable_pub,
    reason = "tests are named as sentences, and support is seen by tests alone"
)]

mod smoke;
mod support;
