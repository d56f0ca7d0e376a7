//! Records from bytes, by what breaks log shippers; time is passed in.

use std::{collections::BTreeMap, time::Duration};

use regex::Regex;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    multiline::{Joins, Settings},
    *,
};

/// 31 December 2026, 23:00:00 UTC.
const NOW: i64 = 1_798_758_000 * 1_000_000_000;

fn parser(format: Format) -> Parser {
    Parser {
        format,
        mapping: Mapping::default(),
        timestamps: Timestamps::default(),
        redact: Redact::default(),
        filter: Filter::default(),
        labels: Labels::new(&BTreeMap::new()),
    }
}

fn settings(max_line: usize) -> AssemblerSettings {
    AssemblerSettings {
        max_line,
        cri: false,
        multiline: None,
    }
}

fn multiline(joins: Joins, max: usize) -> AssemblerSettings {
    let timeout = Duration::from_secs(2);
    AssemblerSettings {
        multiline: Some(Settings {
            joins,
            timeout,
            max,
        }),
        ..settings(max)
    }
}

fn start(pattern: &str) -> Joins {
    Joins::Start(Regex::new(pattern).unwrap())
}

/// Offset, text and flags of each record.
type Seen = Vec<(u64, String, Vec<&'static str>)>;

fn see(seen: &mut Seen) -> impl FnMut(Piece<'_>) {
    |piece| {
        let flags = piece.flags.names().collect();
        seen.push((piece.start, piece.text.into_owned(), flags));
    }
}

/// All records of blocks, with those at the end.
fn read(settings: &AssemblerSettings, blocks: &[&[u8]]) -> Seen {
    let (mut seen, now) = (Vec::new(), Instant::now());
    let mut assembler = Assembler::new(0, settings);
    for block in blocks {
        assembler.push(block, now, &mut see(&mut seen));
    }
    assembler.finish(now, &mut see(&mut seen));
    assert_eq!(assembler.complete(), assembler.position());
    seen
}

fn texts(seen: &Seen) -> Vec<&str> {
    seen.iter().map(|(_, text, _)| &**text).collect()
}

fn document(parser: &Parser, text: &str) -> (Value, Report) {
    let mut report = Report::default();
    let mut out = Vec::new();
    let piece = Piece {
        start: 7,
        text: text.into(),
        time: None,
        stream: None,
        flags: Flags::default(),
        problem: None,
    };
    let outcome = parser.write(&piece, "/log/app.log", NOW, &mut out, &mut report);
    let value = match outcome {
        Outcome::Written(_) => serde_json::from_slice(&out).unwrap(),
        Outcome::Filtered => Value::Null,
    };
    (value, report)
}

fn time_of(parser: &Parser, value: &Value) -> (String, bool) {
    let (document, report) = document(parser, &json!({ "time": value, "msg": "x" }).to_string());
    (
        document["@timestamp"].as_str().unwrap().to_owned(),
        report.bad_timestamps == 0,
    )
}

// === Framing ===

#[test]
fn log_20_carriage_return_and_line_feed_in_different_reads_end_one_line() {
    let seen = read(&settings(100), &[b"one\r", b"\ntwo\r\nth\rree\n"]);
    assert_eq!(texts(&seen), ["one", "two", "th\rree"]);
    assert_eq!((seen[0].0, seen[1].0, seen[2].0), (0, 5, 10));
}

#[test]
fn log_06_nuls_in_front_of_a_line_are_skipped() {
    let mut file = vec![0; 5_000];
    file.extend_from_slice(b"after\nin\0side\n\0\0next\n");
    let blocks: Vec<&[u8]> = file.chunks(777).collect();
    let seen = read(&settings(100), &blocks);
    assert_eq!(texts(&seen), ["after", "in\0side", "next"]);
    assert_eq!(seen[0].0, 5_000);
}

#[test]
fn log_23_a_line_of_10_mb_is_cut_and_marked_and_the_next_is_whole() {
    let mut file = vec![b'x'; 10 << 20];
    file.extend_from_slice(b"\nnext\n");
    let blocks: Vec<&[u8]> = file.chunks(64 << 10).collect();
    let seen = read(&settings(256 << 10), &blocks);
    assert_eq!(seen.len(), 2);
    assert_eq!(
        (seen[0].1.len(), &seen[0].2[..]),
        (256 << 10, &["truncated"][..])
    );
    assert_eq!((&*seen[1].1, seen[1].2.is_empty()), ("next", true));
}

#[test]
fn a_line_as_long_as_the_limit_is_whole_and_a_cut_never_splits_a_character() {
    let seen = read(&settings(4), &[b"abcd\r\nabcde\n", "aaaü\n".as_bytes()]);
    assert_eq!(texts(&seen), ["abcd", "abcd", "aaa"]);
    assert_eq!(
        seen.iter().map(|one| one.2.len()).collect::<Vec<_>>(),
        [0, 1, 1]
    );
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_first_line() {
    let seen = read(
        &settings(100),
        &[b"\xef\xbb", b"\xbfone\n\xef\xbb\xbftwo\n"],
    );
    assert_eq!(texts(&seen), ["one", "\u{feff}two"]);
}

#[test]
fn bytes_that_are_not_utf8_are_replaced_and_marked() {
    let seen = read(&settings(100), &[b"caf\xe9 au lait\n"]);
    assert_eq!(texts(&seen), ["caf\u{fffd} au lait"]);
    assert_eq!(seen[0].2, ["invalid_utf8"]);
}

#[test]
fn a_last_line_without_newline_is_given_after_a_while_and_marked() {
    let (mut seen, now) = (Vec::new(), Instant::now());
    let mut assembler = Assembler::new(0, &settings(100));
    assembler.push(b"one\ntwo", now, &mut see(&mut seen));
    assert_eq!((assembler.complete(), assembler.position()), (4, 7));
    let deadline = assembler.deadline().unwrap();
    assembler.expire(deadline - Duration::from_millis(1), &mut see(&mut seen));
    assert_eq!(texts(&seen), ["one"]);
    assembler.expire(deadline, &mut see(&mut seen));
    assembler.push(b" goes on\n", now, &mut see(&mut seen));
    assert_eq!(texts(&seen), ["one", "two", " goes on"]);
    assert_eq!(seen[1].2, ["partial"]);
    assert_eq!(assembler.complete(), 16);
}

#[test]
fn records_do_not_depend_on_how_the_bytes_are_split() {
    let file = "2026 a\r\n  at b\r\n\r\n\0\0x\n2026 c\nüü\n".as_bytes();
    let settings = multiline(start("^2026"), 20);
    let whole = read(&settings, &[file]);
    assert_eq!(whole.len(), 2);
    for first in 0..file.len() {
        for second in first..file.len() {
            let blocks = [&file[..first], &file[first..second], &file[second..]];
            assert_eq!(read(&settings, &blocks), whole, "{first} {second}");
        }
    }
}

// === Multiline ===

#[test]
fn log_21_a_stack_trace_at_the_end_is_given_after_its_timeout() {
    let (mut seen, now) = (Vec::new(), Instant::now());
    let mut assembler = Assembler::new(0, &multiline(start(r"^\d{4}"), 1000));
    assembler.push(b"2026 boom\n", now, &mut see(&mut seen));
    // Each line starts the timer again.
    let later = now + Duration::from_millis(1900);
    assembler.push(b"  at main\n", later, &mut see(&mut seen));
    assembler.expire(now + Duration::from_millis(2100), &mut see(&mut seen));
    assert!(seen.is_empty());
    // Until then no offset behind its beginning is complete.
    assert_eq!(assembler.complete(), 0);
    let deadline = assembler.deadline().unwrap();
    assert_eq!(deadline, later + Duration::from_secs(2));
    assembler.expire(deadline, &mut see(&mut seen));
    assert_eq!(texts(&seen), ["2026 boom\n  at main"]);
    assert_eq!(seen[0].2, ["multiline"]);
    assert_eq!(assembler.complete(), 20);
    assert_eq!(assembler.deadline(), None);
}

#[test]
fn lines_are_joined_by_how_they_begin_or_by_how_they_go_on() {
    let begin = read(&multiline(start("^[^ ]"), 1000), &[b"a\n b\n\n c\nd\n"]);
    assert_eq!(texts(&begin), ["a\n b\n\n c", "d"]);
    let go_on = Joins::Continue(Regex::new(r"^\s|^Caused").unwrap());
    let seen = read(&multiline(go_on, 1000), &[b" x\na\n b\nCaused c\nd\n\n"]);
    assert_eq!(texts(&seen), [" x", "a\n b\nCaused c", "d"]);
}

#[test]
fn log_22_a_start_that_never_comes_is_cut_at_the_bound_and_loses_nothing() {
    let mut assembler = Assembler::new(0, &multiline(start("^never"), 4096));
    let (now, line) = (Instant::now(), [b"x".repeat(99), b"\n".to_vec()].concat());
    let (mut records, mut bytes, mut largest, mut marked) = (0, 0, 0, 0);
    let mut emit = |piece: Piece<'_>| {
        records += 1;
        bytes += piece.text.len() + 1;
        largest = largest.max(piece.text.len());
        marked += usize::from(piece.flags.has(Flags::TRUNCATED));
    };
    for _ in 0..100_000 {
        assembler.push(&line, now, &mut emit);
    }
    assembler.finish(now, &mut emit);
    assert_eq!(bytes, 100 * 100_000);
    assert!(largest <= 4096);
    assert_eq!(marked, records - 1);
}

// === The container runtime ===

#[test]
fn parts_of_the_runtime_are_joined_for_each_stream() {
    let file = "2026-10-06T00:17:09Z stdout P one \n\
                2026-10-06T00:17:10Z stderr F oops\n\
                2026-10-06T00:17:11Z stdout F two\n\
                broken\n\
                2026-10-06T00:17:12Z stdout P never ended\n";
    let settings = AssemblerSettings {
        cri: true,
        ..settings(1000)
    };
    let (mut seen, mut problems) = (Vec::new(), Vec::new());
    let mut assembler = Assembler::new(0, &settings);
    let mut emit = |piece: Piece<'_>| {
        problems.extend(piece.problem);
        seen.push((piece.text.into_owned(), piece.stream, piece.time));
    };
    assembler.push(&file.as_bytes()[..75], Instant::now(), &mut emit);
    // The part is not complete, though a record behind it was given.
    assert_eq!(assembler.complete(), 0);
    assembler.push(&file.as_bytes()[75..], Instant::now(), &mut emit);
    assembler.finish(Instant::now(), &mut emit);
    let first = 1_791_245_829_000_000_000;
    assert_eq!(
        seen,
        [
            (
                "oops".into(),
                Some(cri::Stream::Stderr),
                Some(first + 1_000_000_000)
            ),
            ("one two".into(), Some(cri::Stream::Stdout), Some(first)),
            ("broken".into(), None, None),
            (
                "never ended".into(),
                Some(cri::Stream::Stdout),
                Some(first + 3_000_000_000)
            ),
        ]
    );
    assert_eq!(problems, ["there is no stream"]);
}

