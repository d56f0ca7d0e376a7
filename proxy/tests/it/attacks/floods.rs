//! Floods over HTTP/2, while other clients send requests.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
};

use super::{
    http2::{GET, POST, made_to_reset, rapid_reset, streams},
    *,
};
use crate::support::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, SETTINGS, WINDOW_UPDATE, block,
    frame,
};

/// A connection for floods: what comes back is thrown away, and a peer that reads nothing is no reason to wait.
struct Flood(TcpStream);

impl Flood {
    fn connect(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        let preface = [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            &frame(SETTINGS, 0, 0, &[])[..],
        ]
        .concat();
        stream.write_all(&preface).unwrap();
        stream.set_nonblocking(true).unwrap();
        Self(stream)
    }

    /// Sends these bytes; `false` when the peer has ended, or the attack.
    fn send(&mut self, mut bytes: &[u8], goes_on: GoesOn<'_>) -> bool {
        let mut buffer = [0; 16 * 1024];
        while !bytes.is_empty() {
            match self.0.read(&mut buffer) {
                Ok(0) => return false,
                Err(error) if error.kind() != ErrorKind::WouldBlock => return false,
                _ => {}
            }
            match self.0.write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == ErrorKind::WouldBlock && goes_on() => {
                    thread::sleep(Duration::from_millis(1));
                }
                Err(_) => return false,
            }
        }
        true
    }
}

/// Floods with what `next` makes of 0, 1, 2 …, for which the proxy sends an attacker away.
fn flood(address: SocketAddr, begin: &[u8], next: impl Fn(u32) -> Vec<u8> + Sync) {
    again_and_again(2, SENT_AWAY, |goes_on| {
        let mut client = Flood::connect(address);
        let mut sent = client.send(begin, goes_on);
        let mut n = 0;
        while sent && goes_on() {
            // In larger pieces, as an attacker sends them.
            sent = client.send(&(n..n + 16).flat_map(&next).collect::<Vec<_>>(), goes_on);
            n += 16;
        }
        !sent && goes_on()
    });
}

/// The same from one connection at a steady pace, for what is refused and not sent away: what a worker can decode in
/// the unoptimised build is soon reached.
fn trickle(address: SocketAddr, next: impl Fn(u32) -> Vec<u8> + Sync) {
    again_and_again(1, 0, |goes_on| {
        let mut client = Flood::connect(address);
        (0..)
            .take_while(|n| client.send(&next(*n), goes_on) && goes_on())
            .for_each(|_| thread::sleep(PAUSE / 2));
        false
    });
}

/// `docs/security.md` 17 and 18 (CVE-2023-44487).
#[test]
fn rapid_resets() {
    let siege = Siege::new("");
    siege.withstands(|address| {
        flood(address, &[], |n| rapid_reset(2 * n + 1));
    });
    siege.wait_rejected_at_least("limit.http2_resets", SENT_AWAY);
}

/// `docs/security.md` 17 and 18 (CVE-2025-8671).
#[test]
fn resets_that_we_are_made_to_send() {
    let siege = Siege::new("");
    siege.withstands(|address| {
        flood(address, &[], |n| made_to_reset(2 * n + 1));
    });
    siege.wait_rejected_at_least("limit.http2_resets", SENT_AWAY);
}

/// `docs/security.md` 17 and 18 (CVE-2024-27316 and its kin).
#[test]
fn continuation_without_end() {
    let siege = Siege::new("");
    for fragment in [
        vec![],
        block(&[(b"x", b"y")]),
        block(&[(b"x", &[b'y'; 16_000])]),
    ] {
        let begin = frame(HEADERS, END_STREAM, 1, &block(&GET));
        siege.withstands(|address| {
            flood(address, &begin, |_| frame(CONTINUATION, 0, 1, &fragment));
        });
    }
    siege.wait_rejected_at_least("limit.http2_continuation", SENT_AWAY);
}

/// `docs/security.md` 17 and 18 (CVE-2019-9512).
#[test]
fn pings_without_end() {
    let siege = Siege::new("");
    for flags in [0, 1] {
        siege.withstands(|address| {
            flood(address, &[], |_| frame(PING, flags, 0, &[7; 8]));
        });
    }
    siege.wait_rejected_at_least("limit.http2_pings", 2 * SENT_AWAY);
    assert!(
        siege.proxy.stderr().len() < 100_000,
        "an attacker fills the log"
    );
}

