//! The alert rules and the dashboard in `deploy/`: programs that read them have nothing to say, and every metric that they name
//! exists.

use std::{collections::BTreeSet, path::PathBuf, process::Command};

use crate::support::is_there;

fn workspace() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(workspace().join(path)).unwrap()
}

/// The metrics of the reference, with the names of the series of histograms.
fn known() -> BTreeSet<String> {
    let page = read("docs/metrics.md");
    let rows = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `outrigger_"));
    let mut known = BTreeSet::new();
    for row in rows {
        let (name, rest) = row.split_once('`').unwrap();
        let name = format!("outrigger_{name}");
        if rest.contains("| histogram |") {
            known.extend(["_bucket", "_sum", "_count"].map(|suffix| format!("{name}{suffix}")));
        }
        known.insert(name);
    }
    assert!(
        known.len() > 60,
        "the reference has another form now: {known:?}"
    );
    known
}

/// The metrics that a text names.
fn named(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c: char| !is_part(c))
        .filter(|word| word.starts_with("outrigger_"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn rules_and_dashboard_name_metrics_that_exist() {
    let known = known();
    for (file, least) in [
        ("deploy/prometheus-rules.yaml", 20),
        ("deploy/grafana-dashboard.json", 25),
    ] {
        let named = named(&read(file));
        assert!(named.len() >= least, "{file}: {named:?}");
        let unknown: Vec<_> = named.difference(&known).collect();
        assert!(unknown.is_empty(), "{file}: {unknown:?}");
    }
}

#[test]
fn each_panel_of_the_dashboard_has_a_query_and_a_place_of_its_own() {
    let dashboard: serde_json::Value =
        serde_json::from_str(&read("deploy/grafana-dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<_> = panels
        .iter()
        .map(|panel| panel["id"].as_u64().unwrap())
        .collect();
    assert_eq!(ids.len(), panels.len());
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{panel:#}");
        for target in targets {
            let query = target["expr"].as_str().unwrap();
            assert!(
                query.contains("outrigger_") && query.contains("instance=~\"$instance\""),
                "{query}"
            );
        }
    }
}

#[test]
fn promtool_accepts_the_rules() {
    if !is_there("promtool") {
        return;
    }
    let rules = workspace().join("deploy/prometheus-rules.yaml");
    let said = Command::new("promtool")
        .args(["check", "rules"])
        .arg(rules)
        .output()
        .unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&said.stdout),
        String::from_utf8_lossy(&said.stderr)
    );
    assert!(said.status.success() && text.contains("SUCCESS"), "{text}");
}
