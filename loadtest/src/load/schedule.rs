//! The schedule of requests.
//!
//! All connections of all threads draw from one schedule. In a closed loop the next request is due
//! at once. At a constant rate request `k` is due at `start + k / rate`, independent of the ones
//! before it, and its latency is measured from that time: a stall delays all later requests and
//! must be visible in the figures (otherwise this is the error known as coordinated omission). A
//! request that could not start within the timeout has failed by timeout; so a run ends at most one
//! timeout after its last slot.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::alarm::Alarm;
use super::plan::Plan;

/// The schedule of one run.
#[derive(Debug)]
pub(super) struct Schedule {
    start: Instant,
    measured_from: Instant,
    end: Option<Instant>,
    rate: Option<f64>,
    /// Number of measured requests.
    limit: Option<u64>,
    /// Measured requests that were started (closed loop with a limit).
    begun: AtomicU64,
    /// Next slot.
    next: AtomicU64,
}

/// A request to send.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    /// The scheduled time of the request; its latency is measured from here.
    pub(super) intended: Instant,
    /// Whether it is measured, or belongs to the warm-up.
    pub(super) measured: bool,
    /// Its index in the schedule, from 0.
    pub(super) number: u64,
}

/// One task's view of the schedule.
pub(super) struct Turns<'a> {
    schedule: &'a Schedule,
    alarm: Option<Alarm>,
    halt: watch::Receiver<bool>,
}

impl Schedule {
    pub(super) fn new(plan: &Plan, start: Instant) -> Self {
        let measured_from = start + plan.warmup;
        Self {
            start,
            measured_from,
            end: plan
                .effective_duration()
                .map(|duration| measured_from + duration),
            rate: plan.rate,
            limit: plan.requests,
            begun: AtomicU64::new(0),
            next: AtomicU64::new(0),
        }
    }

    /// Length of the measured part of a run whose last response arrived at `instant`.
    pub(super) fn measured_until(&self, instant: Instant) -> Duration {
        let until = self.end.map_or(instant, |end| end.min(instant));
        until.saturating_duration_since(self.measured_from)
    }

    pub(super) fn end(&self) -> Option<Instant> {
        self.end
    }

    pub(super) fn is_paced(&self) -> bool {
        self.rate.is_some()
    }

    pub(super) fn turns(&self, halt: watch::Receiver<bool>) -> Turns<'_> {
        Turns {
            schedule: self,
            alarm: None,
            halt,
        }
    }

    fn is_over(&self, instant: Instant) -> bool {
        self.end.is_some_and(|end| instant >= end)
    }

    /// Closed loop: due now, unless the time or the number of requests is exhausted.
    fn at_once(&self, now: Instant) -> Option<Slot> {
        let measured = now >= self.measured_from;
        if self.is_over(now) {
            return None;
        }
        match self.limit {
            Some(limit) if measured && self.begun.fetch_add(1, Ordering::Relaxed) >= limit => None,
            _ => Some(Slot {
                intended: now,
                measured,
                number: self.next.fetch_add(1, Ordering::Relaxed),
            }),
        }
    }

    /// Constant rate: the next free slot.
    fn at_rate(&self, rate: f64) -> Option<Slot> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        // With a very low rate the slot may be beyond the range of the clock.
        let after = Duration::try_from_secs_f64(number as f64 / rate).ok()?;
        let intended = self.start.checked_add(after)?;
        let warmup = (self.measured_from - self.start).as_secs_f64();
        let in_warmup = (warmup * rate).ceil() as u64;
        let beyond = self
            .limit
            .is_some_and(|limit| number >= in_warmup.saturating_add(limit));
        let measured = number >= in_warmup;
        (!beyond && !self.is_over(intended)).then_some(Slot {
            intended,
            measured,
            number,
        })
    }
}

impl Turns<'_> {
    /// Waits for the next request of this task; `None` ends it.
    pub(super) async fn next(&mut self) -> Option<Slot> {
        if self.is_halted() {
            return None;
        }
        match self.schedule.rate {
            None => self.schedule.at_once(Instant::now()),
            Some(rate) => match self.schedule.at_rate(rate) {
                Some(slot) => self.wait_until(slot.intended).await.then_some(slot),
                None => self.sit_out().await,
            },
        }
    }

    /// A run whose handle was dropped is over as well.
    fn is_halted(&self) -> bool {
        *self.halt.borrow() || self.halt.has_changed().is_err()
    }

    /// The last slot may be well before the end; the rate is that of the whole time.
    async fn sit_out(&mut self) -> Option<Slot> {
        if let (Some(end), None) = (self.schedule.end, self.schedule.limit) {
            self.wait_until(end).await;
        }
        None
    }

    /// False when the run was stopped meanwhile.
    async fn wait_until(&mut self, instant: Instant) -> bool {
        let alarm = self.alarm.get_or_insert_with(Alarm::new);
        tokio::select! {
            biased;
            () = alarm.wait_until(instant) => true,
            _ = self.halt.wait_for(|halted| *halted) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(slots: impl Iterator<Item = Slot>) -> (usize, usize) {
        slots.fold((0, 0), |(warm, counted), slot| {
            if slot.measured {
                (warm, counted + 1)
            } else {
                (warm + 1, counted)
            }
        })
    }

    fn plan(rate: Option<f64>, seconds: Option<u64>, requests: Option<u64>, warmup: u64) -> Plan {
        Plan {
            rate,
            requests,
            duration: seconds.map(Duration::from_secs),
            warmup: Duration::from_secs(warmup),
            ..Plan::new("http://unused/")
        }
    }

    #[test]
    fn a_constant_rate_has_as_many_slots_as_time_allows() {
        for (plan, expected) in [
            (plan(Some(100.0), Some(2), None, 0), (0, 200)),
            (plan(Some(100.0), Some(2), None, 1), (100, 200)),
            (plan(Some(100.0), Some(2), Some(30), 1), (100, 30)),
            (plan(Some(0.5), Some(4), None, 0), (0, 2)),
            (plan(Some(1e-300), Some(4), None, 0), (0, 1)),
        ] {
            let rate = plan.rate.unwrap();
            let schedule = Schedule::new(&plan, Instant::now());
            assert_eq!(
                measured(std::iter::from_fn(|| schedule.at_rate(rate))),
                expected,
                "{plan:?}"
            );
        }
    }

    #[test]
    fn slots_stand_where_the_rate_puts_them_however_late_they_are_taken() {
        let start = Instant::now();
        let schedule = Schedule::new(&plan(Some(1_000.0), Some(1), None, 0), start);
        let offsets: Vec<_> = std::iter::from_fn(|| schedule.at_rate(1_000.0))
            .take(3)
            .map(|slot| slot.intended - start)
            .collect();
        assert_eq!(offsets, [0, 1, 2].map(Duration::from_millis));
    }

    #[test]
    fn a_closed_loop_ends_with_its_time_or_its_requests() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let timed = Schedule::new(&plan(None, Some(2), None, 1), start);
        let begun = [0, 1, 2, 3].map(|second| timed.at_once(at(second)).map(|slot| slot.measured));
        assert_eq!(begun, [Some(false), Some(true), Some(true), None]);
        let counted = Schedule::new(&plan(None, None, Some(2), 1), start);
        let begun =
            [0, 0, 0, 5, 6, 7].map(|second| counted.at_once(at(second)).map(|slot| slot.measured));
        assert_eq!(
            begun,
            [
                Some(false),
                Some(false),
                Some(false),
                Some(true),
                Some(true),
                None
            ]
        );
    }
}
