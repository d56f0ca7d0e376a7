//! The app's SETTINGS_MAX_CONCURRENT_STREAMS (RFC 9113 sections 5.1.2 and 6.5.2): it is never exceeded, and calls over it go
//! to another connection or wait.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use tokio::time::Instant;

use super::{in_front_of, with};
use crate::support::{
    PATIENCE, Proxy,
    client::{H2, full, patient, request},
    flow::{Flow, MAX_CONCURRENT_STREAMS, Method, Server},
    frames::{Event, HEADERS, REFUSED_STREAM, RST_STREAM},
};

/// When the app sends SETTINGS on a connection.
#[derive(Clone, Copy)]
enum When {
    /// So long after the connection began.
    After(Duration),
    /// When so many calls on it were answered.
    Answered(usize),
}

/// How the app behaves on each connection: its limits in order, and how long it takes to answer a GET. A POST is a watch:
/// its response begins at once and never ends.
#[derive(Clone)]
struct Behaviour {
    limits: Vec<(When, u32)>,
    takes: Duration,
}

/// What the app has seen.
#[derive(Default)]
struct Seen {
    /// The most streams at once on one connection.
    most: AtomicUsize,
    /// The most streams at once on one connection before it had sent SETTINGS.
    early: AtomicUsize,
    /// Streams over a limit that the proxy had acknowledged.
    over: AtomicUsize,
    answered: AtomicUsize,
}

struct App {
    server: Server,
    seen: Arc<Seen>,
}

impl App {
    fn allowing(limit: u32) -> Self {
        Self::start(&[(When::After(Duration::ZERO), limit)])
    }

    fn start(limits: &[(When, u32)]) -> Self {
        let seen = Arc::<Seen>::default();
        let shared = Arc::clone(&seen);
        let behaviour = Behaviour {
            limits: limits.to_vec(),
            takes: Duration::from_millis(30),
        };
        let server = Server::start(move |flow, _| {
            Connection {
                flow,
                behaviour: behaviour.clone(),
                seen: Arc::clone(&shared),
                begun: Instant::now(),
                sent: Vec::new(),
                due: VecDeque::new(),
                watches: Vec::new(),
                answered: 0,
            }
            .serve();
        });
        Self { server, seen }
    }

    fn most(&self) -> usize {
        self.seen.most.load(Ordering::SeqCst)
    }

    fn over(&self) -> usize {
        self.seen.over.load(Ordering::SeqCst)
    }
}

struct Connection {
    flow: Flow,
    behaviour: Behaviour,
    seen: Arc<Seen>,
    begun: Instant,
    /// The limits that were sent.
    sent: Vec<u32>,
    /// Streams to answer, and when.
    due: VecDeque<(Instant, u32)>,
    watches: Vec<u32>,
    answered: usize,
}

impl Connection {
    fn serve(mut self) {
        loop {
            self.answer_what_is_due();
            self.send_limits();
            match self.flow.next_until(self.next_deadline()) {
                Event::Frame(frame) if frame.kind == HEADERS => {
                    self.opened(frame.stream, Method::of(&frame.payload));
                }
                Event::Frame(frame) if frame.kind == RST_STREAM => {
                    self.due.retain(|(_, stream)| *stream != frame.stream);
                    self.watches.retain(|stream| *stream != frame.stream);
                }
                Event::Frame(_) | Event::Late => {}
                Event::End => return,
            }
        }
    }

    fn next_deadline(&self) -> Instant {
        let answer = self.due.front().map(|(at, _)| *at);
        let limit = match self.behaviour.limits.get(self.sent.len()) {
            Some((When::After(time), _)) => Some(self.begun + *time),
            _ => None,
        };
        answer
            .into_iter()
            .chain(limit)
            .min()
            .unwrap_or_else(|| Instant::now() + PATIENCE)
    }

    fn send_limits(&mut self) {
        while let Some((when, limit)) = self.behaviour.limits.get(self.sent.len()).copied() {
            let comes = match when {
                When::After(time) => self.begun.elapsed() >= time,
                When::Answered(count) => self.answered >= count,
            };
            if !comes {
                return;
            }
            self.flow.settings(&[(MAX_CONCURRENT_STREAMS, limit)]);
            self.sent.push(limit);
        }
    }

