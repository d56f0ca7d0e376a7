//! Ten thousand connections on which nothing happens.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::*;
use crate::support::wire::{Wire, status};

const CONNECTIONS: usize = 10_000;

/// Descriptors that this process may have, made as many as possible.
fn descriptors() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            ..limit
        },
    );
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// What of it may be left, in KiB. The C library gives large pieces back and keeps small ones for the next who comes, so it
/// must be no more for a second ten thousand.
const LEFT: u64 = 40 * 1024;
const MORE: u64 = 6 * 1024;

/// `docs/security.md` 18: an idle connection gives its buffers back.
#[test]
fn ten_thousand_idle_connections() {
    if descriptors() < CONNECTIONS as u64 + 1000 {
        eprintln!("SKIPPED: {CONNECTIONS} connections need as many descriptors, see `ulimit -Hn`");
        return;
    }
    let siege = Siege::new(
        ", limits: { connections: 11000, connectionsPerAddress: 11000 }, timeouts: { idle: 60s }",
    );
    siege.withstands_leaving(LEFT, |address| {
        let first = hold_and_let_go(&siege, address, u64::MAX);
        let second = hold_and_let_go(&siege, address, first + MORE);
        println!("{first} KiB with {CONNECTIONS} connections, {second} KiB with as many once more");
    });
}

/// Opens all, asks on some, waits until no more than `most` KiB are resident, and closes all; how much that was.
fn hold_and_let_go(siege: &Siege, address: SocketAddr, most: u64) -> u64 {
    let ask = |stream: &mut TcpStream| {
        stream
            .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            .unwrap();
        assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
    };
    let mut held = Vec::with_capacity(CONNECTIONS);
    for n in 0..CONNECTIONS {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // Most of them have never said anything.
        if n % 10 == 0 {
            ask(&mut stream);
        }
        if n % 100 == 0 {
            thread::sleep(PAUSE); // others connect as well
        }
        held.push(stream);
    }
    let open = r#"outrigger_downstream_connections_active{listener="in-0"}"#;
    wait_for("all to be open", || {
        (siege.proxy.metric(open) >= CONNECTIONS as f64).then_some(())
    });
    thread::sleep(Duration::from_secs(1)); // until the buffers are given back
    let memory = wait_for("little memory", || {
        Some(siege.proxy.rss_kib()).filter(|resident| *resident <= most)
    });
    held.iter_mut().step_by(100).for_each(ask);
    while !held.is_empty() {
        held.truncate(held.len() - 100);
        thread::sleep(PAUSE);
    }
    memory
}

/// A load balancer that hides its clients: idle clients behind it must not block the active ones.
#[test]
fn ten_thousand_idle_connections_keep_no_client_of_the_same_address_out() {
    if descriptors() < CONNECTIONS as u64 + 1000 {
        eprintln!("SKIPPED: {CONNECTIONS} connections need as many descriptors, see `ulimit -Hn`");
        return;
    }
    let _alone = FIELD.lock().unwrap_or_else(PoisonError::into_inner);
    let siege = Siege::new("");
    let address = siege.proxy.inbound();
    let mut held = Vec::with_capacity(CONNECTIONS);
    for n in 0..CONNECTIONS {
        let mut stream = TcpStream::connect(address).unwrap();
        if n % 10 == 0 {
            let _ = stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
        }
        held.push(stream);
    }
    for turn in 0..20 {
        let mut wire = Wire::connect(address);
        assert_eq!(
            status(&wire.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").0),
            200,
            "client {turn}"
        );
    }
    assert_eq!(siege.rejected("limit.connections_per_address"), 0.0);
    let evictions =
        r#"outrigger_downstream_evictions_total{listener="in-0",limit="connections_per_address"}"#;
    assert!(siege.proxy.metric(evictions) >= CONNECTIONS as f64 - 1000.0);
    assert!(
        siege
            .proxy
            .metric(r#"outrigger_downstream_connections_active{listener="in-0"}"#)
            < 1001.5
    );
}
