//! The thread of the shipper: reads what sources have, hands it to the spool, commits what sinks acknowledge.
//!
//! Everything is on this thread: the files, the spool, the checkpoint, and a task for each sink. A read or a write to disk holds the
//! others up for as long as a block takes. The rest of the process sees counters, and sends commands.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    rc::Rc,
    sync::{Arc, atomic::Ordering::Relaxed},
    thread,
    time::Duration,
};

use outrigger_transport::dns::Resolver;
use tokio::{
    select,
    sync::{mpsc, oneshot},
    task::{JoinHandle, LocalSet, yield_now},
    time::{Instant, sleep_until, timeout},
};

use crate::{
    checkpoint::{Checkpoint, StateError, Store},
    counters::Counters,
    sink::{Delivery, Signals, Sink, SinkSettings, Surroundings, Unusable, Written},
    source::{BLOCK, Source, SourceSettings, state::FileState, unix_now, watch::Watch},
    spool::{Limits, Positions, Spool},
};

/// How often files are looked for when every directory is watched, and when one is not.
const POLL: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(1));

/// The least time between two looks at events, so that a busy writer costs one for many lines.
const EVENT_PAUSE: Duration = Duration::from_millis(10);

/// The least time between two looks at all files; a look that took long has a longer one.
const SCAN_PAUSE: Duration = Duration::from_millis(100);

/// The least time between two checkpoints.
const CHECKPOINT_PAUSE: Duration = Duration::from_millis(250);

/// Blocks that are read before the sinks have their turn.
const BLOCKS_IN_A_ROW: usize = 4;

/// How much later than its limit the thread may say that it has ended.
const STUCK: Duration = Duration::from_secs(2);

/// Pauses before the shipper begins again after a panic, from the first to the longest.
const RESTART: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// What is shipped where.
#[derive(Clone)]
pub struct Settings {
    /// Where checkpoint and spool are.
    pub state_dir: PathBuf,
    /// How large the buffer may grow.
    pub limits: Limits,
    /// Where records come from.
    pub sources: Vec<SourceSettings>,
    /// Where they go.
    pub sinks: Vec<SinkSettings>,
}

/// Why nothing is shipped.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state directory.
    #[error(transparent)]
    State(#[from] StateError),
    /// The spool within it.
    #[error("the spool in stateDir cannot be used: {0}")]
    Spool(io::Error),
    /// A sink.
    #[error("the sink {name} cannot be used: {source}")]
    Sink {
        /// Its name.
        name: String,
        /// Why.
        source: Box<Unusable>,
    },
    /// A thread or runtime could not be made, or it has ended.
    #[error("the thread of the log shipper cannot run: {0}")]
    Thread(io::Error),
}

/// How the shipper ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ended {
    /// Records that a sink has not acknowledged; they are in the spool for the next start.
    pub in_spool: u64,
    /// Records for which the spool had no room; they are in their files alone.
    pub in_files: u64,
}

enum Command {
    Configure(Box<Settings>, oneshot::Sender<Result<(), StartError>>),
    Stop(Instant, oneshot::Sender<Ended>),
}

