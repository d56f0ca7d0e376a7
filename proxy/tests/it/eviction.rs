//! At a connection limit the longest idle connection is closed for the new one; busy ones never
//! are.

use std::{net::SocketAddr, thread, time::Duration};

use outrigger_loadtest::origin::Origin;
use tempfile::TempDir;

use crate::{
    support::{
        Proxy, command,
        frames::{DATA, Frames, GOAWAY, HEADERS, Outcome, WINDOW_UPDATE, number},
        origin,
        tls::{Client, Secure},
        wait_for,
        wire::{Wire, header, status},
        with_servers,
    },
    tls::Setup,
};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

/// The limits by which a third idle connection is one too many, and the label under which that is counted.
const LIMITS: [(&str, &str); 2] = [
    ("connectionsPerAddress: 2", "connections_per_address"),
    ("connections: 2", "connections"),
];

const REFUSED: &str =
    r#"outrigger_downstream_rejected_total{reason="limit.connections_per_address"}"#;

fn proxy(origin: &Origin, workers: usize, limits: &str) -> Proxy {
    Proxy::start(&format!(
        "workers: {workers}\napp: {{ port: {} }}\nlisteners: [{{ port: 0, limits: {{ {limits} }} }}]\n",
        origin.address().port()
    ))
}

fn evicted(proxy: &Proxy, listener: &str, limit: &str) -> f64 {
    proxy.metric(&format!(
        r#"outrigger_downstream_evictions_total{{listener="{listener}",limit="{limit}"}}"#
    ))
}

fn open(proxy: &Proxy, listener: &str) -> f64 {
    proxy.metric(&format!(
        r#"outrigger_downstream_connections_active{{listener="{listener}"}}"#
    ))
}

/// A new client: it must be answered.
fn newcomer(address: SocketAddr) -> Wire {
    let mut wire = Wire::connect(address);
    assert_eq!(status(&wire.ask(GET).0), 200);
    wire
}

/// A connection of one kind.
enum Held {
    Plain(Wire),
    Tls(Box<Secure>),
    Http2(Frames),
}

impl Held {
    fn ask(&mut self, stream: u32) {
        match self {
            Self::Plain(wire) => assert_eq!(status(&wire.ask(GET).0), 200),
            Self::Tls(secure) => assert_eq!(secure.get("/").unwrap().status, 200),
            Self::Http2(frames) => {
                let fields: [(&[u8], &[u8]); 4] = [
                    (b":method", b"GET"),
                    (b":scheme", b"http"),
                    (b":path", b"/"),
                    (b":authority", b"a"),
                ];
                frames.headers(stream, &fields, true);
                assert_eq!(frames.outcome(stream), Outcome::Status(200));
            }
        }
    }

