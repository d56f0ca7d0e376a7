//! Joins client and upstream after a 101, byte for byte, until one side closes or no byte moves for
//! `timeouts.upgradeIdle`.
//!
//! A drain closes a WebSocket in order: each side gets a close frame after the current frame for it
//! ([`frames`]), and nothing after that. Then both have `drainTimeout` to close. Where a peer has
//! started its own close, nothing is added. Other protocols cannot be closed in order, so they
//! continue until they are cut. A client that is no longer trusted gets the close frame as well,
//! and is cut at the time that was set for that.

mod frames;

use std::{
    cell::Cell,
    future::{pending, poll_fn},
    io,
    pin::Pin,
    task::{Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, split},
    sync::Notify,
    time::{Instant, sleep, sleep_until},
};

use outrigger_filters::error::Error;

use self::frames::Frames;
use crate::connection::{client::Client, io::ClientIo, tunnel::Tunnel};

/// Size of a read in each direction.
const BUFFER: usize = 16 * 1024;

/// Copies until one side fails, both have closed, no byte moves, or the drain time is over.
pub(super) async fn run(tunnel: Tunnel, client: &Client, io: ClientIo) {
    let Tunnel {
        upstream,
        guard,
        idle,
        has_frames,
    } = tunnel;
    let shared = Shared::new(client, has_frames);
    let (from_client, to_client) = split(io);
    let (from_upstream, to_upstream) = split(upstream.stream);
    let frames = || has_frames.then(Frames::default);
    let exchange = guard.context();
    let up = Direction {
        from: from_client,
        to: to_upstream,
        bytes: &exchange.bytes_in,
        frames: frames(),
        close_frame: || frames::masked_close_frame(key()),
        closed: false,
        ended: &shared.client_ended,
        other_ended: &shared.upstream_ended,
        shared: &shared,
    };
    let down = Direction {
        from: from_upstream,
        to: to_client,
        bytes: &exchange.bytes_out,
        frames: frames(),
        close_frame: frames::close_frame,
        closed: false,
        ended: &shared.upstream_ended,
        other_ended: &shared.client_ended,
        shared: &shared,
    };
    tokio::select! {
        _ = async { tokio::try_join!(up.copy(&[]), down.copy(&upstream.read)) } => {}
        () = shared.nothing_moves(idle) => guard.failed(&Error::UpgradeIdle),
        () = shared.drain_is_over() => guard.drained(),
    }
}

/// A key that the app cannot predict (RFC 6455 section 5.3).
fn key() -> [u8; 4] {
    let mut key = [0; 4];
    // Without random bytes the mask is zero; no peer controls the payload, so that is acceptable.
    let _ = aws_lc_rs::rand::fill(&mut key);
    key
}

/// The state that both directions share.
struct Shared<'a> {
    client: &'a Client,
    has_frames: bool,
    /// Drains of the listener before this one.
    drains: u32,
    moved: Cell<Instant>,
    /// A peer's own close frame was forwarded.
    closing: Cell<bool>,
    /// The client has sent its close frame, or has closed.
    client_ended: Notify,
    /// The upstream has.
    upstream_ended: Notify,
}

impl<'a> Shared<'a> {
    fn new(client: &'a Client, has_frames: bool) -> Self {
        Self {
            client,
            has_frames,
            drains: client.listener.drains(),
            moved: Cell::new(Instant::now()),
            closing: Cell::new(false),
            client_ended: Notify::new(),
            upstream_ended: Notify::new(),
        }
    }

    /// Whether the WebSocket is to close. The task is woken when that changes.
    fn is_closing(&self) -> bool {
        self.has_frames && (self.is_drained() || self.client.is_cut_scheduled())
    }

    fn is_drained(&self) -> bool {
        self.client.listener.drains() != self.drains
    }

    async fn nothing_moves(&self, idle: Option<Duration>) {
        let Some(idle) = idle else {
            return pending().await;
        };
        loop {
            let end = self.moved.get() + idle;
            if end <= Instant::now() {
                break;
            }
            sleep_until(end).await;
        }
        if self.is_closing() {
            pending::<()>().await; // the drain has its own time limit
        }
    }

