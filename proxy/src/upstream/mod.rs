//! Upstreams at run time: the choice of an endpoint and a connection.
//!
//! Workers share atomics and `ArcSwap`s only ([`registry`], [`endpoint`]). Connections and pools
//! ([`local`], [`pool`]) belong to one worker and never leave it. Connects, DNS and TLS are in
//! `outrigger-transport`.

pub(crate) mod balance;
pub(crate) mod breaker;
pub(crate) mod clock;
pub(crate) mod endpoint;
pub(crate) mod health;
pub(crate) mod http1;
pub(crate) mod http2;
pub(crate) mod in_flight;
pub(crate) mod local;
pub(crate) mod outlier;
pub(crate) mod pool;
pub(crate) mod registry;
pub(crate) mod service;
