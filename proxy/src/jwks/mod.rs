//! The keys of token providers: fetched on the control thread, read by workers.
//!
//! A [`cell::KeyCell`] holds the keys of one provider, and survives reloads while the provider's
//! key source stays the same. A [`keeper`] fetches for it:
//! - at the start;
//! - every `refresh` ±10 %;
//! - after a failure, at intervals from 1 s to 1 min;
//! - when a worker gets a token with an unknown `kid`, at most once in 10 s.
//!
//! A provider never has more than one fetch at a time, and a worker never waits longer for one than
//! `jwks.timeout`. The last good keys stay in use until `maxStale`. Without any keys, requests get
//! 503 with flag `JK` (`docs/security.md` 14).

pub(crate) mod cell;
mod error;
mod fetch;
pub(crate) mod keeper;
pub(crate) mod keys;
