//! One connection in the counts of the limits.

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
    seats::{Seat, Vacancy},
};

/// How long a new connection waits at most for an evicted one to close. Only HTTP/2 takes longer
/// than a moment, since its client gets GOAWAY first ([`super::client::Client::grace_period`]).
const WAIT: Duration = Duration::from_secs(2);

/// One open connection under the limits.
pub(crate) struct Permit {
    shared: Arc<ListenerShared>,
    seat: Arc<Seat>,
    address: Option<IpAddr>,
}

/// Whether a new connection is admitted.
pub(crate) enum Admission {
    Granted,
    /// After an evicted connection has closed.
    Soon(Waiting),
    Rejected,
}

impl Permit {
    /// Counts one more connection.
    pub(crate) fn new(shared: &Arc<ListenerShared>) -> Self {
        shared.open.fetch_add(1, Relaxed);
        let seat = Seat::new(ListenerShared::now());
        shared.ledger().add(None, &seat, None);
        Self {
            shared: Arc::clone(shared),
            seat,
            address: None,
        }
    }

    /// Sets the task that serves the connection.
    pub(crate) fn set_task(&self, task: Waker) {
        self.shared
            .ledger()
            .set_task(self.address, &self.seat, task);
    }

    /// Counts the connection under its client address as well. Rejects it when that address has
    /// `limit` connections already and all are busy. `new`: it has not waited yet.
    pub(crate) fn admit(&mut self, address: IpAddr, limit: usize, new: bool) -> Admission {
        let mut ledger = self.shared.ledger();
        match ledger.request_place(Some(address), limit, new, ListenerShared::now()) {
            Vacancy::Free => {
                ledger.move_to(self.address, Some(address), &self.seat);
                self.address = Some(address);
                Admission::Granted
            }
            Vacancy::Soon(room) => Admission::Soon(Waiting {
                shared: Arc::clone(&self.shared),
                address: Some(address),
                room,
            }),
            Vacancy::None => Admission::Rejected,
        }
    }

    /// The connection is not idle.
    pub(crate) fn mark_busy(&self) {
        if self.seat.mark_busy().is_some() {
            self.shared.ledger().eviction_cancelled(self.address);
        }
    }

    /// It is idle since `since`, if it was busy; `silent`: it had no request yet.
    pub(crate) fn mark_idle(&self, since: Instant, silent: bool) {
        self.seat.mark_idle(ListenerShared::moment(since), silent);
    }

    /// Cancels its eviction, because data has arrived.
    pub(crate) fn cancel_eviction(&self, silent: bool) {
        if self
            .seat
            .cancel_eviction(ListenerShared::now(), silent)
            .is_some()
        {
            self.shared.ledger().eviction_cancelled(self.address);
        }
    }

    /// The state of the connection.
    pub(crate) fn seat(&self) -> &Arc<Seat> {
        &self.seat
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        // Before the ledger is updated: otherwise a worker that waits for room would evict one
        // connection more.
        self.shared.open.fetch_sub(1, Relaxed);
        let evicted = self.shared.ledger().remove(self.address, &self.seat);
        if let Some(limit) = evicted {
            self.shared.counters.evicted[limit as usize].fetch_add(1, Relaxed);
        }
        self.shared.closed.notify_waiters(); // each worker may have connections queued
    }
}

/// A new connection that waits for an evicted one to close.
pub(crate) struct Waiting {
    shared: Arc<ListenerShared>,
    address: Option<IpAddr>,
    room: Arc<Semaphore>,
}

impl Waiting {
    /// Until when it may wait.
    pub(crate) fn deadline() -> Instant {
        Instant::now() + WAIT
    }

    /// Waits until a new attempt is worthwhile; `false` after the deadline.
    pub(crate) async fn over(self, deadline: Instant) -> bool {
        match timeout_at(deadline, self.room.acquire()).await {
            Ok(Ok(permit)) => {
                permit.forget();
                true
            }
            Ok(Err(_)) | Err(_) => false,
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.shared.ledger().stop_waiting(self.address);
    }
}
