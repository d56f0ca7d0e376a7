//! One worker's connection to Redis. All shared rate limits use it, with pipelined commands.
//!
//! No request waits longer than `redis.timeout`. While Redis is unavailable, requests skip it; one
//! probe request is sent after each back-off. So an outage delays any request by one
//! `redis.timeout` at most.

use std::{
    cell::Cell, collections::VecDeque, fmt::Display, future::pending, io, rc::Rc, sync::Arc,
    time::Duration,
};

use bytes::BytesMut;
use outrigger_config::model::Redis;
use outrigger_transport::{
    connect::{Secure, UpstreamStream, connect},
    tls::client::AppProtocol,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until, timeout},
};

use super::resp::{self, Reply};
use crate::{
    telemetry::metrics::{RedisCounters, RedisResult},
    upstream::{endpoint::Endpoint, service::Service},
};

/// The script that Redis runs; see its comments.
const SCRIPT: &str = include_str!("gcra.lua");

/// Most pending commands of one worker; further ones are not sent.
const MOST_PENDING: usize = 1024;

/// Back-off after a failure: the first, doubled up to the second.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// The connection is closed when its oldest command has waited this many times `redis.timeout`.
const STALLED: u32 = 10;

/// A request for one token of this bucket.
#[derive(Debug)]
pub(super) struct Bucket {
    /// The key in Redis.
    pub(super) key: String,
    /// Microseconds from one token to the next, as decimal text.
    pub(super) interval: Arc<str>,
    /// Microseconds from empty to full, as decimal text.
    pub(super) depth: Arc<str>,
}

/// The result: a token, or how long to wait for one.
type TokenResult = Result<(), Duration>;

struct Command {
    bucket: Bucket,
    answer: oneshot::Sender<TokenResult>,
    /// It was sent before, over a connection that closed.
    again: bool,
    /// The script itself is sent (EVAL), since Redis does not have it.
    whole: bool,
}

/// Sends commands to Redis, for one worker.
pub(crate) struct Client {
    server: Arc<Service>,
    model: Redis,
    counters: Arc<RedisCounters>,
    commands: mpsc::Sender<Command>,
    state: Rc<State>,
    /// The queue of the driver until the first use: a client is also created where no task can be
    /// spawned.
    idle: Cell<Option<mpsc::Receiver<Command>>>,
}

/// State that the client and its driver share.
struct State {
    /// While Redis is down: when the next probe may be sent.
    down: Cell<Option<Instant>>,
    backoff: Cell<Duration>,
    /// The outage was logged; it is logged again only after a recovery.
    outage_logged: Cell<bool>,
}

/// A pending command.
pub(super) struct PendingReply(Option<oneshot::Receiver<TokenResult>>);

impl Client {
    /// A client without connection; the first command opens one.
    pub(crate) fn new(server: Arc<Service>, model: Redis, counters: Arc<RedisCounters>) -> Self {
        let (commands, queue) = mpsc::channel(MOST_PENDING);
        let state = Rc::new(State {
            down: Cell::new(None),
            backoff: Cell::new(BACKOFF.0),
            outage_logged: Cell::new(false),
        });
        Self {
            server,
            model,
            counters,
            commands,
            state,
            idle: Cell::new(Some(queue)),
        }
    }

    /// Whether a new configuration may keep this client.
    pub(crate) fn is_for(&self, server: &Arc<Service>, model: &Redis) -> bool {
        Arc::ptr_eq(&self.server, server) && self.model == *model
    }

    pub(super) fn model(&self) -> &Redis {
        &self.model
    }

    /// Requests a token, without waiting for it.
    pub(super) fn request_token(&self, bucket: Bucket) -> PendingReply {
        if !self.state.may_send(Instant::now()) {
            return PendingReply(None);
        }
        if let Some(queue) = self.idle.take() {
            let (server, model) = (Arc::clone(&self.server), self.model.clone());
            let driver = Driver {
                server,
                model,
                state: Rc::clone(&self.state),
            };
            tokio::task::spawn_local(driver.run(queue));
        }
        let (answer, reply) = oneshot::channel();
        let command = Command {
            bucket,
            answer,
            again: false,
            whole: false,
        };
        PendingReply(self.commands.try_send(command).is_ok().then_some(reply))
    }

