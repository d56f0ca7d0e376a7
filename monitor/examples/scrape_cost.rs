//! What one reading costs with ten thousand connections: wall time and memory, from a fixture tree (without the kernel's own share) and
//! from `/proc` of this machine.
//!
//! ```sh
//! cargo run --release -p outrigger-monitor --example scrape_cost
//! ```
#![allow(clippy::unwrap_used, reason = "an example")]

use std::{fmt::Write, fs};

use outrigger_config::model::AppAddress;
use outrigger_monitor::{
    observer::{Observer, Settings},
    process::Select,
    roots::Roots,
};
use tokio::time::Instant;

const ROUNDS: u32 = 200;

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let proc = folder.path().join("proc");
    fs::create_dir_all(proc.join("net")).unwrap();
    let mut text = "  sl  local_address rem_address   st tx_queue rx_queue\n".to_owned();
    let rest = "00000000:00000000 00:00000000 00000000  1000        0 4711 1 0000000006d70a2b 100 0 0 10 0";
    writeln!(text, "   0: 0100007F:1F90 00000000:0000 0A {rest}").unwrap();
    for index in 1..=10_000 {
        writeln!(
            text,
            "{index:>4}: 0100007F:1F90 0100007F:{index:04X} 01 {rest}"
        )
        .unwrap();
    }
    fs::write(proc.join("net/tcp"), text).unwrap();
    let fixture = Roots {
        proc,
        cgroup: folder.path().join("cgroup"),
    };
    measure("10 000 connections, fixture", fixture);
    measure("this machine", Roots::default());
}

fn measure(what: &str, roots: Roots) {
    let mut observer = Observer::new(Settings {
        roots,
        app: Some(AppAddress::Tcp("127.0.0.1:8080".parse().unwrap())),
        select: Select::Listener,
    });
    let mut times: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let began = Instant::now();
            std::hint::black_box(observer.read());
            began.elapsed()
        })
        .collect();
    times.sort();
    let peak = fs::read_to_string("/proc/self/status").unwrap();
    let peak = peak.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    println!(
        "{what}: median {:?}, fastest {:?}; {peak}",
        times[times.len() / 2],
        times[0]
    );
}
