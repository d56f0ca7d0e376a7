//! Limits that the system sets for this process: file descriptors and memory.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Highest default for open connections of one listener.
const MOST_CONNECTIONS: u64 = 10_000;

/// Memory per connection in the computation of the default limit.
const MEMORY_PER_CONNECTION: u64 = 64 * 1024;

/// Raises the soft limit on descriptors to the hard one, as other proxies do: the soft one is low
/// for the sake of programs that use `select`.
pub(crate) fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            ..limit
        },
    ) {
        tracing::debug!(%error, "cannot raise the limit on file descriptors");
    }
}

/// min(10 000, half the descriptor limit, memory limit / 64 KiB), at least 16.
pub(crate) fn default_connections() -> usize {
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX) / 2;
    let memory = memory_limit().map_or(u64::MAX, |bytes| bytes / MEMORY_PER_CONNECTION);
    MOST_CONNECTIONS.min(descriptors).min(memory).max(16) as usize
}

/// The memory limit of this process's cgroup, v2 or v1.
fn memory_limit() -> Option<u64> {
    let files = [
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ];
    files
        .iter()
        .find_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok())
}
