//! Upstreams at run time: which endpoint, over which connection.
//!
//! Shared between workers are only atomics and `ArcSwap`s ([`registry`], [`endpoint`]); connections and pools
//! ([`pool`]) belong to one worker and never leave it. [`dns`] runs on the control thread.

pub mod balance;
pub mod connect;
pub mod dns;
pub mod endpoint;
pub mod pool;
pub mod registry;
