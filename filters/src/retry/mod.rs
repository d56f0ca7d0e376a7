//! What is sent again when a try fails, so that it helps and cannot hurt.
//!
//! Three questions, each answered without HTTP or waiting: may this request go again after that failure ([`Policy`]),
//! can the upstream bear it ([`Budget`]), and how long to wait before ([`pause`], [`retry_after`]). What was sent of a
//! body is kept for the next try by [`Kept`]. Nothing goes again once a byte of an answer went to the client.
//!
//! Without `retry` in a route only what provably changed nothing goes again, once; that uses the budget too.

mod backoff;
mod body;
mod budget;
mod policy;

pub use backoff::{pause, retry_after};
pub use body::{BodyTurn, Kept};
pub use budget::Budget;
pub use policy::{Failure, Policy, RetryReason, is_idempotent, unasked};

#[cfg(test)]
mod tests;
