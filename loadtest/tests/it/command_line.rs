//! The binary itself: exit codes, JSON and the line that tells the address.

use std::process::{Command, Output, Stdio};

use outrigger_loadtest::origin::Origin;
use tokio::io::{AsyncBufReadExt, BufReader};

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_outrigger-loadtest"));
    command.args(arguments);
    command
}

async fn run(url: &str, more: &[&str]) -> Output {
    let arguments: Vec<_> = ["run", url, "--requests", "20"]
        .iter()
        .chain(more)
        .copied()
        .collect();
    tokio::process::Command::from(command(&arguments))
        .output()
        .await
        .unwrap()
}

#[tokio::test]
async fn the_exit_code_tells_good_from_failed_from_wrong_usage() {
    let origin = Origin::start().await.unwrap();
    let cases: [(&str, &[&str], i32); 10] = [
        ("/", &[], 0),
        (
            "/",
            &[
                "--http2",
                "--streams",
                "4",
                "--expect-same",
                "--expect-length",
                "13",
            ],
            0,
        ),
        (
            "/echo",
            &[
                "--method",
                "POST",
                "--body-size",
                "64k",
                "--header",
                "x-a: b",
                "--threads",
                "2",
            ],
            0,
        ),
        (
            "/a/b",
            &["--grpc", "--http2", "--streams", "4", "--body-size", "100"],
            0,
        ),
        ("/a/b", &["--grpc", "--method", "POST"], 2),
        ("/status/404", &["--expect-status", "200,404"], 0),
        ("/status/404", &[], 1),
        ("/", &["--expect-length", "12"], 1),
        ("/", &["--streams", "4"], 2),
        ("/", &["--connections", "0"], 2),
    ];
    for (path, more, code) in cases {
        let output = run(&origin.url(path), more).await;
        assert_eq!(
            output.status.code(),
            Some(code),
            "{path} {more:?}: {output:?}"
        );
    }
    let missing = "/nowhere/ca.pem";
    for (url, more) in [
        ("https://127.0.0.1/", &[][..]),
        ("https://127.0.0.1/", &["--ca", missing]),
        ("https://127.0.0.1/", &["--ca", missing, "--cert", missing]),
        ("https://127.0.0.1/", &["--server-name", "a"]),
        ("http://127.0.0.1/", &["--ca", missing]),
        ("http://127.0.0.1/", &["--handshakes"]),
        (
            "https://127.0.0.1/",
            &["--ca", missing, "--handshakes", "--http2"],
        ),
        ("https://127.0.0.1/", &["--ca", missing, "--resume"]),
        ("http://127.0.0.1/", &["--bearer-file", missing]),
        ("http://127.0.0.1/", &["--hold", "1s"]),
        ("http://127.0.0.1/", &["--source-addresses", "0"]),
    ] {
        let output = run(url, more).await;
        assert_eq!(output.status.code(), Some(2), "{url} {more:?}: {output:?}");
    }
}

#[tokio::test]
async fn json_has_the_stdout_to_itself() {
    let origin = Origin::start().await.unwrap();
    let output = run(&origin.url("/status/503"), &["--json"]).await;
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&report["requests"], &report["failures"]["status 503"]),
        (&20.into(), &20.into())
    );
    assert!(report["latency_us"].is_null());
    let output = run(&origin.url("/"), &["--json", "--rate", "1000"]).await;
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["latency_us"]["p99.9"].as_f64().unwrap() > 0.0);
    assert!(report["send_lag_us"]["max"].is_number());
}

#[tokio::test]
async fn an_origin_says_where_it_listens_and_serves_there() {
    let arguments = ["origin", "--listen", "127.0.0.1:0", "--name", "green"];
    let mut child = tokio::process::Command::from(command(&arguments));
    let mut child = child
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .await
        .unwrap();
    let address = line.trim_end().strip_prefix("listening address=").unwrap();
    assert_eq!(
        run(&format!("http://{address}/bytes/1000"), &[])
            .await
            .status
            .code(),
        Some(0)
    );
}

#[tokio::test]
async fn a_simulator_says_where_its_endpoints_are_and_counts_numbered_requests() {
    let arguments = [
        "simulate",
        "--endpoint",
        "good body=1k",
        "--endpoint",
        "fail=100%",
    ];
    let mut child = tokio::process::Command::from(command(&arguments));
    let mut child = child
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut printed = Vec::new();
    for prefix in [
        "listening name=good address=",
        "listening name=e1 address=",
        "listening control=",
    ] {
        let line = lines.next_line().await.unwrap().unwrap();
        printed.push(
            line.strip_prefix(prefix)
                .unwrap_or_else(|| panic!("{line}"))
                .to_owned(),
        );
    }
    let number = ["--number-from", "0"];
    assert_eq!(
        run(&format!("http://{}/", printed[0]), &number)
            .await
            .status
            .code(),
        Some(0)
    );
    assert_eq!(
        run(&format!("http://{}/", printed[1]), &number)
            .await
            .status
            .code(),
        Some(1)
    );
    let stats = run(&format!("http://{}/stats", printed[2]), &["--json"]).await;
    assert_eq!(stats.status.code(), Some(0), "{stats:?}");
}