    fn answer_what_is_due(&mut self) {
        while self
            .due
            .front()
            .is_some_and(|(at, _)| *at <= Instant::now())
        {
            let (_, stream) = self.due.pop_front().unwrap();
            self.flow.ok(stream, true);
            self.answered += 1;
            self.seen.answered.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn opened(&mut self, stream: u32, method: Method) {
        let active = self.due.len() + self.watches.len() + 1;
        self.seen.most.fetch_max(active, Ordering::SeqCst);
        let Some(limit) = self.sent.last() else {
            self.seen.early.fetch_max(active, Ordering::SeqCst);
            return self.take(stream, method);
        };
        // What the proxy knew for certain when it opened the stream.
        let known = self
            .flow
            .acknowledged()
            .checked_sub(1)
            .map(|index| self.sent[index]);
        if known.is_some_and(|known| active > known as usize) {
            self.seen.over.fetch_add(1, Ordering::SeqCst);
        }
        if active > *limit as usize {
            return self.flow.reset(stream, REFUSED_STREAM);
        }
        self.take(stream, method);
    }

    fn take(&mut self, stream: u32, method: Method) {
        if method == Method::Post {
            self.flow.ok(stream, false);
            self.watches.push(stream);
        } else {
            self.due
                .push_back((Instant::now() + self.behaviour.takes, stream));
        }
    }
}

/// How many calls at once are not answered with 200, over as many client connections as they need.
async fn failures(proxy: &Proxy, calls: usize) -> usize {
    let mut clients = Vec::new();
    for _ in 0..calls.div_ceil(100) {
        clients.push(H2::connect(proxy.inbound()).await);
    }
    let statuses = join_all((0..calls).map(|call| {
        let mut client = clients[call / 100].clone();
        async move {
            let get = request("GET", "/").body(full("")).unwrap();
            client.send_within(PATIENCE * 3, get).await.status()
        }
    }));
    statuses
        .await
        .iter()
        .filter(|status| **status != 200)
        .count()
}

#[tokio::test]
async fn an_app_never_gets_more_streams_at_once_than_it_allows_and_all_calls_are_answered() {
    for (limit, calls) in [(1, 20), (2, 20), (5, 20), (50, 120)] {
        let app = App::allowing(limit);
        let proxy = in_front_of(app.server.port());
        assert_eq!(
            failures(&proxy, calls).await,
            0,
            "calls that failed with a limit of {limit}"
        );
        assert_eq!(app.over(), 0, "streams over the limit of {limit}");
        assert!(
            app.most() <= limit as usize,
            "{} streams at once with a limit of {limit}",
            app.most()
        );
        assert!(
            app.server.accepted() > 1,
            "calls over the limit went to another connection"
        );
    }
}

#[tokio::test]
async fn a_thousand_calls_at_once_to_an_app_that_allows_ten_on_a_connection_are_all_answered() {
    let app = App::allowing(10);
    let proxy = in_front_of(app.server.port());
    assert_eq!(failures(&proxy, 1000).await, 0);
    assert_eq!(
        (app.over(), app.seen.answered.load(Ordering::SeqCst)),
        (0, 1000)
    );
    assert!(app.most() <= 10, "{} streams at once", app.most());
}

#[tokio::test]
async fn calls_are_answered_while_watches_use_all_streams_of_a_connection() {
    let app = App::allowing(2);
    let proxy = in_front_of(app.server.port());
    let mut client = H2::connect(proxy.inbound()).await;
    let mut watches = Vec::new();
    for _ in 0..2 {
        watches.push(
            client
                .send(request("POST", "/watch").body(full("")).unwrap())
                .await,
        );
    }
    for _ in 0..10 {
        assert_eq!(client.get("/").await.status, 200);
    }
    assert_eq!((app.over(), app.server.accepted()), (0, 2));
}

#[tokio::test]
async fn a_limit_that_changes_is_obeyed_from_then_on() {
    let app = App::start(&[
        (When::After(Duration::ZERO), 5),
        (When::Answered(10), 1),
        (When::Answered(20), 10),
    ]);
    let proxy = in_front_of(app.server.port());
    for _ in 0..3 {
        assert_eq!(failures(&proxy, 100).await, 0);
    }
    assert_eq!(app.over(), 0);
    assert!(app.most() <= 10, "{} streams at once", app.most());
}

#[tokio::test]
async fn calls_wait_for_an_app_that_allows_no_stream_for_a_while() {
    let app = App::start(&[
        (When::After(Duration::ZERO), 0),
        (When::After(Duration::from_millis(500)), 10),
    ]);
    let proxy = in_front_of(app.server.port());
    assert_eq!(failures(&proxy, 20).await, 0);
    assert_eq!(app.over(), 0);
    assert!(
        app.server.accepted() <= 20,
        "{} connections for 20 calls",
        app.server.accepted()
    );
}

#[tokio::test]
async fn no_more_is_opened_on_a_new_connection_than_its_settings_will_allow() {
    let app = App::start(&[(When::After(Duration::from_millis(300)), 2)]);
    let proxy = in_front_of(app.server.port());
    assert_eq!(failures(&proxy, 20).await, 0);
    let early = app.seen.early.load(Ordering::SeqCst);
    assert!(early <= 2, "{early} streams at once before SETTINGS");
    assert_eq!(app.over(), 0);
}

/// The limit of the circuit breaker holds as well: then calls wait for a stream of the one connection there is.
#[tokio::test]
async fn calls_wait_for_a_stream_where_no_other_connection_may_be_opened() {
    let app = App::allowing(2);
    let address = app.server.address;
    let proxy = Proxy::start(&format!(
        "workers: 1\nlisteners: [{{ port: 0 }}]\nroutes: [{{ name: u, backendRefs: [u] }}]\nupstreams:\n  \
         u: {{ endpoints: [{{ url: \"http://{address}\" }}], protocol: h2c, circuitBreaker: {{ maxConnections: 1 }} }}\n"
    ));
    assert_eq!(failures(&proxy, 20).await, 0);
    assert_eq!((app.over(), app.server.accepted()), (0, 1));
    assert!(app.most() <= 2, "{} streams at once", app.most());
}

/// A watch that the client ends gives its stream back.
#[tokio::test]
async fn a_stream_that_was_reset_counts_no_longer() {
    let app = App::allowing(1);
    let proxy = with(app.server.port(), "");
    let mut client = H2::connect(proxy.inbound()).await;
    for _ in 0..5 {
        let watch = client
            .send(request("POST", "/watch").body(full("")).unwrap())
            .await;
        drop(watch);
        assert_eq!(patient(client.get("/")).await.status, 200);
    }
    assert_eq!(app.over(), 0);
    assert!(
        app.server.accepted() <= 3,
        "{} connections",
        app.server.accepted()
    );
}
