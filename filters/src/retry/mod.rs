//! Retries: which failures are retried, how many, and when.
//!
//! Three decisions, each without HTTP or waiting: whether this request may be retried after that
//! failure ([`Policy`]), whether the budget of the upstream permits it ([`Budget`]), and how long
//! to wait ([`pause`], [`retry_after`]). [`Kept`] buffers the bytes of a body that were sent for
//! the next attempt. Nothing is retried once a byte of a response was sent to the client.
//!
//! Without `retry` in a route, a request is retried once, and only if the failed attempt provably
//! changed nothing; that uses the budget too.

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
