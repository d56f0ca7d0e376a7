//! The loop of one worker: it starts and closes listeners on command of the control thread.
//!
//! The control thread reaches a worker through a bounded queue of [`Command`]s, and through the
//! snapshot cell, which every request reads.

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

/// Time for cut requests to write their access-log line.
const CUT: Duration = Duration::from_millis(200);

/// A command of the control thread to a worker.
pub(crate) enum Command {
    /// Accept on this socket.
    Listen(Arc<ListenerShared>, StdListener),
    /// Stop accepting; connections close after their next response.
    Close(Arc<ListenerShared>),
    /// Connections of inbound listeners close after their next response; new ones are still served.
    EndInbound,
    /// There is a new snapshot: drop the state of the old one, even without requests.
    Refresh,
    /// Stop accepting on all listeners, finish requests in flight until the deadline, cut the rest,
    /// and report how many were cut.
    Finish(Instant, oneshot::Sender<usize>),
}

/// Sends commands to a worker.
pub(crate) struct Handle {
    commands: mpsc::Sender<Command>,
}

impl Handle {
    /// Sends a command. A worker that has ended gets none; its end is detected elsewhere.
    pub(crate) async fn send(&self, command: Command) {
        let _ = self.commands.send(command).await;
    }
}

/// Starts worker number `index`.
///
/// # Errors
/// The thread or its runtime could not be created.
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
                    .for_each(|one| one.recheck_clients(&worker));
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

/// Waits until the last connection is closed, or until `deadline`; returns how many are left. Polls
/// every few milliseconds, only while the process ends.
async fn connections_until(deadline: Instant, worker: &Worker) -> usize {
    let mut tick = tokio::time::interval(Duration::from_millis(5));
    while worker.connections() > 0 && Instant::now() < deadline {
        tick.tick().await;
    }
    worker.connections()
}
