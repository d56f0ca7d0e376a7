//! Resource usage of processes and CPUs, as reported by the kernel.

use std::fs;
use std::path::PathBuf;

use crate::stats::median;

/// CPU time of a group of processes so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct CpuTime {
    /// Nanoseconds on a CPU, by the scheduler.
    nanos: u64,
    /// User ticks; these two only divide the nanoseconds.
    user: u64,
    /// System ticks.
    system: u64,
}

/// The difference of two readings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spent {
    /// Total microseconds.
    pub micros: f64,
    /// User part, 0 to 1.
    pub user: f64,
}

impl CpuTime {
    /// Sum over all live processes of this group.
    pub(super) fn of(group: u32) -> Self {
        let mut sum = Self::default();
        for (folder, fields) in members(group) {
            let field = |index: usize| {
                fields
                    .get(index)
                    .and_then(|text| text.parse().ok())
                    .unwrap_or(0)
            };
            sum.user += field(11);
            sum.system += field(12);
            for task in fs::read_dir(folder.join("task"))
                .into_iter()
                .flatten()
                .flatten()
            {
                let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
                sum.nanos += text
                    .split(' ')
                    .next()
                    .and_then(|nanos| nanos.parse().ok())
                    .unwrap_or(0);
            }
        }
        sum
    }

    /// The usage since an earlier reading.
    pub(super) fn since(self, earlier: Self) -> Spent {
        let less = |now: u64, then: u64| now.saturating_sub(then) as f64;
        let (user, system) = (
            less(self.user, earlier.user),
            less(self.system, earlier.system),
        );
        let ticks = user + system;
        Spent {
            micros: less(self.nanos, earlier.nanos) / 1e3,
            user: if ticks > 0.0 { user / ticks } else { 0.0 },
        }
    }
}

/// Resident memory of all processes of this group, in KiB.
pub(super) fn resident(group: u32) -> u64 {
    let of = |folder: PathBuf| {
        let text = fs::read_to_string(folder.join("status")).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    members(group).filter_map(|(folder, _)| of(folder)).sum()
}

/// Folders in `/proc` of the processes of a group, and the fields of their `stat` after the name.
fn members(group: u32) -> impl Iterator<Item = (PathBuf, Vec<String>)> {
    let folders = fs::read_dir("/proc").into_iter().flatten().flatten();
    folders.filter_map(move |entry| {
        let number = entry.file_name().to_str()?.parse::<u32>().ok()?;
        let folder = PathBuf::from(format!("/proc/{number}"));
        let text = fs::read_to_string(folder.join("stat")).ok()?;
        // The name may contain any character, but no bracket follows it.
        let fields: Vec<_> = text
            .rsplit_once(')')?
            .1
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        let is_member = fields.get(2)?.parse() == Ok(group) && fields[0] != "Z";
        is_member.then_some((folder, fields))
    })
}

/// Ticks of one CPU so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct CpuTicks {
    busy: u64,
    steal: u64,
    all: u64,
}

impl CpuTicks {
    /// Of this CPU.
    pub(super) fn of(cpu: usize) -> Self {
        let text = fs::read_to_string("/proc/stat").unwrap_or_default();
        let name = format!("cpu{cpu} ");
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(&name))
            .unwrap_or_default();
        let fields: Vec<u64> = line
            .split_whitespace()
            .filter_map(|field| field.parse().ok())
            .collect();
        // user nice system idle iowait irq softirq steal
        let field = |index: usize| fields.get(index).copied().unwrap_or(0);
        Self {
            busy: field(0) + field(1) + field(2) + field(5) + field(6),
            steal: field(7),
            all: fields.iter().take(8).sum(),
        }
    }

    /// Utilization and stolen share since an earlier reading, 0 to 1.
    pub(super) fn since(self, earlier: Self) -> (f64, f64) {
        let all = self.all.saturating_sub(earlier.all).max(1) as f64;
        let share = |now: u64, then: u64| now.saturating_sub(then) as f64 / all;
        (
            share(self.busy, earlier.busy),
            share(self.steal, earlier.steal),
        )
    }
}

/// The machine as text: processor, number of CPUs, kernel, memory.
#[must_use]
pub fn machine() -> Vec<(&'static str, String)> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let after = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        line.split_once(':')
            .map(|(_, value)| value.trim().to_owned())
    };
    let cpus = read("/proc/cpuinfo");
    let count = cpus
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let memory = after(&read("/proc/meminfo"), "MemTotal").unwrap_or_default();
    let congestion = read("/proc/sys/net/ipv4/tcp_congestion_control");
    vec![
        (
            "processor",
            format!(
                "{count} × {}",
                after(&cpus, "model name").unwrap_or_default()
            ),
        ),
        ("memory", memory),
        (
            "kernel",
            format!("Linux {}", read("/proc/sys/kernel/osrelease").trim()),
        ),
        ("TCP congestion control", congestion.trim().to_owned()),
    ]
}

/// The median.
pub(super) fn middle(values: impl IntoIterator<Item = Option<f64>>) -> Option<f64> {
    median(values.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::process::Process;

    #[tokio::test]
    async fn a_group_is_its_process_with_all_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("/bin/sh");
        command.args([
            "-c",
            "sh -c 'echo ready; i=0; while :; do i=$((i+1)); done' & wait",
        ]);
        let mut process = Process::spawn(command, &folder.path().join("log")).unwrap();
        process.says("ready").await.unwrap();
        let group = process.group();
        assert_eq!(members(group).count(), 2);
        let before = CpuTime::of(group);
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        let spent = CpuTime::of(group).since(before);
        assert!(spent.micros > 0.0, "{spent:?}");
        assert!(resident(group) > 100);
        drop(process);
        // The grandchild is not waited for, so it may exist a moment longer.
        let gone = async {
            while members(group).count() > 0 {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), gone)
            .await
            .unwrap();
    }

    #[test]
    fn shares_of_a_cpu_are_shares() {
        let earlier = CpuTicks {
            busy: 10,
            steal: 1,
            all: 100,
        };
        let (busy, steal) = CpuTicks {
            busy: 60,
            steal: 11,
            all: 200,
        }
        .since(earlier);
        assert_eq!((busy, steal), (0.5, 0.1));
        assert!(CpuTicks::of(0).all > 0);
    }
}
