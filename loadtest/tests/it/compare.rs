//! The comparison with candidates that every machine has, with programs that send wrong responses
//! or do not run, and with HAProxy where it is installed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use outrigger_loadtest::compare::{
    About, Candidate, Comparison, Cpus, Missing, Outcome, Results, select,
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_outrigger-loadtest");

async fn compare(names: &[&str], candidates: Vec<Candidate>, folder: &Path) -> Results {
    comparison(names, candidates, folder)
        .run(|_| ())
        .await
        .unwrap()
}

fn comparison(names: &[&str], candidates: Vec<Candidate>, folder: &Path) -> Comparison {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let (scenarios, sweeps, memory) = select(&names, false).unwrap();
    Comparison {
        program: PROGRAM.into(),
        candidates,
        scenarios,
        sweeps,
        swept: vec!["haproxy".to_owned()],
        memory,
        connections: 50,
        rounds: 2,
        duration: Duration::from_millis(300),
        at_once: false,
        cpus: Cpus::choose(None, &[]),
        folder: folder.to_path_buf(),
    }
}

fn wrong(results: &Results, row: usize) -> String {
    missing(&results.outcomes[0], row)
}

fn missing(outcome: &Outcome, row: usize) -> String {
    match &outcome.rows[row].figures {
        Err(missing) => missing.text(),
        Ok(figures) => panic!("{figures:?}"),
    }
}

/// A program that is started like HAProxy and stores its port in `$port`.
fn pretender(folder: &Path, script: &str) -> Candidate {
    let program = folder.join("pretender");
    let head = "#!/bin/sh\nport=$(sed -n 's/.*bind 127.0.0.1:\\([0-9]*\\).*/\\1/p' \"$3\")\n";
    fs::write(&program, format!("{head}{script}\n")).unwrap();
    let mut permissions = fs::metadata(&program).unwrap().permissions();
    permissions.set_mode(0o755);
    fs::set_permissions(&program, permissions).unwrap();
    Candidate::Haproxy(program)
}

/// Processes that were started with a path in this folder.
fn left_running(folder: &Path) -> Vec<String> {
    let folder = folder.display().to_string();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|entry| fs::read_to_string(entry.path().join("cmdline")).ok());
    lines
        .filter(|line| line.contains(&folder))
        .map(|line| line.replace('\0', " "))
        .collect()
}

/// No process is left; a killed one may exist a moment longer.
fn assert_no_process_left(folder: &Path) {
    for _ in 0..500 {
        if left_running(folder).is_empty() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("{:?}", left_running(folder));
}

#[tokio::test]
async fn without_a_proxy_there_are_rates_and_latencies_and_a_report_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let results = compare(&["h1", "64k"], vec![Candidate::Direct], folder.path()).await;
    assert!(results.is_good(), "{results:?}");
    for outcome in &results.outcomes {
        let figures = outcome.figures("direct").unwrap();
        assert_eq!(figures.rounds.len(), 2);
        for round in &figures.rounds {
            let [least, p50, .., most] = round.latency.unwrap();
            assert!(
                round.rate > 0.0 && round.requests > 0.0 && round.cpu.is_none(),
                "{round:?}"
            );
            assert!(least > 0.0 && least <= p50 && p50 <= most, "{round:?}");
        }
    }
    results.write(&About::default(), folder.path()).unwrap();
    let report = fs::read_to_string(folder.path().join("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["scenarios"][1]["rows"][0]["candidate"], "direct");
    assert!(
        fs::read_to_string(folder.path().join("report.html"))
            .unwrap()
            .contains("<svg")
    );
    assert_no_process_left(folder.path());
}

#[tokio::test]
async fn a_proxy_that_does_not_run_is_named_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let candidates = vec![
        Candidate::Outrigger(PathBuf::from("/bin/false")),
        Candidate::Envoy(folder.path().join("none")),
    ];
    let results = compare(&["h1"], candidates, folder.path()).await;
    assert!(wrong(&results, 0).contains("not run: ended"), "{results:?}");
    assert!(
        wrong(&results, 1).contains("not run: cannot be started"),
        "{results:?}"
    );
    assert!(!results.is_good());
    let text = results.to_markdown(&About::default());
    assert!(
        text.contains("| outrigger |") && text.contains("| envoy "),
        "{text}"
    );
}

#[tokio::test]
async fn answers_that_the_origin_did_not_give_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    // Correct responses, but its own.
    let liar = pretender(
        folder.path(),
        &format!("exec {PROGRAM} origin --listen 127.0.0.1:$port"),
    );
    let results = compare(&["h1"], vec![liar], folder.path()).await;
    let wrong = wrong(&results, 0);
    assert!(
        wrong.contains("WRONG: 40 requests got a response, but the origin received 0"),
        "{wrong}"
    );
    assert!(
        results
            .to_html(&About::default())
            .contains("WRONG: 40 requests")
    );
}

#[tokio::test]
async fn a_proxy_that_breaks_down_has_no_figures() {
    let folder = tempfile::tempdir().unwrap();
    // Listens, and closes every connection at once.
    let script = format!("exec {PROGRAM} simulate --endpoint \"e port=$port reset=100%:head\"");
    let results = compare(
        &["h1"],
        vec![pretender(folder.path(), &script)],
        folder.path(),
    )
    .await;
    let wrong = wrong(&results, 0);
    assert!(
        wrong.contains("WRONG: ") && wrong.contains("failed"),
        "{wrong}"
    );
}