#[test]
fn a_behaviour_that_makes_no_sense_is_wrong_usage() {
    let output = command(&["simulate", "--endpoint", "slow latency=soon"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("latency"),
        "{output:?}"
    );
}

#[test]
fn scenarios_are_listed_and_an_unknown_one_is_wrong_usage() {
    let output = command(&["scenarios", "--list"]).output().unwrap();
    let list = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && list.lines().any(|line| line.starts_with("storm ")),
        "{list}"
    );
    let output = command(&["scenarios", "--only", "weather"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

/// The binary in a separate folder, with no other program beside it or in the path.
fn alone(folder: &std::path::Path, arguments: &[&str]) -> Output {
    let program = folder.join("outrigger-loadtest");
    if !program.exists() {
        std::fs::copy(env!("CARGO_BIN_EXE_outrigger-loadtest"), &program).unwrap();
    }
    let mut command = Command::new(program);
    command
        .args(arguments)
        .args(["--only", "h1", "--quick", "--out"])
        .arg(folder.join("out"));
    command.env("PATH", "").output().unwrap()
}

#[test]
fn a_candidate_that_is_named_and_missing_is_wrong_usage_and_one_that_is_not_named_is_skipped() {
    let folder = tempfile::tempdir().unwrap();
    for (name, help) in [
        ("outrigger", "--outrigger PATH"),
        ("pingora", "loadtest/peers/pingora"),
    ] {
        let output = alone(
            folder.path(),
            &["compare", "--candidates", &format!("direct,{name}")],
        );
        let printed = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{printed}");
        assert!(
            printed.contains(&format!("--candidates: {name} ")) && printed.contains(help),
            "{printed}"
        );
    }
    let given = [
        "compare",
        "--candidates",
        "haproxy",
        "--haproxy",
        "/nowhere/haproxy",
    ];
    let output = alone(folder.path(), &given);
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{printed}");
    assert!(printed.contains("/nowhere/haproxy"), "{printed}");

    let output = alone(folder.path(), &["compare"]);
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        printed.contains("SKIPPED outrigger: ") && printed.contains("SKIPPED pingora: "),
        "{printed}"
    );
    assert!(!printed.contains("--candidates"), "{printed}");
}

#[cfg(unix)]
#[test]
fn the_outrigger_beside_it_is_compared() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/bin/false", folder.path().join("outrigger")).unwrap();
    let output = alone(folder.path(), &["compare", "--candidates", "outrigger"]);
    // It was started, and ended.
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(printed.contains("outrigger"), "{printed}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_process_can_be_kept_on_one_processor() {
    for subcommand in [&["origin"][..], &["simulate", "--endpoint", "body=1"]] {
        let arguments = [subcommand, &["--cpu", "0"]].concat();
        let mut child = tokio::process::Command::from(command(&arguments));
        let mut child = child
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .await
            .unwrap();
        let process = format!("/proc/{}/task", child.id().unwrap());
        for thread in std::fs::read_dir(process).unwrap() {
            let status = std::fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
            assert!(
                status.contains("Cpus_allowed_list:\t0\n"),
                "{subcommand:?}: {status}"
            );
        }
    }
    let origin = Origin::start().await.unwrap();
    assert_eq!(
        run(&origin.url("/"), &["--cpu", "0"]).await.status.code(),
        Some(0)
    );
    let nowhere = run(&origin.url("/"), &["--cpu", "1023"]).await;
    assert_eq!(nowhere.status.code(), Some(2), "{nowhere:?}");
    assert!(
        String::from_utf8_lossy(&nowhere.stderr).contains("CPU 1023"),
        "{nowhere:?}"
    );
}

#[tokio::test]
async fn a_run_that_holds_says_when_all_connections_are_open() {
    let origin = Origin::start().await.unwrap();
    let url = origin.url("/");
    let arguments = [
        "run",
        &url,
        "--hold",
        "600s",
        "--connections",
        "20",
        "--json",
    ];
    let mut child = tokio::process::Command::from(command(&arguments));
    let mut child = child
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap())
        .read_line(&mut line)
        .await
        .unwrap();
    assert_eq!(line, "holding connections=20 failed=0\n");
    assert_eq!(origin.stats().open_connections, 20);
    let interrupt = Command::new("kill")
        .arg(child.id().unwrap().to_string())
        .status()
        .unwrap();
    assert!(interrupt.success());
    let output = child.wait_with_output().await.unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&report["held"]["connections"], &report["held"]["open"]),
        (&20.into(), &20.into())
    );
    assert_eq!(output.status.code(), Some(0), "{report}");
}
