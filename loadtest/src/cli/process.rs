//! Process settings of a subcommand: CPU affinity and the limit of file descriptors.

use std::io;

use clap::Args;

/// Descriptors that are needed in addition to connections.
const OWN_DESCRIPTORS: u64 = 64;

/// CPU affinity of the process.
#[derive(Debug, Default, Clone, Copy, Args)]
pub(super) struct Placement {
    /// Run only on this CPU, counted from 0
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..1024))]
    cpu: Option<u16>,
}

impl Placement {
    /// Call this before any thread is started: threads inherit the affinity.
    pub(super) fn take(self) -> io::Result<()> {
        self.cpu.map_or(Ok(()), |cpu| {
            pin(cpu.into()).map_err(|error| {
                io::Error::new(error.kind(), format!("cannot run on CPU {cpu}: {error}"))
            })
        })
    }
}

#[cfg(target_os = "linux")]
fn pin(cpu: usize) -> io::Result<()> {
    use rustix::thread::{CpuSet, sched_setaffinity};

    let mut set = CpuSet::new();
    set.set(cpu);
    Ok(sched_setaffinity(None, &set)?)
}

#[cfg(not(target_os = "linux"))]
fn pin(_: usize) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Raises the soft limit of descriptors to the hard limit, and prints a warning if that is not
/// enough for this many connections.
pub(super) fn need_descriptors(count: u64) -> Result<(), String> {
    let (needed, allowed) = (count.saturating_add(OWN_DESCRIPTORS), raise_descriptors());
    match allowed {
        Some(allowed) if allowed < needed => Err(format!(
            "{needed} file descriptors are needed, but the hard limit is {allowed} (see ulimit -Hn)"
        )),
        _ => Ok(()),
    }
}

/// The limit afterwards; `None` if there is none.
#[cfg(target_os = "linux")]
pub(super) fn raise_descriptors() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    }
}

/// Without a way to query the limit, the first connection over it fails.
#[cfg(not(target_os = "linux"))]
pub(super) fn raise_descriptors() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_descriptors_than_the_hard_limit_are_refused_with_both_numbers() {
        let Some(limit) = raise_descriptors() else {
            eprintln!("SKIPPED: no limit of descriptors here");
            return;
        };
        assert_eq!(need_descriptors(1), Ok(()));
        let problem = need_descriptors(limit).unwrap_err();
        let (needed, allowed) = ((limit + OWN_DESCRIPTORS).to_string(), limit.to_string());
        assert!(
            problem.contains(&needed) && problem.contains(&allowed),
            "{problem}"
        );
    }
}
