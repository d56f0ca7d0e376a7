//! Takes the PROXY header off the front of a connection, to the byte.

use std::{io, net::IpAddr};

use outrigger_filters::proxy_protocol::{self, Broken};
use tokio::{io::AsyncReadExt, net::TcpStream};

/// Room for the first look; nearly every header fits.
const FIRST_LOOK: usize = 256;

/// Why there is no header.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoHeader {
    /// Something else, or nothing more.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// The socket broke.
    #[error(transparent)]
    Socket(#[from] io::Error),
}

/// Whom the header names; `None`: the peer itself.
pub(super) async fn read(socket: &mut TcpStream) -> Result<Option<IpAddr>, NoHeader> {
    let mut head = vec![0; FIRST_LOOK];
    let mut have = 0;
    loop {
        // Looked at before it is taken, so that nothing behind the header is.
        let seen = have + socket.peek(&mut head[have..]).await?;
        if seen == have {
            return Err(Broken::Absent.into());
        }
        let header = proxy_protocol::parse(&head[..seen])?;
        let taken = header.map_or(seen, |header| header.length);
        socket.read_exact(&mut head[have..taken]).await?;
        if let Some(header) = header {
            return Ok(header.source);
        }
        have = taken;
        if have == head.len() {
            head.resize(proxy_protocol::MOST, 0);
        }
    }
}
