//! Generates the table of `docs/metrics.md`, and tests that it is up to date.

use std::{fmt::Write, fs, path::Path};

use super::family::{ALL, Kind};
use crate::telemetry::handshakes::{self, Failure};

const MARKER: &str = "<!-- Generated from proxy/src/telemetry/metrics/family.rs. UPDATE_DOCS=1 cargo test -p outrigger --lib metrics -->\n";

fn table() -> String {
    let mut table = "\n| metric | type | labels | meaning |\n|---|---|---|---|\n".to_owned();
    for (about, labels) in ALL {
        let kind = about.kind.as_str(false);
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, labels, details) = (about.name, labels.join(", "), about.details);
        let space = if details.is_empty() { "" } else { " " };
        writeln!(
            table,
            "| `{name}` | {kind} | {labels} | {}{space}{details} |",
            about.help
        )
        .unwrap();
    }
    table.push_str("\n## TLS handshake failures of clients\n\n| reason | meaning |\n|---|---|\n");
    for failure in <Failure as handshakes::Reason>::ALL {
        writeln!(table, "| `{}` | {} |", failure.as_str(), failure.meaning()).unwrap();
    }
    table
}

#[test]
fn the_documentation_has_every_metric_as_the_table_has_it() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    let page = fs::read_to_string(&path).unwrap();
    let (by_hand, generated) = page.split_once(MARKER).expect("the marker is on the page");
    let table = table();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, format!("{by_hand}{MARKER}{table}")).unwrap();
        return;
    }
    assert_eq!(generated, table, "run the command above the table");
}

#[test]
fn names_follow_the_conventions_of_prometheus() {
    for (about, labels) in ALL {
        let name = about.name;
        assert!(name.starts_with("outrigger_"), "{name}");
        assert_eq!(
            name.ends_with("_total"),
            about.kind == Kind::Counter,
            "{name}"
        );
        assert_eq!(name.ends_with("_info"), about.kind == Kind::Info, "{name}");
        assert!(about.help.ends_with('.'), "{name}: help is a sentence");
        assert!(!labels.contains(&"le"), "{name}: le belongs to histograms");
        // A gauge `x` and a counter `x_total` are one family in OpenMetrics.
        let family = about.open_metrics_name();
        let twins = ALL
            .iter()
            .filter(|(other, _)| other.open_metrics_name() == family);
        assert_eq!(twins.count(), 1, "{name}: the family {family} exists twice");
    }
}