/// A running shipper. Dropped, it ends at once; what was not acknowledged is sent again by the next one.
pub struct Shipper {
    commands: mpsc::Sender<Command>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Shipper {
    /// Starts the thread. Lines for stdout are written by `stdout`.
    ///
    /// # Errors
    /// The state directory or a sink cannot be used; nothing is left running.
    pub fn start(
        settings: Settings,
        counters: Arc<Counters>,
        stdout: Written,
    ) -> Result<Self, StartError> {
        let (commands, received) = mpsc::channel::<Command>(4);
        let (started, result) = std::sync::mpsc::sync_channel(1);
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let runtime = match runtime {
                Ok(runtime) => runtime,
                Err(error) => return drop(started.send(Err(StartError::Thread(error)))),
            };
            let current = Rc::new(RefCell::new(settings));
            let begin = || {
                Run::new(
                    Rc::clone(&current),
                    Arc::clone(&counters),
                    Arc::clone(&stdout),
                )
            };
            let first = {
                let _within = runtime.enter();
                begin()
            };
            let mut run = match first {
                Ok(run) => run,
                Err(error) => return drop(started.send(Err(error))),
            };
            let _ = started.send(Ok(()));
            let mut received = received;
            let mut pause = RESTART.0;
            loop {
                let whole = AssertUnwindSafe(|| {
                    let tasks = LocalSet::new();
                    tasks.block_on(&runtime, run.run(&mut received));
                });
                if catch_unwind(whole).is_ok() {
                    return;
                }
                tracing::error!(
                    ?pause,
                    "logs: the shipper panicked; it begins again at its last checkpoint"
                );
                run = loop {
                    thread::sleep(pause);
                    pause = (pause * 2).min(RESTART.1);
                    let _within = runtime.enter();
                    match begin() {
                        Ok(run) => break run,
                        Err(error) => {
                            tracing::error!(%error, "logs: the shipper cannot begin again")
                        }
                    }
                };
            }
        };
        let thread = thread::Builder::new()
            .name("logs".to_owned())
            .spawn(run)
            .map_err(StartError::Thread)?;
        result
            .recv()
            .unwrap_or_else(|_| Err(StartError::Thread(io::ErrorKind::BrokenPipe.into())))?;
        Ok(Self {
            commands,
            thread: Some(thread),
        })
    }

    /// Ships by other settings from now on. Another `state_dir` is not taken up.
    ///
    /// # Errors
    /// A sink cannot be used; the old settings stay.
    pub async fn configure(&self, settings: Settings) -> Result<(), StartError> {
        let gone = || StartError::Thread(io::ErrorKind::BrokenPipe.into());
        let (done, result) = oneshot::channel();
        let command = Command::Configure(Box::new(settings), done);
        self.commands.send(command).await.map_err(|_| gone())?;
        result.await.map_err(|_| gone())?
    }

    /// Reads the rest, sends what can be sent within `limit`, and keeps what is left in the spool.
    /// `None` when the thread does not answer, or has ended before.
    pub async fn stop(mut self, limit: Duration) -> Option<Ended> {
        let (done, ended) = oneshot::channel();
        let command = Command::Stop(Instant::now() + limit, done);
        let answer = async {
            let sent = self.commands.send(command).await;
            sent.ok()?;
            ended.await.ok()
        };
        // A disk that hangs holds the thread up, and must not hold up the end of the process.
        let Ok(ended) = timeout(limit + STUCK, answer).await else {
            tracing::error!(
                "logs: the shipper does not end; what it has not committed is sent again after the next start"
            );
            return None;
        };
        if let Some(thread) = self.thread.take().filter(|_| ended.is_some()) {
            let _ = thread.join();
        }
        ended
    }
}

struct Run {
    settings: Rc<RefCell<Settings>>,
    around: Surroundings,
    counters: Arc<Counters>,
    store: Store,
    spool: Rc<RefCell<Spool>>,
    signals: Rc<Signals>,
    /// Sinks that have no task yet.
    ready: Vec<(SinkSettings, Sink)>,
    deliveries: Vec<JoinHandle<()>>,
    sources: Vec<Source>,
    /// The source whose turn it is to be read.
    turn: usize,
    watch: Watch,
    buffer: Vec<u8>,
    next_scan: Instant,
    last_scan: Instant,
    scan_pause: Duration,
    /// Before this time events are not looked at.
    quiet_until: Instant,
    /// Something was acknowledged that the checkpoint does not say.
    dirty: bool,
    next_checkpoint: Instant,
    checkpoint_told: bool,
    drop_told: bool,
    blocked: bool,
}

