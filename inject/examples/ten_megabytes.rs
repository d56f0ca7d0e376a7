//! Prints time and memory for 10 MB of manifests: `cargo run --release -p outrigger-inject
//! --example ten_megabytes`.
//!
//! The manifests are the test cases, repeated with different names.

use std::{fs, path::Path};

use outrigger_inject::{Action, Input, Options, inject, uninject};
use tokio::time::Instant;

const BYTES: usize = 10_000_000;

/// Cases that need no flags.
const CASES: [&str; 8] = [
    "comments_everywhere",
    "custom_resource_definition",
    "helm_output_with_empty_documents",
    "indentless_lists",
    "ingress_and_network_policy",
    "kubectl_output_with_a_status",
    "sidecars_of_their_own",
    "wordpress_and_mysql",
];

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let texts: Vec<String> = CASES
        .iter()
        .map(|name| fs::read_to_string(folder.join(format!("{name}.in.yaml"))).unwrap_or_default())
        .collect();
    let mut text = String::new();
    let mut round = 0;
    while text.len() < BYTES {
        for case in &texts {
            text.push_str("---\n");
            // Names, and the labels in selectors of Services.
            let named = case.replace("name: ", &format!("name: r{round}-"));
            text.push_str(&named.replace("app: ", &format!("app: r{round}-")));
        }
        round += 1;
    }
    let documents = text.matches("\n---").count();
    let input = Input {
        name: "stdin".to_owned(),
        text,
    };
    println!("{} bytes, {documents} documents", input.text.len());
    let before = peak();
    let output = timed("inject", || {
        inject(std::slice::from_ref(&input), &Options::default())
    });
    let injected = output
        .report
        .iter()
        .filter(|line| line.action == Action::Injected)
        .count();
    println!(
        "{injected} workloads; peak memory {} MB, {before} MB of them before",
        peak()
    );
    let again = Input {
        name: "stdin".to_owned(),
        text: output.texts.concat(),
    };
    drop(output);
    let second = timed("inject again", || {
        inject(std::slice::from_ref(&again), &Options::default())
    });
    println!("peak memory {} MB", peak());
    assert!(second.texts[0] == again.text, "twice is once");
    let restored = timed("uninject", || uninject(std::slice::from_ref(&again)));
    assert!(restored.texts[0] == input.text, "every byte is back");
}

fn timed<T>(what: &str, run: impl FnOnce() -> Result<T, Vec<outrigger_inject::Problem>>) -> T {
    let (start, used) = (Instant::now(), processor());
    let result = run();
    let (all, used) = (start.elapsed().as_millis(), processor() - used);
    println!("{what}: {all} ms, {used} ms of them on a processor");
    match result {
        Ok(output) => output,
        Err(problems) => panic!("{}", problems[0]),
    }
}

/// CPU time of this thread in ms: on a busy machine less than the elapsed time.
fn processor() -> u64 {
    let times = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = times
        .split(' ')
        .next()
        .and_then(|first| first.parse::<u64>().ok());
    nanoseconds.unwrap_or(0) / 1_000_000
}

/// The largest resident set of this process, in MB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) / 1000
}
