//! The loop of one worker: it starts and ends listeners as the control thread asks for.
//!
//! The control thread reaches a worker through a bounded queue of [`Command`]s, and through the snapshot cell, which every
//! request looks at.

use std::{io, net::TcpListener as StdListener, rc::Rc, sync::Arc, thread, time::Duration};

use tokio::{
    runtime::{Builder, LocalOptions},
    sync::{mpsc, oneshot},
    time::Instant,
};

use crate::{
    connection::listener::{ListenerLocal, ListenerShared},
    listener::{accept, open::Listeners},
    worker::{Parts, Worker},
};

/// How long cut requests may take to leave their line in the access log.
const CUT: Duration = Duration::from_millis(200);

/// What the control thread asks of a worker.
pub(crate) enum Command {
    /// Accept on this socket.
    Listen(Arc<ListenerShared>, StdListener),
    /// Stop accepting; connections end with their next answer.
    Close(Arc<ListenerShared>),
    /// Connections of inbound listeners end with their next answer; new ones are still served.
    EndInbound,
    /// A new snapshot is there: drop what belongs to the old one even when no request comes.
    Refresh,
    /// Stop accepting everywhere, finish what is in flight until then, cut the rest, then answer how many were cut.
    Finish(Instant, oneshot::Sender<usize>),
}

/// How the control thread reaches a worker.
pub(crate) struct Handle {
    commands: mpsc::Sender<Command>,
}

impl Handle {
    /// Hands a command over. A worker that is gone takes none; that is noticed elsewhere.
    pub(crate) async fn send(&self, command: Command) {
        let _ = self.commands.send(command).await;
    }
}

/// Starts worker number `index`.
///
/// # Errors
/// The thread or its runtime could not be made.
pub(crate) fn start(index: usize, parts: Parts) -> io::Result<(Handle, thread::JoinHandle<()>)> {
    let (commands, queue) = mpsc::channel(64);
    let runtime = move || {
        Builder::new_current_thread()
            .enable_all()
            .build_local(LocalOptions::default())
    };
    let (started, ready) = std::sync::mpsc::sync_channel(1);
    let thread = thread::Builder::new()
        .name(format!("worker-{index}"))
        .spawn(move || {
            let runtime = match runtime() {
                Ok(runtime) => runtime,
                Err(error) => return drop(started.send(Err(error))),
            };
            let _ = started.send(Ok(()));
            runtime.block_on(run(Rc::new(Worker::new(parts)), queue));
        })?;
    ready.recv().map_err(io::Error::other)??;
    Ok((Handle { commands }, thread))
}

async fn run(worker: Rc<Worker>, mut queue: mpsc::Receiver<Command>) {
    let listeners = Rc::<Listeners>::default();
    let mut inbound_ends = false;
    while let Some(command) = queue.recv().await {
        match command {
            Command::Listen(shared, socket) => {
                let view = worker.view();
                let Some(id) = view.listener_named(&shared.name) else {
                    continue;
                };
                let local = Rc::new(ListenerLocal::new(Arc::clone(&shared), view, id));
                if inbound_ends && local.is_inbound() {
                    local.end_connections(); // a reload in the middle of a drain
                }
                listeners.open(&local);
                tokio::task::spawn_local(accept::run(
                    Rc::clone(&worker),
                    Rc::clone(&listeners),
                    local,
                    socket,
                ));
            }
            Command::Close(shared) => {
                if let Some(local) = listeners.remove(&shared) {
                    local.stop_accepting();
                    local.end_connections();
                }
            }
            Command::EndInbound => {
                inbound_ends = true;
                listeners
                    .with_connections()
                    .iter()
                    .filter(|one| one.is_inbound())
                    .for_each(|one| one.drain_connections());
            }
            Command::Refresh => {
                drop(worker.view());
                listeners
                    .all()
                    .iter()
                    .for_each(|one| one.judge_again(&worker));
            }
            Command::Finish(deadline, done) => {
                listeners.all().iter().for_each(|one| one.stop_accepting());
                let listeners = listeners.with_connections();
                listeners.iter().for_each(|one| one.drain_connections());
                let left = connections_until(deadline, &worker).await;
                if left > 0 {
                    listeners.iter().for_each(|one| one.cut_connections());
                    connections_until(Instant::now() + CUT, &worker).await;
                }
                worker.log.hand_over();
                let _ = done.send(left);
            }
        }
    }
}

/// Waits until the last connection is gone, or until `deadline`; how many are left. A look every few milliseconds,
/// only while the process ends.
async fn connections_until(deadline: Instant, worker: &Worker) -> usize {
    let mut tick = tokio::time::interval(Duration::from_millis(5));
    while worker.connections() > 0 && Instant::now() < deadline {
        tick.tick().await;
    }
    worker.connections()
}
