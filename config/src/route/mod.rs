//! `routes` and `defaults`: one file for each block, what may be written, what is accepted, how it is checked and shown.

pub(crate) mod action;
pub(crate) mod auth;
pub(crate) mod authorize;
pub(crate) mod backends;
pub(crate) mod concurrency;
pub(crate) mod context;
pub(crate) mod cors;
pub(crate) mod ext_auth;
pub(crate) mod fault;
pub(crate) mod hash_on;
pub(crate) mod header_changes;
pub(crate) mod hedge;
pub(crate) mod matches;
pub(crate) mod mirror;
pub(crate) mod rate_limits;
pub(crate) mod redirect;
pub(crate) mod response;
pub(crate) mod retry;
pub(crate) mod rewrite;
pub(crate) mod timeouts;
