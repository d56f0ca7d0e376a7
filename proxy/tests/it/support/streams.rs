//! An HTTP/2 app whose every stream is played by a function that knows the whole request.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    thread,
};

use bytes::Bytes;
use h2::{Reason, RecvStream, server};
use http::{Request, Response};
use tokio::net::{TcpListener, TcpStream};

use super::cast::{Cast, Stage};

/// What the app does with a stream.
pub enum Play {
    /// This status and these fields, without a body.
    Answer(u16, Vec<(&'static str, &'static str)>),
    /// A reset for this reason.
    Reset(Reason),
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    pub head: Arc<Request<()>>,
    pub body: Bytes,
}

impl Seen {
    pub fn field(&self, name: &str) -> &str {
        self.head
            .headers()
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

/// An app on a free port; a panic of its function fails the test.
pub struct Streams {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    _cast: Cast,
}

impl Streams {
    pub fn start(play: impl Fn(&Seen) -> Play + Send + Sync + 'static) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let (shared, play) = (Arc::clone(&seen), Arc::new(play));
        let cast = Cast::default();
        let stage = cast.stage();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(
                        stream,
                        stage.clone(),
                        Arc::clone(&shared),
                        Arc::clone(&play),
                    ));
                }
            });
        });
        Self {
            address,
            seen,
            _cast: cast,
        }
    }

    /// Every request that was read to its last byte.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve(
    stream: TcpStream,
    stage: Stage,
    seen: Arc<Mutex<Vec<Seen>>>,
    play: Arc<impl Fn(&Seen) -> Play + Send + Sync + 'static>,
) {
    let Ok(mut connection) = server::handshake(stream).await else {
        return;
    };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let (part, seen, play) = (stage.begin(), Arc::clone(&seen), Arc::clone(&play));
        tokio::spawn(async move {
            let _part = part;
            let (head, body) = request.into_parts();
            let Some(body) = read(body).await else { return };
            let one = Seen {
                head: Arc::new(Request::from_parts(head, ())),
                body,
            };
            seen.lock().unwrap().push(one.clone());
            match play(&one) {
                Play::Answer(status, fields) => {
                    let mut response = Response::builder().status(status);
                    for (name, value) in fields {
                        response = response.header(name, value);
                    }
                    let _ = respond.send_response(response.body(()).unwrap(), true);
                }
                Play::Reset(reason) => respond.send_reset(reason),
            }
        });
    }
}

async fn read(mut body: RecvStream) -> Option<Bytes> {
    let mut all = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.ok()?;
        let _ = body.flow_control().release_capacity(data.len());
        all.extend_from_slice(&data);
    }
    Some(all.into())
}
