//! The listeners of all workers: bound before a configuration is published, closed after.

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

/// One that is bound now.
struct Open {
    shared: Arc<ListenerShared>,
    /// The workers' sockets once more: a listener that is only renamed goes on with them, so that no connection in
    /// the kernel's queue is lost and port 0 stays the port it became.
    sockets: Vec<TcpListener>,
}

/// What makes two configured listeners the same one: connections of a listener survive every other change.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    name: Arc<str>,
    direction: Direction,
    address: ListenerAddress,
}

/// What a configuration adds and removes; nothing has changed yet for any connection.
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

    /// Binds what `config` adds. When one address cannot be bound, all that were are closed again.
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

    /// The sockets of a listener that is bound now.
    fn bound(&self, key: &Key) -> io::Result<Bound> {
        let open = &self.open[key];
        Ok(Bound {
            sockets: again(&open.sockets)?,
            address: open.shared.address,
        })
    }

    fn bind(&self, address: &ListenerAddress) -> io::Result<Bound> {
        // Where this very process holds the address, or one that covers it, the two share it for a moment.
        let ours = self
            .open
            .values()
            .any(|open| overlap(open.shared.address, address.socket));
        bind::bind(address.socket, address.dual_stack, self.workers, ours)
    }

    /// Hands new sockets to the workers and has removed listeners end.
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

    /// Leaves the sockets to the workers alone: theirs are the last ones when they stop accepting.
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

/// Whether a socket bound to one address is in the way of the other.
fn overlap(bound: SocketAddr, wanted: SocketAddr) -> bool {
    let covers =
        bound.ip() == wanted.ip() || bound.ip().is_unspecified() || wanted.ip().is_unspecified();
    bound.port() == wanted.port() && covers
}

/// What to do about an address that cannot be bound.
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
