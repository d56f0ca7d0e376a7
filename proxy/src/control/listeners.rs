//! The listeners of all workers: bound before a configuration is published, closed after.

use std::{collections::HashMap, io, net::TcpListener, sync::Arc};

use outrigger_config::model::{Config, Direction, Listener, ListenerAddress};

use super::{StartError, limits, shared::Shared};
use crate::{
    listener::{
        ListenerShared,
        bind::{self, Bound},
    },
    telemetry::metrics::Metrics,
    worker::{Command, Handle},
};

/// The listeners that are bound now.
pub(super) struct Listeners {
    workers: usize,
    metrics: Arc<Metrics>,
    default_connections: usize,
    next_id: u64,
    open: HashMap<Key, Arc<ListenerShared>>,
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
    opened: Vec<(Key, Arc<ListenerShared>, Vec<TcpListener>)>,
    closed: Vec<Key>,
}

impl Listeners {
    pub(super) fn new(workers: usize, metrics: Arc<Metrics>) -> Self {
        let default_connections = limits::default_connections();
        Self { workers, metrics, default_connections, next_id: 0, open: HashMap::new() }
    }

    /// Binds what `config` adds. When one address cannot be bound, all that were are closed again.
    pub(super) fn prepare(&mut self, config: &Config) -> Result<Change, StartError> {
        let keys: Vec<Key> = config.listeners.iter().map(Key::of).collect();
        let mut opened = Vec::new();
        for (key, model) in keys.iter().zip(&config.listeners) {
            if !self.open.contains_key(key) {
                let (shared, sockets) = self.bind(key, model)?;
                opened.push((key.clone(), shared, sockets));
            }
        }
        let closed = self.open.keys().filter(|key| !keys.contains(key)).cloned().collect();
        Ok(Change { opened, closed })
    }

    fn bind(
        &mut self,
        key: &Key,
        model: &Listener,
    ) -> Result<(Arc<ListenerShared>, Vec<TcpListener>), StartError> {
        let ListenerAddress { socket, dual_stack, .. } = key.address;
        // A renamed listener finds its address held by this very process, and may share it for a moment.
        let ours = self.open.keys().any(|open| open.address == key.address);
        let Bound { sockets, address } = bind::bind(socket, dual_stack, self.workers, ours)
            .map_err(|source| StartError::Bind { name: key.name.to_string(), address: socket, source })?;
        self.next_id += 1;
        let counters = self.metrics.listener(&key.name);
        let shared = ListenerShared::new(self.next_id, model, address, counters, self.default_connections);
        Ok((Arc::new(shared), sockets))
    }

    /// Hands new sockets to the workers and has removed listeners end.
    pub(super) async fn publish(&mut self, change: Change, workers: &[Handle], shared: &Shared) {
        for key in change.closed {
            let Some(listener) = self.open.remove(&key) else { continue };
            for worker in workers {
                worker.send(Command::Close(Arc::clone(&listener))).await;
            }
            shared.unbound(&key.name);
        }
        for (key, listener, sockets) in change.opened {
            for (worker, socket) in workers.iter().zip(sockets) {
                worker.send(Command::Listen(Arc::clone(&listener), socket)).await;
            }
            shared.bound(&key.name, listener.address);
            self.open.insert(key, listener);
        }
    }

    /// Open inbound connections.
    pub(super) fn inbound_connections(&self) -> usize {
        let inbound = self.open.values().filter(|one| one.direction == Direction::Inbound);
        inbound.map(|one| one.open_connections()).sum()
    }
}

impl Key {
    fn of(model: &Listener) -> Self {
        Self { name: Arc::clone(&model.name), direction: model.direction, address: model.address }
    }
}

/// What to do about an address that cannot be bound.
pub(super) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another process has it; stop that process or choose another port".to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "not allowed for this user; ports under 1024 need a capability, so choose another".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => "this host has no such address".to_owned(),
        _ => error.to_string(),
    }
}
