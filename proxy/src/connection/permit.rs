//! The place of one connection in the counts that limits look at.

use std::{
    net::IpAddr,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::Waker,
    time::Duration,
};

use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

use super::{
    listener::ListenerShared,
    seats::{Place, Seat},
};

/// How long a new connection waits at most for one that leaves for it. Only HTTP/2 takes more than a moment, since its
/// client is told before ([`super::client::Client::last_chance`]).
const WAIT: Duration = Duration::from_secs(2);

/// One open connection as the limits count it.
pub(crate) struct Permit {
    shared: Arc<ListenerShared>,
    seat: Arc<Seat>,
    address: Option<IpAddr>,
}

/// Whether a connection is let in.
pub(crate) enum Admission {
    Granted,
    /// Others leave for it.
    Soon(Waiting),
    Refused,
}

impl Permit {
    /// Counts one more connection.
    pub(crate) fn new(shared: &Arc<ListenerShared>) -> Self {
        shared.open.fetch_add(1, Relaxed);
        let seat = Seat::new(ListenerShared::now());
        shared.ledger().sit(None, &seat, None);
        Self {
            shared: Arc::clone(shared),
            seat,
            address: None,
        }
    }

    /// The task that serves the connection.
    pub(crate) fn begun(&self, task: Waker) {
        self.shared.ledger().begun(self.address, &self.seat, task);
    }

    /// Counts the connection for its client address as well, unless that one has `limit` already and all are busy. `new`:
    /// it has not waited.
    pub(crate) fn admit(&mut self, address: IpAddr, limit: usize, new: bool) -> Admission {
        let mut ledger = self.shared.ledger();
        match ledger.place(Some(address), limit, new, ListenerShared::now()) {
            Place::Free => {
                ledger.move_to(self.address, Some(address), &self.seat);
                self.address = Some(address);
                Admission::Granted
            }
            Place::Soon(room) => Admission::Soon(Waiting {
                shared: Arc::clone(&self.shared),
                address: Some(address),
                room,
            }),
            Place::None => Admission::Refused,
        }
    }

    /// The connection is not idle.
    pub(crate) fn work(&self) {
        if self.seat.work().is_some() {
            self.shared.ledger().stays(self.address);
        }
    }

    /// It has been idle since then, if it was busy; `silent`: it had no request.
    pub(crate) fn rest(&self, since: Instant, silent: bool) {
        self.seat.rest(ListenerShared::moment(since), silent);
    }

    /// It need not leave: something has come.
    pub(crate) fn stay(&self, silent: bool) {
        if self.seat.stay(ListenerShared::now(), silent).is_some() {
            self.shared.ledger().stays(self.address);
        }
    }

    /// What the connection does.
    pub(crate) fn seat(&self) -> &Arc<Seat> {
        &self.seat
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        // Before the ledger hears of it: a worker that waits for room would have one more connection leave.
        self.shared.open.fetch_sub(1, Relaxed);
        let evicted = self.shared.ledger().leave(self.address, &self.seat);
        if let Some(limit) = evicted {
            self.shared.counters.evicted[limit as usize].fetch_add(1, Relaxed);
        }
        self.shared.closed.notify_waiters(); // each worker may have connections queued
    }
}

/// A new connection while it waits.
pub(crate) struct Waiting {
    shared: Arc<ListenerShared>,
    address: Option<IpAddr>,
    room: Arc<Semaphore>,
}

impl Waiting {
    /// Until when it may.
    pub(crate) fn deadline() -> Instant {
        Instant::now() + WAIT
    }

    /// Waits until it is worth while to ask again; `false` when it was too long.
    pub(crate) async fn over(self, deadline: Instant) -> bool {
        match timeout_at(deadline, self.room.acquire()).await {
            Ok(Ok(told)) => {
                told.forget();
                true
            }
            Ok(Err(_)) | Err(_) => false,
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.shared.ledger().waited(self.address);
    }
}