/// `docs/security.md` 17 and 18 (CVE-2019-9515).
#[test]
fn settings_without_end() {
    let siege = Siege::new("");
    siege.withstands(|address| {
        // The size of its table and the first window, each time another.
        flood(address, &[], |n| {
            let n = (n % 60_000).to_be_bytes();
            frame(
                SETTINGS,
                0,
                0,
                &[0, 1, 0, 0, n[2], n[3], 0, 4, 0, 0, n[2], n[3]],
            )
        });
    });
    siege.wait_rejected_at_least("limit.http2_settings", SENT_AWAY);
}

/// `docs/security.md` 17 and 18 (CVE-2019-9518).
#[test]
fn empty_data_without_end() {
    let siege = Siege::new("");
    siege.withstands(|address| {
        let begin = frame(HEADERS, END_HEADERS, 1, &block(&POST));
        flood(address, &begin, |_| frame(DATA, 0, 1, &[]));
    });
    siege.wait_rejected_at_least("limit.http2_data", SENT_AWAY);
}

/// `docs/security.md` 17 and 18: fields of a byte that stand for four kilobytes each, over and over (CVE-2026-47774), and
/// thousands of fields that are next to nothing.
#[test]
fn fields_that_unfold() {
    let siege = Siege::new("");
    let large = block(&[(b"x", &[b'y'; 3900])]);
    // The same literal, but remembered in the table: its first byte says so (RFC 7541 section 6.2.1).
    let remembered = [&[0x40][..], &large[1..]].concat();
    let bomb = |n: u32, fields: &[u8]| {
        let mut fragment = block(&GET);
        fragment.extend_from_slice(&fields[..fields.len().min(8_000)]);
        frame(HEADERS, END_HEADERS | END_STREAM, 2 * n + 1, &fragment)
    };
    let unfolding = [&remembered[..], &[0xbe; 4_000]].concat(); // the newest entry of the table
    let tiny = block(&[(b"a", b"")]).repeat(2_000);
    let crumbs = block(&[(b"cookie", b"")]).repeat(800);
    for fields in [&unfolding, &tiny, &crumbs] {
        let before = siege.rejected("limit.headers") as usize;
        siege.withstands(|address| {
            trickle(address, |n| bomb(n, fields));
        });
        siege.wait_rejected_at_least("limit.headers", before + 1);
    }
}

/// `docs/security.md` 18: a window that stays at zero, and a socket that is not read.
#[test]
fn responses_that_are_not_read() {
    let siege = Siege::new(", timeouts: { bodyIdle: 1s }");
    let large = |stream: u32| {
        let fields = [
            GET[0],
            GET[1],
            GET[2],
            (&b":path"[..], &b"/bytes/1000000"[..]),
        ];
        frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&fields))
    };
    let window = |bytes: u32| {
        frame(
            SETTINGS,
            0,
            0,
            &[&[0, 4][..], &bytes.to_be_bytes()].concat(),
        )
    };
    let more = frame(WINDOW_UPDATE, 0, 0, &0x3fff_ffff_u32.to_be_bytes());
    let all: Vec<u8> = streams().take(60).flat_map(large).collect();
    // A window costs each stream by itself, a socket its connection.
    for (begin, least) in [(window(0), 50), ([window(0x3fff_ffff), more].concat(), 4)] {
        siege.withstands(|address| {
            let before = siege.rejected("timeout.slow_read") as usize;
            let held = [(); 4].map(|()| {
                let mut stream = narrow(address);
                let preface = [
                    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                    &frame(SETTINGS, 0, 0, &[])[..],
                ]
                .concat();
                stream
                    .write_all(&[&preface[..], &begin, &all].concat())
                    .unwrap();
                stream
            });
            thread::sleep(SIEGE);
            siege.wait_rejected_at_least("timeout.slow_read", before + least);
            drop(held);
        });
    }
    wait_for("the app to be let go", || {
        (siege.origin.stats().open_connections <= 100).then_some(())
    });
}
