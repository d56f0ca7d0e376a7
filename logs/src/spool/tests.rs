//! The queue by itself, with a clock of its own.

use std::collections::BTreeSet;

use super::*;
use crate::chunk::RecordHead;

const SINKS: [&str; 2] = ["a", "b"];

fn chunk(number: u64, size: usize) -> Chunk {
    Chunk {
        source: "app".into(),
        key: 1 + number % 3,
        start: number * 10,
        end: number * 10 + 10,
        verified: Verified {
            offset: number * 10 + 10,
            crc: number as u32,
        },
        records: vec![RecordHead {
            offset: number * 10,
            time: -5,
            document_end: size as u32,
        }],
        documents: vec![b'x'; size],
    }
}

fn limits(memory: usize, disk: u64, when_full: WhenFull) -> Limits {
    Limits {
        memory,
        disk,
        when_full,
    }
}

fn open(folder: &Path, limits: Limits, places: [Option<u64>; 2]) -> (Spool, Positions) {
    let sinks: Vec<_> = SINKS
        .iter()
        .map(|name| (*name).to_owned())
        .zip(places)
        .collect();
    Spool::open(folder, limits, &sinks, Instant::now()).unwrap()
}

/// Takes and acknowledges everything for a sink; the ends of the chunks.
fn drain(spool: &mut Spool, sink: &str, now: Instant) -> Vec<u64> {
    let mut ends = Vec::new();
    while let Some((number, chunk)) = spool.next(sink) {
        ends.push(chunk.end);
        spool.acknowledge(sink, number, &chunk, now);
    }
    ends
}

