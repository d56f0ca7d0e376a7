//! `sinks` of `logs`: where records go.

use std::{path::Path, sync::Arc, time::Duration};

use http::Uri;
use serde_json::Value;

use super::absolute;
use crate::{
    block::{
        At, Entries, Int, Size, Time, Word, block,
        field::{narrow, number, size_between, time_over_zero, word},
        name::{self, UsedNames},
        problem::{Place, Report},
        show::{self, Object, path, size, text, time},
        word_of, words,
    },
    files::Files,
    part::url,
    secret::{self, SecretSource, SecretSpec},
    tls::client::{self, ClientTls, UpstreamTlsBlock},
};

block! {
    /// Where records go.
    SinkBlock {
        /// Its name in metrics and in `GET /status`; a DNS label. The place of a sink in the spool is kept by its name.
        "name" name: String,
        /// `elasticsearch` (also OpenSearch), `loki`, `otlp` (OTLP/HTTP with protobuf), `file` (lines of JSON) or `stdout`.
        "type" kind: Word<SinkType>,
        /// Where the API begins; with `elasticsearch`, `loki` and `otlp`. What the API is called there (`/_bulk`, `/loki/api/v1/push`, `/v1/logs`) is put behind it.
        "url" url: String,
        /// TLS towards it, where the URL begins with https; as in `upstreams`.
        "tls" tls: UpstreamTlsBlock,
        /// What proves who sends; with https, or to this host.
        "credentials" credentials: LogCredentialsBlock,
        /// How long a request may take with its answer, over 0. Default 30s.
        "timeout" timeout: Time,
        /// `gzip` or `none`. Default gzip.
        "compression" compression: Word<Compression>,
        /// The index or data stream, in lower case; `%Y`, `%m`, `%d` and `%H` are of the record's own time, in UTC. With `elasticsearch`.
        "index" index: String,
        /// Labels of all records, 1 to 15; with `loki`. Fields of records are no labels: they are in the line.
        "labels" labels: Entries<String>,
        /// Absolute path of the file; with `file`.
        "path" path: String,
        /// At this size the file is renamed to PATH.1, 64KiB to 64GiB. Default 10MiB. With `file`.
        "maxBytes" max_bytes: Size,
        /// How many renamed files are kept, 0 to 1000. Default 3. With `file`.
        "maxFiles" max_files: Int<0, 1000>,
        /// How many records are sent at once.
        "batch" batch: BatchBlock,
    }
    required ["name", "type"]
}

block! {
    /// What is sent at once: until one of these is reached.
    BatchBlock {
        /// Bytes of records, 1KiB to 64MiB. Default 1MiB.
        "bytes" bytes: Size,
        /// Records, 1 to 100000. Default 5000.
        "records" records: Int<1, 100_000>,
        /// How long the first record waits for others, over 0. Default 1s, with `file` and `stdout` 100ms.
        "age" age: Time,
    }
}

block! {
    /// What proves who sends. A file is read whenever it is needed.
    LogCredentialsBlock {
        /// `Authorization: Bearer`.
        "bearerToken" bearer_token: SecretSpec,
        /// `Authorization: Basic`.
        "basic" basic: BasicBlock,
        /// `Authorization: ApiKey`, as Elasticsearch gives it out in its encoded form.
        "apiKey" api_key: SecretSpec,
    }
    one_of ["bearerToken", "basic", "apiKey"]
}

block! {
    /// A user with a password.
    BasicBlock {
        /// The user, without a colon.
        "username" username: String,
        /// The password.
        "password" password: SecretSpec,
    }
    required ["username", "password"]
}

/// Where records go.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct LogSink {
    /// Its name.
    pub name: Arc<str>,
    /// What it is.
    pub kind: LogSinkKind,
    /// Bytes of records that are sent at once. Default 1 MiB.
    pub batch_bytes: usize,
    /// Records that are sent at once. Default 5000.
    pub batch_records: usize,
    /// How long the first record of a batch waits for others. Default 1 s, 100 ms for files and stdout.
    pub batch_age: Duration,
}

/// What a sink is.
#[derive(Debug, Clone, PartialEq)]
pub enum LogSinkKind {
    /// The bulk API of Elasticsearch and OpenSearch.
    Elasticsearch {
        /// Where it is.
        server: LogServer,
        /// The index or data stream, with `%Y`, `%m`, `%d` and `%H`.
        index: Arc<str>,
    },
    /// The push API of Loki.
    Loki {
        /// Where it is.
        server: LogServer,
        /// Labels of all records.
        labels: Vec<(String, String)>,
    },
    /// The logs service of OTLP over HTTP.
    Otlp {
        /// Where it is.
        server: LogServer,
    },
    /// Lines of JSON in a file.
    File {
        /// Its path.
        path: Arc<Path>,
        /// It is renamed at this size.
        max_bytes: u64,
        /// Renamed files that are kept.
        max_files: u32,
    },
    /// Lines of JSON on stdout.
    Stdout,
}

