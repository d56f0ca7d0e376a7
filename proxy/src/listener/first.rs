//! Waits for the first byte of a client.

use std::{future::poll_fn, pin::pin, task::Poll};

use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};

use crate::connection::{client::CLOSE_GRACE, listener::ListenerLocal};

/// `None` after the deadline.
pub(super) async fn before<F: Future>(deadline: Option<Instant>, future: F) -> Option<F::Output> {
    match deadline {
        Some(deadline) => timeout_at(deadline, future).await.ok(),
        None => Some(future.await),
    }
}

/// What arrived first.
pub(super) enum First {
    /// The first byte, which is still to be read.
    Byte(u8),
    /// The client closed without sending anything, as health checks do, or the connection is
    /// closing.
    Nothing,
    /// Nothing within the time limit.
    TooLate,
}

/// Waits for the first byte without consuming it. No buffer is held meanwhile.
pub(super) async fn first_byte(
    listener: &ListenerLocal,
    stream: &TcpStream,
    mut deadline: Option<Instant>,
) -> First {
    let mut ending = false;
    loop {
        if listener.is_ending() && !ending {
            ending = true;
            deadline = Some(Instant::now() + CLOSE_GRACE);
        }
        let mut byte = [0];
        let waited = {
            let mut peek = pin!(stream.peek(&mut byte));
            let peeked = poll_fn(|cx| match peek.as_mut().poll(cx) {
                Poll::Ready(peeked) => Poll::Ready(Some(peeked)),
                Poll::Pending if !ending && listener.is_ending() => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            });
            before(deadline, peeked).await
        };
        match waited {
            Some(Some(Ok(1..))) => return First::Byte(byte[0]),
            Some(Some(_)) => return First::Nothing,
            Some(None) => {} // asked to close: once more, with a short deadline
            None if ending => return First::Nothing,
            None => return First::TooLate,
        }
    }
}
