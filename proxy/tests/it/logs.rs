//! The log shipper in the binary: stdout, metrics, status, reload, errors at the start, and what `kill -9` leaves.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::support::{Proxy, command, live::run_to_end, wait_for, with_servers};

const REST: &str = "app: { port: 1 }\nlisteners: [{ port: 0 }]\nroutes: [{ name: r, directResponse: { status: 200 } }]\n";

/// A folder with `logs/`, and what stands behind `logs:` in it.
fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    fs::create_dir(root.join("logs")).unwrap();
    (folder, root)
}

fn yaml(root: &Path, source: &str, sinks: &str) -> String {
    let root = root.display();
    format!(
        "{REST}logs:\n  stateDir: {root}/state\n  sources: [{{ name: app, paths: [\"{root}/logs/app.log*\"]{source} }}]\n  \
         sinks: [{sinks}]\nlifecycle: {{ shutdownDelay: 0s, drainTimeout: 1s, logFlushTimeout: 20s }}\n"
    )
}

fn start(folder: tempfile::TempDir, yaml: &str) -> Proxy {
    let file = folder.path().join("outrigger.yaml");
    fs::write(&file, with_servers(yaml)).unwrap();
    Proxy::start_file(folder, &file)
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

#[test]
fn records_of_log_files_reach_stdout_metrics_and_status() {
    let (folder, root) = folder();
    let source = ", format: json, redact: [secret], drop: [{ field: level, pattern: debug }]";
    let proxy = start(
        folder,
        &yaml(&root, source, "{ name: console, type: stdout }"),
    );
    append(
        &root.join("logs/app.log"),
        "{\"level\":\"warn\",\"msg\":\"a secret\",\"ts\":1798757999}\nno json\n{\"level\":\"debug\"}\n",
    );
    let record = proxy.logged(|line| line["log.level"] == "warn");
    assert_eq!(record["message"], "a [redacted]");
    assert_eq!(record["@timestamp"], "2026-12-31T22:59:59.000Z");
    let text = proxy.logged(|line| line["message"] == "no json");
    assert!(text["log.parse_error"].is_string());
    wait_for("the counters", || {
        let sent = proxy.metric("outrigger_logs_sent_records_total{sink=\"console\"}");
        (sent == 2.0).then_some(())
    });
    for (series, value) in [
        ("outrigger_logs_read_lines_total{source=\"app\"}", 3.0),
        (
            "outrigger_logs_records_total{source=\"app\",result=\"accepted\"}",
            2.0,
        ),
        (
            "outrigger_logs_records_total{source=\"app\",result=\"filtered\"}",
            1.0,
        ),
        (
            "outrigger_logs_record_problems_total{source=\"app\",problem=\"parse_error\"}",
            1.0,
        ),
        ("outrigger_logs_redactions_total{source=\"app\"}", 1.0),
        ("outrigger_logs_lag_bytes{source=\"app\"}", 0.0),
        ("outrigger_logs_files{source=\"app\"}", 1.0),
        ("outrigger_logs_sink_up{sink=\"console\"}", 1.0),
    ] {
        assert_eq!(proxy.metric(series), value, "{series}");
    }
    let status = proxy.status();
    assert_eq!(status["logs"]["sinks"]["console"]["sent"], 2);
    assert_eq!(status["logs"]["sources"]["app"]["files"], 1);
}

#[test]
fn log_30_the_last_lines_are_sent_at_the_end_of_the_pod() {
    let (folder, root) = folder();
    let out = root.join("out.ndjson");
    let sink = format!("{{ name: out, type: file, path: {} }}", out.display());
    let mut proxy = start(folder, &yaml(&root, "", &sink));
    let text: String = (0..200).map(|n| format!("{n} last\n")).collect();
    append(&root.join("logs/app.log"), &text);
    proxy.signal("TERM");
    assert_eq!(proxy.wait_exit(Duration::from_secs(60)).code(), Some(0));
    assert_eq!(fs::read_to_string(&out).unwrap().lines().count(), 200);
    assert!(proxy.stderr().contains("logs: every record was sent"));
}

#[test]
fn a_reload_adds_changes_and_removes_what_is_shipped() {
    let (folder, root) = folder();
    let proxy = start(folder, REST);
    assert_eq!(proxy.status()["logs"], Value::Null);
    assert!(!proxy.metrics().contains("outrigger_logs_"));
    append(&root.join("logs/app.log"), "one\n");
    let yaml = yaml(&root, "", "{ name: console, type: stdout }");
    proxy.reload_with(&yaml);
    proxy.logged(|line| line["message"] == "one");
    proxy.reload_with(&yaml.replace("name: console", "name: other"));
    append(&root.join("logs/app.log"), "two\n");
    proxy.logged(|line| line["message"] == "two");
    assert_eq!(proxy.stdout().matches("\"one\"").count(), 1);
    // One that cannot be used leaves the old one.
    let bad = yaml.replace(
        "{ name: console, type: stdout }",
        "{ name: x, type: elasticsearch, index: Big, url: \"http://a\" }",
    );
    proxy.write_config(&bad);
    let (status, text) = proxy.admin("POST", "/reload");
    assert_eq!(status, 422);
    assert!(text.contains("it must be in lower case"), "{text}");
    proxy.reload_with(REST);
    append(&root.join("logs/app.log"), "three\n");
    assert!(!proxy.metrics().contains("outrigger_logs_"));
    assert!(!proxy.stdout().contains("three"));
}

#[test]
fn a_state_directory_that_cannot_be_used_is_one_error_at_the_start() {
    let (folder, root) = folder();
    let yaml = yaml(&root, "", "{ name: console, type: stdout }");
    let proxy = start(folder, &yaml);
    let second = tempfile::tempdir().unwrap();
    for (yaml, message) in [
        (yaml.clone(), "is used by another process"),
        (
            yaml.replace("/state", "/outrigger.yaml/x"),
            "must be a directory that this process may write",
        ),
    ] {
        let file = second.path().join("outrigger.yaml");
        fs::write(&file, with_servers(&yaml)).unwrap();
        let output = run_to_end(command().args(["run", "-c"]).arg(&file));
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(message), "{told}");
    }
    drop(proxy);
}