/// A server that records are sent to.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct LogServer {
    /// Where its API begins.
    pub url: Uri,
    /// TLS, with https.
    pub tls: Option<Arc<ClientTls>>,
    /// What proves who sends.
    pub credentials: Option<LogCredentials>,
    /// For one request. Default 30 s.
    pub timeout: Duration,
    /// How bodies are compressed. Default gzip.
    pub compression: Compression,
}

/// What proves who sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogCredentials {
    /// `Authorization: Bearer`.
    BearerToken(SecretSource),
    /// `Authorization: Basic`.
    Basic(Arc<str>, SecretSource),
    /// `Authorization: ApiKey`.
    ApiKey(SecretSource),
}

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Gzip.
    Gzip,
    /// Not at all.
    None,
}

/// What a sink may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SinkType {
    Elasticsearch,
    Loki,
    Otlp,
    File,
    Stdout,
}

words! {
    SinkType { "elasticsearch" => Elasticsearch, "loki" => Loki, "otlp" => Otlp, "file" => File, "stdout" => Stdout }
    Compression { "gzip" => Gzip, "none" => None }
}

const TIMEOUT: Duration = Duration::from_secs(30);
/// Large enough for the throughput of a store, small enough for a sidecar's memory.
const BATCH_BYTES: u64 = 1 << 20;
const BATCH_RECORDS: u64 = 5000;
const BATCH_AGE: Duration = Duration::from_secs(1);
/// A line on a terminal should not wait.
const LOCAL_AGE: Duration = Duration::from_millis(100);
const FILE_BYTES: u64 = 10 << 20;
const FILES: u64 = 3;

pub(crate) fn accept<'a>(
    item: &'a At<SinkBlock>,
    names: &mut UsedNames<'a>,
    files: &mut Files<'_>,
    report: &mut Report,
) -> Option<LogSink> {
    let block = &item.value;
    let mut name: Arc<str> = "".into();
    if let Some(written) = &block.name {
        name::check(&written.value, &written.place, report);
        names.take(&written.value, &written.place, report);
        name = written.value.as_str().into();
    }
    let kind = block.kind.as_ref()?.value.0;
    only_for_its_type(block, kind, report);
    let accepted = match kind {
        SinkType::Stdout => Some(LogSinkKind::Stdout),
        SinkType::File => file(item, report),
        SinkType::Otlp => server(item, files, report).map(|server| LogSinkKind::Otlp { server }),
        SinkType::Loki => {
            let server = server(item, files, report);
            let labels = labels(item, report);
            server
                .zip(labels)
                .map(|(server, labels)| LogSinkKind::Loki { server, labels })
        }
        SinkType::Elasticsearch => {
            let server = server(item, files, report);
            let index = needed(item, "index", block.index.as_ref(), report);
            let index = index.and_then(|written| index_name(written, report));
            server
                .zip(index)
                .map(|(server, index)| LogSinkKind::Elasticsearch { server, index })
        }
    };
    let none = BatchBlock::default();
    let batch = block.batch.as_ref().map_or(&none, |batch| &batch.value);
    let age = match kind {
        SinkType::File | SinkType::Stdout => LOCAL_AGE,
        SinkType::Elasticsearch | SinkType::Loki | SinkType::Otlp => BATCH_AGE,
    };
    let sizes = (1 << 10, 64 << 20);
    Some(LogSink {
        name,
        batch_bytes: size_between(&batch.bytes, BATCH_BYTES, sizes, "1KiB to 64MiB", report),
        batch_records: narrow(number(&batch.records, BATCH_RECORDS)),
        batch_age: time_over_zero(&batch.age, age, report),
        kind: accepted?,
    })
}