impl Run {
    fn new(
        current: Rc<RefCell<Settings>>,
        counters: Arc<Counters>,
        stdout: Written,
    ) -> Result<Self, StartError> {
        let settings = current.borrow().clone();
        let now = Instant::now();
        let (store, mut checkpoint) = Store::open(&settings.state_dir)?;
        let sinks: Vec<_> = settings
            .sinks
            .iter()
            .map(|one| (one.name.clone(), checkpoint.sinks.get(&one.name).copied()))
            .collect();
        let directory = store.directory().join("spool");
        let (spool, positions) =
            Spool::open(&directory, settings.limits, &sinks, now).map_err(StartError::Spool)?;
        let sources = settings
            .sources
            .iter()
            .map(|source| {
                let name = &*source.name;
                let states = checkpoint.sources.remove(name);
                let states = states.map(|states| go_on(states, name, &positions));
                Source::new(source.clone(), counters.source(name), states, now)
            })
            .collect();
        let mut run = Self {
            around: Surroundings {
                stdout,
                resolver: Arc::<Resolver>::default(),
            },
            counters,
            store,
            spool: Rc::new(RefCell::new(spool)),
            signals: Rc::default(),
            ready: Vec::new(),
            deliveries: Vec::new(),
            sources,
            turn: 0,
            watch: Watch::new(),
            buffer: vec![0; BLOCK],
            next_scan: now,
            last_scan: now,
            scan_pause: SCAN_PAUSE,
            quiet_until: now,
            dirty: false,
            next_checkpoint: now,
            checkpoint_told: false,
            drop_told: false,
            blocked: false,
            settings: current,
        };
        run.ready = run.sinks(&settings)?;
        Ok(run)
    }

    fn sinks(&self, settings: &Settings) -> Result<Vec<(SinkSettings, Sink)>, StartError> {
        let make = |one: &SinkSettings| {
            let counters = self.counters.sink(&one.name);
            let sink = Sink::new(one, &self.around, self.store.directory(), &counters);
            let name = one.name.clone();
            let sink = sink.map_err(|source| StartError::Sink {
                name,
                source: Box::new(source),
            })?;
            Ok((one.clone(), sink))
        };
        settings.sinks.iter().map(make).collect()
    }

    fn deliver(&mut self, sinks: Vec<(SinkSettings, Sink)>) {
        self.deliveries.drain(..).for_each(|task| task.abort());
        for (settings, sink) in sinks {
            self.spool.borrow_mut().rewind(&settings.name);
            let delivery = Delivery {
                counters: self.counters.sink(&settings.name),
                name: settings.name,
                sink,
                batch: settings.batch,
                spool: Rc::clone(&self.spool),
                signals: Rc::clone(&self.signals),
            };
            self.deliveries
                .push(tokio::task::spawn_local(delivery.run()));
        }
    }

    async fn run(mut self, commands: &mut mpsc::Receiver<Command>) {
        let sinks = std::mem::take(&mut self.ready);
        self.deliver(sinks);
        loop {
            self.revive();
            let busy = self.step();
            if busy {
                yield_now().await;
            }
            let command = if busy {
                match commands.try_recv() {
                    Ok(command) => Some(command),
                    Err(mpsc::error::TryRecvError::Empty) => continue,
                    Err(mpsc::error::TryRecvError::Disconnected) => None,
                }
            } else {
                let now = Instant::now();
                let wake = self.wake(now);
                select! {
                    command = commands.recv() => command,
                    () = self.signals.acknowledged.notified() => continue,
                    () = self.watch.changed(), if now >= self.quiet_until => continue,
                    () = sleep_until(wake) => continue,
                }
            };
            match command {
                Some(Command::Configure(settings, done)) => {
                    let _ = done.send(self.configure(*settings));
                }
                Some(Command::Stop(deadline, done)) => {
                    let ended = self.finish(deadline).await;
                    let _ = done.send(ended);
                    return;
                }
                None => return,
            }
        }
    }

    /// A sink whose task panicked begins again behind what it has acknowledged.
    fn revive(&mut self) {
        if !self.deliveries.iter().any(JoinHandle::is_finished) {
            return;
        }
        tracing::error!(
            "logs: the task of a sink panicked; all sinks begin again behind what they have acknowledged"
        );
        let settings = self.settings.borrow().clone();
        match self.sinks(&settings) {
            Ok(sinks) => self.deliver(sinks),
            Err(error) => {
                tracing::error!(%error, "logs: the sinks cannot begin again");
                self.deliveries.clear();
            }
        }
    }

    /// Does what is due; whether there is more to do at once.
    fn step(&mut self) -> bool {
        let now = Instant::now();
        self.notice(now);
        self.scan_if_due(now);
        self.sources.iter_mut().for_each(|one| one.expire(now));
        let busy = self.read(now, false);
        self.commit();
        self.checkpoint_if_due(now);
        self.show();
        busy
    }

