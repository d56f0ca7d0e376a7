//! The keys of token providers: fetched on the control thread, read by workers.
//!
//! A [`cell::KeyCell`] holds the keys of one provider and outlives reloads while the provider's source of keys is the same. A
//! [`keeper`] fetches for it: at the start, every `refresh` give or take a tenth, after a failure from one second up
//! to a minute apart, and when a worker meets a token whose `kid` it does not know, at most once in ten seconds. There
//! is never more than one fetch at a time for a provider, and a worker never waits longer for one than
//! `jwks.timeout`. The last good keys stay until `maxStale`; without any, requests get 503 with flag `JK`
//! (`docs/security.md` 14).

pub(crate) mod cell;
mod error;
mod fetch;
pub(crate) mod keeper;
pub(crate) mod keys;
