//! Connects to one of several addresses of a name. The next address is tried when one fails, or in
//! parallel when a connect is slow (RFC 8305, "happy eyeballs"). The first address that accepts
//! wins, and the other attempts are cancelled.

use std::{
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    net::TcpStream,
    time::{Instant, Sleep, sleep},
};

/// Head start of an address before the next one is tried in parallel (RFC 8305 section 5).
const STAGGER: Duration = Duration::from_millis(250);

type Connecting = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

/// Connects to one of `addresses`; returns the connection and its address.
///
/// # Errors
/// The error of the last address; `AddrNotAvailable` when the list is empty.
pub async fn connect(addresses: Vec<SocketAddr>) -> io::Result<(TcpStream, SocketAddr)> {
    if let [only] = addresses[..] {
        return TcpStream::connect(only).await.map(|stream| (stream, only));
    }
    let mut race = Race {
        left: alternating(addresses).into(),
        running: Vec::new(),
        last: io::Error::new(
            io::ErrorKind::AddrNotAvailable,
            "the host name has no address",
        ),
    };
    let mut next = pin!(sleep(STAGGER));
    race.begin();
    poll_fn(|cx| race.poll(cx, next.as_mut())).await
}

struct Race {
    left: std::collections::VecDeque<SocketAddr>,
    running: Vec<(SocketAddr, Connecting)>,
    last: io::Error,
}

impl Race {
    fn begin(&mut self) {
        if let Some(address) = self.left.pop_front() {
            self.running
                .push((address, Box::pin(TcpStream::connect(address))));
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        mut next: Pin<&mut Sleep>,
    ) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let mut index = 0;
        while let Some((address, connecting)) = self.running.get_mut(index) {
            match connecting.as_mut().poll(cx) {
                Poll::Ready(Ok(stream)) => return Poll::Ready(Ok((stream, *address))),
                Poll::Ready(Err(error)) => {
                    self.last = error;
                    drop(self.running.remove(index));
                    self.begin(); // added last, so that this round polls it
                    next.as_mut().reset(Instant::now() + STAGGER);
                }
                Poll::Pending => index += 1,
            }
        }
        if self.running.is_empty() {
            let none = io::Error::from(io::ErrorKind::AddrNotAvailable);
            return Poll::Ready(Err(std::mem::replace(&mut self.last, none)));
        }
        if !self.left.is_empty() && next.as_mut().poll(cx).is_ready() {
            self.begin();
            next.as_mut().reset(Instant::now() + STAGGER);
            cx.waker().wake_by_ref(); // poll the new attempt once, so that its waker is registered
        }
        Poll::Pending
    }
}

/// Alternates the family of the first address with the other family, so that an unreachable family
/// costs one delay only.
fn alternating(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let is_first = addresses.first().is_some_and(SocketAddr::is_ipv4);
    let (same, other): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|one| one.is_ipv4() == is_first);
    let (mut same, mut other) = (same.into_iter(), other.into_iter());
    let mut all = Vec::new();
    loop {
        let pair = [same.next(), other.next()];
        if pair == [None, None] {
            return all;
        }
        all.extend(pair.into_iter().flatten());
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    /// An address that neither accepts nor rejects a connection: its queue is full.
    struct Mute {
        _queue: Vec<std::net::TcpStream>,
        _socket: std::net::TcpListener,
        address: SocketAddr,
    }

    fn mute() -> Mute {
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket
            .bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())
            .unwrap();
        socket.listen(0).unwrap();
        let socket: std::net::TcpListener = socket.into();
        let address = socket.local_addr().unwrap();
        let mut queue = Vec::new();
        while let Ok(one) =
            std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200))
        {
            queue.push(one);
        }
        Mute {
            _queue: queue,
            _socket: socket,
            address,
        }
    }

    fn refused() -> SocketAddr {
        std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .unwrap()
            .local_addr()
            .unwrap()
    }

    #[test]
    fn families_take_turns_behind_the_first() {
        let parse = |text: &str| -> Vec<SocketAddr> {
            text.split(' ').map(|one| one.parse().unwrap()).collect()
        };
        let order = alternating(parse("[::1]:1 [::2]:1 [::3]:1 1.1.1.1:1"));
        assert_eq!(order, parse("[::1]:1 1.1.1.1:1 [::2]:1 [::3]:1"));
    }

    #[tokio::test]
    async fn one_that_does_not_answer_costs_a_moment_and_one_that_refuses_nothing() {
        let good = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let good = (good.local_addr().unwrap(), good);
        let mute = mute();
        for addresses in [
            vec![mute.address, good.0],
            vec![refused(), good.0],
            vec![refused(), mute.address, refused(), good.0],
            vec![good.0, mute.address],
        ] {
            // Without the second attempt this would take until the system's connect timeout:
            // minutes.
            let connected = tokio::time::timeout(Duration::from_secs(20), connect(addresses))
                .await
                .unwrap();
            assert_eq!(connected.unwrap().1, good.0);
        }
    }

    #[tokio::test]
    async fn when_all_refuse_the_last_word_is_told_and_none_is_an_error_too() {
        let error = connect(vec![refused(), refused()]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let error = connect(Vec::new()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
    }
}
