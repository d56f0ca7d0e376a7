//! Reads the PROXY header at the start of a connection, and not a byte more.

use std::{io, net::IpAddr};

use outrigger_filters::proxy_protocol::{self, Broken};
use tokio::{io::AsyncReadExt, net::TcpStream};

/// Size of the first peek; nearly every header fits.
const FIRST_LOOK: usize = 256;

/// Why there is no header.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoHeader {
    /// The bytes are not a PROXY header, or the connection ended.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// The socket failed.
    #[error(transparent)]
    Socket(#[from] io::Error),
}

/// The client address in the header; `None`: the peer itself.
pub(super) async fn read(socket: &mut TcpStream) -> Result<Option<IpAddr>, NoHeader> {
    let mut head = vec![0; FIRST_LOOK];
    let mut have = 0;
    loop {
        // Peek before reading, so that no byte after the header is consumed.
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
