//! Tokens (RFC 7515, RFC 7517 to 7519, RFC 8705): which are taken, and what they say.
//!
//! Everything here is pure and synchronous: keys, time and the client's certificate are passed in, and nothing is
//! fetched. What a token may look like is decided by [`Token`], by readers of our own; jsonwebtoken checks signatures.
//! A client never hears why: its [`Reason`](crate::reason::Reason) is for log and metrics.
//!
//! | part | holds |
//! |---|---|
//! | [`extract`] | where a token stands in a request head, and taking it away there |
//! | [`Token`] | what a token looks like; nothing of it is verified |
//! | [`KeySet`] | the keys of one provider; each fetch makes a new one |
//! | [`Verifier`] | the rules of one provider |
//! | [`VerifiedToken`] | what a token says; the [`crate::claims::Claims`] that rules and routes see |
//! | [`TokenCache`] | what a worker has verified before |
//! | [`Examination`] | what a route asks for, against what a request brings |
//!
//! # How the steps of the chain use it
//!
//! A configuration has one [`Providers`], a worker one [`TokenCache`], a request one [`Memo`], and [`Keys`] leads to the
//! keys of the moment. Route choice asks [`Examination::any`] for a token to match claims by, `auth` asks
//! [`Examination::require`]; whoever comes second gets what the [`Memo`] knows. After [`Outcome::NeedsKeys`] the caller
//! has the keys fetched, within its own limits, asks once more and ends with [`Outcome::settle`]. Then
//! [`extract::remove`] takes the token away unless `forwardToken` says otherwise, and [`VerifiedToken::headers`] are put
//! in behind what was stripped from the client. Two Authorization lines are a 400 long before this.
//!
//! # Errors
//!
//! 401 for every refusal but a missing client certificate (403), and 503 when there are no keys
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
