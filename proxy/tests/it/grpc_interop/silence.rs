//! Streams on which one side or both are silent for longer than `bodyIdle`, or than `streamIdle` while the other one moves.

use std::{path::PathBuf, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use tonic::client::Grpc;

use super::{
    Service,
    cases::{both, fed},
    python,
};
use crate::{
    grpc::{self, Channel},
    support::{Proxy, client::patient},
};

/// How long one side is silent, and the limits that are shorter than that.
struct Silence {
    time: Duration,
    body_idle: &'static str,
    stream_idle: &'static str,
}

/// Short enough for every run.
const SHORT: Silence = Silence {
    time: Duration::from_secs(5),
    body_idle: "1s",
    stream_idle: "2s",
};

/// By the defaults, and as long as the issue asks for.
const LONG: Silence = Silence {
    time: Duration::from_secs(65),
    body_idle: "30s",
    stream_idle: "50s",
};

/// So long apart are the messages of the side that moves.
const PAUSE: Duration = Duration::from_millis(200);

/// Set, it has the tests take a minute each.
const OPT_IN: &str = "OUTRIGGER_TEST_SILENCE";

/// Both kinds of service.
fn services() -> Vec<Service> {
    let grpcio = python().map(|python: PathBuf| Service::grpcio(&python, None));
    std::iter::once(Service::tonic(None))
        .chain(grpcio)
        .collect()
}

impl Silence {
    /// One inbound listener with `bodyIdle`, and a route with this `streamIdle`.
    fn proxy(&self, service: &Service, stream_idle: &str) -> Proxy {
        Proxy::start(&format!(
            "app: {{ port: {}, protocol: h2c }}\nlisteners: [{{ port: 0, timeouts: {{ bodyIdle: {} }} }}]\n\
             defaults: {{ timeouts: {{ streamIdle: {stream_idle} }} }}\n",
            service.port, self.body_idle
        ))
    }

    fn messages(&self) -> usize {
        (self.time.as_millis() / PAUSE.as_millis()) as usize
    }

    /// The client sends one message and is silent; the app sends all the time.
    async fn of_the_client(&self) {
        for service in services() {
            let proxy = self.proxy(&service, "5m");
            let mut client = grpc::client(proxy.inbound()).await;
            let (sender, messages) = fed();
            sender
                .send(format!("{} {}", self.messages(), PAUSE.as_millis()).into())
                .await
                .unwrap();
            let mut ticks = both(&mut client, "Ticks", messages).await.unwrap();
            for tick in 0..self.messages() {
                let message = patient(ticks.message()).await;
                assert_eq!(
                    message
                        .unwrap_or_else(|status| panic!("tick {tick}: {status}"))
                        .unwrap(),
                    tick.to_string()
                );
            }
            drop(sender);
        }
    }

    /// The app answers the first message and is silent; the client sends all the time.
    async fn of_the_app(&self) {
        for service in services() {
            let proxy = self.proxy(&service, self.stream_idle);
            let mut client = grpc::client(proxy.inbound()).await;
            let count = self.messages();
            let messages = stream::unfold(0, move |sent| async move {
                if sent > 0 {
                    tokio::time::sleep(PAUSE).await;
                }
                (sent < count).then(|| (Bytes::from("m"), sent + 1))
            });
            let mut answers = both(&mut client, "Takes", messages).await.unwrap();
            assert_eq!(patient(answers.message()).await.unwrap().unwrap(), "m");
            let last = tokio::time::timeout(self.time * 4, answers.message())
                .await
                .unwrap();
            let last = last.unwrap_or_else(|status| panic!("while the client sent: {status}"));
            assert_eq!(last.unwrap(), count.to_string());
        }
    }

    /// Neither sends anything for a while, and then both go on.
    async fn of_both(&self) {
        for service in services() {
            let proxy = self.proxy(&service, "5m");
            let mut client = grpc::client(proxy.inbound()).await;
            ping_pong_after(&mut client, self.time).await;
        }
    }
}

async fn ping_pong_after(client: &mut Grpc<Channel>, silence: Duration) {
    let (sender, messages) = fed();
    sender.send("before".into()).await.unwrap();
    let mut answers = both(client, "Both", messages).await.unwrap();
    assert_eq!(patient(answers.message()).await.unwrap().unwrap(), "before");
    tokio::time::sleep(silence).await; // what is tested is that nothing happens meanwhile
    let _ = sender.send("after".into()).await; // the response has the error
    let after = patient(answers.message()).await;
    assert_eq!(
        after
            .unwrap_or_else(|status| panic!("after the silence: {status}"))
            .unwrap(),
        "after"
    );
    drop(sender);
    assert!(patient(answers.message()).await.unwrap().is_none());
}

#[tokio::test]
async fn an_app_that_sends_may_have_a_client_that_is_silent() {
    SHORT.of_the_client().await;
}

#[tokio::test]
async fn a_client_that_sends_may_have_an_app_that_is_silent() {
    SHORT.of_the_app().await;
}

#[tokio::test]
async fn both_sides_of_a_stream_may_be_silent_for_longer_than_body_idle() {
    SHORT.of_both().await;
}

#[tokio::test]
async fn each_side_may_be_silent_for_a_minute() {
    if std::env::var_os(OPT_IN).is_none() {
        eprintln!("SKIPPED: it takes minutes; set {OPT_IN}=1 to run it");
        return;
    }
    tokio::join!(LONG.of_the_client(), LONG.of_the_app(), LONG.of_both());
}
