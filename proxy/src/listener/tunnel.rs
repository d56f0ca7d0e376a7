//! Joins client and upstream after a 101, byte for byte, until one side ends or nothing moves for `timeouts.upgradeIdle`.

use std::{cell::Cell, io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split},
    time::{Instant, sleep_until},
};

use outrigger_filters::error::Error;

use super::io::ClientIo;
use crate::{edge::record::Record, upstream::pool::Upgraded};

/// Bytes read at once in each direction.
const BUFFER: usize = 16 * 1024;

/// The upstream end of an upgraded connection, waiting for the client's.
pub(crate) struct Tunnel {
    upstream: Upgraded,
    record: Record,
    idle: Option<Duration>,
}

impl Tunnel {
    /// A tunnel to `upstream` that ends after `idle` without a byte in either direction.
    pub(crate) fn new(upstream: Upgraded, record: Record, idle: Option<Duration>) -> Self {
        Self { upstream, record, idle }
    }

    /// Copies until one side fails, both have ended, or nothing moves.
    pub(crate) async fn run(self, client: ClientIo) {
        let Self { upstream, record, idle } = self;
        let moved = Cell::new(Instant::now());
        let (mut from_client, mut to_client) = split(client);
        let (mut from_upstream, mut to_upstream) = split(upstream.stream);
        let exchange = record.exchange();
        let up = copy(&mut from_client, &mut to_upstream, &moved, &exchange.bytes_in);
        let down = async {
            to_client.write_all(&upstream.read).await?;
            to_client.flush().await?;
            exchange.bytes_out.set(upstream.read.len() as u64);
            copy(&mut from_upstream, &mut to_client, &moved, &exchange.bytes_out).await
        };
        tokio::select! {
            _ = async { tokio::try_join!(up, down) } => {}
            () = nothing_moves(&moved, idle) => record.failed(&Error::UpgradeIdle),
        }
    }
}

async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    moved: &Cell<Instant>,
    bytes: &Cell<u64>,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..read]).await?;
        to.flush().await?; // TLS may have taken what the socket has not
        bytes.set(bytes.get() + read as u64);
        moved.set(Instant::now());
    }
}

async fn nothing_moves(moved: &Cell<Instant>, idle: Option<Duration>) {
    let Some(idle) = idle else { return std::future::pending().await };
    loop {
        let end = moved.get() + idle;
        if end <= Instant::now() {
            return;
        }
        sleep_until(end).await;
    }
}
