//! From files to files and stdout, over stops, starts and full buffers.

use std::{fs, time::Duration};

use outrigger_logs::{
    shipper::StartError,
    sink::SinkKind,
    spool::{Limits, WhenFull},
};

use crate::support::{Bench, Server, file, http, messages, number, numbered, sink, status, until};

#[tokio::test(flavor = "multi_thread")]
async fn lines_arrive_in_every_sink_while_the_file_grows_and_rotates() {
    let out = tempfile::tempdir().unwrap();
    let target = out.path().join("out.ndjson");
    let sinks = vec![
        file("file", target.clone()),
        sink("console", SinkKind::Stdout),
    ];
    let mut bench = Bench::new("app.log", sinks);
    bench.start();
    for round in 0..20 {
        bench.write("app.log", &numbered(round * 100..round * 100 + 50));
        if round % 3 == 2 {
            fs::rename(bench.path("app.log"), bench.path(&format!("old-{round}"))).unwrap();
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
        bench.write("app.log", &numbered(round * 100 + 50..round * 100 + 100));
    }
    until("all lines", || bench.shipped(&target).len() >= 2000).await;
    let ended = bench.stop(Duration::from_secs(10)).await;
    assert_eq!((ended.in_spool, ended.in_files), (0, 0));
    let mut shipped: Vec<usize> = bench
        .shipped(&target)
        .iter()
        .map(|one| number(one))
        .collect();
    let console = messages(std::str::from_utf8(&bench.stdout.lock().unwrap()).unwrap());
    assert_eq!(console.len(), 2000);
    shipped.sort_unstable();
    assert_eq!(shipped, (0..2000).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_again_after_an_orderly_restart() {
    let out = tempfile::tempdir().unwrap();
    let target = out.path().join("out.ndjson");
    let mut bench = Bench::new("*.log", vec![file("file", target.clone())]);
    for round in 0..5 {
        bench.start();
        bench.write("app.log", &numbered(round * 10..round * 10 + 10));
        bench.stop(Duration::from_secs(20)).await;
    }
    let shipped: Vec<usize> = bench
        .shipped(&target)
        .iter()
        .map(|one| number(one))
        .collect();
    assert_eq!(shipped, (0..50).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn log_30_lines_of_the_last_second_are_sent_at_the_end_or_lie_in_the_spool() {
    let server = Server::start(|_| status(503)).await;
    let out = tempfile::tempdir().unwrap();
    let target = out.path().join("out.ndjson");
    let dead = SinkKind::Elasticsearch {
        http: Box::new(http(&server)),
        index: outrigger_logs::sink::Index::new("logs"),
    };
    let sinks = vec![file("file", target.clone()), sink("dead", dead)];
    let mut bench = Bench::new("app.log", sinks);
    bench.start();
    bench.write("app.log", &numbered(0..200));
    bench.write("app.log", "200 has no newline");
    let ended = bench.stop(Duration::from_secs(3)).await;
    assert_eq!(bench.shipped(&target).len(), 201);
    assert_eq!((ended.in_spool, ended.in_files), (201, 0));
    // The files are gone with the pod's app, the spool is still there.
    fs::remove_file(bench.path("app.log")).unwrap();
    bench.settings.sinks.pop();
    bench
        .settings
        .sinks
        .push(file("dead", out.path().join("second.ndjson")));
    bench.start();
    let second = out.path().join("second.ndjson");
    until("the spool", || bench.shipped(&second).len() == 201).await;
    bench.stop(Duration::from_secs(20)).await;
    assert_eq!(bench.shipped(&target).len(), 201);
    assert_eq!(bench.shipped(&second).len(), 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn log_26_a_dead_sink_holds_no_other_up_and_buffer_and_offsets_stay_behind() {
    let server = Server::start(|_| status(503)).await;
    let out = tempfile::tempdir().unwrap();
    let target = out.path().join("out.ndjson");
    let dead = SinkKind::Elasticsearch {
        http: Box::new(http(&server)),
        index: outrigger_logs::sink::Index::new("logs"),
    };
    let sinks = vec![file("file", target.clone()), sink("dead", dead)];
    let mut bench = Bench::new("app.log", sinks);
    bench.settings.limits = Limits {
        memory: 200 << 10,
        disk: 2 << 20,
        when_full: WhenFull::Block,
    };
    bench.start();
    // Far more than memory and disk have room for.
    let lines = 60_000;
    bench.write("app.log", &numbered(0..lines));
    let buffer = &bench.counters.buffer;
    let load =
        |counter: &std::sync::atomic::AtomicU64| counter.load(std::sync::atomic::Ordering::Relaxed);
    until("a full buffer", || {
        assert!(load(&buffer.memory) < 600 << 10, "{}", load(&buffer.memory));
        assert!(load(&buffer.disk) <= 2 << 20);
        load(&buffer.disk) > 1 << 20 && buffer.blocked.load(std::sync::atomic::Ordering::Relaxed)
    })
    .await;
    let before = bench.shipped(&target).len();
    assert!(before > 5_000 && before < lines, "{before}");
    let ended = bench.stop(Duration::from_millis(200)).await;
    assert!(ended.in_spool + ended.in_files >= before as u64);
    // No offset is committed that the dead sink has not acknowledged.
    let checkpoint = fs::read(bench.settings.state_dir.join("checkpoint")).unwrap();
    let checkpoint = outrigger_logs::checkpoint::decode(&checkpoint).unwrap();
    assert!(
        checkpoint.sources["app"]
            .iter()
            .all(|one| one.content.offset == 0)
    );
    // It comes back to life.
    let second = out.path().join("second.ndjson");
    bench.settings.sinks.pop();
    bench.settings.sinks.push(file("dead", second.clone()));
    bench.start();
    until("everything", || bench.shipped(&second).len() >= lines).await;
    bench.stop(Duration::from_secs(20)).await;
    let shipped: Vec<usize> = bench
        .shipped(&second)
        .iter()
        .map(|one| number(one))
        .collect();
    assert_eq!(shipped, (0..lines).collect::<Vec<_>>());
    // The other one may have got again what was in memory, and nothing else.
    let mut other: Vec<usize> = bench
        .shipped(&target)
        .iter()
        .map(|one| number(one))
        .collect();
    other.sort_unstable();
    other.dedup();
    assert_eq!(other, (0..lines).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_directory_of_another_process_or_without_room_is_one_clear_error() {
    let out = tempfile::tempdir().unwrap();
    let mut first = Bench::new("app.log", vec![file("file", out.path().join("a"))]);
    first.start();
    let mut second = Bench::new("app.log", vec![file("file", out.path().join("b"))]);
    second
        .settings
        .state_dir
        .clone_from(&first.settings.state_dir);
    let error = second.try_start().unwrap_err();
    assert!(matches!(error, StartError::State(_)), "{error}");
    assert!(error.to_string().contains("another process"), "{error}");
    first.stop(Duration::from_secs(5)).await;
    second.start();
    second.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_panics_begins_again_and_loses_nothing() {
    let mut bench = Bench::new("app.log", vec![sink("console", SinkKind::Stdout)]);
    bench.panics = 2;
    bench.start();
    for round in 0..5 {
        bench.write("app.log", &numbered(round * 10..round * 10 + 10));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let stdout = std::sync::Arc::clone(&bench.stdout);
    let lines = || messages(std::str::from_utf8(&stdout.lock().unwrap()).unwrap());
    until("all lines", || lines().len() >= 50).await;
    bench.stop(Duration::from_secs(20)).await;
    let numbers: Vec<usize> = lines().iter().map(|one| number(one)).collect();
    assert_eq!(numbers, (0..50).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn other_settings_take_over_without_reading_anything_again() {
    let out = tempfile::tempdir().unwrap();
    let (one, two) = (out.path().join("one"), out.path().join("two"));
    let mut bench = Bench::new("app.log", vec![file("one", one.clone())]);
    bench.start();
    bench.write("app.log", &numbered(0..100));
    until("the first lines", || bench.shipped(&one).len() == 100).await;
    bench.settings.sinks.push(file("two", two.clone()));
    let settings = bench.settings.clone();
    bench
        .shipper
        .as_ref()
        .unwrap()
        .configure(settings)
        .await
        .unwrap();
    bench.write("app.log", &numbered(100..200));
    until("the second sink", || bench.shipped(&two).len() == 100).await;
    bench.stop(Duration::from_secs(20)).await;
    let shipped: Vec<usize> = bench.shipped(&one).iter().map(|one| number(one)).collect();
    assert_eq!(shipped, (0..200).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_sink_rotates_and_keeps_so_many() {
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join("out.ndjson");
    let kind = SinkKind::File {
        path: path.clone(),
        max_bytes: 20_000,
        keep: 2,
    };
    let mut bench = Bench::new("app.log", vec![sink("file", kind)]);
    bench.settings.sinks[0].batch.records = 50;
    bench.start();
    for round in 0..20 {
        bench.write("app.log", &numbered(round * 100..round * 100 + 100));
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    bench.stop(Duration::from_secs(20)).await;
    let mut names: Vec<_> = fs::read_dir(out.path())
        .unwrap()
        .map(|one| one.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["out.ndjson", "out.ndjson.1", "out.ndjson.2"]);
    let kept: Vec<usize> = ["out.ndjson.2", "out.ndjson.1", "out.ndjson"]
        .iter()
        .flat_map(|name| bench.shipped(&out.path().join(name)))
        .map(|one| number(&one))
        .collect();
    assert_eq!(kept.last(), Some(&1999));
    assert!(kept.windows(2).all(|pair| pair[0] + 1 == pair[1]));
}