#[test]
fn parts_of_the_runtime_are_bounded() {
    let settings = AssemblerSettings {
        cri: true,
        ..settings(100)
    };
    let part = format!("2026-10-06T00:17:09Z stdout P {}\n", "é".repeat(30));
    let file = format!("{}2026-10-06T00:17:09Z stdout F end\n", part.repeat(9));
    let seen = read(&settings, &[file.as_bytes()]);
    assert_eq!(seen[0].1.len(), 100);
    assert_eq!(seen[0].2, ["truncated"]);
}

// === Documents ===

#[test]
fn fields_of_the_app_get_their_ecs_names() {
    let mut parser = parser(Format::Json);
    let labels = [("service.name".to_owned(), "orders".to_owned())];
    parser.labels = Labels::new(&labels.into());
    let line = r#"{"ts":1798757999.5,"level":"warn","msg":"hot","trace_id":"ab","n":{"x":[1,2.5,null]},"service":"x","app":1}"#;
    let (document, report) = document(&parser, line);
    assert_eq!(
        document,
        json!({
            "@timestamp": "2026-12-31T22:59:59.500Z", "log.level": "warn", "message": "hot", "trace.id": "ab",
            "n": { "x": [1, 2.5, null] }, "app.service": "x", "app.app": 1,
            "log.file.path": "/log/app.log", "log.offset": 7, "service.name": "orders"
        })
    );
    assert_eq!(report, Report::default());
}

