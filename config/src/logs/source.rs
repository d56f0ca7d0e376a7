//! `sources` of `logs`: which files are followed, and what their lines are.

use std::{path::Path, sync::Arc, time::Duration};

use globset::{GlobBuilder, GlobMatcher};
use regex::Regex;
use serde_json::Value;

use super::absolute;
use crate::block::{
    At, Entries, Size, Time, Word, block,
    field::{size_between, time_over_zero, word},
    name::{self, UsedNames},
    problem::Report,
    show::{self, Object, list, path, size, text, time},
    words,
};

block! {
    /// Files that are followed, and what their lines are.
    SourceBlock {
        /// Its name in metrics, in `GET /status` and for `outrigger logs test`; a DNS label.
        "name" name: String,
        /// Absolute paths with `*`, `?`, `[a-z]`, `{a,b}` and `**` (any number of directories).
        "paths" paths: Vec<At<String>>,
        /// Of these files, those that are left out.
        "exclude" exclude: Vec<At<String>>,
        /// Directories outside that of a pattern where symbolic links may lead, such as `/var/log/pods`. Default: a link that leads out of the pattern's own directory is not followed.
        "linkDirectories" link_directories: Vec<At<String>>,
        /// Where a file is read from that is there at the very first start: `beginning` or `end`. Files that come later are read from their beginning. Default beginning.
        "startAt" start_at: Word<StartAt>,
        /// What a line is: `text`, `json`, `logfmt`, or `cri` as the kubelet writes it. Default text.
        "format" format: Word<LogFormat>,
        /// The longest line, 1KiB to 16MiB; a longer one is cut and marked. Default 256KiB.
        "maxLineBytes" max_line_bytes: Size,
        /// Which lines are one record.
        "multiline" multiline: MultilineBlock,
        /// Which fields of the app mean what. Default: the names that most loggers use.
        "fields" fields: FieldsBlock,
        /// Formats of the timestamp as for strptime, such as `%d/%b/%Y:%H:%M:%S %z`, tried in order. RFC 3339, its usual variants and epochs need none.
        "timestampFormats" timestamp_formats: Vec<At<String>>,
        /// Zone of timestamps that name none, such as `Europe/Berlin`. Default UTC.
        "timezone" timezone: String,
        /// Regular expressions of secrets; what they match is replaced by `[redacted]` before a record is kept or sent.
        "redact" redact: Vec<At<String>>,
        /// A record that one of these matches is not sent.
        "drop" drop: Vec<At<LogRuleBlock>>,
        /// With any, only records that one of these matches are sent.
        "keep" keep: Vec<At<LogRuleBlock>>,
        /// Fields that every record of this source gets, such as `service.name: orders`.
        "addFields" add_fields: Entries<String>,
    }
    required ["name", "paths"]
}

block! {
    /// Which lines are one record, such as a stack trace.
    MultilineBlock {
        /// A line that this regular expression matches begins a record.
        "startPattern" start_pattern: String,
        /// A line that this regular expression matches continues the record before it.
        "continuePattern" continue_pattern: String,
        /// How long a record waits for another line after its last one, over 0. Default 2s.
        "timeout" timeout: Time,
        /// The longest record, 1KiB to 16MiB; at this size it is cut and marked, and the next line begins another one. Default 256KiB.
        "maxBytes" max_bytes: Size,
    }
    one_of ["startPattern", "continuePattern"]
}

block! {
    /// Which fields of the app mean what. A name with dots is a field of that name, or fields within each other.
    FieldsBlock {
        /// How serious the record is. Default: the first of log.level, level, severity, lvl.
        "severity" severity: String,
        /// The message. Default: the first of message, msg, body.
        "body" body: String,
        /// When it happened. Default: the first of @timestamp, timestamp, time, ts.
        "timestamp" timestamp: String,
        /// The trace that it belongs to. Default: the first of trace.id, trace_id, traceId.
        "traceId" trace_id: String,
    }
}