    /// The result of `reply`; `None` when there is none within `redis.timeout`, counted from
    /// `since`.
    pub(super) async fn wait(&self, reply: PendingReply, since: Instant) -> Option<TokenResult> {
        let PendingReply(Some(reply)) = reply else {
            self.counters.count(RedisResult::Unavailable);
            return None;
        };
        let left = (since + self.model.timeout).saturating_duration_since(Instant::now());
        let (result, answer) = match timeout(left, reply).await {
            Ok(Ok(answer)) => (RedisResult::Ok, Some(answer)),
            Ok(Err(_)) => (RedisResult::Failed, None),
            Err(_) => (RedisResult::Timeout, None),
        };
        self.counters.count(result);
        answer
    }
}

impl State {
    /// Whether to send a command: always while Redis is available, otherwise one probe after each
    /// back-off.
    fn may_send(&self, now: Instant) -> bool {
        match self.down.get() {
            None => true,
            Some(until) if now < until => false,
            Some(_) => {
                // Further requests skip Redis until the probe has its result.
                self.down.set(Some(now + self.backoff.get()));
                true
            }
        }
    }

    /// Starts a back-off, in which nothing is sent.
    fn back_off(&self, now: Instant) {
        let wait = self.backoff.get();
        self.down
            .set(Some(now + wait.mul_f64(0.5 + fastrand::f64())));
        self.backoff.set((wait * 2).min(BACKOFF.1));
    }

    fn is_up(&self) {
        self.down.set(None);
        self.backoff.set(BACKOFF.0);
        if self.outage_logged.take() {
            tracing::info!("Redis is available again");
        }
    }

    /// Logs once that limits with `store: redis` are not enforced, and why.
    fn log_outage(&self, endpoint: &Endpoint, error: &dyn Display) {
        if !self.outage_logged.replace(true) {
            tracing::warn!(endpoint = %endpoint.address.label, %error, "Redis is unavailable; redis.onError decides");
        }
    }
}

/// The task that owns the connection.
struct Driver {
    server: Arc<Service>,
    model: Redis,
    state: Rc<State>,
}

impl Driver {
    /// Connects when a command arrives, until all clients are gone.
    async fn run(self, mut queue: mpsc::Receiver<Command>) {
        let mut open = VecDeque::new();
        loop {
            if open.is_empty() {
                match queue.recv().await {
                    Some(command) => open.push_back(command),
                    None => return,
                }
            }
            let error = match self.connect().await {
                Ok(link) => link.run(&mut open, &mut queue, &self).await,
                Err(error) => error,
            };
            match error {
                // Redis closed an idle connection: commands that were sent meanwhile are sent once
                // more.
                End::Closed => {
                    open.retain(|command| !command.again && !command.answer.is_closed());
                    open.iter_mut()
                        .for_each(|command| (command.again, command.whole) = (true, false));
                }
                End::Failed(error) => {
                    self.state.log_outage(&self.server.endpoint, &error);
                    self.state.back_off(Instant::now());
                    open.clear();
                    while queue.try_recv().is_ok() {}
                }
                End::Retired => return,
            }
        }
    }

    /// Opens a connection, authenticates, and loads the script.
    async fn connect(&self) -> Result<Link, End> {
        let opening = async {
            let secure = self.server.tls.as_ref().map(|connector| Secure {
                connector,
                app_protocol: AppProtocol::Other,
            });
            let stream = connect(&self.server.endpoint.address, secure, self.model.timeout)
                .await?
                .stream;
            let mut link = Link {
                stream,
                buffer: BytesMut::new(),
                sha: String::new(),
            };
            let (set_up, before) = self.set_up();
            link.send(&set_up).await?;
            for _ in 0..before {
                link.text().await?;
            }
            link.sha = link.text().await?;
            Ok::<_, io::Error>(link)
        };
        match timeout(self.model.timeout, opening).await {
            Ok(opened) => opened.map_err(End::Failed),
            Err(_) => Err(End::Failed(io::ErrorKind::TimedOut.into())),
        }
    }

    /// The first commands of a connection, pipelined, and the number of replies before that of the
    /// script.
    fn set_up(&self) -> (Vec<u8>, usize) {
        let (mut out, mut before) = (Vec::new(), 0);
        if let Some(password) = &self.model.password {
            let user = self.model.username.as_ref().map(|name| name.as_bytes());
            let words: Vec<&[u8]> = [Some(&b"AUTH"[..]), user, Some(password.expose())]
                .into_iter()
                .flatten()
                .collect();
            resp::command(&mut out, &words);
            before += 1;
        }
        if self.model.database > 0 {
            resp::command(
                &mut out,
                &[b"SELECT", self.model.database.to_string().as_bytes()],
            );
            before += 1;
        }
        resp::command(&mut out, &[b"SCRIPT", b"LOAD", SCRIPT.as_bytes()]);
        (out, before)
    }
}