#[test]
fn loggers_that_write_ecs_themselves_are_understood() {
    let line = r#"{"@timestamp":"2026-12-31T22:59:59Z","log.level":"info","message":"a","trace":{"id":"t"},"log":{"logger":"x"}}"#;
    let (document, _) = document(&parser(Format::Json), line);
    assert_eq!(
        document,
        json!({
            "@timestamp": "2026-12-31T22:59:59.000Z", "log.level": "info", "message": "a", "trace.id": "t",
            "log": { "logger": "x" }, "log.file.path": "/log/app.log", "log.offset": 7
        })
    );
}

#[test]
fn a_line_that_cannot_be_parsed_is_kept_as_text_with_the_reason() {
    for (format, line) in [
        (Format::Json, "plain words"),
        (Format::Json, "[1]"),
        (Format::Json, "{\"a\":1"),
        (Format::Logfmt, "plain words"),
    ] {
        let (document, report) = document(&parser(format), line);
        assert_eq!(document["message"], line);
        let reason = document["log.parse_error"].as_str().unwrap();
        assert!(reason.starts_with("not "), "{reason}");
        assert_eq!(report.parse_errors, 1);
    }
}

#[test]
fn depth_and_size_of_json_never_end_the_thread() {
    let deep = format!("{}{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
    let (document, _) = document(&parser(Format::Json), &deep);
    assert!(document["log.parse_error"].is_string());
}

#[test]
fn secrets_are_replaced_in_values_numbers_names_and_text() {
    let mut json_parser = parser(Format::Json);
    json_parser.redact = Redact::new(&[r"\b\d{13,19}\b".into(), "(?i)secret".into()]).unwrap();
    // The time has thirteen digits as well, and is read before.
    let line = r#"{"time":1798758000000,"msg":"card 4111111111111111","n":4111111111111111,
        "list":["a",{"x":"\u0034111111111111111"}],"secret":1}"#;
    let (document, report) = document(&json_parser, line);
    assert_eq!(document["@timestamp"], "2026-12-31T23:00:00.000Z");
    assert_eq!(document["message"], "card [redacted]");
    assert_eq!(document["n"], "[redacted]");
    assert_eq!(document["list"], json!(["a", { "x": "[redacted]" }]));
    assert_eq!(document["[redacted]"], 1);
    assert_eq!(report.redacted, 4);
    let text = Parser {
        format: Format::Text,
        ..json_parser
    };
    assert_eq!(
        self::document(&text, "a Secret").0["message"],
        "a [redacted]"
    );
}

