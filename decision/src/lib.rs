//! Decides what happens to a request, from its head, its client and the time: no sockets, no
//! waiting.
//!
//! The data path of the proxy calls these functions, and so does everything that predicts its
//! decisions: [`evaluate()`] runs them in the order of the data path. All inputs of a function are
//! arguments: the [`Subject`], the head, and the [`Runtime`] of a configuration. The decisions of
//! single filters are in `outrigger_filters`; this crate combines them.

pub mod auth;
pub mod backends;
pub mod choice;
mod evaluate;
pub mod hash_key;
pub mod intake;
pub mod respond;
pub mod router;
mod runtime;
mod subject;
pub mod trace;
pub mod tries;
pub mod wire;

pub use evaluate::{Conditions, Decision, Forwarding, Outcome, evaluate};
pub use runtime::{KeySource, Runtime};
pub use subject::{ForwardedIdentity, Subject, Tls};
pub use trace::Trace;
