//! What both sides of HTTP/2 need around the `h2` crate (RFC 9113), the same for clients (`listener::http2`) and for
//! endpoints (`upstream::http2`).
//!
//! [`frames`] follows frames by their heads and removes empty DATA before `h2` sees it, [`incoming`] reads the body of
//! a stream and keeps small pieces together, [`sending`] writes a body to a stream as its window allows, [`trailers`] sees
//! what trailers must not name.

pub(crate) mod frames;
pub(crate) mod incoming;
pub(crate) mod sending;
pub(crate) mod trailers;

use h2::Reason;
use outrigger_filters::error::Error;

/// Bytes of DATA below which a frame counts as small. `h2` keeps a record of a few hundred bytes for each frame that was
/// not read yet, whatever its size.
pub(crate) const SMALL: usize = 256;

/// Small frames that may arrive on a connection before what `h2` holds of them is brought together ([`incoming`]).
pub(crate) const SMALL_FRAMES: usize = 512;

/// The reason of a reset in the middle of a message, where it has a meaning for the other side as well: the peer has no more
/// interest. Every other reason speaks of the connection it came over; NO_ERROR has a meaning only behind a whole response,
/// and some clients take it for the end of one.
pub(crate) fn handed_on(error: &Error) -> Option<Reason> {
    let error = error.cause()?.downcast_ref::<h2::Error>()?;
    let reason = error.reason().filter(|_| error.is_reset() && error.is_remote())?;
    (reason == Reason::CANCEL).then_some(reason)
}
