//! Builds fixture trees.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use outrigger_config::model::AppAddress;
use outrigger_monitor::{
    observer::{Observer, Settings},
    process::Select,
    roots::Roots,
};
use tempfile::TempDir;

/// A folder with `proc` and `cgroup`.
pub struct Tree(TempDir);

/// One process of a tree.
#[derive(Clone)]
pub struct Process {
    pub pid: u32,
    pub parent: u32,
    pub name: &'static str,
    pub start: u64,
    /// User, system, and the same of children that ended, in ticks.
    pub ticks: [u64; 4],
    pub rss_kib: u64,
    pub threads: u64,
}

impl Process {
    pub fn new(pid: u32, name: &'static str) -> Self {
        Self {
            pid,
            parent: 0,
            name,
            start: 1000,
            ticks: [0; 4],
            rss_kib: 1024,
            threads: 1,
        }
    }
}

impl Tree {
    /// A host that started at second 1 000 000.
    pub fn new() -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(tree.0.path().join("cgroup")).unwrap();
        tree.write("proc/stat", "cpu  1 2 3\nbtime 1000000\nprocesses 9\n");
        tree
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Writes several files below a folder.
    pub fn files(&self, folder: &str, files: &[(&str, &str)]) {
        for (name, text) in files {
            self.write(&format!("{folder}/{name}"), text);
        }
    }

    pub fn process(&self, process: &Process) {
        let Process {
            pid,
            parent,
            name,
            start,
            ticks: [user, system, child_user, child_system],
            rss_kib,
            threads,
        } = process;
        let folder = format!("proc/{pid}");
        self.write(
            &format!("{folder}/stat"),
            &format!(
                "{pid} ({name}) S {parent} 1 1 0 -1 4194304 1 0 0 0 {user} {system} {child_user} {child_system} 20 0 {threads} 0 \
                 {start} 1000000 100 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
            ),
        );
        self.write(
            &format!("{folder}/status"),
            &format!(
                "Name:\t{name}\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t{pid}\nNgid:\t0\nPid:\t{pid}\nPPid:\t{parent}\n\
                 TracerPid:\t0\nUid:\t1\t1\t1\t1\nGid:\t1\t1\t1\t1\nFDSize:\t64\nGroups:\t1 \nVmPeak:\t9 kB\nVmSize:\t9 kB\n\
                 VmHWM:\t{} kB\nVmRSS:\t{rss_kib} kB\nThreads:\t{threads}\nSigQ:\t0/1\nSigPnd:\t0\nShdPnd:\t0\nSigBlk:\t0\n\
                 SigIgn:\t0\nSigCgt:\t0\nCapInh:\t0\nCapPrm:\t0\nCapEff:\t0\nvoluntary_ctxt_switches:\t7\n\
                 nonvoluntary_ctxt_switches:\t3\n",
                rss_kib + 1
            ),
        );
        self.write(
            &format!("{folder}/cmdline"),
            &format!("/usr/bin/{name}\0-x\0"),
        );
    }

    /// Descriptors of a process: links, as in `/proc/<pid>/fd`.
    pub fn descriptors(&self, pid: u32, targets: &[&str], limit: &str) {
        let folder = self.path(&format!("proc/{pid}/fd"));
        fs::create_dir_all(&folder).unwrap();
        for (number, target) in targets.iter().enumerate() {
            std::os::unix::fs::symlink(target, folder.join(number.to_string())).unwrap();
        }
        let line = |name: &str, value: &str, unit: &str| {
            format!("{name:<26}{value:<21}{value:<21}{unit:<10}\n")
        };
        let names = [
            ("Max cpu time", "unlimited", "seconds"),
            ("Max file size", "unlimited", "bytes"),
            ("Max data size", "unlimited", "bytes"),
            ("Max stack size", "8388608", "bytes"),
            ("Max core file size", "0", "bytes"),
            ("Max resident set", "unlimited", "bytes"),
            ("Max processes", "unlimited", "processes"),
            ("Max open files", limit, "files"),
            ("Max locked memory", "65536", "bytes"),
            ("Max address space", "unlimited", "bytes"),
            ("Max file locks", "unlimited", "locks"),
            ("Max pending signals", "1000", "signals"),
            ("Max msgqueue size", "819200", "bytes"),
            ("Max nice priority", "0", ""),
            ("Max realtime priority", "0", ""),
            ("Max realtime timeout", "unlimited", "us"),
        ];
        let mut text = line("Limit", "Soft Limit", "Units");
        for (name, value, unit) in names {
            text.push_str(&line(name, value, unit));
        }
        self.write(&format!("proc/{pid}/limits"), &text);
    }

    pub fn end(&self, pid: u32) {
        fs::remove_dir_all(self.path(&format!("proc/{pid}"))).unwrap();
    }

    pub fn roots(&self) -> Roots {
        Roots {
            proc: self.path("proc"),
            cgroup: self.path("cgroup"),
        }
    }

    pub fn observer(&self, app: Option<AppAddress>, select: Select) -> Observer {
        Observer::new(Settings {
            roots: self.roots(),
            app,
            select,
        })
    }

    /// Watches a program by its name.
    pub fn watching(&self, command: &str) -> Observer {
        self.observer(None, Select::Command(command.into()))
    }
}

pub fn tcp(address: &str) -> AppAddress {
    AppAddress::Tcp(address.parse::<SocketAddr>().unwrap())
}

pub fn unix(path: &str) -> AppAddress {
    AppAddress::Unix(Arc::new(Path::new(path).to_owned()))
}
