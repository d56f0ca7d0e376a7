//! The client's socket as the connection tasks see it, plain or under TLS: bytes can be put back in front, and two
//! things are watched for the clocks: whether anything was read, and since when writing has been stuck. On HTTP/2 a
//! meter of written frame heads counts the streams that were reset as malformed: h2 tells nobody about those it
//! refuses itself.
//!
//! What is read is counted as the protocol sees it; whether writing is stuck is asked of the socket itself, since TLS
//! takes what the socket does not.

use std::{
    cell::Cell,
    io,
    mem::MaybeUninit,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
};

use bytes::{Buf, Bytes};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::Instant,
};
use tokio_rustls::server::TlsStream;

/// What is read at once of a client that is not to say anything for now.
const OVERHEARD: usize = 256;

/// What the connection task watches.
#[derive(Default)]
pub(crate) struct Watch {
    cut_at: Cell<Option<Instant>>,
    read: Cell<u64>,
    stuck_since: Cell<Option<Instant>>,
    malformed_streams: Cell<u64>,
}

impl Watch {
    /// Bytes read so far.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.read.get()
    }

    /// When the connection is dropped with what is in flight on it.
    pub(crate) fn cut_at(&self) -> Option<Instant> {
        self.cut_at.get()
    }

    /// Has the connection dropped at `end`; the first time that is named stays.
    pub(crate) fn cut_by(&self, end: Instant) {
        self.cut_at.set(self.cut_at.get().or(Some(end)));
    }

    /// Since when the peer has taken none of what is to be written.
    pub(crate) fn stuck_since(&self) -> Option<Instant> {
        self.stuck_since.get()
    }

    /// HTTP/2 streams that were reset with PROTOCOL_ERROR.
    pub(crate) fn malformed_streams(&self) -> u64 {
        self.malformed_streams.get()
    }

    fn wrote<T>(&self, result: Poll<T>) -> Poll<T> {
        match (&result, self.stuck_since.get()) {
            (Poll::Ready(_), Some(_)) => self.stuck_since.set(None),
            (Poll::Pending, None) => self.stuck_since.set(Some(Instant::now())),
            _ => {}
        }
        result
    }
}

/// Follows the frames that are written (RFC 9113 section 4.1).
#[derive(Default)]
struct FrameMeter {
    /// The head of a frame, and the error code of an RST_STREAM behind it.
    head: [u8; Self::RESET],
    have: usize,
    /// Bytes of the payload still to come.
    skip: usize,
}

impl FrameMeter {
    const HEAD: usize = 9;
    const RESET: usize = Self::HEAD + 4;
    const RST_STREAM: u8 = 3;
    const PROTOCOL_ERROR: [u8; 4] = [0, 0, 0, 1];

    /// Streams that these bytes reset with PROTOCOL_ERROR.
    fn follow(&mut self, mut bytes: &[u8]) -> u64 {
        let mut resets = 0;
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            if bytes.is_empty() {
                return resets;
            }
            let wanted = if self.have < Self::HEAD { Self::HEAD } else { Self::RESET };
            let taken = (wanted - self.have).min(bytes.len());
            self.head[self.have..self.have + taken].copy_from_slice(&bytes[..taken]);
            self.have += taken;
            bytes = &bytes[taken..];
            match (self.have, self.head[3]) {
                (Self::HEAD, Self::RST_STREAM) => {}
                (Self::HEAD, _) => {
                    let [high, middle, low, ..] = self.head.map(usize::from);
                    self.skip = high << 16 | middle << 8 | low;
                    self.have = 0;
                }
                (Self::RESET, _) => {
                    resets += u64::from(self.head[Self::HEAD..] == Self::PROTOCOL_ERROR);
                    self.have = 0;
                }
                _ => {}
            }
        }
    }
}

/// A TCP socket whose writes are watched.
pub(crate) struct Wire {
    socket: TcpStream,
    watch: Rc<Watch>,
}

impl Wire {
    /// Watches `socket`.
    pub(crate) fn new(socket: TcpStream, watch: Rc<Watch>) -> Self {
        Self { socket, watch }
    }

    /// The socket itself.
    pub(super) fn socket(&self) -> &TcpStream {
        &self.socket
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.socket).poll_write(cx, buf);
        self.watch.wrote(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.socket).poll_write_vectored(cx, bufs);
        self.watch.wrote(result)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(())) // the socket has no buffer of its own
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

/// What is spoken on the socket.
enum Socket {
    Plain(Wire),
    Tls(Box<TlsStream<Wire>>),
}

/// A client's socket.
pub(crate) struct ClientIo {
    socket: Socket,
    /// Read already, but not by the one who reads now.
    front: Bytes,
    watch: Rc<Watch>,
    /// On HTTP/2.
    written: Option<FrameMeter>,
}

impl ClientIo {
    /// A socket without TLS.
    pub(crate) fn plain(wire: Wire) -> Self {
        let watch = Rc::clone(&wire.watch);
        Self { socket: Socket::Plain(wire), front: Bytes::new(), watch, written: None }
    }

