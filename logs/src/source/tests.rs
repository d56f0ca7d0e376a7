//! Files as programs write, rotate and lose them; the clock is ours.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{Seek, Write},
    os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};

use super::*;
use crate::record::{Filter, Format, Labels, Mapping, Redact, Timestamps};

/// A folder, a source over it, and what it gave.
struct Bench {
    folder: tempfile::TempDir,
    source: Source,
    counters: Arc<SourceCounters>,
    settings: SourceSettings,
    now: Instant,
    lines: Vec<String>,
    acknowledge: bool,
}

impl Bench {
    fn new(pattern: &str) -> Self {
        Self::with(&[pattern], |_| {})
    }

    fn with(patterns: &[&str], change: impl FnOnce(&mut SourceSettings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let patterns: Vec<String> = patterns
            .iter()
            .map(|one| format!("{}/{one}", root.display()))
            .collect();
        let mut settings = SourceSettings {
            name: "app".into(),
            patterns: Patterns::new(&patterns, &[], &[]).unwrap(),
            start_at_end: false,
            assembler: AssemblerSettings {
                max_line: 256 << 10,
                cri: false,
                multiline: None,
            },
            parser: Parser {
                format: Format::Text,
                mapping: Mapping::default(),
                timestamps: Timestamps::default(),
                redact: Redact::default(),
                filter: Filter::default(),
                labels: Labels::new(&BTreeMap::new()),
            },
        };
        change(&mut settings);
        let counters = Arc::<SourceCounters>::default();
        let now = Instant::now();
        let source = Source::new(settings.clone(), Arc::clone(&counters), None, now);
        Self {
            folder,
            source,
            counters,
            settings,
            now,
            lines: Vec::new(),
            acknowledge: true,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    fn truncate(&self, name: &str) {
        let file = OpenOptions::new()
            .write(true)
            .open(self.path(name))
            .unwrap();
        file.set_len(0).unwrap();
    }

    fn gzip(&self, name: &str, parts: &[&str]) {
        let mut whole = Vec::new();
        for part in parts {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(part.as_bytes()).unwrap();
            whole.extend(encoder.finish().unwrap());
        }
        fs::write(self.path(name), whole).unwrap();
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    fn scan(&mut self) {
        self.source.scan(self.now, false);
    }

    /// Reads all there is; the lines that came.
    fn read(&mut self) -> Vec<String> {
        let mut buffer = vec![0; BLOCK];
        let mut lines = Vec::new();
        while let Some(chunk) = self.source.next_chunk(&mut buffer, self.now) {
            for index in 0..chunk.records.len() {
                let document: serde_json::Value =
                    serde_json::from_slice(chunk.record(index).document).unwrap();
                lines.push(document["message"].as_str().unwrap().to_owned());
            }
            if self.acknowledge {
                self.source
                    .acknowledge(chunk.key, chunk.end, chunk.verified);
            }
        }
        self.lines.extend(lines.iter().cloned());
        lines
    }

    fn look(&mut self) -> Vec<String> {
        self.scan();
        self.read()
    }

    /// Ends, and begins again with what the checkpoint has.
    fn restart(&mut self) {
        let states: Vec<FileState> = self.source.states().collect();
        self.source = Source::new(
            self.settings.clone(),
            Arc::clone(&self.counters),
            Some(states),
            self.now,
        );
    }
}

/// Lines that no other text begins with.
fn numbered(range: std::ops::Range<u32>) -> String {
    range
        .map(|n| format!("line {n} of a log that is long enough\n"))
        .collect()
}

fn numbers(lines: &[String]) -> Vec<u32> {
    lines
        .iter()
        .map(|line| line.split(' ').nth(1).unwrap().parse().unwrap())
        .collect()
}

#[test]
fn a_file_is_read_as_it_grows_and_not_again_after_a_restart() {
    let mut bench = Bench::new("*.log");
    bench.write("app.log", "one\ntwo\nthr");
    assert_eq!(bench.look(), ["one", "two"]);
    bench.write("app.log", "ee\n");
    let path = bench.path("app.log");
    bench.source.written(&path, bench.now);
    assert_eq!(bench.read(), ["three"]);
    bench.restart();
    assert_eq!(bench.look(), [""; 0]);
    bench.write("app.log", "four\n");
    bench.restart();
    assert_eq!(bench.look(), ["four"]);
}

#[test]
fn what_is_not_acknowledged_is_read_again_after_a_restart() {
    let mut bench = Bench::new("*.log");
    bench.write("app.log", "one\n");
    bench.look();
    bench.acknowledge = false;
    bench.write("app.log", "two\n");
    bench.look();
    bench.restart();
    assert_eq!(bench.look(), ["two"]);
}

#[test]
fn log_01_a_renamed_file_is_read_to_its_end_through_its_descriptor() {
    let mut bench = Bench::new("app.log");
    let mut writer = File::create(bench.path("app.log")).unwrap();
    for round in 0..5 {
        writer
            .write_all(numbered(round * 100..round * 100 + 50).as_bytes())
            .unwrap();
        bench.look();
        bench.rename("app.log", &format!("old-{round}"));
        // The writer goes on with its descriptor before it opens the new file.
        writer
            .write_all(numbered(round * 100 + 50..round * 100 + 100).as_bytes())
            .unwrap();
        writer = File::create(bench.path("app.log")).unwrap();
        bench.look();
    }
    bench.pass(1);
    bench.look();
    assert_eq!(numbers(&bench.lines), (0..500).collect::<Vec<_>>());
}

#[test]
fn log_02_the_wait_for_a_rotated_file_runs_from_its_last_byte() {
    let mut bench = Bench::new("app.log");
    bench.write("app.log", &numbered(0..50_000));
    bench.scan();
    bench.rename("app.log", "old");
    // A long time in which nothing is read, because the sinks are slow.
    for _ in 0..100 {
        bench.pass(60);
        bench.source.scan(bench.now, true);
    }
    bench.write("old", &numbered(50_000..50_001));
    assert_eq!(numbers(&bench.look()).len(), 50_001);
    // Now that it is read, it is closed after a while.
    bench.pass(9);
    bench.scan();
    assert_eq!(bench.source.tracked.len(), 1);
    bench.pass(2);
    bench.scan();
    assert_eq!(bench.source.tracked.len(), 0);
    assert_eq!(bench.counters.lost_bytes.load(Relaxed), 0);
}

#[test]
fn log_03_copytruncate_sends_nothing_twice_and_the_rest_once() {
    let mut bench = Bench::new("*.log*");
    bench.write("app.log", &numbered(0..100));
    assert_eq!(bench.look().len(), 100);
    // Lines that were not read before the copy.
    bench.write("app.log", &numbered(100..110));
    fs::copy(bench.path("app.log"), bench.path("app.log.1")).unwrap();
    bench.truncate("app.log");
    bench.write("app.log", &numbered(110..120));
    bench.look();
    bench.look();
    let mut seen = numbers(&bench.lines);
    seen.sort_unstable();
    assert_eq!(seen, (0..120).collect::<Vec<_>>());
}

#[test]
fn log_03_a_copy_that_is_seen_before_the_truncation_waits_for_it() {
    let mut bench = Bench::new("*.log*");
    bench.write("app.log", &numbered(0..100));
    bench.look();
    File::create(bench.path("app.log.1")).unwrap();
    // Empty, then half, then whole.
    bench.look();
    let whole = fs::read(bench.path("app.log")).unwrap();
    fs::write(bench.path("app.log.1"), &whole[..2000]).unwrap();
    bench.look();
    bench.pass(2);
    fs::write(bench.path("app.log.1"), &whole).unwrap();
    bench.look();
    bench.pass(5);
    bench.look();
    bench.truncate("app.log");
    bench.look();
    bench.write("app.log", &numbered(100..110));
    bench.look();
    bench.pass(60);
    bench.look();
    assert_eq!(numbers(&bench.lines), (0..110).collect::<Vec<_>>());
    bench.restart();
    assert_eq!(bench.look(), [""; 0]);
}

#[test]
fn log_04_after_copytruncate_the_file_is_followed_though_the_copy_is_not_in_the_pattern() {
    let mut bench = Bench::new("app.log");
    bench.write("app.log", &numbered(0..100));
    bench.look();
    fs::copy(bench.path("app.log"), bench.path("app.log.1")).unwrap();
    bench.truncate("app.log");
    // The writer is already further than it was.
    bench.write("app.log", &numbered(100..300));
    let path = bench.path("app.log");
    bench.source.written(&path, bench.now);
    bench.read();
    assert_eq!(numbers(&bench.lines), (0..300).collect::<Vec<_>>());
}

#[test]
fn a_line_that_had_only_begun_at_the_truncation_is_whole_in_the_copy_or_sent_as_it_is() {
    for copied in [true, false] {
        let mut bench = Bench::new("app.log*");
        bench.write("app.log", &(numbered(0..100) + "line 100 of"));
        bench.look();
        bench.write("app.log", " a log\n");
        if copied {
            fs::copy(bench.path("app.log"), bench.path("app.log.1")).unwrap();
        }
        bench.truncate("app.log");
        bench.write("app.log", "line 101\n");
        for _ in 0..25 {
            bench.look();
            bench.pass(1);
        }
        let hundred: Vec<&String> = bench
            .lines
            .iter()
            .filter(|one| one.contains("line 100 "))
            .collect();
        assert_eq!(
            hundred,
            [if copied {
                "line 100 of a log"
            } else {
                "line 100 of"
            }]
        );
        assert_eq!(bench.lines.len(), 102);
    }
}

#[test]
fn log_06_a_writer_without_append_leaves_a_hole_that_is_skipped() {
    let mut bench = Bench::new("app.log");
    let mut writer = File::create(bench.path("app.log")).unwrap();
    writer.write_all(numbered(0..2000).as_bytes()).unwrap();
    bench.look();
    bench.truncate("app.log");
    bench.look();
    writer.write_all(b"line 2000 after the hole\n").unwrap();
    assert!(writer.stream_position().unwrap() > 50_000);
    assert_eq!(numbers(&bench.look()), [2000]);
    // A hole of 8 GiB costs nothing.
    let far = 8 << 30;
    writer.write_all_at(b"line 2001 far away\n", far).unwrap();
    assert_eq!(numbers(&bench.look()), [2001]);
}

#[test]
fn log_07_an_inode_that_is_given_again_is_another_file() {
    let mut bench = Bench::new("*.log");
    bench.write("a.log", "finished\n");
    bench.look();
    let inode = fs::metadata(bench.path("a.log")).unwrap().ino();
    fs::remove_file(bench.path("a.log")).unwrap();
    // Read and closed, and the same once more while the shipper is down.
    for round in 0..2 {
        bench.pass(20);
        bench.look();
        bench.pass(20);
        bench.look();
        if round == 1 {
            bench.restart();
        }
        let mut again = false;
        for attempt in 0..200 {
            let name = format!("b{round}-{attempt}.log");
            bench.write(&name, "finished\n");
            again = fs::metadata(bench.path(&name)).unwrap().ino() == inode;
            if again {
                break;
            }
            fs::rename(bench.path(&name), bench.path(&format!("{name}.kept"))).unwrap();
        }
        if !again {
            eprintln!("SKIPPED: the file system gave no inode again");
            return;
        }
        assert_eq!(bench.look(), ["finished"]);
        for entry in fs::read_dir(bench.folder.path()).unwrap().flatten() {
            fs::remove_file(entry.path()).unwrap();
        }
    }
}

#[test]
fn log_08_a_new_file_that_begins_with_what_was_read_goes_on_where_that_ended() {
    let mut bench = Bench::new("app.log");
    bench.write("app.log", &numbered(0..100));
    bench.look();
    for round in 1..4 {
        fs::copy(bench.path("app.log"), bench.path("app.log.tmp")).unwrap();
        bench.write("app.log.tmp", &numbered(round * 100..round * 100 + 100));
        bench.rename("app.log.tmp", "app.log");
        if round == 3 {
            bench.restart();
        }
        bench.look();
    }
    assert_eq!(numbers(&bench.lines), (0..400).collect::<Vec<_>>());
}

#[test]
fn a_file_that_only_begins_like_another_one_is_read_from_its_beginning() {
    let banner = "=".repeat(400) + "\n";
    let mut bench = Bench::new("app.log*");
    bench.write("app.log", &(banner.clone() + "first\n"));
    assert_eq!(bench.look().len(), 2);
    bench.rename("app.log", "app.log.1");
    bench.write("app.log", &(banner.clone() + "second\n"));
    assert_eq!(bench.look()[1..], ["second"]);
    // Also over the same inode.
    fs::write(bench.path("app.log"), banner + "third\n").unwrap();
    assert_eq!(bench.look()[1..], ["third"]);
}

#[test]
fn log_10_empty_files_are_not_the_same_and_a_short_one_does_not_wait() {
    let mut bench = Bench::new("*.log");
    for number in 0..400 {
        bench.write(&format!("{number}.log"), "");
    }
    assert_eq!(bench.look(), [""; 0]);
    assert_eq!(bench.source.tracked.len(), 400);
    bench.write("7.log", "twelve bytes");
    bench.write("8.log", "same\n");
    bench.write("9.log", "same\n");
    assert_eq!(bench.look(), ["same", "same"]);
    bench.pass(6);
    bench.source.expire(bench.now);
    assert_eq!(bench.read(), ["twelve bytes"]);
    bench.restart();
    assert_eq!(bench.look(), [""; 0]);
}

#[test]
fn equal_files_that_are_no_copies_are_all_sent() {
    let mut bench = Bench::new("*.log");
    let content = numbered(0..20);
    bench.write("a.log", &content);
    bench.write("b.log", &content);
    bench.look();
    for _ in 0..12 {
        bench.pass(1);
        bench.look();
    }
    assert_eq!(bench.lines.len(), 40);
}

#[test]
fn log_12_the_rest_of_a_deleted_file_is_read_and_a_full_buffer_does_not_hold_it_for_ever() {
    let mut bench = Bench::new("app.log");
    bench.write("app.log", &numbered(0..10));
    bench.look();
    bench.write("app.log", &numbered(10..20));
    fs::remove_file(bench.path("app.log")).unwrap();
    assert_eq!(numbers(&bench.look()), (10..20).collect::<Vec<_>>());
    bench.pass(11);
    bench.scan();
    assert_eq!(bench.source.tracked.len(), 0);
    // The same while nothing can be read.
    bench.write("app.log", &numbered(0..10));
    bench.scan();
    fs::remove_file(bench.path("app.log")).unwrap();
    bench.pass(500);
    bench.source.scan(bench.now, true);
    assert_eq!(bench.source.tracked.len(), 1);
    bench.pass(110);
    bench.source.scan(bench.now, true);
    assert_eq!(bench.source.tracked.len(), 0);
    bench.pass(61);
    bench.source.scan(bench.now, true);
    let lost = numbered(0..10).len() as u64;
    assert_eq!(bench.counters.lost_bytes.load(Relaxed), lost);
}

#[test]
fn log_13_a_compressed_rotated_file_is_known_and_its_rest_is_sent_once() {
    let mut bench = Bench::new("app.log*");
    bench.write("app.log", &numbered(0..100));
    bench.look();
    bench.write("app.log", &numbered(100..110));
    let whole = fs::read_to_string(bench.path("app.log")).unwrap();
    bench.gzip("app.log.1.gz", &[&whole]);
    fs::remove_file(bench.path("app.log")).unwrap();
    bench.write("app.log", &numbered(110..120));
    for _ in 0..20 {
        bench.look();
        bench.pass(1);
    }
    let mut seen = numbers(&bench.lines);
    seen.sort_unstable();
    assert_eq!(seen, (0..120).collect::<Vec<_>>());
    bench.rename("app.log.1.gz", "app.log.2.gz");
    bench.restart();
    bench.look();
    bench.pass(5);
    assert_eq!(bench.look(), [""; 0]);
}

#[test]
fn log_13_rotation_and_compression_while_the_shipper_is_down() {
    let mut bench = Bench::new("app.log*");
    bench.write("app.log", &numbered(0..50));
    bench.look();
    bench.write("app.log", &numbered(50..100));
    let whole = fs::read_to_string(bench.path("app.log")).unwrap();
    fs::remove_file(bench.path("app.log")).unwrap();
    bench.gzip("app.log.2.gz", &[&whole]);
    bench.write("app.log.1", &numbered(100..200));
    bench.write("app.log", &numbered(200..300));
    bench.restart();
    for _ in 0..5 {
        bench.look();
        bench.pass(1);
    }
    let mut seen = numbers(&bench.lines);
    seen.sort_unstable();
    assert_eq!(seen, (0..300).collect::<Vec<_>>());
}

#[test]
fn log_14_all_members_of_a_compressed_file_are_read_once() {
    let mut bench = Bench::new("*.gz");
    bench.gzip("a.gz", &[&numbered(0..50), &numbered(50..100)]);
    bench.look();
    bench.pass(3);
    bench.look();
    assert_eq!(numbers(&bench.lines), (0..100).collect::<Vec<_>>());
    bench.restart();
    bench.look();
    bench.pass(3);
    assert_eq!(bench.look(), [""; 0]);
}

#[test]
fn a_broken_compressed_file_is_no_garbage_and_no_loop() {
    let mut bench = Bench::new("*.gz");
    bench.gzip("a.gz", &[&numbered(0..5000)]);
    let mut bytes = fs::read(bench.path("a.gz")).unwrap();
    let half = bytes.len() / 2;
    bytes.truncate(half);
    fs::write(bench.path("a.gz"), bytes).unwrap();
    for _ in 0..5 {
        bench.look();
        bench.pass(3);
    }
    let seen = numbers(&bench.lines);
    assert_eq!(seen, (0..seen.len() as u32).collect::<Vec<_>>());
    // Whole at last.
    bench.gzip("a.gz", &[&numbered(0..5000)]);
    for _ in 0..5 {
        bench.look();
        bench.pass(3);
    }
    let mut seen = numbers(&bench.lines);
    seen.dedup();
    assert!(seen.ends_with(&(4000..5000).collect::<Vec<_>>()));
}

#[test]
fn log_15_a_link_that_is_pointed_elsewhere_brings_the_new_target() {
    let mut bench = Bench::new("current.log");
    bench.write("a", "one\n");
    symlink("a", bench.path("current.log")).unwrap();
    assert_eq!(bench.look(), ["one"]);
    bench.write("b", "two\n");
    fs::remove_file(bench.path("current.log")).unwrap();
    bench.look();
    symlink("b", bench.path("current.log")).unwrap();
    assert_eq!(bench.look(), ["two"]);
}

#[test]
fn log_16_an_unreadable_file_is_counted_and_read_when_it_may_be() {
    if rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: root may read every file");
        return;
    }
    let mut bench = Bench::new("app.log");
    bench.write("app.log", "one\n");
    let set = |bench: &Bench, mode| {
        fs::set_permissions(bench.path("app.log"), fs::Permissions::from_mode(mode)).unwrap();
    };
    set(&bench, 0o000);
    for _ in 0..3 {
        assert_eq!(bench.look(), [""; 0]);
    }
    bench.source.show_lag(0);
    assert_eq!(bench.counters.unreadable.load(Relaxed), 1);
    set(&bench, 0o600);
    assert_eq!(bench.look(), ["one"]);
    bench.source.show_lag(0);
    assert_eq!(bench.counters.unreadable.load(Relaxed), 0);
}

#[test]
fn log_17_another_device_number_after_a_remount_is_the_same_file() {
    let mut bench = Bench::new("app.log");
    bench.write("app.log", "one\n");
    bench.look();
    let mut states: Vec<FileState> = bench.source.states().collect();
    states.iter_mut().for_each(|state| state.id.device += 1);
    let counters = Arc::clone(&bench.counters);
    bench.source = Source::new(bench.settings.clone(), counters, Some(states), bench.now);
    assert_eq!(bench.look(), [""; 0]);
}

#[test]
fn several_rotations_while_the_shipper_is_down_are_read_oldest_first() {
    let mut bench = Bench::new("app.log*");
    bench.write("app.log", &numbered(0..100));
    bench.look();
    bench.write("app.log", &numbered(100..200));
    let old = std::time::SystemTime::now() - Duration::from_secs(3600);
    for (number, name) in [(200, "app.log.2"), (300, "app.log.1"), (400, "app.log")] {
        if name == "app.log.2" {
            bench.rename("app.log", "app.log.3");
            let file = File::options()
                .append(true)
                .open(bench.path("app.log.3"))
                .unwrap();
            file.set_modified(old).unwrap();
        }
        bench.write(name, &numbered(number..number + 100));
        let file = File::options().append(true).open(bench.path(name)).unwrap();
        file.set_modified(old + Duration::from_secs(u64::from(number)))
            .unwrap();
    }
    bench.restart();
    bench.look();
    assert_eq!(numbers(&bench.lines), (0..500).collect::<Vec<_>>());
}

#[test]
fn start_at_the_end_skips_what_is_there_at_the_very_first_start_only() {
    let mut bench = Bench::with(&["*.log"], |settings| settings.start_at_end = true);
    bench.write("a.log", "old\n");
    assert_eq!(bench.look(), [""; 0]);
    bench.write("a.log", "new\n");
    bench.write("b.log", "also new\n");
    let mut seen = bench.look();
    seen.sort();
    assert_eq!(seen, ["also new", "new"]);
    bench.write("c.log", "while down\n");
    bench.restart();
    assert_eq!(bench.look(), ["while down"]);
}

#[test]
fn thousands_of_files_are_followed_with_a_bounded_number_of_descriptors() {
    let mut bench = Bench::new("**/*.log");
    for number in 0..3_000 {
        bench.write(&format!("{number}.log"), "x\n");
    }
    bench.look();
    assert_eq!(bench.lines.len(), 3_000);
    bench.scan();
    let open = bench
        .source
        .tracked
        .values()
        .filter(|one| one.reader.is_some());
    assert!(open.count() <= MOST_OPEN);
    // Those that were closed are still followed.
    for number in 0..3_000 {
        bench.write(&format!("{number}.log"), "y\n");
    }
    assert_eq!(bench.look().len(), 3_000);
}

#[test]
fn a_multiline_record_at_a_restart_is_read_again_as_a_whole() {
    let mut bench = Bench::with(&["app.log"], |settings| {
        settings.assembler.multiline = Some(crate::record::multiline::Settings {
            joins: crate::record::multiline::Joins::Start(regex::Regex::new("^a").unwrap()),
            timeout: Duration::from_secs(2),
            max: 1000,
        });
    });
    bench.write("app.log", "a1\n x\na2\n y\n");
    assert_eq!(bench.look(), ["a1\n x"]);
    bench.restart();
    bench.write("app.log", " z\n");
    bench.look();
    bench.pass(3);
    bench.source.expire(bench.now);
    assert_eq!(bench.read(), ["a2\n y\n z"]);
    assert!(Path::new(&bench.path("app.log")).exists());
}