    async fn drain_is_over(&self) {
        let drained = || self.has_frames && self.is_drained();
        poll_fn(|_| {
            if drained() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        let (view, _) = self.client.listener.current(&self.client.worker);
        let limit = view.config().lifecycle.drain_timeout;
        drop(view);
        sleep(limit).await;
    }
}

/// One direction.
struct Direction<'a, R, W, G> {
    from: R,
    to: W,
    /// Bytes that were forwarded.
    bytes: &'a Cell<u64>,
    /// Frame positions; `None` when it is not a WebSocket.
    frames: Option<Frames>,
    /// Creates the close frame for the receiver.
    close_frame: G,
    /// Whether the receiver got it, so that nothing may follow.
    closed: bool,
    /// Notified when the sender has sent its close frame, or has closed.
    ended: &'a Notify,
    /// Notified when the receiver has.
    other_ended: &'a Notify,
    shared: &'a Shared<'a>,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin, G: Fn() -> Vec<u8>> Direction<'_, R, W, G> {
    /// Forwards `first` and all that follows, up to the end or the close frame.
    async fn copy(mut self, first: &[u8]) -> io::Result<()> {
        let mut buffer = vec![0; BUFFER];
        self.forward(first).await?;
        while !self.closed {
            match self.read(&mut buffer).await? {
                None => self.send_close().await,
                Some(0) => {
                    self.ended.notify_one();
                    return self.to.shutdown().await;
                }
                Some(read) => self.forward(&buffer[..read]).await?,
            }
        }
        let Self {
            mut from,
            mut to,
            frames,
            ended,
            other_ended,
            ..
        } = self;
        let receiver_ends = async {
            other_ended.notified().await;
            to.shutdown().await
        };
        tokio::join!(
            discard_rest(&mut from, frames, ended, &mut buffer),
            receiver_ends
        )
        .1
    }

    /// Reads what is available; `None` when it is time for the close frame.
    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        poll_fn(|cx| {
            if self
                .frames
                .as_ref()
                .is_some_and(|frames| is_due(frames, self.shared))
            {
                return Poll::Ready(Ok(None));
            }
            let mut buffer = ReadBuf::new(buffer);
            ready!(Pin::new(&mut self.from).poll_read(cx, &mut buffer))?;
            Poll::Ready(Ok(Some(buffer.filled().len())))
        })
        .await
    }

    /// Forwards `bytes`, or the part before the close frame.
    async fn forward(&mut self, bytes: &[u8]) -> io::Result<()> {
        let count = self.follow(bytes);
        self.to.write_all(&bytes[..count]).await?;
        self.to.flush().await?; // TLS may buffer what the socket did not accept
        self.bytes.set(self.bytes.get() + count as u64);
        self.shared.moved.set(Instant::now());
        if count < bytes.len() {
            self.send_close().await;
            self.skip(&bytes[count..]);
        }
        Ok(())
    }

    /// How many of these bytes belong before the close frame.
    fn follow(&mut self, bytes: &[u8]) -> usize {
        let Some(frames) = &mut self.frames else {
            return bytes.len();
        };
        let mut count = 0;
        while count < bytes.len() && !is_due(frames, self.shared) {
            count += frames.step(&bytes[count..]);
        }
        if frames.are_closing() {
            self.shared.closing.set(true);
        }
        count
    }

    /// Sends the close frame. A failed write means that the receiver has closed, which the other
    /// direction detects.
    async fn send_close(&mut self) {
        self.closed = true;
        if self.to.write_all(&(self.close_frame)()).await.is_ok() {
            let _ = self.to.flush().await;
        }
    }

    fn skip(&mut self, bytes: &[u8]) {
        if let Some(frames) = &mut self.frames {
            frames.skip(bytes);
        }
    }
}

/// Whether the close frame belongs at this position: between two frames, while neither peer has
/// started to close.
fn is_due(frames: &Frames, shared: &Shared<'_>) -> bool {
    shared.is_closing() && frames.are_whole() && !frames.are_closing() && !shared.closing.get()
}

/// Reads what the sender still sends, up to its close frame or its end, without forwarding it.
async fn discard_rest(
    from: &mut (impl AsyncRead + Unpin),
    frames: Option<Frames>,
    ended: &Notify,
    buffer: &mut [u8],
) {
    let mut frames = frames.unwrap_or_default();
    while !frames.are_closed() {
        match from.read(buffer).await {
            Ok(read @ 1..) => frames.skip(&buffer[..read]),
            _ => break,
        }
    }
    ended.notify_one();
}
