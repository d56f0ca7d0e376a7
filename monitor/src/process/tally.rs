//! Totals that only rise, over processes that start and end.

use std::collections::HashMap;

use super::table::Entry;

/// What a process, or a tree of them, has used since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Work {
    /// In ticks.
    pub(super) user: u64,
    /// In ticks.
    pub(super) system: u64,
    /// Voluntary and involuntary.
    pub(super) switches: [u64; 2],
}

impl Work {
    /// Of a tree, this has the time of children that have ended as well: their parent waited for them, and has it.
    pub(super) fn add_cpu(&mut self, entry: &Entry) {
        self.user += entry.user;
        self.system += entry.system;
    }

    pub(super) fn add_switches(&mut self, [voluntary, involuntary]: [u64; 2]) {
        self.switches[0] += voluntary;
        self.switches[1] += involuntary;
    }

    /// Adds what came since `last`. A sum falls where a child ended that its parent does not wait for.
    fn add_since(&mut self, last: &Self, now: &Self) {
        self.user += now.user.saturating_sub(last.user);
        self.system += now.system.saturating_sub(last.system);
        for (index, total) in self.switches.iter_mut().enumerate() {
            *total += now.switches[index].saturating_sub(last.switches[index]);
        }
    }
}

/// A PID, and when the process started.
type Key = (u32, u64);

/// Totals over all readings.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// What all trees have used.
    pub(super) total: Work,
    /// How often another main process took the place of one that had ended.
    pub(super) restarts: u64,
    /// The trees of the last reading.
    last: HashMap<Key, Work>,
    main: Option<Key>,
}

impl Tally {
    /// Adds a reading: trees by their first process, and the main one of them.
    pub(super) fn add(
        &mut self,
        works: &[(Key, Work)],
        main: Option<Key>,
        lives: impl Fn(Key) -> bool,
    ) {
        for (key, work) in works {
            let last = self.last.get(key).copied().unwrap_or_default();
            self.total.add_since(&last, work);
        }
        self.last = works.iter().copied().collect();
        if let Some(main) = main {
            let replaced = self.main.filter(|known| *known != main && !lives(*known));
            self.restarts += u64::from(replaced.is_some());
            self.main = Some(main);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(user: u64) -> Work {
        Work {
            user,
            ..Work::default()
        }
    }

    #[test]
    fn totals_rise_over_restarts_and_reused_pids() {
        let mut tally = Tally::default();
        let dead = |_: Key| false;
        // Key, its CPU time, total, restarts.
        for (key, user, total, restarts) in [
            (Some((7, 100)), 50, 50, 0),
            (Some((7, 100)), 60, 60, 0),
            (None, 0, 60, 0),
            (Some((7, 900)), 5, 65, 1), // the PID was used again
            (Some((9, 950)), 1, 66, 2),
            (Some((9, 950)), 1, 66, 2),
        ] {
            let works: Vec<_> = key.map(|key| (key, work(user))).into_iter().collect();
            tally.add(&works, key, dead);
            assert_eq!(
                (tally.total.user, tally.restarts),
                (total, restarts),
                "{key:?}"
            );
        }
    }

    #[test]
    fn a_second_process_beside_the_first_is_no_restart() {
        let mut tally = Tally::default();
        tally.add(&[((8, 200), work(1))], Some((8, 200)), |_| true);
        tally.add(
            &[((7, 100), work(1)), ((8, 200), work(1))],
            Some((7, 100)),
            |_| true,
        );
        assert_eq!(tally.restarts, 0);
    }
}