    /// When there is something to do without an event.
    fn wake(&self, now: Instant) -> Instant {
        let mut wake = self.next_scan;
        for source in &self.sources {
            if let Some(at) = source.deadline() {
                // A look that is wanted has its pause before it.
                wake = wake.min(at.max(now + EVENT_PAUSE));
            }
        }
        if self.dirty {
            wake = wake.min(self.next_checkpoint);
        }
        if now < self.quiet_until {
            wake = wake.min(self.quiet_until);
        }
        if self.blocked {
            wake = wake.min(self.spool.borrow().look_again(now));
        }
        wake
    }

    /// Takes events.
    fn notice(&mut self, now: Instant) {
        if now < self.quiet_until {
            return;
        }
        let news = self.watch.take();
        if news.entries {
            self.next_scan = self.next_scan.min(now + self.scan_pause);
        }
        if news.entries || !news.written.is_empty() {
            self.quiet_until = now + EVENT_PAUSE;
        }
        for path in &news.appeared {
            self.sources
                .iter_mut()
                .for_each(|source| source.appeared(path, now));
        }
        for path in &news.written {
            self.sources
                .iter_mut()
                .for_each(|source| source.written(path, now));
        }
    }

    fn scan_if_due(&mut self, now: Instant) {
        let wanted = self.sources.iter().any(|source| source.wants_scan(now));
        let wanted = wanted && now >= self.last_scan + self.scan_pause;
        if now >= self.next_scan || wanted {
            self.scan(now);
        }
    }

    fn scan(&mut self, now: Instant) {
        let mut directories = BTreeSet::new();
        for source in &mut self.sources {
            directories.extend(source.scan(now, self.blocked));
        }
        self.watch.set(&directories);
        self.last_scan = now;
        let poll = if self.watch.is_incomplete() {
            POLL.1
        } else {
            POLL.0
        };
        let took = now.elapsed();
        self.scan_pause = SCAN_PAUSE.max(took * 20);
        self.next_scan = Instant::now() + poll.max(took * 20);
    }

    /// Reads some blocks; whether there are more and room for them.
    fn read(&mut self, now: Instant, ends: bool) -> bool {
        let count = self.sources.len();
        let mut pushed = false;
        let mut more = false;
        for _ in 0..BLOCKS_IN_A_ROW {
            let Some(index) = (0..count)
                .map(|step| (self.turn + step) % count)
                .find(|index| self.sources[*index].has_more())
            else {
                more = false;
                break;
            };
            let mut spool = self.spool.borrow_mut();
            let room = if ends {
                spool.has_room_at_end(now)
            } else {
                spool.has_room(now)
            };
            self.blocked = !room;
            if !room {
                more = false;
                break;
            }
            more = true;
            self.turn = (index + 1) % count;
            if let Some(chunk) = self.sources[index].next_chunk(&mut self.buffer, now) {
                spool.push(chunk);
                pushed = true;
            }
        }
        self.counters.buffer.blocked.store(self.blocked, Relaxed);
        let mut new_keys = false;
        for source in &mut self.sources {
            new_keys |= source.take_new_keys();
        }
        if new_keys {
            // Before a sink sees a record of theirs.
            self.checkpoint(now, false);
        }
        if pushed {
            self.signals.pushed.notify_waiters();
        }
        more
    }

    /// Takes over what sinks have acknowledged and what was dropped.
    fn commit(&mut self) {
        let (commits, dropped) = {
            let mut spool = self.spool.borrow_mut();
            (spool.take_commits(), spool.take_dropped())
        };
        self.dirty |= !commits.is_empty();
        for commit in commits {
            let source = self
                .sources
                .iter_mut()
                .find(|one| **one.name() == *commit.source);
            if let Some(source) = source {
                source.acknowledge(commit.key, commit.end, commit.verified);
            }
        }
        for one in dropped {
            if !std::mem::replace(&mut self.drop_told, true) {
                tracing::warn!(sink = %one.sink, "logs: the buffer is full and the oldest records are dropped (whenFull: dropOldest); outrigger_logs_dropped_records_total counts them");
            }
            let counters = self.counters.sink(&one.sink);
            counters.dropped.fetch_add(one.records, Relaxed);
        }
    }

