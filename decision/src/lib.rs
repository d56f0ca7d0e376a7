//! What happens to a request, decided from its head, its client and the time: no sockets, no waiting.
//!
//! The data path of the proxy calls these functions, and so does everything that says what would happen to a request:
//! [`evaluate()`] walks them in the order of the data path. What a function decides by stands in its arguments: the [`Subject`],
//! the head, and the [`Runtime`] of a configuration. Filters have their decisions in `outrigger_filters`; here stands what
//! joins them.

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