    /// A socket after its handshake.
    pub(crate) fn tls(stream: Box<TlsStream<Wire>>) -> Self {
        let watch = Rc::clone(&stream.get_ref().0.watch);
        Self { socket: Socket::Tls(stream), front: Bytes::new(), watch, written: None }
    }

    /// What is written from now on is HTTP/2.
    pub(crate) fn meter_frames(&mut self) {
        self.written = Some(FrameMeter::default());
    }

    fn follow(&mut self, bytes: &[u8]) {
        if let Some(meter) = &mut self.written {
            let resets = meter.follow(bytes);
            self.watch.malformed_streams.set(self.watch.malformed_streams.get() + resets);
        }
    }

    /// Whether bytes were put back that nobody has read since.
    pub(crate) fn has_front(&self) -> bool {
        !self.front.is_empty()
    }

    /// Puts bytes back that were read too early, before those that nobody has read yet.
    pub(crate) fn put_back(&mut self, bytes: Bytes) {
        self.front = match (bytes.is_empty(), self.front.is_empty()) {
            (true, _) => return,
            (_, true) => bytes,
            _ => [&bytes[..], &self.front].concat().into(),
        };
    }

    /// Ready when the client closed or reset the connection. What it sends instead stays for the next who reads, and
    /// then nothing more is heard of its end until that was read.
    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.has_front() {
            return Poll::Pending;
        }
        let mut overheard = [MaybeUninit::uninit(); OVERHEARD];
        let mut buf = ReadBuf::uninit(&mut overheard);
        match ready!(Pin::new(&mut *self).poll_read(cx, &mut buf)) {
            Ok(()) if !buf.filled().is_empty() => {
                self.front = Bytes::copy_from_slice(buf.filled());
                Poll::Pending
            }
            Ok(()) | Err(_) => Poll::Ready(()),
        }
    }

    /// Waits until there is something to read, holding no buffer meanwhile. Under TLS that may be something that is
    /// no data, so a read may still have to wait.
    ///
    /// # Errors
    /// The socket broke.
    pub(crate) async fn readable(&mut self) -> io::Result<()> {
        if !self.front.is_empty() {
            return Ok(());
        }
        match &mut self.socket {
            Socket::Plain(wire) => wire.socket.readable().await,
            Socket::Tls(stream) => {
                let (wire, session) = stream.get_mut();
                // The last read may have taken more from the socket than it handed on.
                let state = session.process_new_packets().map_err(io::Error::other)?;
                if state.plaintext_bytes_to_read() > 0 || state.peer_has_closed() {
                    return Ok(());
                }
                wire.socket.readable().await
            }
        }
    }

    /// Tells the peer that nothing is missing, where the protocol has a word for that. Not for connections that end
    /// in the middle of something: a body that ends with its connection would look whole.
    pub(crate) fn say_goodbye(&mut self) {
        if let Socket::Tls(stream) = &mut self.socket {
            // A peer that takes nothing more need not hear it.
            let _ = Pin::new(stream).poll_shutdown(&mut Context::from_waker(Waker::noop()));
        }
    }
}

impl AsyncRead for ClientIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.front.is_empty() {
            let count = self.front.len().min(buf.remaining());
            buf.put_slice(&self.front[..count]);
            self.front.advance(count);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(match &mut self.socket {
            Socket::Plain(wire) => Pin::new(wire).poll_read(cx, buf),
            Socket::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        })?;
        let read = self.watch.read.get() + (buf.filled().len() - before) as u64;
        self.watch.read.set(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ClientIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = match &mut self.socket {
            Socket::Plain(wire) => Pin::new(wire).poll_write(cx, buf),
            Socket::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        };
        if let Poll::Ready(Ok(written)) = result {
            self.follow(&buf[..written]);
        }
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = match &mut self.socket {
            Socket::Plain(wire) => Pin::new(wire).poll_write_vectored(cx, bufs),
            Socket::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        };
        if let Poll::Ready(Ok(mut left)) = result
            && self.written.is_some()
        {
            for buf in bufs {
                let part = left.min(buf.len());
                self.follow(&buf[..part]);
                left -= part;
            }
        }
        result
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Plain(wire) => Pin::new(wire).poll_flush(cx),
            Socket::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Plain(wire) => Pin::new(wire).poll_shutdown(cx),
            Socket::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `docs/security.md`, the introduction: what h2 refuses is counted.
    #[test]
    fn resets_are_counted_however_the_bytes_are_cut() {
        let bytes = [
            &[0, 0, 6, 4, 0, 0, 0, 0, 0, 3, 3, 3, 3, 3, 3][..], // SETTINGS whose payload looks like a type
            &[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 1],           // PROTOCOL_ERROR
            &[0, 0, 0, 0, 1, 0, 0, 0, 1],                       // empty DATA
            &[0, 0, 4, 3, 0, 0, 0, 0, 3, 0, 0, 0, 8],           // CANCEL
            &[0, 0, 4, 3, 0, 0, 0, 0, 5, 0, 0, 0, 1],           // PROTOCOL_ERROR
        ]
        .concat();
        for size in 1..=bytes.len() {
            let mut meter = FrameMeter::default();
            let resets: u64 = bytes.chunks(size).map(|part| meter.follow(part)).sum();
            assert_eq!(resets, 2, "in parts of {size}");
        }
    }
}