/// A key that says nothing about a sink of this type is a mistake.
fn only_for_its_type(block: &SinkBlock, kind: SinkType, report: &mut Report) {
    const SERVERS: &[SinkType] = &[SinkType::Elasticsearch, SinkType::Loki, SinkType::Otlp];
    const FILES: &[SinkType] = &[SinkType::File];
    let place = |key: &'static str, at: Option<&Place>, of: &'static [SinkType]| {
        at.map(|place| (key, place.clone(), of))
    };
    macro_rules! at {
        ($field:ident) => {
            block.$field.as_ref().map(|written| &written.place)
        };
    }
    let keys = [
        place("url", at!(url), SERVERS),
        place("tls", at!(tls), SERVERS),
        place("credentials", at!(credentials), SERVERS),
        place("timeout", at!(timeout), SERVERS),
        place("compression", at!(compression), SERVERS),
        place("index", at!(index), &[SinkType::Elasticsearch]),
        place("labels", at!(labels), &[SinkType::Loki]),
        place("path", at!(path), FILES),
        place("maxBytes", at!(max_bytes), FILES),
        place("maxFiles", at!(max_files), FILES),
    ];
    for (key, place, of) in keys.into_iter().flatten() {
        if !of.contains(&kind) {
            let message = format!("`{key}` has no effect on a sink of type {}", word_of(kind));
            report.error(&place, "conflicting-keys", message, "remove it");
        }
    }
}

/// A key that this type cannot do without.
fn needed<'a>(
    item: &At<SinkBlock>,
    key: &str,
    written: Option<&'a At<String>>,
    report: &mut Report,
) -> Option<&'a At<String>> {
    if written.is_none() {
        let message = format!("`{key}` is missing");
        report.missing(&item.place, &[key], message, format!("add `{key}: …`"));
    }
    written
}

/// The most labels that Loki takes by default.
const MOST_LABELS: usize = 15;

/// Names as Prometheus has them, which Loki asks for.
fn labels(item: &At<SinkBlock>, report: &mut Report) -> Option<Vec<(String, String)>> {
    let Some(written) = item.value.labels.as_ref() else {
        let help = "add `labels: { job: … }`";
        report.missing(&item.place, &["labels"], "`labels` is missing", help);
        return None;
    };
    let entries = &written.value.0;
    if entries.is_empty() || entries.len() > MOST_LABELS {
        let message = format!("{} labels are not 1 to {MOST_LABELS}", entries.len());
        report.error(
            &written.place,
            "bad-labels",
            message,
            "write a few that never change, such as job",
        );
    }
    for (name, value) in entries {
        let text = &name.value;
        let first = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !(first && plain) || text.starts_with("__") {
            let message = format!("{text:?} is no name of a label");
            let help = "use a letter, then letters, digits and _, as in service_name";
            report.error(&name.place, "bad-labels", message, help);
        }
        if value.value.is_empty() {
            report.error(
                &value.place,
                "bad-labels",
                "a label without a value is none",
                "write a value",
            );
        }
    }
    let pair = |(name, value): &(At<String>, At<String>)| (name.value.clone(), value.value.clone());
    Some(entries.iter().map(pair).collect())
}

fn file(item: &At<SinkBlock>, report: &mut Report) -> Option<LogSinkKind> {
    let block = &item.value;
    let written = needed(item, "path", block.path.as_ref(), report)?;
    let sizes = (64 << 10, 64 << 30);
    let max_bytes = size_between(
        &block.max_bytes,
        FILE_BYTES,
        sizes,
        "64KiB to 64GiB",
        report,
    );
    absolute(written, report).then(|| LogSinkKind::File {
        path: Path::new(&written.value).into(),
        max_bytes: max_bytes as u64,
        max_files: narrow(number(&block.max_files, FILES)),
    })
}

fn server(item: &At<SinkBlock>, files: &mut Files<'_>, report: &mut Report) -> Option<LogServer> {
    let block = &item.value;
    let timeout = time_over_zero(&block.timeout, TIMEOUT, report);
    let written = needed(item, "url", block.url.as_ref(), report)?;
    let parsed = match url::parse(&written.value) {
        Ok(parsed) => parsed,
        Err(refusal) => {
            refusal.report(&written.value, "http://host:port", &written.place, report);
            return None;
        }
    };
    if parsed.tail.contains(['?', '#']) {
        let message = format!("{:?} has a query or fragment", written.value);
        report.error(&written.place, "bad-url", message, "end it with the path");
        return None;
    }
    let tls = client::of_url(block.tls.as_ref(), parsed.secure, "https", files, report);
    let credentials = block.credentials.as_ref();
    if let Some(credentials) = credentials
        && !parsed.secure
        && !parsed.address.is_local()
    {
        report.error(
            &credentials.place,
            "insecure-credentials",
            "credentials never go over http to another host",
            "write https:// in the URL",
        );
    }
    let Ok(url) = written.value.parse() else {
        let message = format!("{:?} is not a URL", written.value);
        report.error(&written.place, "bad-url", message, "write http://host:port");
        return None;
    };
    Some(LogServer {
        url,
        tls,
        credentials: credentials.and_then(|one| accept_credentials(&one.value, files, report)),
        timeout,
        compression: word(&block.compression, Compression::Gzip),
    })
}

