//! The client's socket, plain or with TLS, as the connection tasks use it. Bytes can be put back in
//! front. Writes are watched on the TCP socket itself, below TLS, which buffers what the socket
//! does not accept.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

use super::stall::Watch;

/// Size of the first read of a new connection.
const FIRST_READ: usize = 1024;

/// Pieces up to this total size are copied into one buffer: a vectored write costs the kernel more
/// than this copy.
const JOINED: usize = 2 * 1024;

/// Bytes after which a connection yields to other tasks, even when there is more to read.
const TURN: usize = 128 * 1024;

pub(crate) struct Wire {
    socket: TcpStream,
    watch: Rc<Watch>,
}

impl Wire {
    pub(crate) fn new(socket: TcpStream, watch: Rc<Watch>) -> Self {
        Self { socket, watch }
    }

    /// The TCP socket.
    pub(crate) fn socket(&self) -> &TcpStream {
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
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.socket).poll_write(cx, buf);
        self.watch.wrote(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if bufs.iter().map(|buf| buf.len()).sum::<usize>() <= JOINED {
            let mut joined = [MaybeUninit::uninit(); JOINED];
            let mut joined = ReadBuf::uninit(&mut joined);
            bufs.iter().for_each(|buf| joined.put_slice(buf));
            return self.poll_write(cx, joined.filled());
        }
        let result = Pin::new(&mut self.socket).poll_write_vectored(cx, bufs);
        self.watch.wrote(result)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(())) // the socket has no user-space buffer
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

/// The socket, with or without TLS.
enum Socket {
    Plain(Wire),
    Tls(Box<TlsStream<Wire>>),
}

/// The source of bytes: first those that were put back, then the socket.
struct Source {
    socket: Socket,
    /// Bytes that were put back.
    front: Bytes,
}

/// A client's socket.
pub(crate) struct ClientIo {
    source: Source,
    /// Bytes that may still be read before the task yields.
    left: usize,
}

impl ClientIo {
    /// A socket without TLS.
    pub(crate) fn plain(wire: Wire) -> Self {
        Self::new(Socket::Plain(wire))
    }

    /// A socket after its TLS handshake.
    pub(crate) fn tls(stream: Box<TlsStream<Wire>>) -> Self {
        Self::new(Socket::Tls(stream))
    }

    fn new(socket: Socket) -> Self {
        let source = Source {
            socket,
            front: Bytes::new(),
        };
        Self { source, left: TURN }
    }

    /// Whether there are bytes that were put back and not read since.
    pub(crate) fn has_front(&self) -> bool {
        !self.source.front.is_empty()
    }

    /// Whether the kernel has unread bytes of the peer. Asks the kernel, since the readiness that
    /// the runtime knows may be old.
    pub(crate) fn has_unread(&self) -> bool {
        let socket = match &self.source.socket {
            Socket::Plain(wire) => wire.socket(),
            Socket::Tls(stream) => stream.get_ref().0.socket(),
        };
        SockRef::from(socket)
            .peek(&mut [MaybeUninit::uninit()])
            .is_ok_and(|bytes| bytes > 0)
    }

    /// Puts back bytes that were read too early, in front of those that were put back before.
    pub(crate) fn put_back(&mut self, bytes: Bytes) {
        let front = &mut self.source.front;
        *front = match (bytes.is_empty(), front.is_empty()) {
            (true, _) => return,
            (_, true) => bytes,
            _ => [&bytes[..], front].concat().into(),
        };
    }

    /// Takes the bytes that were put back.
    pub(crate) fn take_front(&mut self) -> BytesMut {
        std::mem::take(&mut self.source.front).into()
    }

    /// Reads what is available, without holding a buffer while it waits. Empty at the end of the
    /// stream.
    pub(crate) fn poll_some(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<BytesMut>> {
        let mut bytes = [MaybeUninit::uninit(); FIRST_READ];
        let mut buf = ReadBuf::uninit(&mut bytes);
        ready!(Pin::new(self).poll_read(cx, &mut buf))?;
        Poll::Ready(Ok(BytesMut::from(buf.filled())))
    }

    /// Sends close_notify under TLS. Not for a connection that ends in the middle of a message: a
    /// body that ends with the connection would look complete.
    pub(crate) fn close_notify(&mut self) {
        if let Socket::Tls(stream) = &mut self.source.socket {
            // Ignored: the peer may have closed already.
            let _ = Pin::new(stream).poll_shutdown(&mut Context::from_waker(Waker::noop()));
        }
    }
}

impl AsyncRead for Source {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.front.is_empty() {
            return match &mut self.socket {
                Socket::Plain(wire) => Pin::new(wire).poll_read(cx, buf),
                Socket::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
            };
        }
        let count = self.front.len().min(buf.remaining());
        buf.put_slice(&self.front[..count]);
        self.front.advance(count);
        if self.front.is_empty() {
            self.front = Bytes::new(); // an empty rest would keep the whole buffer allocated
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for ClientIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left == 0 {
            self.left = TURN;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.source).poll_read(cx, buf))?;
        self.left = self.left.saturating_sub(buf.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ClientIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.source.socket {
            Socket::Plain(wire) => Pin::new(wire).poll_write(cx, buf),
            Socket::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.source.socket {
            Socket::Plain(wire) => Pin::new(wire).poll_write_vectored(cx, bufs),
            Socket::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.source.socket {
            Socket::Plain(wire) => Pin::new(wire).poll_flush(cx),
            Socket::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.source.socket {
            Socket::Plain(wire) => Pin::new(wire).poll_shutdown(cx),
            Socket::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
