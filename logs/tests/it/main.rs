//! The shipper as a whole: real files, a real thread, receivers that check every byte.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "a failure is a panic"
)]

mod delivery;
mod elasticsearch;
mod loki;
mod otlp;
mod random;
mod support;