block! {
    /// What a record must have.
    LogRuleBlock {
        /// The field, as the app writes it. Default: the whole text of the record.
        "field" field: String,
        /// A regular expression that its value must match somewhere.
        "pattern" pattern: String,
    }
    required ["pattern"]
}

/// Files that are followed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogSource {
    /// Its name.
    pub name: Arc<str>,
    /// Patterns of absolute paths.
    pub paths: Vec<String>,
    /// Patterns of those that are left out.
    pub exclude: Vec<String>,
    /// Where links may lead.
    pub link_directories: Vec<Arc<Path>>,
    /// Where files are read from at the very first start. Default: their beginning.
    pub start_at: StartAt,
    /// What a line is. Default text.
    pub format: LogFormat,
    /// The longest line, in bytes. Default 256 KiB.
    pub max_line_bytes: usize,
    /// Which lines are one record.
    pub multiline: Option<Multiline>,
    /// The fields that mean severity, body, timestamp and trace; `None` for the usual names.
    pub fields: [Option<String>; 4],
    /// Formats of the timestamp.
    pub timestamp_formats: Vec<String>,
    /// The zone of timestamps that name none. Default UTC.
    pub timezone: Option<String>,
    /// Regular expressions of secrets.
    pub redact: Vec<String>,
    /// Which records are not sent.
    pub drop: Vec<LogRule>,
    /// Which records are sent, with any.
    pub keep: Vec<LogRule>,
    /// Fields that every record gets.
    pub add_fields: Vec<(String, String)>,
}

/// Which lines are one record.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Multiline {
    /// Which lines belong together.
    pub joins: LineJoin,
    /// How long a record waits for another line. Default 2 s.
    pub timeout: Duration,
    /// The longest record, in bytes. Default 256 KiB.
    pub max_bytes: usize,
}

/// Which lines belong together, by a regular expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineJoin {
    /// What matches begins a record.
    Start(String),
    /// What matches continues one.
    Continue(String),
}

/// What a record must have.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogRule {
    /// The field; the whole text when there is none.
    pub field: Option<String>,
    /// A regular expression.
    pub pattern: String,
}

/// Where reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartAt {
    /// At the first byte.
    Beginning,
    /// Behind the last byte.
    End,
}

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// A message.
    Text,
    /// A JSON object.
    Json,
    /// `key=value` pairs.
    Logfmt,
    /// What a container runtime writes.
    Cri,
}

words! {
    StartAt { "beginning" => Beginning, "end" => End }
    LogFormat { "text" => Text, "json" => Json, "logfmt" => Logfmt, "cri" => Cri }
}

/// Longer than any line that people read, and small beside the memory of the buffer.
const LONGEST: u64 = 256 << 10;

/// What Filebeat and Fluent Bit wait; a logger writes a stack trace at once.
const MULTILINE_TIMEOUT: Duration = Duration::from_secs(2);

/// Names of fields that the shipper writes itself.
const OWN_FIELDS: [&str; 9] = [
    "@timestamp",
    "message",
    "log.level",
    "log.file.path",
    "log.offset",
    "log.flags",
    "log.parse_error",
    "trace.id",
    "span.id",
];

