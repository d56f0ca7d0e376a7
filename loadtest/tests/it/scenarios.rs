//! The scenarios with candidates that every machine has: no proxy at all, programs that are no
//! proxies, and HAProxy where it is installed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use outrigger_loadtest::load::FailureKind;
use outrigger_loadtest::scenarios::{
    Candidate, Comparison, Missing, Outcome, Results, Scenario, select,
};

/// A scenario of the catalogue with a rate that a busy machine can handle, and hardly any warm-up.
fn scenario(name: &str) -> Scenario {
    let all = select(&[name.to_owned()]).unwrap();
    let found = all
        .into_iter()
        .find(|scenario| scenario.name == name)
        .unwrap();
    Scenario {
        rate: 100.0,
        warmup: Duration::from_millis(100),
        ..found
    }
}

async fn compare(
    scenario: Scenario,
    candidates: Vec<Candidate>,
    folder: &Path,
) -> (Outcome, Results) {
    let comparison = Comparison {
        scenarios: vec![scenario],
        candidates,
        without: Vec::new(),
        rounds: 2,
        duration: Duration::from_secs(1),
        folder: folder.to_path_buf(),
    };
    let results = comparison.run(|_| ()).await;
    (results.outcomes[0].clone(), results)
}

#[tokio::test]
async fn without_a_proxy_the_client_sees_what_the_endpoints_do() {
    let folder = tempfile::tempdir().unwrap();
    let mut failing = scenario("failing-10");
    failing.endpoints[2].behaviour = "fail=100%";
    let (outcome, results) = compare(failing, vec![Candidate::Direct], folder.path()).await;
    let figures = outcome.rows[0].figures.as_ref().unwrap();
    // All of c's third fails, and one in ten of the rest.
    assert!((50.0..67.0).contains(&figures.success()), "{figures:?}");
    assert!(
        figures.failures()[&FailureKind::Status(503)] >= 66,
        "{figures:?}"
    );
    assert_eq!(
        (figures.offered(), figures.received(), figures.most()),
        (222, 222, 1)
    );
    assert!(
        outcome.verdicts.is_empty() && results.is_good(),
        "{outcome:?}"
    );
    let table = results.to_markdown();
    assert!(
        table.contains("## failing-10\n") && table.contains("| direct | "),
        "{table}"
    );
    assert_eq!(results.to_json()[0]["rows"][0]["figures"]["offered"], 222);
}

#[tokio::test]
async fn a_proxy_that_does_not_run_has_no_figures_and_no_claim_held() {
    let folder = tempfile::tempdir().unwrap();
    let candidates = vec![
        Candidate::Outrigger(PathBuf::from("/bin/false")),
        Candidate::Envoy(folder.path().join("none")),
    ];
    let (outcome, results) = compare(scenario("storm"), candidates, folder.path()).await;
    for (row, word) in outcome.rows.iter().zip(["ended", "cannot be started"]) {
        let Err(Missing::NotRun(why)) = &row.figures else {
            panic!("{row:?}")
        };
        assert!(why.contains(word), "{why}");
    }
    assert!(
        outcome.verdicts.len() == 1 && !outcome.verdicts[0].1.is_held(),
        "{outcome:?}"
    );
    assert!(!results.is_good());
    assert!(
        folder
            .path()
            .join("storm/outrigger/outrigger.yaml")
            .is_file()
    );
}

#[tokio::test]
async fn a_program_that_answers_without_the_upstream_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("liar");
    // An own origin at the given port: correct responses, but not those of the upstream.
    let script = format!(
        "#!/bin/sh\nport=$(sed -n 's/.*bind 127.0.0.1:\\([0-9]*\\).*/\\1/p' \"$3\")\n\
         exec {} origin --listen 127.0.0.1:$port\n",
        env!("CARGO_BIN_EXE_outrigger-loadtest")
    );
    std::fs::write(&program, script).unwrap();
    let mut permissions = std::fs::metadata(&program).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o755);
    std::fs::set_permissions(&program, permissions).unwrap();
    let mut healthy = scenario("healthy");
    // As long as the response to `/`.
    healthy
        .endpoints
        .iter_mut()
        .for_each(|endpoint| endpoint.behaviour = "body=13");
    let (outcome, results) =
        compare(healthy, vec![Candidate::Haproxy(program)], folder.path()).await;
    let Err(Missing::Unverified(doubts)) = &outcome.rows[0].figures else {
        panic!("{outcome:?}")
    };
    assert!(
        doubts
            .iter()
            .any(|doubt| doubt.contains("the upstream sent 0")),
        "{doubts:?}"
    );
    assert!(!results.is_good());
    assert!(
        results.to_markdown().contains("not verified: "),
        "{}",
        results.to_markdown()
    );
}

#[tokio::test]
async fn haproxy_hides_single_failures_and_adds_to_a_storm() {
    let path = PathBuf::from("/usr/sbin/haproxy");
    if !path.is_file() {
        eprintln!("SKIPPED: haproxy is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let candidates = || vec![Candidate::Haproxy(path.clone())];
    let (outcome, _) = compare(scenario("failing-10"), candidates(), folder.path()).await;
    let figures = outcome.rows[0].figures.as_ref().unwrap();
    assert!(
        figures.success() > 95.0 && figures.most() > 1,
        "{figures:?}"
    );
    let mut storm = scenario("storm");
    // With health checks it soon ejects all endpoints and forwards nothing.
    storm.variants[0].settings.health = false;
    let (outcome, _) = compare(storm, candidates(), folder.path()).await;
    let figures = outcome.rows[0].figures.as_ref().unwrap();
    assert!(
        figures.success() < 1.0 && figures.attempts() > 1.0,
        "{figures:?}"
    );
}
