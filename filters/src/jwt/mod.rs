//! Tokens (RFC 7515, RFC 7517 to 7519, RFC 8705): which are accepted, and their claims.
//!
//! Everything here is pure and synchronous: keys, time and the client's certificate are passed in,
//! and nothing is fetched. [`Token`] checks the form of a token with our own parsers; jsonwebtoken
//! checks signatures. The client never learns the reason of a rejection: the
//! [`Reason`](crate::reason::Reason) is for log and metrics.
//!
//! | part | contains |
//! | --- | --- |
//! | [`extract`] | finding a token in a request head, and removing it |
//! | [`Token`] | a parsed token; nothing of it is verified |
//! | [`KeySet`] | the keys of one provider; each fetch creates a new one |
//! | [`Verifier`] | the rules of one provider |
//! | [`VerifiedToken`] | a verified token; the [`crate::claims::Claims`] that rules and routes use |
//! | [`TokenCache`] | tokens that a worker has verified before |
//! | [`Examination`] | checks a request against the requirement of a route |
//!
//! # How the steps of the chain use it
//!
//! A configuration has one [`Providers`], a worker one [`TokenCache`], a request one [`Memo`], and
//! [`Keys`] leads to the current keys. Route choice calls [`Examination::any`] for a token whose
//! claims it matches, `auth` calls [`Examination::require`]; the second caller gets the result from
//! the [`Memo`]. After [`Outcome::NeedsKeys`] the caller fetches the keys, within its own limits,
//! retries once and ends with [`Outcome::settle`]. Then [`extract::remove`] removes the token
//! unless `forwardToken` is set, and [`VerifiedToken::headers`] are inserted after the client's own
//! were removed. Two Authorization lines are rejected with 400 before all this.
//!
//! # Errors
//!
//! 401 for every rejection except a missing client certificate (403), and 503 if there are no keys
//! ([`crate::error::Error::NoKeys`]); the reasons are `auth.…`.

mod cache;
mod claims;
pub mod extract;
mod keys;
mod requirement;
#[cfg(test)]
mod tests;
mod token;
mod verify;

pub use cache::{MAX_TOKENS, TokenCache};
pub use claims::VerifiedToken;
pub use keys::{KeySet, ShortSecret};
pub use requirement::{
    Examination, Granted, Keys, Memo, NoToken, Outcome, Providers, Tokens, Verdict,
};
pub use token::{MAX_BYTES, Token};
pub use verify::{Thumbprint, Verifier, since_epoch};