pub(crate) fn accept<'a>(
    item: &'a At<SourceBlock>,
    names: &mut UsedNames<'a>,
    report: &mut Report,
) -> LogSource {
    let block = &item.value;
    let mut name: Arc<str> = "".into();
    if let Some(written) = &block.name {
        name::check(&written.value, &written.place, report);
        names.take(&written.value, &written.place, report);
        name = written.value.as_str().into();
    }
    let paths = patterns(block.paths.as_ref(), report);
    if let Some(empty) = block.paths.as_ref().filter(|list| list.value.is_empty()) {
        let help = "write [/var/log/app/*.log]";
        report.error(&empty.place, "empty-list", "there is no path", help);
    }
    let between = (1 << 10, 16 << 20);
    let fields = block.fields.as_ref().map(|fields| &fields.value);
    let field = |get: fn(&FieldsBlock) -> &Option<At<String>>| {
        let written = fields.and_then(|fields| get(fields).as_ref());
        written.map(|written| written.value.clone())
    };
    LogSource {
        name,
        paths,
        exclude: patterns(block.exclude.as_ref(), report),
        link_directories: items(block.link_directories.as_ref())
            .iter()
            .filter(|one| absolute(one, report))
            .map(|one| Path::new(&one.value).into())
            .collect(),
        start_at: word(&block.start_at, StartAt::Beginning),
        format: word(&block.format, LogFormat::Text),
        max_line_bytes: size_between(
            &block.max_line_bytes,
            LONGEST,
            between,
            "1KiB to 16MiB",
            report,
        ),
        multiline: block
            .multiline
            .as_ref()
            .and_then(|multiline| accept_multiline(&multiline.value, report)),
        fields: [
            field(|fields| &fields.severity),
            field(|fields| &fields.body),
            field(|fields| &fields.timestamp),
            field(|fields| &fields.trace_id),
        ],
        timestamp_formats: formats(block.timestamp_formats.as_ref(), report),
        timezone: block
            .timezone
            .as_ref()
            .and_then(|written| zone(written, report)),
        redact: items(block.redact.as_ref())
            .iter()
            .filter_map(|one| regex(one, report))
            .collect(),
        drop: rules(block.drop.as_ref(), report),
        keep: rules(block.keep.as_ref(), report),
        add_fields: added(block.add_fields.as_ref(), report),
    }
}

fn items<T>(list: Option<&At<Vec<At<T>>>>) -> &[At<T>] {
    list.map_or(&[], |list| &list.value)
}

fn patterns(list: Option<&At<Vec<At<String>>>>, report: &mut Report) -> Vec<String> {
    let mut good = Vec::new();
    for one in items(list) {
        if !absolute(one, report) {
            continue;
        }
        match matcher(&one.value) {
            Ok(_) => good.push(one.value.clone()),
            Err(error) => {
                let message = format!("{:?} is not a pattern: {}", one.value, error.kind());
                let help = "use *, ?, [a-z], {a,b} and **; a literal one of these is written [*]";
                report.error(&one.place, "bad-pattern", message, help);
            }
        }
    }
    good
}

/// What finds the files of a pattern.
pub(super) fn matcher(pattern: &str) -> Result<GlobMatcher, globset::Error> {
    let glob = GlobBuilder::new(pattern).literal_separator(true).build()?;
    Ok(glob.compile_matcher())
}

fn regex(written: &At<String>, report: &mut Report) -> Option<String> {
    match Regex::new(&written.value) {
        Ok(_) => Some(written.value.clone()),
        Err(error) => {
            let reason = error.to_string();
            let reason = reason.lines().last().unwrap_or_default().trim();
            let reason = reason.trim_start_matches("error: ");
            let message = format!("{:?} is not a regular expression: {reason}", written.value);
            let help = "use the syntax of Rust's regex crate: no look-around, no back-references";
            report.error(&written.place, "bad-regex", message, help);
            None
        }
    }
}

fn accept_multiline(block: &MultilineBlock, report: &mut Report) -> Option<Multiline> {
    let between = (1 << 10, 16 << 20);
    let timeout = time_over_zero(&block.timeout, MULTILINE_TIMEOUT, report);
    let max_bytes = size_between(&block.max_bytes, LONGEST, between, "1KiB to 16MiB", report);
    let start = block.start_pattern.as_ref();
    let start = start
        .and_then(|one| regex(one, report))
        .map(LineJoin::Start);
    let more = block.continue_pattern.as_ref();
    let more = more
        .and_then(|one| regex(one, report))
        .map(LineJoin::Continue);
    Some(Multiline {
        joins: start.or(more)?,
        timeout,
        max_bytes,
    })
}

