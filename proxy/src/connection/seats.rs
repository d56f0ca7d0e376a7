//! The connections of a listener, how long each has been idle, and which of them are evicted for
//! new ones.
//!
//! Each listener has one [`Ledger`], shared by all workers under a lock. The lock is taken when a
//! connection opens or closes, and at a limit; never for a request. The state of a connection is
//! one word in its [`Seat`], written by its own worker. At a limit, the worker with the new
//! connection scans those words, marks the connections that have been idle longest, and wakes their
//! tasks. Each of them closes on its own worker; a request that arrives before that removes the
//! mark.
//!
//! A scan costs time in proportion to the number of connections, so each scan marks a share of them
//! ([`share`]).

use std::{
    cell::Cell,
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{
            AtomicU64, AtomicUsize,
            Ordering::{AcqRel, Relaxed},
        },
    },
    task::Waker,
};

use tokio::sync::Semaphore;

use crate::telemetry::metrics::Limit;

/// A request is in flight, or its head is incomplete.
const BUSY: u64 = u64::MAX;

/// Marks of evicted connections, one for each limit. All other words below [`BUSY`] are times.
const MARKS: u64 = BUSY - Limit::ALL.len() as u64;

/// No request yet. Connections with earlier requests are evicted first, so this is the highest bit
/// of the order.
const SILENT: u64 = 1 << 62;

/// Silent connections younger than this, in µs, are about to send a request: no more of them are
/// evicted than are needed.
const FRESH: u64 = 1_000_000;

/// For how long, in µs, a scan without result is not repeated: of one address, and of the listener.
const SCAN_PAUSE: u64 = 10_000;
const SCAN_PAUSE_LISTENER: u64 = 50_000;

/// How many connections are evicted at once when `limit` is reached.
pub(crate) fn share(limit: usize) -> usize {
    (limit / 16).max(1)
}

/// The state of one connection for the limits.
pub(crate) struct Seat {
    /// [`BUSY`], a mark, or the time since when it is idle, in µs of the process's life, with
    /// [`SILENT`].
    state: AtomicU64,
    /// Its index in the ledger's list; changed under the ledger's lock.
    index: AtomicUsize,
}

impl Seat {
    /// A connection that was accepted at this time.
    pub(crate) fn new(now: u64) -> Arc<Self> {
        Arc::new(Self {
            state: AtomicU64::new(now | SILENT),
            index: AtomicUsize::new(0),
        })
    }

    /// Marks it as busy. Returns the limit for which it was evicted, if it was.
    pub(crate) fn mark_busy(&self) -> Option<Limit> {
        match self.state.load(Relaxed) {
            BUSY => None,
            _ => evicted_by(self.state.swap(BUSY, AcqRel)),
        }
    }

    /// Marks it as idle since `since`, if it was busy.
    pub(crate) fn mark_idle(&self, since: u64, silent: bool) {
        // An evicted connection keeps its mark; idle ones keep their time.
        if self.state.load(Relaxed) == BUSY {
            // Only its own worker changes a busy one.
            self.state.store(idle(since, silent), Relaxed);
        }
    }

    /// Cancels an eviction; it counts as idle from now on. Returns the limit for which it was
    /// evicted.
    pub(crate) fn cancel_eviction(&self, now: u64, silent: bool) -> Option<Limit> {
        evicted_by(self.state.swap(idle(now, silent), AcqRel))
    }

    /// Whether it is evicted.
    pub(crate) fn is_evicted(&self) -> bool {
        evicted_by(self.state.load(Relaxed)).is_some()
    }

    fn evict(&self, seen: u64, limit: Limit) -> bool {
        self.state
            // Fails when a request has arrived since the scan: that connection is not idle any
            // more.
            .compare_exchange(seen, MARKS + limit as u64, AcqRel, Relaxed)
            .is_ok()
    }
}

fn idle(since: u64, silent: bool) -> u64 {
    if silent { since | SILENT } else { since }
}

fn evicted_by(state: u64) -> Option<Limit> {
    state
        .checked_sub(MARKS)
        .and_then(|number| Limit::ALL.get(number as usize))
        .copied()
}

/// The connections of one listener.
#[derive(Default)]
pub(crate) struct Ledger {
    /// By the client address under which they count; `None`: under none.
    groups: HashMap<Option<IpAddr>, Group>,
    /// Evicted and not closed yet.
    leaving: usize,
    /// Until when no scan is done.
    no_scan_until: u64,
}