#[test]
fn settings_are_tried_on_a_file_without_sending_anything() {
    let (folder, root) = folder();
    let source = ", multiline: { startPattern: '^\\d' }, redact: [secret]";
    let file = folder.path().join("outrigger.yaml");
    fs::write(
        &file,
        yaml(&root, source, "{ name: console, type: stdout }"),
    )
    .unwrap();
    let log = root.join("sample");
    fs::write(&log, "1 a\n  b\n2 secret\n").unwrap();
    let test = |name: &str| {
        run_to_end(
            command()
                .args(["logs", "test", "--source", name, "-c"])
                .arg(&file)
                .arg(&log),
        )
    };
    let output = test("app");
    let lines = String::from_utf8(output.stdout).unwrap();
    let records: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(records.len(), 2);
    assert_eq!(records[0]["message"], "1 a\n  b");
    assert_eq!(records[1]["message"], "2 [redacted]");
    assert!(String::from_utf8_lossy(&output.stderr).contains("3 lines, 2 records"));
    assert!(!root.join("state").exists());
    let unknown = test("other");
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("the file has: app"));
}

/// Writes numbered lines, and rotates while it does: by renaming, or by copying and truncating while nothing is written.
struct Writer {
    ended: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<usize>>,
}

impl Writer {
    fn start(path: PathBuf, lines: usize, copies: bool) -> Self {
        let ended = Arc::<AtomicBool>::default();
        let done = Arc::clone(&ended);
        let thread = thread::spawn(move || {
            let open = |path: &Path| {
                OpenOptions::new()
                    .create(true)
                    .append(true)
                    .open(path)
                    .unwrap()
            };
            let mut file: File = open(&path);
            let mut rotation = 0;
            for number in 0..lines {
                file.write_all(format!("{number} {}\n", "x".repeat(number % 90)).as_bytes())
                    .unwrap();
                if number % 100 == 99 {
                    thread::sleep(Duration::from_millis(2));
                }
                if number % 5_000 == 4_999 {
                    rotation += 1;
                    let old = format!("{}.{rotation}", path.display());
                    if copies {
                        fs::copy(&path, old).unwrap();
                        file.set_len(0).unwrap();
                    } else {
                        fs::rename(&path, old).unwrap();
                        file = open(&path);
                    }
                }
            }
            done.store(true, SeqCst);
            rotation
        });
        Self {
            ended,
            thread: Some(thread),
        }
    }
}

/// How often each number is in a file of records.
fn counted(out: &Path) -> BTreeMap<usize, usize> {
    let mut counted = BTreeMap::new();
    for line in fs::read_to_string(out).unwrap_or_default().lines() {
        // A line that kill -9 cut short is no record.
        let Ok(record) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        let message = record["message"].as_str().unwrap();
        let number: usize = message.split(' ').next().unwrap().parse().unwrap();
        assert_eq!(
            message.len(),
            format!("{number} ").len() + number % 90,
            "a whole line"
        );
        *counted.entry(number).or_default() += 1;
    }
    counted
}

/// Kills the process again and again while `lines` lines are written and rotated.
fn survives(lines: usize, kills: usize, copies: bool) {
    let (folder, root) = folder();
    let out = root.join("out.ndjson");
    let sink = format!(
        "{{ name: out, type: file, path: {}, maxBytes: 1GiB }}",
        out.display()
    );
    let yaml = yaml(&root, "", &sink);
    let file = folder.path().join("outrigger.yaml");
    fs::write(&file, with_servers(&yaml)).unwrap();
    let mut writer = Writer::start(root.join("logs/app.log"), lines, copies);
    let run = || command().args(["run", "-c"]).arg(&file).spawn().unwrap();
    let mut killed = 0;
    while killed < kills || !writer.ended.load(SeqCst) {
        let mut child = run();
        thread::sleep(Duration::from_millis(300 + 70 * (killed as u64 % 7)));
        child.kill().unwrap();
        child.wait().unwrap();
        killed += 1;
    }
    assert!(writer.thread.take().unwrap().join().unwrap() > 5);
    let mut proxy = Proxy::start_file(folder, &file);
    wait_for("every line", || {
        (counted(&out).len() == lines).then_some(())
    });
    proxy.signal("TERM");
    proxy.wait_exit(Duration::from_secs(60));
    let counted = counted(&out);
    let repeated: usize = counted.values().map(|count| count - 1).sum();
    println!("{lines} lines, {killed} times killed, {repeated} lines twice");
    // What was in flight, or acknowledged and not yet in the checkpoint of the last second.
    assert!(repeated < killed * 20_000, "{repeated}");
    let order: Vec<usize> = counted.keys().copied().collect();
    assert_eq!(order, (0..lines).collect::<Vec<_>>());
}

#[test]
fn rotated_lines_arrive_whole_and_at_least_once_though_the_process_is_killed() {
    survives(60_000, 10, false);
}

#[test]
fn copied_and_truncated_lines_arrive_though_the_process_is_killed() {
    survives(40_000, 5, true);
}

#[test]
#[ignore = "a benchmark of minutes: cargo test -p outrigger --test it -- --ignored a_million_lines"]
fn a_million_lines_survive_ten_kills() {
    survives(1_000_000, 10, false);
}
