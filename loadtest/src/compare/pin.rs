//! CPU assignment of the proxies and of the load: processes inherit the affinity of the thread that
//! starts them.

#[cfg(target_os = "linux")]
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// CPUs of the proxy, and of load and origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cpus {
    /// The proxy's.
    pub proxy: usize,
    /// All others.
    pub load: Vec<usize>,
}

impl Cpus {
    /// By default the last CPU for the proxy and all others for the load. With one CPU both share
    /// it.
    #[must_use]
    pub fn choose(proxy: Option<usize>, load: &[usize]) -> Self {
        let allowed = allowed();
        let proxy = proxy.or_else(|| allowed.last().copied()).unwrap_or(0);
        let mut load = load.to_vec();
        if load.is_empty() {
            load.extend(allowed.iter().copied().filter(|cpu| *cpu != proxy));
        }
        if load.is_empty() {
            load.push(proxy);
        }
        Self { proxy, load }
    }

    /// Whether they are separate.
    #[must_use]
    pub fn are_apart(&self) -> bool {
        !self.load.contains(&self.proxy)
    }

    /// Runs a function on the proxy's CPU, such as starting the proxy.
    pub(super) fn for_proxy<T>(&self, work: impl FnOnce() -> T) -> T {
        set(&[self.proxy]);
        let done = work();
        self.stay();
        done
    }

    /// Pins this thread, and the processes that it starts, to the CPUs of the load.
    pub(super) fn stay(&self) {
        set(&self.load);
    }
}

/// CPUs that this thread may use.
#[cfg(target_os = "linux")]
fn allowed() -> Vec<usize> {
    let set = sched_getaffinity(None).unwrap_or_default();
    (0..CpuSet::MAX_CPU)
        .filter(|cpu| set.is_set(*cpu))
        .collect()
}

#[cfg(target_os = "linux")]
fn set(cpus: &[usize]) {
    let mut set = CpuSet::new();
    cpus.iter()
        .filter(|cpu| **cpu < CpuSet::MAX_CPU)
        .for_each(|cpu| set.set(*cpu));
    if let Err(error) = sched_setaffinity(None, &set) {
        eprintln!("outrigger-loadtest: cannot stay on CPUs {cpus:?}: {error}");
    }
}

#[cfg(not(target_os = "linux"))]
fn allowed() -> Vec<usize> {
    Vec::new()
}

#[cfg(not(target_os = "linux"))]
fn set(_: &[usize]) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_started_where_it_belongs() {
        let all = allowed();
        let cpus = Cpus::choose(None, &[]);
        assert_eq!(cpus.are_apart(), all.len() > 1);
        assert_eq!(
            Cpus::choose(Some(7), &[3, 4]),
            Cpus {
                proxy: 7,
                load: vec![3, 4]
            }
        );
        // On a separate thread: the other threads of this process keep their affinity.
        let inside = std::thread::spawn(move || {
            let inside = cpus.for_proxy(allowed);
            (inside, vec![cpus.proxy], allowed(), cpus.load)
        });
        let (inside, proxy, outside, load) = inside.join().unwrap();
        assert_eq!((inside, outside), (proxy, load));
    }
}