#[derive(Default)]
struct Group {
    seats: Vec<Entry>,
    /// Evicted and not closed yet, of this group.
    leaving: Cell<usize>,
    /// New connections that wait for those.
    waiting: usize,
    /// Wakes these; a permit means that a new attempt is worthwhile.
    room: Option<Arc<Semaphore>>,
    no_scan_until: u64,
}

struct Entry {
    seat: Arc<Seat>,
    /// Set when the connection task has started.
    task: Option<Waker>,
}

/// Whether an address may have one more connection.
pub(crate) enum Vacancy {
    Free,
    /// When this semaphore has a permit.
    Soon(Arc<Semaphore>),
    /// No: all its connections are busy.
    None,
}

impl Ledger {
    /// Adds a connection.
    pub(crate) fn add(&mut self, address: Option<IpAddr>, seat: &Arc<Seat>, task: Option<Waker>) {
        let seats = &mut self.groups.entry(address).or_default().seats;
        seat.index.store(seats.len(), Relaxed);
        seats.push(Entry {
            seat: Arc::clone(seat),
            task,
        });
    }

    /// Moves a connection to another address.
    pub(crate) fn move_to(&mut self, from: Option<IpAddr>, to: Option<IpAddr>, seat: &Arc<Seat>) {
        let (task, leaves) = self.take(from, seat);
        self.add(to, seat, task);
        if leaves && let Some(group) = self.groups.get(&to) {
            group.leaving.set(group.leaving.get() + 1);
        }
    }

    /// Sets the task to wake on eviction.
    pub(crate) fn set_task(&mut self, address: Option<IpAddr>, seat: &Seat, task: Waker) {
        if let Some(group) = self.groups.get_mut(&address) {
            group.seats[seat.index.load(Relaxed)].task = Some(task);
        }
    }

    /// Removes a closed connection. Returns the limit for which it was evicted, if it was.
    pub(crate) fn remove(&mut self, address: Option<IpAddr>, seat: &Seat) -> Option<Limit> {
        let evicted = evicted_by(seat.state.load(Relaxed));
        self.take(address, seat);
        self.leaving -= usize::from(evicted.is_some());
        self.wake_waiting(address);
        evicted
    }

    /// An evicted connection does not close.
    pub(crate) fn eviction_cancelled(&mut self, address: Option<IpAddr>) {
        self.leaving -= 1;
        if let Some(group) = self.groups.get(&address) {
            group.leaving.set(group.leaving.get() - 1);
        }
        self.wake_waiting(address); // the waiting one must find another
    }

    fn take(&mut self, address: Option<IpAddr>, seat: &Seat) -> (Option<Waker>, bool) {
        let Some(group) = self.groups.get_mut(&address) else {
            return (None, false);
        };
        let index = seat.index.load(Relaxed);
        let Entry { seat, task } = group.seats.swap_remove(index);
        // swap_remove has moved the last entry here, so its index changes.
        if let Some(moved) = group.seats.get(index) {
            moved.seat.index.store(index, Relaxed);
        }
        let leaves = seat.is_evicted();
        group.leaving.set(group.leaving.get() - usize::from(leaves));
        self.forget_empty(address);
        (task, leaves)
    }

    fn wake_waiting(&self, address: Option<IpAddr>) {
        if let Some(Group {
            waiting,
            room: Some(room),
            ..
        }) = self.groups.get(&address)
            // One permit for each waiting connection at most: more would let later ones pass
            // without a free place.
            && room.available_permits() < *waiting
        {
            room.add_permits(1);
        }
    }

    fn forget_empty(&mut self, address: Option<IpAddr>) {
        if self
            .groups
            .get(&address)
            .is_some_and(|group| group.seats.is_empty() && group.waiting == 0)
        {
            self.groups.remove(&address);
        }
    }

    /// Whether this address may have one more connection. At the limit its longest idle ones are
    /// evicted. A waiting connection is counted until [`Self::stop_waiting`], and has priority over `new`
    /// ones.
    pub(crate) fn request_place(
        &mut self,
        address: Option<IpAddr>,
        limit: usize,
        new: bool,
        now: u64,
    ) -> Vacancy {
        let Some(group) = self.groups.get_mut(&address) else {
            return Vacancy::Free;
        };
        // Free places go to waiting connections first. A waiting connection that asks again has its
        // own place among them, so it compares with 0.
        let free = limit.saturating_sub(group.seats.len());
        let before = if new { group.waiting } else { 0 };
        if free > before {
            return Vacancy::Free;
        }
        // Places that are neither free nor about to become free, for all that wait and this one.
        let missing =
            |group: &Group| (group.waiting + 1).saturating_sub(free + group.leaving.get());
        if missing(group) > 0 && group.no_scan_until <= now {
            let needed = missing(group);
            let count = Count {
                most: share(limit).max(needed),
                fresh: needed,
                ..Count::at(limit)
            };
            let evicted = evict(std::iter::once(&*group), count, Limit::Address, now);
            self.leaving += evicted;
            // All are busy. Scanning again for the next connection would cost much and find
            // nothing.
            if evicted == 0 {
                group.no_scan_until = now + SCAN_PAUSE;
            }
        }
        if missing(group) > 0 {
            return Vacancy::None;
        }
        group.waiting += 1;
        Vacancy::Soon(Arc::clone(
            group
                .room
                .get_or_insert_with(|| Arc::new(Semaphore::new(0))),
        ))
    }