    /// The proxy must close it, in the way that its protocol has for that.
    fn is_closed_in_good_order(&mut self) {
        match self {
            Self::Plain(wire) => assert_eq!(wire.rest(), ""),
            Self::Tls(secure) => {
                assert_eq!(secure.rest().unwrap(), "", "TLS says that this is all")
            }
            Self::Http2(frames) => {
                let mut said = None;
                while let Some((kind, _, _, payload)) = frames.next() {
                    if kind == GOAWAY {
                        said = Some(number(&payload[4..]));
                    }
                }
                assert_eq!(said, Some(0), "GOAWAY without an error");
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Http1,
    Http2,
}

fn hold(kind: Kind, address: SocketAddr) -> Held {
    match kind {
        Kind::Http1 => Held::Plain(Wire::connect(address)),
        Kind::Http2 => Held::Http2(Frames::connect(address)),
    }
}

#[test]
fn the_longest_idle_connection_makes_room_for_a_new_one() {
    let origin = origin();
    for kind in [Kind::Http1, Kind::Http2] {
        for (limit, label) in LIMITS {
            for silent in [false, true] {
                let proxy = proxy(&origin, 1, limit);
                let mut held = Vec::new();
                for count in 1..=2 {
                    let mut one = hold(kind, proxy.inbound());
                    if silent {
                        wait_for("the connection", || {
                            (open(&proxy, "in-0") > f64::from(count) - 0.5).then_some(())
                        });
                    } else {
                        one.ask(1);
                    }
                    held.push(one);
                }
                let mut new = newcomer(proxy.inbound());
                held[0].is_closed_in_good_order();
                held[1].ask(3);
                assert_eq!(status(&new.ask(GET).0), 200);
                let case = format!("{kind:?}, {limit}, silent: {silent}");
                assert_eq!(
                    (evicted(&proxy, "in-0", label), proxy.metric(REFUSED)),
                    (1.0, 0.0),
                    "{case}"
                );
            }
        }
    }
}

#[test]
fn under_tls_too_and_a_connection_that_never_shook_hands() {
    for (limit, label) in LIMITS {
        let setup = Setup::start_with(
            "",
            &format!("    limits: {{ {limit} }}\n"),
            "workers: 1\n",
            |_, _| {},
        );
        let client = Client::new(&setup.ca);
        let ask = |secure: &mut Secure| assert_eq!(secure.get("/").unwrap().status, 200);
        let connect = || Box::new(client.connect(setup.address()).unwrap());
        // Not a byte of a handshake, and a handshake without a request: both are silent.
        let mut mute = Wire::connect(setup.address());
        wait_for("the connection", || {
            (open(&setup.proxy, "tls") > 0.5).then_some(())
        });
        let mut shaken = connect();
        let mut served = connect();
        assert_eq!(mute.rest(), "");
        ask(&mut served);
        let mut second = connect();
        ask(&mut second);
        Held::Tls(served).is_closed_in_good_order();
        let mut third = connect();
        ask(&mut third);
        Held::Tls(second).is_closed_in_good_order();
        ask(&mut shaken);
        ask(&mut third);
        assert_eq!(evicted(&setup.proxy, "tls", label), 3.0);
    }
}

#[test]
fn keep_alive_connections_go_before_silent_ones() {
    let origin = origin();
    let proxy = proxy(&origin, 1, "connectionsPerAddress: 2");
    let mut silent = Wire::connect(proxy.inbound());
    wait_for("the connection", || {
        (open(&proxy, "in-0") > 0.5).then_some(())
    });
    let mut served = newcomer(proxy.inbound());
    let _new = newcomer(proxy.inbound());
    assert_eq!(served.rest(), "");
    assert_eq!(status(&silent.ask(GET).0), 200);
}

/// Connections with a request in flight.
fn busy(origin: &Origin, address: SocketAddr, count: u64) -> Vec<Wire> {
    origin.stall();
    let before = origin.hits_of("bytes");
    let busy = (0..count).map(|_| {
        let mut wire = Wire::connect(address);
        wire.send("GET /bytes/1 HTTP/1.1\r\nhost: a\r\n\r\n");
        wire
    });
    let busy = busy.collect();
    wait_for("requests in flight", || {
        (origin.hits_of("bytes") == before + count).then_some(())
    });
    busy
}

#[test]
fn where_all_are_busy_the_new_one_of_the_address_is_refused() {
    let origin = origin();
    let proxy = proxy(&origin, 1, "connectionsPerAddress: 2");
    let mut busy = busy(&origin, proxy.inbound(), 2);
    for count in 1..=5 {
        assert_eq!(Wire::connect(proxy.inbound()).rest(), "");
        wait_for("the count", || {
            (proxy.metric(REFUSED) > f64::from(count) - 0.5).then_some(())
        });
    }
    origin.resume();
    for wire in &mut busy {
        let (head, _) = wire.answer();
        assert_eq!(
            (status(&head), header(&head, "connection")),
            (200, None),
            "{head}"
        );
    }
    // Idle now.
    wait_for("an answer", || {
        let mut wire = Wire::connect(proxy.inbound());
        wire.try_send(GET)
            .then(|| status(&wire.head()))
            .filter(|status| *status == 200)
    });
}

#[test]
fn where_all_are_busy_the_new_one_waits_for_the_listener() {
    let origin = origin();
    let proxy = proxy(&origin, 1, "connections: 2");
    let mut busy = busy(&origin, proxy.inbound(), 2);
    let mut waiting = Wire::connect(proxy.inbound());
    waiting.send(GET);
    assert!(waiting.is_silent_for(Duration::from_millis(300)));
    let waits = r#"outrigger_downstream_accept_paused_total{listener="in-0"}"#;
    assert_eq!(
        (evicted(&proxy, "in-0", "connections"), proxy.metric(waits)),
        (0.0, 1.0)
    );
    origin.resume();
    for wire in &mut busy {
        let (head, _) = wire.answer();
        assert_eq!(
            (status(&head), header(&head, "connection")),
            (200, None),
            "{head}"
        );
    }
    // One of them is idle now, and is closed for it.
    assert_eq!(status(&waiting.answer().0), 200);
    assert_eq!(evicted(&proxy, "in-0", "connections"), 1.0);
}

#[test]
fn a_slow_head_and_an_upload_are_not_idle() {
    let origin = origin();
    let proxy = proxy(&origin, 1, "connectionsPerAddress: 3");
    let mut head = newcomer(proxy.inbound());
    head.send("GET / HT");
    let mut first_head = Wire::connect(proxy.inbound());
    first_head.send("GET / HT");
    let mut upload = newcomer(proxy.inbound());
    upload.send("POST /sink HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\na");
    wait_for("the upload", || (origin.hits_of("sink") == 1).then_some(()));
    wait_for("the bytes to be read and a refusal", || {
        let before = proxy.metric(REFUSED);
        drop(Wire::connect(proxy.inbound()).rest());
        (proxy.metric(REFUSED) > before).then_some(())
    });
    upload.send("bc");
    assert_eq!(status(&upload.answer().0), 200);
    for mut wire in [head, first_head] {
        wire.send("TP/1.1\r\nhost: a\r\n\r\n");
        assert_eq!(status(&wire.answer().0), 200);
    }
}

/// The client has shut its window: the response has come from the app, and has not left.
#[test]
fn a_response_that_its_client_has_not_taken_is_not_idle() {
    let origin = origin();
    for (limit, label) in LIMITS {
        const INITIAL_WINDOW_SIZE: u16 = 4;
        let proxy = proxy(&origin, 1, limit);
        let mut slow = Frames::connect_with(proxy.inbound(), &[(INITIAL_WINDOW_SIZE, 0)]);
        let fields: [(&[u8], &[u8]); 4] = [
            (b":method", b"GET"),
            (b":scheme", b"http"),
            (b":path", b"/"),
            (b":authority", b"a"),
        ];
        slow.headers(1, &fields, true);
        let is_head = |(kind, ..): &(u8, u8, u32, Vec<u8>)| *kind == HEADERS;
        while !is_head(&slow.next().expect("no end")) {}
        let mut idle = newcomer(proxy.inbound());
        newcomer(proxy.inbound());
        assert_eq!(idle.rest(), "");
        assert_eq!(evicted(&proxy, "in-0", label), 1.0, "{limit}");
        slow.frame(WINDOW_UPDATE, 0, 1, &1000_u32.to_be_bytes());
        let is_data = |(kind, ..): &(u8, u8, u32, Vec<u8>)| *kind == DATA;
        while !is_data(&slow.next().expect("no end")) {}
    }
}

#[test]
fn a_request_that_has_arrived_saves_its_connection() {
    let origin = origin();
    for (limit, label) in LIMITS {
        let proxy = proxy(&origin, 1, limit);
        let mut first = newcomer(proxy.inbound());
        let mut second = newcomer(proxy.inbound());
        for _ in 0..5 {
            // All this has come when the proxy looks again.
            proxy.signal("STOP");
            first.send(GET);
            let mut new = Wire::connect(proxy.inbound());
            new.send(GET);
            proxy.signal("CONT");
            assert_eq!(status(&first.answer().0), 200, "{limit}");
            assert_eq!(status(&new.answer().0), 200, "{limit}");
            assert_eq!(second.rest(), "");
            // The one that is idle longest is `new` after this.
            assert_eq!(status(&first.ask(GET).0), 200);
            (first, second) = (first, new);
        }
        assert_eq!(evicted(&proxy, "in-0", label), 5.0);
    }
}

#[test]
fn a_worker_closes_what_is_idle_on_another_one() {
    let origin = origin();
    for (limit, label) in [
        ("connectionsPerAddress: 4", "connections_per_address"),
        ("connections: 4", "connections"),
    ] {
        let proxy = proxy(&origin, 2, limit);
        // The kernel chooses the worker by the client's port: many are needed to be sure that both have some.
        let mut held: Vec<Wire> = Vec::new();
        for count in 0..64 {
            held.push(newcomer(proxy.inbound()));
            if count >= 4 {
                // Not always the oldest: the other worker may not have got on since its answer.
                let closed = wait_for("one to be closed", || {
                    held.iter_mut()
                        .position(|wire| !wire.is_silent_for(Duration::from_millis(1)))
                });
                assert_eq!(held.remove(closed).rest(), "", "{limit}");
            }
        }
        assert_eq!(evicted(&proxy, "in-0", label), 60.0, "{limit}");
        for wire in &mut held {
            assert_eq!(status(&wire.ask(GET).0), 200, "{limit}");
        }
    }
}

#[test]
fn each_client_behind_a_load_balancer_makes_room_for_itself() {
    let origin = origin();
    let proxy = Proxy::start(&format!(
        "workers: 1\napp: {{ port: {} }}\nlisteners:\n  - port: 0\n    limits: {{ connectionsPerAddress: 2 }}\n    \
         clientAddress: {{ trustedCIDRs: [127.0.0.0/8], proxyProtocol: true }}\n",
        origin.address().port()
    ));
    let named = |client: &str| {
        let mut wire = Wire::connect(proxy.inbound());
        wire.send(format!("PROXY TCP4 {client} 127.0.0.1 4660 443\r\n"));
        assert_eq!(status(&wire.ask(GET).0), 200, "{client}");
        wire
    };
    let mut bystander = named("192.0.2.2");
    let mut held = [named("192.0.2.1"), named("192.0.2.1")];
    // Trusted peers have no limit, so no connection is closed for them.
    let balancers: Vec<_> = (0..5).map(|_| named("127.0.0.2")).collect();
    let _new = named("192.0.2.1");
    assert_eq!(held[0].rest(), "");
    for mut wire in balancers {
        assert_eq!(status(&wire.ask(GET).0), 200);
    }
    assert_eq!(status(&held[1].ask(GET).0), 200);
    assert_eq!(status(&bystander.ask(GET).0), 200);
    assert_eq!(evicted(&proxy, "in-0", "connections_per_address"), 1.0);
}

/// Few descriptors, and a limit on connections that does not mind that.
fn poor(origin: &Origin, descriptors: usize, rest: &str) -> Proxy {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("outrigger.yaml");
    let yaml = format!(
        "workers: 1\napp: {{ port: {} }}\nlisteners:\n  - {{ port: 0, limits: {{ connections: 1000 }} }}\n{rest}",
        origin.address().port()
    );
    std::fs::write(&file, with_servers(&yaml)).unwrap();
    let mut shell = std::process::Command::new("sh");
    shell.args([
        "-c",
        &format!("ulimit -n {descriptors} && exec \"$0\" run -c \"$1\""),
    ]);
    shell.arg(command().get_program()).arg(&file);
    shell.env_remove("OUTRIGGER_CONFIG");
    let [stdin, stdout, stderr] = [
        std::process::Stdio::null(),
        std::process::Stdio::piped(),
        std::process::Stdio::piped(),
    ];
    shell.stdin(stdin).stdout(stdout).stderr(stderr);
    Proxy::spawn(folder, &mut shell)
}

/// Lines about accept.
fn complaints(proxy: &Proxy) -> usize {
    proxy
        .stderr()
        .lines()
        .filter(|line| line.contains("accept failed"))
        .count()
}

#[test]
fn without_descriptors_idle_connections_make_room() {
    let origin = origin();
    let proxy = poor(&origin, 120, "");
    // What the kernel has queued is idle as well, but not yet for us.
    let mut silent: Vec<_> = (0..200).map(|_| Wire::connect(proxy.inbound())).collect();
    for _ in 0..20 {
        newcomer(proxy.inbound());
    }
    assert!(evicted(&proxy, "in-0", "descriptors") >= 80.0);
    assert!(complaints(&proxy) <= 4, "{}", proxy.stderr());
    // The youngest was spared.
    assert_eq!(status(&silent.pop().unwrap().ask(GET).0), 200);
}

#[test]
fn without_descriptors_connections_of_other_listeners_make_room_too() {
    let origin = origin();
    let proxy = poor(&origin, 120, "  - { port: 0, name: other }\n");
    let _silent: Vec<_> = (0..200).map(|_| Wire::connect(proxy.inbound())).collect();
    wait_for("descriptors to run out", || {
        (evicted(&proxy, "in-0", "descriptors") > 0.5).then_some(())
    });
    for _ in 0..5 {
        newcomer(proxy.address("other"));
    }
}

#[test]
fn without_descriptors_there_is_one_line_in_ten_seconds() {
    let origin = origin();
    let proxy = poor(&origin, 120, "");
    origin.stall();
    let _busy: Vec<_> = (0..150)
        .map(|_| {
            let mut wire = Wire::connect(proxy.inbound());
            wire.send(GET);
            wire
        })
        .collect();
    wait_for("descriptors to run out", || {
        (complaints(&proxy) > 0).then_some(())
    });
    thread::sleep(Duration::from_secs(2)); // some forty failures
    assert_eq!(complaints(&proxy), 1, "{}", proxy.stderr());
}