    fn checkpoint_if_due(&mut self, now: Instant) {
        if self.dirty && now >= self.next_checkpoint {
            self.checkpoint(now, false);
        }
    }

    fn checkpoint(&mut self, now: Instant, last: bool) {
        let spool = self.spool.borrow();
        let checkpoint = Checkpoint {
            sources: self
                .sources
                .iter()
                .map(|one| (one.name().to_string(), one.states().collect()))
                .collect(),
            sinks: spool
                .cursors()
                .map(|(name, next)| (name.clone(), next))
                .collect(),
        };
        drop(spool);
        match self.store.save(&checkpoint, now, last) {
            Ok(()) => self.checkpoint_told = false,
            Err(error) => {
                self.counters.checkpoint_errors.fetch_add(1, Relaxed);
                if !std::mem::replace(&mut self.checkpoint_told, true) {
                    tracing::error!(
                        directory = %self.store.directory().display(), %error,
                        "logs: the checkpoint cannot be written; after a crash lines are sent again"
                    );
                }
            }
        }
        self.dirty = false;
        self.next_checkpoint = Instant::now() + CHECKPOINT_PAUSE.max(now.elapsed() * 20);
    }

    fn show(&self) {
        let (memory, disk) = self.spool.borrow().bytes();
        self.counters.buffer.memory.store(memory as u64, Relaxed);
        self.counters.buffer.disk.store(disk, Relaxed);
        let millis = (unix_now() / 1_000_000).unsigned_abs();
        self.sources.iter().for_each(|one| one.show_lag(millis));
    }

    fn configure(&mut self, settings: Settings) -> Result<(), StartError> {
        let now = Instant::now();
        let sinks = self.sinks(&settings)?;
        let mut known: BTreeMap<String, Vec<FileState>> = self
            .sources
            .iter()
            .map(|one| (one.name().to_string(), one.positions()))
            .collect();
        self.sources = settings
            .sources
            .iter()
            .map(|source| {
                let states = known.remove(&*source.name);
                let counters = self.counters.source(&source.name);
                Source::new(source.clone(), counters, states, now)
            })
            .collect();
        self.turn = 0;
        let names: Vec<String> = settings.sinks.iter().map(|one| one.name.clone()).collect();
        self.spool
            .borrow_mut()
            .reconfigure(settings.limits, &names, now);
        let state_dir = self.store.directory().to_owned();
        *self.settings.borrow_mut() = Settings {
            state_dir,
            ..settings
        };
        self.deliver(sinks);
        self.next_scan = now;
        self.dirty = true;
        Ok(())
    }

    /// Reads and sends the rest, as much as there is time for.
    async fn finish(mut self, deadline: Instant) -> Ended {
        let mut now = Instant::now();
        self.scan(now);
        self.sources.iter_mut().for_each(|one| one.refresh_all(now));
        while now < deadline && self.read(now, true) {
            self.commit();
            yield_now().await;
            now = Instant::now();
        }
        self.sources.iter_mut().for_each(|one| one.finish(now));
        while self.sources.iter().any(Source::has_complete) && self.read(now, true) {}
        loop {
            self.commit();
            if self.spool.borrow().is_drained() {
                break;
            }
            select! {
                () = self.signals.acknowledged.notified() => {}
                () = sleep_until(deadline) => break,
            }
        }
        self.deliveries.drain(..).for_each(|task| task.abort());
        let ended = {
            let mut spool = self.spool.borrow_mut();
            let waiting = spool.waiting();
            let in_files = spool.close(now) as u64;
            Ended {
                in_spool: waiting.saturating_sub(in_files),
                in_files,
            }
        };
        self.commit();
        self.checkpoint(Instant::now(), true);
        ended
    }
}

/// What the spool holds need not be read again.
fn go_on(mut states: Vec<FileState>, source: &str, positions: &Positions) -> Vec<FileState> {
    for state in &mut states {
        let position = positions.get(&(source.to_owned(), state.key));
        if let Some((offset, verified)) = position
            && *offset > state.content.offset
        {
            state.content.offset = *offset;
            state.content.verified = *verified;
        }
    }
    states
}
