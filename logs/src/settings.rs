//! From the accepted configuration to what runs.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use outrigger_config::model::{
    Compression, LineJoin, LogCredentials, LogFormat, LogRule, LogServer, LogSink, LogSinkKind,
    LogSource, Logs, StartAt, WhenFull,
};
use outrigger_transport::credentials::Credentials;
use regex::Regex;

use crate::{
    record::{
        AssemblerSettings, FieldPath, Filter, Format, Labels, Mapping, Parser, Redact, Rule,
        Timestamps, multiline,
    },
    shipper::Settings,
    sink::{ApiKey, BatchSettings, HttpSettings, Index, SinkKind, SinkSettings},
    source::{SourceSettings, glob::Patterns},
    spool,
};

/// Variables of the downward API (`deploy/`), and the fields that they become.
const POD: [(&str, &str); 3] = [
    ("POD_NAME", "kubernetes.pod.name"),
    ("POD_NAMESPACE", "kubernetes.namespace"),
    ("NODE_NAME", "kubernetes.node.name"),
];

/// A setting that the configuration accepts and this crate does not. There is none, unless the two disagree.
#[derive(Debug, thiserror::Error)]
#[error("logs: {0}")]
pub struct Unaccepted(String);

impl Settings {
    /// The settings of an accepted configuration. `variable` reads the environment: what the downward API says of the pod.
    ///
    /// # Errors
    /// A pattern is refused here that was accepted there.
    pub fn of(model: &Logs, variable: impl Fn(&str) -> Option<String>) -> Result<Self, Unaccepted> {
        let pod: BTreeMap<String, String> = POD
            .iter()
            .filter_map(|(name, field)| Some(((*field).to_owned(), variable(name)?)))
            .filter(|(_, value)| !value.is_empty())
            .collect();
        Ok(Self {
            state_dir: model.state_dir.to_path_buf(),
            limits: spool::Limits {
                memory: model.buffer.memory,
                disk: model.buffer.disk,
                when_full: match model.buffer.when_full {
                    WhenFull::Block => spool::WhenFull::Block,
                    WhenFull::DropOldest => spool::WhenFull::DropOldest,
                },
            },
            sources: model
                .sources
                .iter()
                .map(|one| source(one, &pod))
                .collect::<Result<_, _>>()?,
            sinks: model.sinks.iter().map(sink).collect(),
        })
    }
}

/// One source.
///
/// # Errors
/// A pattern is refused here that was accepted there.
fn source(model: &LogSource, pod: &BTreeMap<String, String>) -> Result<SourceSettings, Unaccepted> {
    let links: Vec<PathBuf> = model
        .link_directories
        .iter()
        .map(|one| one.to_path_buf())
        .collect();
    let patterns = Patterns::new(&model.paths, &model.exclude, &links).map_err(unaccepted)?;
    let multiline = model.multiline.as_ref().map(|one| {
        let joins = match &one.joins {
            LineJoin::Start(pattern) => multiline::Joins::Start(regex(pattern)?),
            LineJoin::Continue(pattern) => multiline::Joins::Continue(regex(pattern)?),
        };
        Ok(multiline::Settings {
            joins,
            timeout: one.timeout,
            max: one.max_bytes,
        })
    });
    let (format, cri) = match model.format {
        LogFormat::Text => (Format::Text, false),
        LogFormat::Json => (Format::Json, false),
        LogFormat::Logfmt => (Format::Logfmt, false),
        LogFormat::Cri => (Format::Cri, true),
    };
    Ok(SourceSettings {
        name: Arc::clone(&model.name),
        patterns,
        start_at_end: model.start_at == StartAt::End,
        assembler: AssemblerSettings {
            max_line: model.max_line_bytes,
            cri,
            multiline: multiline.transpose()?,
        },
        parser: Parser {
            format,
            mapping: mapping(model),
            timestamps: Timestamps::new(model.timestamp_formats.clone(), model.timezone.as_deref())
                .map_err(unaccepted)?,
            redact: Redact::new(&model.redact).map_err(unaccepted)?,
            filter: Filter {
                drop: rules(&model.drop)?,
                keep: rules(&model.keep)?,
            },
            labels: labels(model, pod),
        },
    })
}

/// Fields of the user's own come before those of the pod.
fn labels(model: &LogSource, pod: &BTreeMap<String, String>) -> Labels {
    let mut fields = pod.clone();
    fields.extend(model.add_fields.iter().cloned());
    Labels::new(&fields)
}

fn mapping(model: &LogSource) -> Mapping {
    let mut mapping = Mapping::default();
    let [severity, body, timestamp, trace_id] = &model.fields;
    for (paths, name) in [
        (&mut mapping.severity, severity),
        (&mut mapping.body, body),
        (&mut mapping.timestamp, timestamp),
        (&mut mapping.trace_id, trace_id),
    ] {
        if let Some(name) = name {
            *paths = Mapping::one(name);
        }
    }
    mapping
}

fn rules(model: &[LogRule]) -> Result<Vec<Rule>, Unaccepted> {
    let rule = |one: &LogRule| {
        Ok(Rule {
            field: one.field.as_deref().map(FieldPath::new),
            pattern: regex(&one.pattern)?,
        })
    };
    model.iter().map(rule).collect()
}

fn regex(pattern: &str) -> Result<Regex, Unaccepted> {
    Regex::new(pattern).map_err(unaccepted)
}

fn unaccepted(error: impl ToString) -> Unaccepted {
    Unaccepted(error.to_string())
}

fn sink(model: &LogSink) -> SinkSettings {
    let kind = match &model.kind {
        LogSinkKind::Elasticsearch { server, index } => SinkKind::Elasticsearch {
            http: Box::new(http(server)),
            index: Index::new(index),
        },
        LogSinkKind::Loki { server, labels } => SinkKind::Loki {
            http: Box::new(http(server)),
            labels: labels.iter().cloned().collect(),
        },
        LogSinkKind::Otlp { server } => SinkKind::Otlp {
            http: Box::new(http(server)),
        },
        LogSinkKind::File {
            path,
            max_bytes,
            max_files,
        } => SinkKind::File {
            path: path.to_path_buf(),
            max_bytes: *max_bytes,
            keep: *max_files,
        },
        LogSinkKind::Stdout => SinkKind::Stdout,
    };
    SinkSettings {
        name: model.name.to_string(),
        kind,
        batch: BatchSettings {
            bytes: model.batch_bytes,
            records: model.batch_records,
            age: model.batch_age,
        },
    }
}

fn http(server: &LogServer) -> HttpSettings {
    let mut api_key = None;
    let credentials = server.credentials.as_ref().and_then(|one| match one {
        LogCredentials::BearerToken(token) => Some(Credentials::Bearer(token.clone())),
        LogCredentials::Basic(user, password) => Some(Credentials::Basic {
            user: Arc::clone(user),
            password: password.clone(),
        }),
        LogCredentials::ApiKey(key) => {
            api_key = Some(ApiKey(key.clone()));
            None
        }
    });
    HttpSettings {
        url: server.url.clone(),
        tls: server.tls.clone(),
        credentials,
        api_key,
        timeout: server.timeout,
        gzip: server.compression == Compression::Gzip,
    }
}
