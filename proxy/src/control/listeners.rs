//! The listeners of all workers: bound before a configuration is published, closed after it.

use std::{
    collections::HashMap,
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use outrigger_config::model::{Config, Direction, Listener, ListenerAddress};

use super::{StartError, limits, shared::Shared};
use crate::{
    connection::listener::ListenerShared,
    listener::bind::{self, Bound},
    serve::{Command, Handle},
    telemetry::metrics::Metrics,
};

/// The listeners that are bound now.
pub(super) struct Listeners {
    workers: usize,
    metrics: Arc<Metrics>,
    default_connections: usize,
    next_id: u64,
    open: HashMap<Key, Open>,
}

/// A bound listener.
struct Open {
    shared: Arc<ListenerShared>,
    /// Duplicates of the workers' sockets. A listener that is only renamed keeps them, so that no
    /// connection in the kernel's queue is lost and port 0 keeps its actual port.
    sockets: Vec<TcpListener>,
}

/// What identifies a listener across reloads: its connections survive a change of anything else.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    name: Arc<str>,
    direction: Direction,
    address: ListenerAddress,
}

/// The listeners that a configuration adds and removes; not applied yet.
pub(super) struct Change {
    opened: Vec<(Key, Open, Vec<TcpListener>)>,
    closed: Vec<Key>,
}

impl Listeners {
    pub(super) fn new(workers: usize, metrics: Arc<Metrics>) -> Self {
        let default_connections = limits::default_connections();
        Self {
            workers,
            metrics,
            default_connections,
            next_id: 0,
            open: HashMap::new(),
        }
    }

    /// Binds the listeners that `config` adds. When one address cannot be bound, all new ones are
    /// closed again.
    pub(super) fn prepare(&mut self, config: &Config) -> Result<Change, StartError> {
        let keys: Vec<Key> = config.listeners.iter().map(Key::of).collect();
        let closed: Vec<Key> = self
            .open
            .keys()
            .filter(|key| !keys.contains(key))
            .cloned()
            .collect();
        let mut heirless: Vec<&Key> = closed.iter().collect();
        let mut opened = Vec::new();
        for (key, model) in keys.iter().zip(&config.listeners) {
            if self.open.contains_key(key) {
                continue;
            }
            let renamed = heirless.iter().position(|old| old.address == key.address);
            let bound = match renamed {
                Some(at) => self.bound(heirless.swap_remove(at)),
                None => self.bind(&key.address),
            };
            let bound = bound.and_then(|bound| Ok((again(&bound.sockets)?, bound)));
            let (for_workers, Bound { sockets, address }) =
                bound.map_err(|source| StartError::Bind {
                    name: key.name.to_string(),
                    address: key.address.socket,
                    source,
                })?;
            self.next_id += 1;
            let counters = self.metrics.listener(&key.name);
            let shared = ListenerShared::new(
                self.next_id,
                model,
                address,
                counters,
                self.default_connections,
            );
            opened.push((
                key.clone(),
                Open {
                    shared: Arc::new(shared),
                    sockets,
                },
                for_workers,
            ));
        }
        Ok(Change { opened, closed })
    }

    /// The sockets of a listener that is bound already.
    fn bound(&self, key: &Key) -> io::Result<Bound> {
        let open = &self.open[key];
        Ok(Bound {
            sockets: again(&open.sockets)?,
            address: open.shared.address,
        })
    }

    fn bind(&self, address: &ListenerAddress) -> io::Result<Bound> {
        // If this process itself holds the address, or one that covers it, the two share it for a
        // moment.
        let ours = self
            .open
            .values()
            .any(|open| overlap(open.shared.address, address.socket));
        bind::bind(address.socket, address.dual_stack, self.workers, ours)
    }

    /// Hands new sockets to the workers, and closes removed listeners.
    pub(super) async fn publish(&mut self, change: Change, workers: &[Handle], shared: &Shared) {
        for key in change.closed {
            let Some(open) = self.open.remove(&key) else {
                continue;
            };
            for worker in workers {
                worker.send(Command::Close(Arc::clone(&open.shared))).await;
            }
            shared.unbound(&key.name);
        }
        for (key, open, sockets) in change.opened {
            for (worker, socket) in workers.iter().zip(sockets) {
                worker
                    .send(Command::Listen(Arc::clone(&open.shared), socket))
                    .await;
            }
            shared.bound(&key.name, open.shared.address);
            self.open.insert(key, open);
        }
    }

    /// Drops the duplicates, so that a port is closed when the workers stop accepting.
    pub(super) fn release_sockets(&mut self) {
        self.open.values_mut().for_each(|open| open.sockets.clear());
    }

    /// Open inbound connections.
    pub(super) fn inbound_connections(&self) -> usize {
        let shared = self.open.values().map(|open| &open.shared);
        shared
            .filter(|one| one.direction == Direction::Inbound)
            .map(|one| one.open_connections())
            .sum()
    }
}

impl Key {
    fn of(model: &Listener) -> Self {
        Self {
            name: Arc::clone(&model.name),
            direction: model.direction,
            address: model.address,
        }
    }
}

fn again(sockets: &[TcpListener]) -> io::Result<Vec<TcpListener>> {
    sockets.iter().map(TcpListener::try_clone).collect()
}

/// Whether a socket bound to one address conflicts with the other.
fn overlap(bound: SocketAddr, wanted: SocketAddr) -> bool {
    let covers =
        bound.ip() == wanted.ip() || bound.ip().is_unspecified() || wanted.ip().is_unspecified();
    bound.port() == wanted.port() && covers
}

/// Explains why an address cannot be bound, and what to do.
pub(super) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another process has it; stop that process or choose another port".to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "not allowed for this user; ports under 1024 need a capability, so choose another"
                .to_owned()
        }
        io::ErrorKind::AddrNotAvailable => "this host has no such address".to_owned(),
        _ => error.to_string(),
    }
}
