//! `routes` and `defaults`: one file for each block, what may be written, what is accepted, how it is checked and shown.

pub(crate) mod concurrency;
pub(crate) mod context;
pub(crate) mod cors;
pub(crate) mod fault;
pub(crate) mod header_changes;
pub(crate) mod mirror;
pub(crate) mod timeouts;