#[test]
fn chunks_keep_their_order_over_memory_and_disk_and_are_committed_by_the_slowest_sink() {
    let folder = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(
        folder.path(),
        limits(4_000, 1 << 20, WhenFull::Block),
        [None; 2],
    );
    let mut now = Instant::now();
    let mut pushed = Vec::new();
    for number in 0..100 {
        now += Duration::from_secs(2); // no sink makes progress
        assert!(spool.has_room(now));
        spool.push(chunk(number, 1000));
        pushed.push(number * 10 + 10);
    }
    assert!(spool.bytes().0 <= 4_000 + 2_000 && spool.bytes().1 > 90_000);
    assert_eq!(drain(&mut spool, "a", now), pushed);
    assert!(spool.take_commits().is_empty());
    assert_eq!(spool.waiting(), 100);
    assert_eq!(drain(&mut spool, "b", now), pushed);
    let ends: Vec<u64> = spool.take_commits().iter().map(|one| one.end).collect();
    assert_eq!(ends, pushed);
    assert_eq!(spool.bytes(), (0, 0));
    assert!(spool.is_drained());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn log_26_with_block_there_is_no_room_when_memory_and_disk_are_full_at_a_high_and_at_a_low_rate() {
    for size in [3, 30_000] {
        let folder = tempfile::tempdir().unwrap();
        let limits = limits(100_000, 300_000, WhenFull::Block);
        let (mut spool, _) = open(folder.path(), limits, [None; 2]);
        let (mut now, mut number) = (Instant::now(), 0);
        loop {
            now += Duration::from_secs(2);
            if !spool.has_room(now) {
                break;
            }
            spool.push(chunk(number, size));
            number += 1;
            assert!(number < 20_000);
        }
        let (memory, disk) = spool.bytes();
        assert!(
            memory <= 100_000 + 31_000 && disk <= 300_000,
            "{memory} {disk}"
        );
        assert!(disk > 200_000, "{disk}");
        // One sink alone makes no room.
        drain(&mut spool, "a", now);
        now += Duration::from_secs(2);
        assert!(!spool.has_room(now));
        assert_eq!(drain(&mut spool, "b", now).len() as u64, number);
        assert!(spool.has_room(now));
        assert!(spool.take_dropped().is_empty());
    }
}

#[test]
fn while_the_slowest_sink_makes_progress_nothing_goes_to_disk() {
    let folder = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(
        folder.path(),
        limits(4_000, 1 << 20, WhenFull::Block),
        [None; 2],
    );
    let now = Instant::now();
    let mut number = 0;
    while spool.has_room(now) {
        spool.push(chunk(number, 1000));
        number += 1;
    }
    assert_eq!(spool.bytes().1, 0);
    // A sink that has everything is not held up by the other one.
    drain(&mut spool, "a", now);
    assert!(spool.has_room(now));
    assert!(spool.bytes().1 > 0);
}

#[test]
fn with_drop_oldest_the_newest_stay_and_the_dropped_are_counted_for_each_sink() {
    let folder = tempfile::tempdir().unwrap();
    let limits = limits(10_000, 200_000, WhenFull::DropOldest);
    let (mut spool, _) = open(folder.path(), limits, [None; 2]);
    let mut now = Instant::now();
    let (mut seen, mut dropped) = (Vec::new(), [0, 0]);
    for number in 0..1000 {
        now += Duration::from_secs(2);
        assert!(spool.has_room(now));
        spool.push(chunk(number, 1000));
        seen.extend(drain(&mut spool, "a", now));
        for one in spool.take_dropped() {
            dropped[usize::from(one.sink == "b")] += one.records;
        }
    }
    assert_eq!(seen.len(), 1000);
    let rest = drain(&mut spool, "b", now);
    assert_eq!(dropped[0], 0);
    assert_eq!(dropped[1] + rest.len() as u64, 1000);
    assert!(rest.len() > 100 && rest.is_sorted());
    assert_eq!(rest.last(), Some(&10_000));
    // What was dropped counts as done.
    assert_eq!(spool.take_commits().len(), 1000);
}

#[test]
fn a_restart_takes_up_what_is_on_disk_and_says_where_reading_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let limits = limits(1 << 20, 1 << 20, WhenFull::Block);
    let (mut spool, _) = open(folder.path(), limits, [None; 2]);
    let now = Instant::now();
    (0..9).for_each(|number| spool.push(chunk(number, 100)));
    let (first, one) = spool.next("a").unwrap();
    spool.acknowledge("a", first, &one, now);
    assert_eq!(spool.close(now), 0);
    let places: Vec<u64> = spool.cursors().map(|(_, place)| place).collect();
    drop(spool);
    let (mut spool, positions) = open(folder.path(), limits, [Some(places[0]), Some(places[1])]);
    let ends: Vec<_> = positions
        .into_iter()
        .map(|((_, key), (end, _))| (key, end))
        .collect();
    assert_eq!(ends, [(1, 70), (2, 80), (3, 90)]);
    spool.push(chunk(9, 100));
    assert_eq!(
        drain(&mut spool, "a", now),
        (2..=10).map(|n| n * 10).collect::<Vec<_>>()
    );
    assert_eq!(drain(&mut spool, "b", now).len(), 10);
    // Numbers go on behind those that a checkpoint may hold.
    let places: Vec<u64> = spool.cursors().map(|(_, place)| place).collect();
    drop(spool);
    let (mut spool, _) = open(folder.path(), limits, [Some(places[0]), Some(places[1])]);
    spool.push(chunk(10, 100));
    assert_eq!(drain(&mut spool, "a", now), [110]);
}

