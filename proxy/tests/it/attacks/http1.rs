//! Slow and large messages over HTTP/1.1.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
};

use super::*;
use crate::support::wire::Wire;

/// Connections that attack at once.
const MANY: usize = 200;

/// The same where each is sent megabytes, which cost the machine more than the proxy.
const FEWER: usize = 60;

/// Opens [`MANY`] connections and has each send `bytes` one by one, over and over, until it is closed; then another one
/// takes its place. At least [`FEWER`] must be closed.
fn drip(address: SocketAddr, begin: &str, bytes: &[u8], pause: Duration) {
    let begun = Instant::now();
    let connect = || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_nonblocking(true).unwrap();
        let _ = stream.write_all(begin.as_bytes());
        stream
    };
    let mut all: Vec<_> = (0..MANY).map(|_| connect()).collect();
    let (mut turns, mut closed, mut buffer) = (0, 0, [0; 4096]);
    while begun.elapsed() < SIEGE || closed < FEWER {
        assert!(
            begun.elapsed() < ENDURANCE,
            "{closed} of {FEWER} were closed"
        );
        for stream in &mut all {
            let gone = match stream.read(&mut buffer) {
                Ok(0) => true,
                Ok(_) => false,
                Err(error) => error.kind() != ErrorKind::WouldBlock,
            };
            if gone || stream.write(&bytes[turns % bytes.len()..][..1]).is_err() {
                *stream = connect();
                closed += 1;
            }
        }
        turns += 1;
        thread::sleep(pause);
    }
}

/// `docs/security.md` 18.
#[test]
fn heads_that_come_byte_by_byte() {
    let siege = Siege::new(", timeouts: { requestHeaders: 1s }");
    siege.withstands(|address| {
        let bytes = b"GET / HTTP/1.1\r\nhost: a\r\nx: yyyyyyyyyyyyyyyyyyyyyyy";
        drip(address, "", bytes, Duration::from_millis(50));
    });
    siege.wait_rejected_at_least("timeout.request_headers", FEWER);
}

/// `docs/security.md` 18.
#[test]
fn bodies_that_stand_still() {
    let siege = Siege::new(", timeouts: { bodyIdle: 500ms }");
    siege.withstands(|address| {
        let begin = "POST /sink HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n";
        drip(address, begin, b"x", Duration::from_millis(700));
    });
    siege.wait_rejected_at_least("timeout.body_idle", FEWER);
    wait_for("the app to be let go", || {
        (siege.origin.stats().open_connections <= 20).then_some(())
    });
}

/// `docs/security.md` 18.
#[test]
fn responses_that_are_not_read() {
    let siege = Siege::new(", timeouts: { bodyIdle: 1s }");
    siege.withstands(|address| {
        let ask = b"GET /bytes/20000000 HTTP/1.1\r\nhost: a\r\n\r\n"; // more than kernels keep
        let held: Vec<_> = (0..FEWER)
            .map(|_| {
                let mut stream = narrow(address);
                stream.write_all(ask).unwrap();
                stream
            })
            .collect();
        thread::sleep(SIEGE);
        siege.wait_rejected_at_least("timeout.slow_read", FEWER);
        drop(held);
    });
    wait_for("the app to be let go", || {
        (siege.origin.stats().open_connections <= 20).then_some(())
    });
}

/// `docs/security.md` 18: heads just under the limit that never end, and others far over it.
#[test]
fn heads_that_are_large() {
    let siege = Siege::new(", timeouts: { requestHeaders: 2s }");
    let field = format!("x: {}\r\n", "y".repeat(1000));
    let begin = "GET / HTTP/1.1\r\nhost: a\r\n";
    let under = format!("{begin}{}", field.repeat(60));
    siege.withstands(|address| {
        let mut held: Vec<_> = (0..MANY)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        for stream in &mut held {
            stream.write_all(under.as_bytes()).unwrap();
        }
        again_and_again(4, SENT_AWAY, |_| {
            let mut wire = Wire::connect(address);
            wire.send(begin);
            (0..1000)
                .take_while(|_| wire.try_send(&field))
                .for_each(drop);
            wire.rest(); // to the end, though the head has none
            true
        });
        siege.wait_rejected_at_least("timeout.request_headers", MANY);
    });
    siege.wait_rejected_at_least("limit.headers", SENT_AWAY);
}

/// `docs/security.md` 18: connections that say nothing and go away.
#[test]
fn connections_without_end() {
    let siege = Siege::new("");
    siege.withstands(|address| {
        again_and_again(2, 0, |_| {
            drop(TcpStream::connect(address).unwrap());
            false
        });
    });
}
