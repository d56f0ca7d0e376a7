//! Debian's Prometheus scrapes the page, and its queries give what the kernel says of the app itself.
//!
//! Nothing here depends on how fast the machine is: figures are compared with readings of `/proc` before and after the scrape.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Proxy, get, is_there, wait_for};

/// Holds 100 MiB, burns half of its time, and listens.
const APP: &str = r#"
import socket, sys, time, os
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", int(sys.argv[1])))
listener.listen(16)
held = bytearray(os.urandom(1024)) * (100 * 1024)
with open(sys.argv[2] + ".new", "w") as file:
    file.write(str(os.getpid()))
os.rename(sys.argv[2] + ".new", sys.argv[2])
while True:
    end = time.process_time() + 0.005
    while time.process_time() < end:
        pass
    time.sleep(0.005)
"#;

/// A process that ends with the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn app(port: u16, pid_file: &Path) -> Killed {
    let before = fs::read_to_string(pid_file).unwrap_or_default();
    let mut command = Command::new("python3");
    command.args(["-c", APP, &port.to_string()]).arg(pid_file);
    let app = Killed(command.stdin(Stdio::null()).spawn().unwrap());
    wait_for("the app to start", || {
        let pid = fs::read_to_string(pid_file).unwrap_or_default();
        (pid != before && pid == app.0.id().to_string()).then_some(())
    });
    app
}

/// CPU time of a process in seconds, by its own `stat`, with that of children that have ended: `python3` may be a script that
/// looks for the real one.
fn cpu(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks = |index: usize| fields[index].parse::<f64>().unwrap();
    (ticks(11) + ticks(12) + ticks(13) + ticks(14)) / 100.0
}

struct Prometheus {
    address: SocketAddr,
    _process: Killed,
    _folder: TempDir,
}

impl Prometheus {
    /// Scrapes these addresses, each as a job of its own, every second.
    fn scraping(jobs: &[(&str, SocketAddr)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config =
            "global: { scrape_interval: 1s, scrape_timeout: 1s }\nscrape_configs:\n".to_owned();
        for (job, address) in jobs {
            config += &format!(
                "- {{ job_name: {job}, static_configs: [{{ targets: [\"{address}\"] }}] }}\n"
            );
        }
        let file = folder.path().join("prometheus.yml");
        fs::write(&file, config).unwrap();
        let address = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.path().join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=warn");
        let process = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let process = Killed(process.spawn().unwrap());
        wait_for("Prometheus to listen", || {
            std::net::TcpStream::connect(address).ok()
        });
        Self {
            address,
            _process: process,
            _folder: folder,
        }
    }

    /// The value of a query that has one series.
    fn query(&self, query: &str) -> Option<f64> {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let (status, body) = get(self.address, &format!("/api/v1/query?query={encoded}"));
        if status != 200 {
            return None; // not ready yet
        }
        let answer: Value = serde_json::from_str(&body).unwrap();
        answer["data"]["result"][0]["value"][1]
            .as_str()?
            .parse()
            .ok()
    }

    /// Waits until a query gives a value that is wanted.
    fn wait(&self, query: &str, wanted: impl Fn(f64) -> bool) -> f64 {
        wait_for(query, || self.query(query).filter(|value| wanted(*value)))
    }
}

/// Files of a container with a CPU quota, whose process was throttled.
fn fixture(folder: &Path) {
    let write = |path: &str, text: &str| {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let zeros = "0 ".repeat(40);
    write(
        "proc/7/stat",
        &format!("7 (orders) S 1 1 1 0 -1 0 0 0 0 0 250 50 0 0 20 0 1 0 100 {zeros}\n"),
    );
    write("proc/7/cgroup", "0::/app\n");
    write("proc/stat", "btime 1000\n");
    write("cgroup/app/cpu.max", "50000 100000\n");
    write(
        "cgroup/app/cpu.stat",
        "usage_usec 3000000\nnr_periods 40\nnr_throttled 10\nthrottled_usec 1500000\n",
    );
    write("cgroup/app/memory.current", "104857600\n");
}

#[test]
fn queries_of_prometheus_say_what_the_kernel_says() {
    if !is_there("prometheus") || !is_there("python3") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let pid_file = folder.path().join("app.pid");
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut running = app(port, &pid_file);
    let proxy = Proxy::start(&format!(
        "app: {{ port: {port} }}\nlisteners: [{{ port: 0 }}]\nmonitor: {{ process: {{ pidFile: \"{}\", interval: 0s }} }}\n",
        pid_file.display()
    ));
    fixture(folder.path());
    let throttled = Proxy::start(&format!(
        "app: {{ port: {port} }}\nlisteners: [{{ port: 0 }}]\nmonitor: {{ process: {{ command: orders }}, procPath: \"{0}/proc\", cgroupPath: \"{0}/cgroup\" }}\n",
        folder.path().display()
    ));
    let prometheus = Prometheus::scraping(&[
        ("app", proxy.address("status")),
        ("fixture", throttled.address("status")),
    ]);
    prometheus.wait("outrigger_app_up{job=\"app\"}", |value| value == 1.0);

    // CPU: what a later scrape says lies between readings before and after it; two ticks are lost where each is cut.
    let total = "sum(outrigger_app_process_cpu_seconds_total{job=\"app\"})";
    let pid = running.0.id();
    let first = (cpu(pid), prometheus.query(total).unwrap());
    let burnt = prometheus.wait(total, |value| value >= first.1 + 1.0);
    let before = first.0.max(first.1);
    let after = cpu(pid);
    assert!(
        burnt >= before - 0.02 && burnt <= after + 0.02,
        "{first:?} {burnt} {after}"
    );

    // Memory: within 5 % of what the kernel says now.
    let resident = prometheus
        .query("outrigger_app_process_resident_memory_bytes{job=\"app\"}")
        .unwrap();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    let kib: f64 = kib.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(resident >= f64::from(100 << 20), "{resident}");
    assert!(
        (resident / (kib * 1024.0) - 1.0).abs() < 0.05,
        "{resident} {kib} KiB"
    );

    // Three kills.
    let restarts = "outrigger_app_process_restarts_total{job=\"app\"}";
    for kill in 1..=3 {
        drop(running);
        running = app(port, &pid_file);
        prometheus.wait(restarts, |value| value == f64::from(kill));
    }
    assert_eq!(prometheus.query(restarts), Some(3.0));
    let total_after = prometheus.query(total).unwrap();
    assert!(
        total_after >= burnt,
        "a counter that falls: {burnt} {total_after}"
    );

    // Throttling, from the fixture.
    for (query, expected) in [
        ("outrigger_app_cgroup_cpu_throttled_seconds_total", 1.5),
        (
            "outrigger_app_cgroup_cpu_throttled_periods_total / outrigger_app_cgroup_cpu_periods_total",
            0.25,
        ),
        ("outrigger_app_cgroup_cpu_limit_cpus", 0.5),
        ("outrigger_app_cgroup_memory_usage_bytes", 104_857_600.0),
        ("outrigger_app_process_start_time_seconds", 1001.0),
    ] {
        let query = query.replace("_total", "_total{job=\"fixture\"}");
        let query = match query.contains('{') {
            true => query,
            false => format!("{query}{{job=\"fixture\"}}"),
        };
        let value = prometheus.wait(&query, |_| true);
        assert_eq!(value, expected, "{query}");
    }
    drop(running);
}