#[test]
fn damage_on_disk_costs_repetitions_and_never_ends_anything() {
    let folder = tempfile::tempdir().unwrap();
    let limits = limits(100, 1 << 20, WhenFull::Block);
    let (mut spool, _) = open(folder.path(), limits, [None; 2]);
    let mut now = Instant::now();
    for number in 0..20 {
        now += Duration::from_secs(2);
        spool.has_room(now);
        spool.push(chunk(number, 10_000));
    }
    spool.close(now);
    drop(spool);
    let mut files: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|one| one.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() > 1, "{files:?}");
    let mut bytes = fs::read(&files[0]).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&files[0], bytes).unwrap();
    let (mut spool, positions) = open(folder.path(), limits, [None; 2]);
    // Reading goes on before the damage, and what follows it is sent as well.
    assert!(
        positions.values().all(|(end, _)| *end < 100),
        "{positions:?}"
    );
    let ends = drain(&mut spool, "a", now);
    assert!(ends.is_sorted() && ends.last() == Some(&200), "{ends:?}");
    let lost: BTreeSet<u64> = (1..=20).map(|n| n * 10).collect();
    assert!(lost.len() > ends.len());
    assert_eq!(drain(&mut spool, "b", now), ends);
    assert!(spool.is_drained());
}

#[test]
fn a_disk_that_refuses_leaves_memory_as_the_buffer() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("spool");
    let (mut spool, _) = open(
        &directory,
        limits(4_000, 1 << 20, WhenFull::Block),
        [None; 2],
    );
    fs::remove_dir(&directory).unwrap();
    let mut now = Instant::now();
    let mut number = 0;
    loop {
        now += Duration::from_secs(2);
        if !spool.has_room(now) {
            break;
        }
        spool.push(chunk(number, 1000));
        number += 1;
    }
    assert!(number < 6);
    // It comes back.
    fs::create_dir(&directory).unwrap();
    assert!(spool.has_room(now + Duration::from_secs(6)));
    assert_eq!(drain(&mut spool, "a", now).len() as u64, number);
}

#[test]
fn any_sequence_of_pushes_acknowledgements_and_restarts_keeps_order_and_loses_nothing_on_disk() {
    for seed in 0..20 {
        let mut random = fastrand::Rng::with_seed(seed);
        let folder = tempfile::tempdir().unwrap();
        let limits = limits(
            random.usize(500..20_000),
            random.u64(70_000..400_000),
            WhenFull::Block,
        );
        let (mut spool, _) = open(folder.path(), limits, [None; 2]);
        let (mut now, mut pushed, mut acked) = (Instant::now(), 0_u64, [0_u64, 0]);
        for _ in 0..400 {
            now += Duration::from_millis(random.u64(0..700));
            match random.u8(0..20) {
                0 => {
                    assert_eq!(spool.close(now), 0, "seed {seed}: the disk has room here");
                    let places: Vec<u64> = spool.cursors().map(|(_, place)| place).collect();
                    drop(spool);
                    (spool, _) = open(folder.path(), limits, [Some(places[0]), Some(places[1])]);
                }
                1..=10 => {
                    // Leave room for what memory holds.
                    if spool.bytes().1 + 25_000 < limits.disk && spool.has_room(now) {
                        spool.push(chunk(pushed, random.usize(0..1500)));
                        pushed += 1;
                    }
                }
                _ => {
                    let sink = random.usize(0..2);
                    if let Some((number, chunk)) = spool.next(SINKS[sink]) {
                        assert_eq!(chunk.end, acked[sink] * 10 + 10, "seed {seed}");
                        if random.bool() {
                            spool.acknowledge(SINKS[sink], number, &chunk, now);
                            acked[sink] += 1;
                        } else {
                            spool.rewind(SINKS[sink]);
                        }
                    }
                }
            }
        }
        for (sink, acked) in SINKS.iter().zip(acked) {
            let rest = drain(&mut spool, sink, now);
            assert_eq!(rest.len() as u64 + acked, pushed, "seed {seed}");
        }
        assert_eq!(spool.bytes(), (0, 0));
    }
}

#[test]
fn a_chunk_is_what_it_was_after_it_was_written() {
    for size in [0, 1, 1000] {
        let one = chunk(7, size);
        let bytes = segment::encode(&one);
        assert_eq!(segment::decode(&bytes), Some(one));
        for end in 0..bytes.len() {
            assert_eq!(segment::decode(&bytes[..end]), None);
        }
    }
}