    /// A connection waits no longer.
    pub(crate) fn stop_waiting(&mut self, address: Option<IpAddr>) {
        if let Some(group) = self.groups.get_mut(&address) {
            group.waiting -= 1;
        }
        self.forget_empty(address);
    }

    /// Evicts the longest idle connections, unless some are closing already. Returns how many are
    /// closing; 0 when all are busy.
    pub(crate) fn make_room(&mut self, limit: Limit, count: Count, now: u64) -> usize {
        if self.leaving == 0 && self.no_scan_until <= now {
            self.leaving = evict(self.groups.values(), count, limit, now);
            if self.leaving == 0 {
                self.no_scan_until = now + SCAN_PAUSE_LISTENER;
            }
        }
        self.leaving
    }

    /// How many connections are closing.
    pub(crate) fn leaving(&self) -> usize {
        self.leaving
    }

    /// The idle times; the lowest number is evicted first.
    pub(crate) fn idle(&self, now: u64) -> Vec<u64> {
        if self.no_scan_until > now {
            return Vec::new();
        }
        let states = self
            .groups
            .values()
            .flat_map(|group| &group.seats)
            .map(|one| one.seat.state.load(Relaxed));
        states.filter(|state| *state < MARKS).collect()
    }
}

/// How many connections to evict.
#[derive(Clone, Copy)]
pub(crate) struct Count {
    /// At most this many.
    pub(crate) most: usize,
    /// At most this many of those that are about to send a request ([`FRESH`]).
    pub(crate) fresh: usize,
    /// Only those with an idle time up to this one ([`Ledger::idle`]).
    pub(crate) until: u64,
}

impl Count {
    /// For one more connection at this limit.
    pub(crate) fn at(limit: usize) -> Self {
        Self {
            most: share(limit),
            fresh: 1,
            until: u64::MAX,
        }
    }
}