#[tokio::test]
async fn at_once_a_failed_candidate_does_not_affect_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let script = format!("exec {PROGRAM} simulate --endpoint \"e port=$port reset=100%:head\"");
    let candidates = vec![Candidate::Direct, pretender(folder.path(), &script)];
    let at_once = Comparison {
        at_once: true,
        ..comparison(&["h1"], candidates, folder.path())
    };
    let results = at_once.run(|_| ()).await.unwrap();
    assert!(
        missing(&results.outcomes[0], 1).contains("WRONG: "),
        "{results:?}"
    );
    let rounds = &results.outcomes[0].figures("direct").unwrap().rounds;
    assert!(
        rounds.len() == 2 && rounds.iter().all(|round| round.requests > 0.0),
        "{rounds:?}"
    );
    assert_no_process_left(folder.path());
}

#[tokio::test]
async fn haproxy_is_measured_where_it_is_installed() {
    let path = PathBuf::from("/usr/sbin/haproxy");
    if !path.is_file() {
        eprintln!("SKIPPED: haproxy is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let candidates = vec![Candidate::Haproxy(path)];
    let results = compare(
        &["h1", "mtls", "es256", "retries"],
        candidates,
        folder.path(),
    )
    .await;
    for outcome in &results.outcomes {
        let figures = outcome
            .figures("haproxy")
            .unwrap_or_else(|| panic!("{outcome:?}"));
        for round in &figures.rounds {
            let (cpu, user) = (round.cpu.unwrap(), round.user.unwrap());
            assert!(
                cpu > 0.0 && user >= 0.0 && user <= cpu && round.resident.unwrap() > 0.0,
                "{round:?}"
            );
        }
    }
    assert_eq!(results.configurations.len(), 4);
    let candidates = vec![Candidate::Haproxy("/usr/sbin/haproxy".into())];
    let results = compare(&["memory", "growth-endpoints"], candidates, folder.path()).await;
    assert!(results.is_good(), "{results:?}");
    assert!(results.held.iter().all(|row| {
        row.figures
            .as_ref()
            .is_ok_and(|grown| grown.connections == 50)
    }));
    assert_eq!(results.growth[0].points("haproxy").len(), 4);
    assert!(results.growth[0].fit("haproxy").unwrap().abs() < 3.0);
    assert_no_process_left(folder.path());
}

#[tokio::test]
async fn outrigger_is_held_against_itself_without_its_policy_where_it_was_built() {
    // Built by the same run of cargo, when the whole workspace is tested.
    let path = Path::new(PROGRAM).with_file_name("outrigger");
    if !path.is_file() {
        eprintln!("SKIPPED: {} is not built", path.display());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let candidates = vec![
        Candidate::Outrigger(path),
        Candidate::Haproxy("/bin/false".into()),
    ];
    let results = compare(&["policy", "policy-headers"], candidates, folder.path()).await;
    assert!(results.is_good(), "{results:?}");
    for outcome in &results.outcomes {
        let rows: Vec<_> = outcome.rows.iter().map(|row| row.candidate).collect();
        assert_eq!(rows, ["outrigger", "outrigger-bare", "haproxy"]);
        let [with, without] =
            ["outrigger", "outrigger-bare"].map(|name| outcome.figures(name).unwrap());
        assert_eq!((with.rounds.len(), without.rounds.len()), (2, 2));
        assert!(missing(outcome, 2).starts_with("omitted: "), "{outcome:?}");
        // No limit: this is a debug build, on a busy machine.
        let (ratio, _) = outcome.judge(&outcome.scenario.goals[0]);
        assert!(ratio.unwrap().median > 0.0, "{outcome:?}");
    }
    // Both were recorded, and were the processes that ran.
    assert_eq!(
        results.configurations.len(),
        2,
        "{:?}",
        results.configurations
    );
    for (name, has) in [("outrigger", true), ("outrigger-bare", false)] {
        let file = folder
            .path()
            .join("policy")
            .join(name)
            .join("outrigger.yaml");
        assert_eq!(
            fs::read_to_string(file).unwrap().contains("hedge"),
            has,
            "{name}"
        );
        let shown = results
            .configurations
            .iter()
            .find(|one| one.candidate == name)
            .unwrap();
        assert_eq!(shown.files[0].1.contains("hedge"), has, "{name}");
        assert_eq!(shown.scenarios, ["policy", "policy-headers"]);
        assert_eq!(shown.command, "outrigger run -c outrigger.yaml");
    }
    assert_no_process_left(folder.path());
}

#[test]
fn an_interrupted_comparison_leaves_nothing_running() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let mut command = Command::new(PROGRAM);
    command.args([
        "compare",
        "--candidates",
        "direct,haproxy",
        "--only",
        "h1",
        "--duration",
        "60s",
        "--out",
    ]);
    let mut child = command.arg(&out).stdout(Stdio::null()).spawn().unwrap();
    // The command line of the origin on the socket contains the folder; it is the second one that
    // is started.
    while !left_running(&out)
        .iter()
        .any(|line| line.contains(" --unix "))
    {
        assert_eq!(child.try_wait().unwrap(), None);
        std::thread::sleep(Duration::from_millis(20));
    }
    let interrupt = Command::new("/bin/kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(interrupt.success());
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert_no_process_left(&out);
}

#[test]
fn wrong_names_are_wrong_usage() {
    for words in [
        ["--only", "nothing"],
        ["--candidates", "apache"],
        ["--swept", "apache"],
    ] {
        let output = Command::new(PROGRAM)
            .arg("compare")
            .args(words)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{words:?}: {output:?}");
    }
    let output = Command::new(PROGRAM)
        .args(["compare", "--list"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains("handshake-mtls ")
            && text.contains("policy-headers ")
            && text.contains("memory ")
            && text.contains("growth-routes "),
        "{text}"
    );
}

#[test]
fn what_is_missing_says_why() {
    assert_eq!(
        Missing::Unable("has no tokens").text(),
        "omitted: has no tokens"
    );
}
