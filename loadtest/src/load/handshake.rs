//! Handshakes only: connect, handshake, close, repeatedly.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;

use tokio::io::{AsyncReadExt, AsyncWrite};

use super::connect::{Dialer, Wire};
use super::failure::Failure;
use super::lane::{Broken, Client, Lane};
use super::tally::Answer;

/// A place from which one handshake follows the other.
pub(super) struct Handshake(Dialer);

impl Handshake {
    pub(super) fn new(dialer: Dialer) -> Self {
        Self(dialer)
    }
}

impl Client for Handshake {
    /// In TLS 1.3 the client completes before the peer has verified its certificate, so a handshake
    /// counts only when the peer has sent close_notify as well. The tickets arrive before it.
    async fn attempt(&mut self, lane: &Lane, _: u64) -> Result<Answer, Broken> {
        let stream = self.0.connect(lane).await?;
        goodbye(stream).await.map_err(Broken::Failed)?;
        Ok(Answer {
            status: None,
            length: 0,
            verdict: Ok(()),
        })
    }

    /// Never: each connection ends with its handshake.
    async fn is_open(&mut self, _: &Lane) -> bool {
        false
    }
}

async fn goodbye(mut stream: Wire) -> Result<(), Failure> {
    poll_fn(|cx| Pin::new(&mut stream).poll_shutdown(cx))
        .await
        .map_err(|error| Failure::of(&error))?;
    let mut spoken = false;
    loop {
        match stream.read(&mut [0; 1024]).await {
            Ok(0) => return Ok(()),
            // Some peers respond to a close_notify without a request with an error; the handshake
            // was accepted all the same.
            Ok(_) => spoken = true,
            Err(_) if spoken => return Ok(()),
            // Many peers close without close_notify; that is harmless here.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(Failure::of(&error)),
        }
    }
}
