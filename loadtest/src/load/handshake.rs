//! Handshakes for their own sake: connect, shake hands, say goodbye, over and over.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;

use tokio::io::{AsyncReadExt, AsyncWrite};

use super::connect::{Dialer, Wire};
use super::failure::Failure;
use super::tally::Answer;
use super::turn::{Broken, Client, Lane};

/// A place from which one handshake follows the other.
pub(super) struct Handshake(Dialer);

impl Handshake {
    pub(super) fn new(dialer: Dialer) -> Self {
        Self(dialer)
    }
}

impl Client for Handshake {
    /// In TLS 1.3 the client is done before the peer has looked at its certificate, so a handshake only counts once the
    /// peer has said goodbye as well. On the way there come the tickets.
    async fn attempt(&mut self, lane: &Lane, _: u64) -> Result<Answer, Broken> {
        let stream = self.0.connect(lane).await?;
        goodbye(stream).await.map_err(Broken::Failed)?;
        Ok(Answer {
            status: None,
            length: 0,
            verdict: Ok(()),
        })
    }

    /// Never: each ends with its handshake.
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
            // Some answer a goodbye without a request by an error; they have taken the handshake all the same.
            Ok(_) => spoken = true,
            Err(_) if spoken => return Ok(()),
            // Many close without a goodbye of TLS; nothing is lost by that here.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(Failure::of(&error)),
        }
    }
}
