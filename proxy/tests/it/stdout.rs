//! The access log with a slow, non-blocking or closed stdout.

use std::{
    collections::HashSet,
    io::{BufRead, BufReader, PipeWriter},
    process::{Command, Stdio},
    thread,
};

use crate::support::{
    Proxy, command, wait_for,
    wire::{Wire, header, status},
    with_servers,
};

const YAML: &str = "workers: 1\napp: { port: 1 }\nlisteners: [{ port: 0 }]\n\
                    routes: [{ name: r, directResponse: { status: 200 } }]\n";

const DROPPED: &str = "outrigger_access_log_dropped_total";

/// A proxy, started by a command that gets the file as its last argument.
fn start(mut command: Command) -> Proxy {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("outrigger.yaml");
    std::fs::write(&file, with_servers(YAML)).unwrap();
    Proxy::spawn(folder, command.arg(&file))
}

fn writing_to(stdout: PipeWriter) -> Proxy {
    let mut command = command();
    command.args(["run", "-c"]).stdout(Stdio::from(stdout));
    start(command)
}

/// One request for each number.
fn ask(proxy: &Proxy, numbers: std::ops::Range<usize>) {
    let mut wire = Wire::connect(proxy.inbound());
    for number in numbers {
        wire.send(format!("GET /{number} HTTP/1.1\r\nhost: a\r\n\r\n"));
        let head = wire.head();
        assert_eq!(status(&head), 200, "{head}");
        wire.exactly(
            header(&head, "content-length")
                .unwrap_or("0")
                .parse()
                .unwrap(),
        );
    }
}

/// How often stderr says so.
fn told(proxy: &Proxy, text: &str) -> usize {
    proxy
        .stderr()
        .lines()
        .filter(|line| line.contains(text))
        .count()
}

/// The first requests fill the pipe several times over before it is read; the queue has room for
/// them.
#[test]
fn a_full_non_blocking_stdout_loses_no_line_and_cuts_none() {
    const BEFORE: usize = 500;
    const ALL: usize = 3_000;
    let (reader, writer) = std::io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    let mut proxy = writing_to(writer);
    ask(&proxy, 0..BEFORE);
    let lines = thread::spawn(move || {
        BufReader::new(reader)
            .lines()
            .map(Result::unwrap)
            .collect::<Vec<_>>()
    });
    ask(&proxy, BEFORE..ALL);
    assert_eq!(proxy.metric(DROPPED), 0.0);
    proxy.signal("TERM");
    assert!(proxy.wait_exit(crate::support::PATIENCE).success());
    let lines = lines.join().unwrap();
    let path = |line: &String| {
        let line: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|_| panic!("cut: {line}"));
        line["path"].as_str().unwrap().to_owned()
    };
    let paths: HashSet<String> = lines.iter().map(path).collect();
    assert_eq!((lines.len(), paths.len()), (ALL, ALL));
}

#[test]
fn a_stdout_that_its_reader_closed_is_told_once_and_its_lines_are_counted() {
    let (reader, writer) = std::io::pipe().unwrap();
    let proxy = writing_to(writer);
    drop(reader);
    for number in 0..3 {
        ask(&proxy, number..number + 1);
        wait_for("a lost line", || {
            (proxy.metric(DROPPED) > number as f64).then_some(())
        });
    }
    wait_for("the line on stderr", || {
        (told(&proxy, "stdout is closed") > 0).then_some(())
    });
    assert_eq!(told(&proxy, "stdout is closed"), 1, "{}", proxy.stderr());
}

#[test]
fn a_stdout_that_was_closed_before_the_start_is_told_once() {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "exec \"$0\" run -c \"$1\" >&-"])
        .arg(command().get_program());
    shell
        .env_remove("OUTRIGGER_CONFIG")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let proxy = start(shell);
    ask(&proxy, 0..1);
    wait_for("the line on stderr", || {
        (told(&proxy, "access log is discarded") > 0).then_some(())
    });
    ask(&proxy, 1..2);
    assert_eq!(
        told(&proxy, "access log is discarded"),
        1,
        "{}",
        proxy.stderr()
    );
}