fn accept_credentials(
    block: &LogCredentialsBlock,
    files: &mut Files<'_>,
    report: &mut Report,
) -> Option<LogCredentials> {
    if let Some(token) = &block.bearer_token {
        return secret::bearer_token(token, files, report).map(LogCredentials::BearerToken);
    }
    if let Some(key) = &block.api_key {
        return secret::bearer_token(key, files, report).map(LogCredentials::ApiKey);
    }
    let basic = &block.basic.as_ref()?.value;
    let user = basic.username.as_ref()?;
    if user.value.is_empty() || user.value.contains(':') {
        let message = format!("{:?} is not the name of a user", user.value);
        report.error(
            &user.place,
            "bad-name",
            message,
            "write a name without a colon",
        );
    }
    let password = secret::used_password(basic.password.as_ref()?, files, report)?;
    Some(LogCredentials::Basic(user.value.as_str().into(), password))
}

/// What Elasticsearch takes as the name of an index (create index API, "Path parameters").
fn index_name(written: &At<String>, report: &mut Report) -> Option<Arc<str>> {
    let name = &written.value;
    let mut plain = name.clone();
    for part in ["%Y", "%m", "%d", "%H"] {
        plain = plain.replace(part, "00");
    }
    let why = if plain.contains('%') {
        Some("it has a part with % that is none of %Y, %m, %d and %H")
    } else if plain.chars().any(char::is_uppercase) {
        Some("it must be in lower case")
    } else if plain
        .contains(|c: char| "\\/*?\"<>|,#:".contains(c) || c.is_whitespace() || c.is_control())
    {
        Some("it must not hold \\ / * ? \" < > | , # : or a space")
    } else if plain.starts_with(['-', '_', '+', '.']) {
        Some("it must not begin with - _ + or .")
    } else if plain.is_empty() || plain.len() > 255 {
        Some("it must have 1 to 255 bytes")
    } else {
        None
    };
    let Some(why) = why else {
        return Some(name.as_str().into());
    };
    let message = format!("{name:?} is no name of an index: {why}");
    report.error(
        &written.place,
        "bad-name",
        message,
        "write a name such as orders-%Y.%m.%d",
    );
    None
}

pub(crate) fn show(sink: &LogSink) -> Value {
    let batch = Object::new()
        .with("bytes", size(sink.batch_bytes as u64))
        .with("records", sink.batch_records)
        .with("age", time(sink.batch_age));
    let shown = Object::new().with("name", text(&sink.name));
    let shown = match &sink.kind {
        LogSinkKind::Stdout => shown.with("type", show::word(SinkType::Stdout)),
        LogSinkKind::File {
            path: at,
            max_bytes,
            max_files,
        } => shown
            .with("type", show::word(SinkType::File))
            .with("path", path(at))
            .with("maxBytes", size(*max_bytes))
            .with("maxFiles", *max_files),
        LogSinkKind::Otlp { server } => {
            show_server(shown.with("type", show::word(SinkType::Otlp)), server)
        }
        LogSinkKind::Loki { server, labels } => {
            let shown = shown.with("type", show::word(SinkType::Loki));
            let labels = labels.iter().fold(Object::new(), |labels, (name, value)| {
                labels.with(name, text(value))
            });
            show_server(shown, server).with("labels", labels)
        }
        LogSinkKind::Elasticsearch { server, index } => {
            let shown = shown.with("type", show::word(SinkType::Elasticsearch));
            show_server(shown, server).with("index", text(index))
        }
    };
    shown.with("batch", batch).into()
}

fn show_server(shown: Object, server: &LogServer) -> Object {
    let tls = server
        .tls
        .as_deref()
        .filter(|tls| **tls != ClientTls::default());
    // `http` adds the slash of an empty path.
    let url = server.url.to_string();
    let url = url.strip_suffix('/').unwrap_or(&url);
    shown
        .with("url", text(url))
        .maybe("tls", tls.map(client::show))
        .maybe(
            "credentials",
            server.credentials.as_ref().map(show_credentials),
        )
        .with("timeout", time(server.timeout))
        .with("compression", show::word(server.compression))
}

fn show_credentials(credentials: &LogCredentials) -> Object {
    match credentials {
        LogCredentials::BearerToken(token) => {
            Object::new().with("bearerToken", secret::show_source(token))
        }
        LogCredentials::ApiKey(key) => Object::new().with("apiKey", secret::show_source(key)),
        LogCredentials::Basic(user, password) => Object::new().with(
            "basic",
            Object::new()
                .with("username", text(user))
                .with("password", secret::show_source(password)),
        ),
    }
}
