//! Random sequences of writes, rotations, truncations, stops and failures: order per file, no loss, bounded repetitions.

use std::{fs, time::Duration};

use outrigger_logs::sink::SinkKind;

use crate::support::{Bench, Server, number, ok, sink, status, until};

/// Takes the answer to a bulk request: all created.
fn created(body: &[u8]) -> Vec<u8> {
    let lines = body.iter().filter(|byte| **byte == b'\n').count();
    let item = r#"{"create":{"status":201}}"#;
    let items = vec![item; lines / 2].join(",");
    format!(r#"{{"errors":false,"items":[{items}]}}"#).into_bytes()
}

fn documents(server: &Server) -> Vec<(usize, String)> {
    let got = server.got.lock().unwrap();
    let mut seen = Vec::new();
    for request in got.iter() {
        let text = std::str::from_utf8(&request.body).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for pair in lines.chunks(2) {
            let document: serde_json::Value = serde_json::from_str(pair[1]).unwrap();
            let action: serde_json::Value = serde_json::from_str(pair[0]).unwrap();
            let id = action["create"]["_id"].as_str().unwrap().to_owned();
            seen.push((number(document["message"].as_str().unwrap()), id));
        }
    }
    seen
}

async fn run(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let server = Server::start(|got| ok(created(&got.body))).await;
    let kind = SinkKind::Elasticsearch {
        http: Box::new(crate::support::http(&server)),
        index: outrigger_logs::sink::Index::new("logs"),
    };
    let mut bench = Bench::new("app.log*", vec![sink("elk", kind)]);
    bench.settings.limits.memory = 64 << 10;
    bench.start();
    let (mut next, mut rotations) = (0, 0);
    for _ in 0..random.usize(20..40) {
        match random.u8(0..10) {
            0..=4 => {
                let count = random.usize(1..400);
                let text: String = (next..next + count)
                    .map(|n| format!("{n} of seed {seed} {}\n", "x".repeat(n % 50)))
                    .collect();
                next += count;
                // Torn in two, as a writer with a buffer does it.
                let middle = random.usize(0..text.len());
                bench.write("app.log", &text[..middle]);
                tokio::time::sleep(Duration::from_millis(random.u64(0..8))).await;
                bench.write("app.log", &text[middle..]);
            }
            5 | 6 if bench.path("app.log").exists() => {
                rotations += 1;
                let old = bench.path(&format!("app.log.{rotations}"));
                fs::rename(bench.path("app.log"), old).unwrap();
            }
            7 => {
                server.say([status(503), crate::support::Answer::Reset]);
            }
            8 => {
                let limit = Duration::from_millis(random.u64(0..300));
                bench.stop(limit).await;
                bench.start();
            }
            _ => tokio::time::sleep(Duration::from_millis(random.u64(0..60))).await,
        }
    }
    let all = || {
        let mut seen: Vec<usize> = documents(&server).into_iter().map(|one| one.0).collect();
        seen.sort_unstable();
        seen.dedup();
        seen.len()
    };
    until(&format!("seed {seed}: {next} lines"), || all() == next).await;
    bench.stop(Duration::from_secs(20)).await;
    // A record that came again has the id that it had: an index keeps one.
    let mut ids = std::collections::BTreeMap::new();
    for (number, id) in documents(&server) {
        assert_eq!(
            ids.entry(number).or_insert_with(|| id.clone()),
            &id,
            "seed {seed}: {number}"
        );
    }
    // In order for each file, but for requests that were repeated as they were.
    let mut first = std::collections::BTreeSet::new();
    let mut order: Vec<(String, u64, usize)> = Vec::new();
    for (number, id) in documents(&server) {
        if first.insert(number) {
            let (key, offset) = id.split_once('-').unwrap();
            order.push((
                key.to_owned(),
                u64::from_str_radix(offset, 16).unwrap(),
                number,
            ));
        }
    }
    let mut last = std::collections::BTreeMap::new();
    for (key, offset, number) in order {
        if let Some(before) = last.insert(key, offset) {
            assert!(before < offset, "seed {seed}: {number}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn random_sequences_lose_nothing_and_keep_the_order_of_each_file() {
    for seed in 0..6 {
        run(seed).await;
    }
}