#[test]
fn drop_and_keep_look_at_a_field_or_at_the_whole_text() {
    let rule = |field: Option<&str>, pattern: &str| Rule {
        field: field.map(FieldPath::new),
        pattern: Regex::new(pattern).unwrap(),
    };
    let mut parser = parser(Format::Json);
    parser.filter.drop = vec![rule(None, "healthz")];
    parser.filter.keep = vec![
        rule(Some("level"), "^(warn|error)$"),
        rule(Some("http.status"), "^5"),
    ];
    for (line, sent) in [
        (r#"{"level":"warn","msg":"x"}"#, true),
        (r#"{"level":"info","msg":"x"}"#, false),
        (r#"{"level":"error","msg":"GET /healthz"}"#, false),
        (r#"{"http":{"status":503}}"#, true),
        ("no json", false),
    ] {
        let (document, report) = document(&parser, line);
        assert_eq!(
            (!document.is_null(), report.filtered == 0),
            (sent, sent),
            "{line}"
        );
    }
}

#[test]
fn a_container_line_that_is_a_json_object_is_read_as_one() {
    let (document, _) = document(&parser(Format::Cri), r#"{"msg":"a","level":"info"}"#);
    assert_eq!(document["message"], "a");
    assert_eq!(
        self::document(&parser(Format::Cri), "{oops").0["message"],
        "{oops"
    );
}

// === Times ===

#[test]
fn log_25_usual_times_need_no_format() {
    let parser = parser(Format::Json);
    for (value, time) in [
        (json!("2026-12-31T22:59:59Z"), "2026-12-31T22:59:59.000Z"),
        (json!("2026-12-31 22:59:59,123"), "2026-12-31T22:59:59.123Z"),
        (
            json!("2026-12-31T22:59:59.123456789+02:00"),
            "2026-12-31T20:59:59.123456789Z",
        ),
        (
            json!("2026-12-31T22:59:59-0130"),
            "2027-01-01T00:29:59.000Z",
        ),
        (json!("2026-12-31T22:59:60Z"), "2026-12-31T22:59:59.000Z"),
        (json!(1_798_757_999), "2026-12-31T22:59:59.000Z"),
        (json!(1_798_757_999.25), "2026-12-31T22:59:59.250Z"),
        (json!(1_798_757_999_250_i64), "2026-12-31T22:59:59.250Z"),
        (
            json!(1_798_757_999_250_001_i64),
            "2026-12-31T22:59:59.250001000Z",
        ),
        (
            json!(1_798_757_999_250_000_001_i64),
            "2026-12-31T22:59:59.250000001Z",
        ),
        (json!("1798757999"), "2026-12-31T22:59:59.000Z"),
        (
            json!("Thu, 31 Dec 2026 22:59:59 +0000"),
            "2026-12-31T22:59:59.000Z",
        ),
    ] {
        assert_eq!(time_of(&parser, &value), (time.to_owned(), true), "{value}");
    }
}

#[test]
fn log_25_a_time_that_cannot_be_read_becomes_the_time_of_reading_and_is_marked() {
    let parser = parser(Format::Json);
    for value in [
        json!("yesterday"),
        json!(""),
        json!("2026-13-01T00:00:00Z"),
        json!("2026-12-31T25:00:00Z"),
        json!(1e300),
        json!("9999999999999999999999"),
    ] {
        let line = json!({ "time": value, "msg": "x" }).to_string();
        let (document, report) = document(&parser, &line);
        assert_eq!(
            document["@timestamp"], "2026-12-31T23:00:00.000Z",
            "{value}"
        );
        assert_eq!(document["log.flags"], json!(["bad_timestamp"]));
        assert_eq!(document["time"], value);
        assert_eq!(report.bad_timestamps, 1);
    }
}

#[test]
fn log_25_a_time_without_a_year_is_the_latest_at_most_a_day_ahead() {
    let mut parser = parser(Format::Json);
    parser.timestamps = Timestamps::new(vec!["%b %d %H:%M:%S".into()], None).unwrap();
    for (text, time) in [
        ("Dec 31 22:00:00", "2026-12-31T22:00:00.000Z"),
        // The app's clock is ahead, over the end of the year.
        ("Jan  1 00:10:00", "2027-01-01T00:10:00.000Z"),
        ("Jan  2 00:10:00", "2026-01-02T00:10:00.000Z"),
        ("Feb 29 12:00:00", "bad"),
    ] {
        let (found, good) = time_of(&parser, &json!(text));
        assert_eq!(if good { &found } else { "bad" }, time, "{text}");
    }
}

#[test]
fn log_25_a_time_without_a_zone_is_in_the_zone_of_the_source() {
    let mut parser = parser(Format::Json);
    parser.timestamps = Timestamps::new(Vec::new(), Some("Europe/Berlin")).unwrap();
    for (text, time) in [
        ("2026-01-15 12:00:00", "2026-01-15T11:00:00.000Z"),
        // 02:30 does not exist on that day, and 03:30 is the first hour after the gap.
        ("2026-03-29 02:30:00", "2026-03-29T01:30:00.000Z"),
        ("2026-03-29 03:30:00", "2026-03-29T01:30:00.000Z"),
        // 02:30 comes twice on that day.
        ("2026-10-25 02:30:00", "2026-10-25T00:30:00.000Z"),
        ("2026-10-25 02:30:00Z", "2026-10-25T02:30:00.000Z"),
    ] {
        assert_eq!(
            time_of(&parser, &json!(text)),
            (time.to_owned(), true),
            "{text}"
        );
    }
    assert!(Timestamps::new(Vec::new(), Some("Europe/Berlim")).is_err());
}

#[test]
fn formats_of_the_users_own_come_first() {
    let mut parser = parser(Format::Json);
    let formats = vec![
        "%d/%b/%Y:%H:%M:%S %z".to_owned(),
        "%d.%m.%Y %H:%M".to_owned(),
    ];
    parser.timestamps = Timestamps::new(formats, None).unwrap();
    assert_eq!(
        time_of(&parser, &json!("10/Oct/2000:13:55:36 -0700")).0,
        "2000-10-10T20:55:36.000Z"
    );
    assert_eq!(
        time_of(&parser, &json!("24.12.2026 18:00")).0,
        "2026-12-24T18:00:00.000Z"
    );
    assert!(Timestamps::is_format("%Y-%m-%d"));
    assert!(!Timestamps::is_format("%!"));
    assert!(!Timestamps::is_format("YYYY"));
}