/// Why a connection ended.
enum End {
    /// Redis closed it in order.
    Closed,
    /// It failed.
    Failed(io::Error),
    /// The configuration does not use it any more.
    Retired,
}

/// An open connection.
struct Link {
    stream: UpstreamStream,
    buffer: BytesMut,
    /// The SHA-1 by which Redis knows the script.
    sha: String,
}

impl Link {
    /// Sends commands and reads replies until the end. Commands that are left in `open` have no
    /// reply.
    async fn run(
        mut self,
        open: &mut VecDeque<Command>,
        queue: &mut mpsc::Receiver<Command>,
        driver: &Driver,
    ) -> End {
        let mut sent: VecDeque<(Command, Instant)> = VecDeque::new();
        let end = loop {
            let mut out = Vec::new();
            while let Some(command) = open.pop_front().or_else(|| queue.try_recv().ok()) {
                if !command.answer.is_closed() {
                    self.write(&command, &mut out);
                    sent.push_back((command, Instant::now()));
                }
            }
            if !out.is_empty() {
                match timeout(driver.model.timeout, self.send(&out)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => break End::of(error),
                    Err(_) => break End::Failed(io::ErrorKind::TimedOut.into()),
                }
            }
            let stalled = sent
                .front()
                .map(|(_, since)| *since + driver.model.timeout * STALLED);
            let stalls = async {
                match stalled {
                    Some(at) => sleep_until(at).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                biased;
                replied = read(&mut self.stream, &mut self.buffer) => match replied {
                    Ok(reply) => match sent.pop_front() {
                        Some((command, _)) => settle(command, reply, open, driver),
                        // A reply without a command.
                        None => break End::Failed(io::ErrorKind::InvalidData.into()),
                    },
                    Err(error) => break End::of(error),
                },
                command = queue.recv(), if sent.len() < MOST_PENDING => match command {
                    Some(command) => open.push_back(command),
                    None => break End::Retired,
                },
                () = stalls => break End::Failed(io::ErrorKind::TimedOut.into()),
            }
        };
        open.extend(sent.into_iter().map(|(command, _)| command));
        end
    }

    fn write(&self, command: &Command, out: &mut Vec<u8>) {
        let Bucket {
            key,
            interval,
            depth,
        } = &command.bucket;
        let (name, script) = match command.whole {
            true => (&b"EVAL"[..], SCRIPT),
            false => (&b"EVALSHA"[..], &*self.sha),
        };
        let words = [
            name,
            script.as_bytes(),
            b"1",
            key.as_bytes(),
            interval.as_bytes(),
            depth.as_bytes(),
        ];
        resp::command(out, &words);
    }

    /// Writes and flushes all of it, since TLS buffers.
    async fn send(&mut self, out: &[u8]) -> io::Result<()> {
        self.stream.write_all(out).await?;
        self.stream.flush().await
    }

    async fn text(&mut self) -> io::Result<String> {
        match read(&mut self.stream, &mut self.buffer).await? {
            Reply::Text(text) => Ok(text),
            Reply::Error(error) => Err(io::Error::other(error)),
            Reply::Number(_) => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

impl End {
    fn of(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionAborted => Self::Closed,
            _ => Self::Failed(error),
        }
    }
}

/// The next reply. Cancel safe: a partial reply stays in `buffer`.
async fn read(stream: &mut UpstreamStream, buffer: &mut BytesMut) -> io::Result<Reply> {
    loop {
        let taken = resp::take(buffer).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        if let Some(reply) = taken {
            return Ok(reply);
        }
        if stream.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Completes a command with its reply. When Redis no longer has the script, the command is sent
/// again together with the script.
fn settle(mut command: Command, reply: Reply, open: &mut VecDeque<Command>, driver: &Driver) {
    match reply {
        Reply::Number(wait) => {
            driver.state.is_up();
            let wait = u64::try_from(wait).unwrap_or(0);
            let answer = if wait == 0 {
                Ok(())
            } else {
                Err(Duration::from_micros(wait))
            };
            let _ = command.answer.send(answer);
        }
        Reply::Error(error) if error.starts_with("NOSCRIPT") && !command.whole => {
            command.whole = true;
            open.push_back(command);
        }
        // Dropping the command completes it without a result.
        Reply::Error(error) => driver.state.log_outage(&driver.server.endpoint, &error),
        Reply::Text(_) => {}
    }
}