fn formats(list: Option<&At<Vec<At<String>>>>, report: &mut Report) -> Vec<String> {
    let sample = jiff::Timestamp::UNIX_EPOCH.to_zoned(jiff::tz::TimeZone::UTC);
    let is_good =
        |text: &str| text.contains('%') && jiff::fmt::strtime::format(text, &sample).is_ok();
    let mut good = Vec::new();
    for one in items(list) {
        if is_good(&one.value) {
            good.push(one.value.clone());
        } else {
            let message = format!("{:?} is not a format of a time", one.value);
            let help = "write it as for strptime, such as %d/%b/%Y:%H:%M:%S %z";
            report.error(&one.place, "bad-format", message, help);
        }
    }
    good
}

fn zone(written: &At<String>, report: &mut Report) -> Option<String> {
    if jiff::tz::TimeZone::get(&written.value).is_ok() {
        return Some(written.value.clone());
    }
    let message = format!("there is no time zone {:?}", written.value);
    let help = "write the name of a zone of the IANA database, such as Europe/Berlin";
    report.error(&written.place, "bad-timezone", message, help);
    None
}

fn rules(list: Option<&At<Vec<At<LogRuleBlock>>>>, report: &mut Report) -> Vec<LogRule> {
    let rule = |item: &At<LogRuleBlock>| {
        Some(LogRule {
            field: item.value.field.as_ref().map(|field| field.value.clone()),
            pattern: regex(item.value.pattern.as_ref()?, report)?,
        })
    };
    items(list).iter().filter_map(rule).collect()
}

fn added(written: Option<&At<Entries<String>>>, report: &mut Report) -> Vec<(String, String)> {
    let entries = written.map_or(&[][..], |entries| &entries.value.0);
    for (name, _) in entries {
        if OWN_FIELDS.contains(&&*name.value) {
            let message = format!("every record has a field {:?} of its own", name.value);
            report.error(&name.place, "own-field", message, "choose another name");
        }
    }
    entries
        .iter()
        .map(|(name, value)| (name.value.clone(), value.value.clone()))
        .collect()
}

pub(crate) fn show(source: &LogSource) -> Value {
    let strings = |items: &[String]| list(items, |one| text(one));
    let [severity, body, timestamp, trace_id] = &source.fields;
    let fields = [
        ("severity", severity),
        ("body", body),
        ("timestamp", timestamp),
        ("traceId", trace_id),
    ]
    .into_iter()
    .fold(Object::new(), |fields, (key, value)| {
        fields.maybe(key, value.as_deref().map(text))
    });
    let added = source
        .add_fields
        .iter()
        .fold(Object::new(), |fields, (key, value)| {
            fields.with(key, text(value))
        });
    Object::new()
        .with("name", text(&source.name))
        .with("paths", strings(&source.paths).unwrap_or_default())
        .maybe("exclude", strings(&source.exclude))
        .maybe(
            "linkDirectories",
            list(&source.link_directories, |one| path(one)),
        )
        .with("startAt", show::word(source.start_at))
        .with("format", show::word(source.format))
        .with("maxLineBytes", size(source.max_line_bytes as u64))
        .maybe("multiline", source.multiline.as_ref().map(show_multiline))
        .maybe("fields", Some(fields).filter(|fields| !fields.is_empty()))
        .maybe("timestampFormats", strings(&source.timestamp_formats))
        .maybe("timezone", source.timezone.as_deref().map(text))
        .maybe("redact", strings(&source.redact))
        .maybe("drop", list(&source.drop, show_rule))
        .maybe("keep", list(&source.keep, show_rule))
        .maybe("addFields", Some(added).filter(|fields| !fields.is_empty()))
        .into()
}

fn show_multiline(multiline: &Multiline) -> Object {
    let (key, pattern) = match &multiline.joins {
        LineJoin::Start(pattern) => ("startPattern", pattern),
        LineJoin::Continue(pattern) => ("continuePattern", pattern),
    };
    Object::new()
        .with(key, text(pattern))
        .with("timeout", time(multiline.timeout))
        .with("maxBytes", size(multiline.max_bytes as u64))
}

fn show_rule(rule: &LogRule) -> Value {
    Object::new()
        .maybe("field", rule.field.as_deref().map(text))
        .with("pattern", text(&rule.pattern))
        .into()
}