/// Marks and wakes the connections that have been idle longest; returns how many.
fn evict<'a>(
    groups: impl Iterator<Item = &'a Group>,
    count: Count,
    limit: Limit,
    now: u64,
) -> usize {
    let mut idle: Vec<(u64, &Entry, &Cell<usize>)> = Vec::new();
    for group in groups {
        let states = group
            .seats
            .iter()
            .map(|one| (one.seat.state.load(Relaxed), one, &group.leaving));
        idle.extend(states.filter(|(state, ..)| *state < MARKS && *state <= count.until));
    }
    // Select before sorting: only the candidates need an order.
    if idle.len() > count.most {
        idle.select_nth_unstable_by_key(count.most, |(state, ..)| *state);
        idle.truncate(count.most);
    }
    idle.sort_unstable_by_key(|(state, ..)| *state);
    // States of silent connections have the highest bit, so they sort after all others; the newest
    // of them are at or above this bound.
    let fresh = SILENT | now.saturating_sub(FRESH);
    let mut evicted = 0;
    for (state, one, leaving) in idle {
        if (state < fresh || evicted < count.fresh) && one.seat.evict(state, limit) {
            evicted += 1;
            leaving.set(leaving.get() + 1);
            if let Some(task) = &one.task {
                task.wake_by_ref();
            }
        }
    }
    evicted
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));
    const SECOND: u64 = 1_000_000;
    const ONE: Count = Count {
        most: 1,
        fresh: 1,
        until: u64::MAX,
    };

    /// Connections of one address, accepted one second apart.
    fn seated(ledger: &mut Ledger, count: u64) -> Vec<Arc<Seat>> {
        let seats: Vec<_> = (0..count).map(|n| Seat::new(n * SECOND)).collect();
        seats.iter().for_each(|seat| ledger.add(HOME, seat, None));
        seats
    }

    fn serve(seat: &Seat, until: u64) {
        seat.mark_busy();
        seat.mark_idle(until, false);
    }

    fn leaving(seats: &[Arc<Seat>]) -> Vec<usize> {
        (0..seats.len())
            .filter(|index| seats[*index].is_evicted())
            .collect()
    }

    #[test]
    fn the_longest_idle_leaves_keep_alive_before_silent_and_busy_ones_never() {
        let mut ledger = Ledger::default();
        let seats = seated(&mut ledger, 4);
        let now = 100 * SECOND;
        serve(&seats[1], 20 * SECOND);
        serve(&seats[2], 10 * SECOND);
        seats[3].mark_busy();
        let mut order = Vec::new();
        for _ in 0..3 {
            assert_eq!(ledger.make_room(Limit::Listener, ONE, now), 1);
            let next = leaving(&seats)
                .into_iter()
                .find(|index| !order.contains(index))
                .unwrap();
            order.push(next);
            assert!(matches!(
                ledger.remove(HOME, &seats[next]),
                Some(Limit::Listener)
            ));
        }
        assert_eq!(order, [2, 1, 0]);
        assert_eq!(
            ledger.make_room(Limit::Listener, ONE, now),
            0,
            "the last one is busy"
        );
        seats[3].mark_idle(now, false);
        assert_eq!(
            ledger.make_room(Limit::Listener, ONE, now),
            0,
            "a moment ago there was none"
        );
        assert_eq!(
            ledger.make_room(Limit::Listener, ONE, now + SCAN_PAUSE_LISTENER),
            1
        );
        ledger.remove(HOME, &seats[3]);
        assert!(ledger.groups.is_empty());
    }

    #[test]
    fn a_share_leaves_at_once_but_not_those_that_are_about_to_speak() {
        let mut ledger = Ledger::default();
        let seats = seated(&mut ledger, 32);
        assert_eq!(share(32), 2);
        assert!(matches!(
            ledger.request_place(HOME, 32, true, 32 * SECOND),
            Vacancy::Soon(_)
        ));
        assert_eq!(leaving(&seats), [0, 1]);
        assert!(
            matches!(
                ledger.request_place(HOME, 32, true, 32 * SECOND),
                Vacancy::Soon(_)
            ),
            "for the second that leaves"
        );
        assert_eq!(leaving(&seats), [0, 1]);
        // All others are fresh.
        seats[2..]
            .iter()
            .for_each(|seat| seat.state.store(idle(31 * SECOND + 1, true), Relaxed));
        seats[9].state.store(idle(31 * SECOND, true), Relaxed);
        assert!(matches!(
            ledger.request_place(HOME, 32, true, 32 * SECOND),
            Vacancy::Soon(_)
        ));
        assert_eq!(leaving(&seats), [0, 1, 9]);
    }

    #[test]
    fn a_request_cancels_an_eviction_and_the_waiting_connection_finds_another() {
        let mut ledger = Ledger::default();
        let seats = seated(&mut ledger, 2);
        let now = 5 * SECOND;
        assert!(matches!(
            ledger.request_place(HOME, 2, true, now),
            Vacancy::Soon(_)
        ));
        assert_eq!(leaving(&seats), [0]);
        assert!(matches!(seats[0].mark_busy(), Some(Limit::Address)));
        ledger.eviction_cancelled(HOME);
        ledger.stop_waiting(HOME);
        assert!(matches!(
            ledger.request_place(HOME, 2, false, now),
            Vacancy::Soon(_)
        ));
        assert_eq!(leaving(&seats), [1]);
        ledger.remove(HOME, &seats[1]);
        assert!(
            matches!(ledger.request_place(HOME, 2, true, now), Vacancy::None),
            "the place is for who waits"
        );
        ledger.stop_waiting(HOME);
        assert!(matches!(
            ledger.request_place(HOME, 2, false, now),
            Vacancy::Free
        ));
        assert!(
            matches!(ledger.request_place(HOME, 2, true, now), Vacancy::Free),
            "it was not taken"
        );
        assert!(matches!(
            ledger.request_place(HOME, 1, true, now),
            Vacancy::None
        ));
    }

    #[test]
    fn counts_follow_a_connection_to_the_address_that_a_header_names() {
        let mut ledger = Ledger::default();
        let seats: Vec<_> = (0..3).map(Seat::new).collect();
        seats.iter().for_each(|seat| ledger.add(None, seat, None));
        assert_eq!(ledger.make_room(Limit::Listener, ONE, SECOND), 1);
        seats
            .iter()
            .for_each(|seat| ledger.move_to(None, HOME, seat));
        assert_eq!((ledger.leaving, ledger.groups[&HOME].leaving.get()), (1, 1));
        for seat in &seats {
            ledger.remove(HOME, seat);
        }
        assert_eq!((ledger.leaving, ledger.groups.len()), (0, 0));
    }
}
