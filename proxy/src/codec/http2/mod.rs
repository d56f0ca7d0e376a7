//! HTTP/2 (RFC 9113): one implementation for both sides, for clients (`listener::http2`) and for
//! endpoints (`upstream::http2`).
//!
//! The state of a connection ([`connection`]) is shared by its task and the handles of its streams.
//! All of them live on one worker, so there is no lock. Only the task reads and writes the socket
//! ([`driver`]). Received bytes change the state ([`receive`], [`heads`], [`control`]). Streams
//! write to a common output buffer ([`send`], [`outbox`]), which the task writes to the socket, so
//! that the responses of many streams leave in one write.
//!
//! The memory of a connection is bounded. Received data is limited by the windows that the proxy
//! grants, and is stored by its bytes, whatever the size of its frames. Each stream stores one
//! piece of data that the peer's windows do not allow yet. An idle connection has no buffer: reads
//! use the stack, and only the beginning of an incomplete frame is stored.
//!
//! [`hpack`] decodes header blocks, and [`message`] makes messages of them. [`excess`] counts
//! excessive work that a peer causes.

pub(crate) mod connection;
mod control;
pub(crate) mod driver;
mod excess;
mod fault;
mod frame;
pub(crate) mod fuzzing;
mod heads;
pub(crate) mod hpack;
pub(crate) mod incoming;
mod message;
mod outbox;
mod receive;
mod send;
pub(crate) mod sending;
mod stream;
#[cfg(test)]
mod tests;

use std::{
    fmt::{self, Display},
    io,
    sync::Arc,
};

use outrigger_filters::error::Error as FilterError;

pub(crate) use self::{excess::Excess, message::Block, stream::StreamRef};

/// The first bytes of a client (RFC 9113 section 3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// An error code (RFC 9113 section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ErrorCode(pub(crate) u32);

impl ErrorCode {
    pub(crate) const NO_ERROR: Self = Self(0);
    pub(crate) const PROTOCOL_ERROR: Self = Self(1);
    pub(crate) const INTERNAL_ERROR: Self = Self(2);
    pub(crate) const FLOW_CONTROL_ERROR: Self = Self(3);
    pub(crate) const STREAM_CLOSED: Self = Self(5);
    pub(crate) const FRAME_SIZE_ERROR: Self = Self(6);
    pub(crate) const REFUSED_STREAM: Self = Self(7);
    pub(crate) const CANCEL: Self = Self(8);
    pub(crate) const COMPRESSION_ERROR: Self = Self(9);
    pub(crate) const ENHANCE_YOUR_CALM: Self = Self(11);
}

impl Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 14] = [
            "NO_ERROR",
            "PROTOCOL_ERROR",
            "INTERNAL_ERROR",
            "FLOW_CONTROL_ERROR",
            "SETTINGS_TIMEOUT",
            "STREAM_CLOSED",
            "FRAME_SIZE_ERROR",
            "REFUSED_STREAM",
            "CANCEL",
            "COMPRESSION_ERROR",
            "CONNECT_ERROR",
            "ENHANCE_YOUR_CALM",
            "INADEQUATE_SECURITY",
            "HTTP_1_1_REQUIRED",
        ];
        match NAMES.get(self.0 as usize) {
            Some(name) => f.write_str(name),
            None => write!(f, "error code {:#x}", self.0),
        }
    }
}

/// Why a stream or a connection ended.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Error {
    #[error("the peer reset the stream with {0}")]
    Reset(ErrorCode),
    /// This side reset the stream, because of the peer's error on it.
    #[error("the stream was reset with {0}: {1}")]
    Stream(ErrorCode, &'static str),
    /// This side reset the stream, without an error of the peer.
    #[error("the stream was cancelled with {0}")]
    Cancelled(ErrorCode),
    /// The peer closes the connection and did not process the stream (RFC 9113 section 6.8).
    #[error("the peer ended the connection with GOAWAY {0} and has not processed the stream")]
    Unprocessed(ErrorCode),
    /// This side closed the connection, because of the peer's error.
    #[error("the connection was ended with {0}: {1}")]
    Connection(ErrorCode, &'static str),
    /// The socket failed, or the peer closed it.
    #[error("{1}")]
    Io(io::ErrorKind, Arc<str>),
}

impl Error {
    fn io(error: &io::Error) -> Self {
        Self::Io(error.kind(), error.to_string().into())
    }

    fn closed() -> Self {
        Self::Io(
            io::ErrorKind::UnexpectedEof,
            "the peer closed the connection".into(),
        )
    }

    /// Whether the peer closes the connection and did not process the stream.
    pub(crate) fn is_unprocessed(&self) -> bool {
        matches!(self, Self::Unprocessed(_))
    }

    /// Whether the peer rejected the stream without processing it (RFC 9113 section 8.7).
    pub(crate) fn is_refused(&self) -> bool {
        matches!(self, Self::Reset(ErrorCode::REFUSED_STREAM))
    }

    /// Whether the peer violated the protocol.
    pub(crate) fn is_protocol(&self) -> bool {
        matches!(self, Self::Stream(..) | Self::Connection(..))
    }

    /// Whether the socket failed or was closed.
    pub(crate) fn is_io(&self) -> bool {
        matches!(self, Self::Io(..))
    }
}

/// The error code of a reset that is passed on in the middle of a message: only CANCEL, which has
/// the same meaning on the other side. Other codes concern the connection they came over. NO_ERROR
/// is meaningful only after a complete response; some clients treat it as the end of one.
pub(crate) fn handed_on(error: &FilterError) -> Option<ErrorCode> {
    match error.cause()?.downcast_ref()? {
        Error::Reset(ErrorCode::CANCEL) => Some(ErrorCode::CANCEL),
        _ => None,
    }
}
