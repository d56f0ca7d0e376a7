//! `upstreams`: one file for each block, what may be written, what is accepted, how it is checked and shown.

pub(crate) mod balance;
pub(crate) mod breaker;
pub(crate) mod connections;
pub(crate) mod dns;
pub(crate) mod endpoint;
pub(crate) mod health;
pub(crate) mod limits;
pub(crate) mod outlier;
pub(crate) mod protocol;
pub(crate) mod retry_budget;
