//! `logs`: which log files are shipped where.

pub(crate) mod buffer;
pub(crate) mod sink;
pub(crate) mod source;

use std::{path::Path, sync::Arc};

use serde_json::Value;

use self::{
    buffer::{BufferBlock, LogBuffer},
    sink::{LogSink, LogSinkKind, SinkBlock},
    source::{LogSource, SourceBlock},
};
use crate::{
    block::{
        At, block,
        name::UsedNames,
        problem::Report,
        show::{Object, path},
    },
    files::Files,
};

block! {
    /// The log shipper: follows the app's log files and sends their records to central stores, at least once and in order per file.
    LogsBlock {
        /// Directory of offsets, spool and dead letters, absolute; an `emptyDir` that the app does not see. A change needs a restart.
        "stateDir" state_dir: String,
        /// Which files are followed, and what their lines are.
        "sources" sources: Vec<At<SourceBlock>>,
        /// Where every record goes. Each sink gets all records.
        "sinks" sinks: Vec<At<SinkBlock>>,
        /// What waits while a sink is slow or unavailable.
        "buffer" buffer: BufferBlock,
    }
    required ["stateDir", "sources", "sinks"]
}

/// `logs`: which log files are shipped where.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Logs {
    /// Directory of offsets, spool and dead letters.
    pub state_dir: Arc<Path>,
    /// What is followed.
    pub sources: Vec<LogSource>,
    /// Where it goes.
    pub sinks: Vec<LogSink>,
    /// What waits in between.
    pub buffer: LogBuffer,
}

/// Checks the block. `None` was reported.
pub(crate) fn accept(
    written: &At<LogsBlock>,
    files: &mut Files<'_>,
    report: &mut Report,
) -> Option<Logs> {
    let block = &written.value;
    let state_dir = block.state_dir.as_ref().and_then(|written| {
        let is_good = absolute(written, report);
        is_good.then(|| Arc::from(Path::new(&written.value)))
    });
    let mut names = UsedNames::of("source");
    let items = block.sources.as_ref();
    let sources: Vec<LogSource> = items
        .map_or(&[][..], |items| &items.value)
        .iter()
        .map(|item| source::accept(item, &mut names, report))
        .collect();
    some(
        items.map(|items| (&items.place, sources.len())),
        "source",
        report,
    );
    let mut names = UsedNames::of("sink");
    let items = block.sinks.as_ref();
    let sinks: Vec<LogSink> = items
        .map_or(&[][..], |items| &items.value)
        .iter()
        .filter_map(|item| sink::accept(item, &mut names, files, report))
        .collect();
    let written_sinks = items.map(|items| (&items.place, items.value.len()));
    some(written_sinks, "sink", report);
    let buffer = buffer::accept(block.buffer.as_ref(), report);
    let logs = Logs {
        state_dir: state_dir?,
        sources,
        sinks,
        buffer,
    };
    not_our_own(block, &logs, report);
    Some(logs)
}

fn some(items: Option<(&crate::block::problem::Place, usize)>, kind: &str, report: &mut Report) {
    if let Some((place, 0)) = items {
        let help = format!("add a {kind}, or remove `logs`");
        report.error(place, "empty-list", format!("there is no {kind}"), help);
    }
}

/// Whether a path is absolute; reported when it is not.
fn absolute(written: &At<String>, report: &mut Report) -> bool {
    let is_good = written.value.starts_with('/');
    if !is_good {
        let message = format!("{:?} is not an absolute path", written.value);
        report.error(&written.place, "bad-path", message, "begin it with /");
    }
    is_good
}

/// A source that reads what the shipper writes would ship its own records for ever.
fn not_our_own(block: &LogsBlock, logs: &Logs, report: &mut Report) {
    let mut own = vec![
        (logs.state_dir.join("checkpoint"), "stateDir"),
        (logs.state_dir.join("spool/0.seg"), "stateDir"),
    ];
    for sink in &logs.sinks {
        own.push((
            logs.state_dir
                .join(format!("dead-letters-{}.ndjson", sink.name)),
            "stateDir",
        ));
        if let LogSinkKind::File { path, .. } = &sink.kind {
            own.push((path.to_path_buf(), "a sink"));
            own.push((format!("{}.1", path.display()).into(), "a sink"));
        }
    }
    let written = block.sources.as_ref().map_or(&[][..], |items| &items.value);
    for (item, source) in written.iter().zip(&logs.sources) {
        let exclude: Vec<_> = source
            .exclude
            .iter()
            .filter_map(|one| source::matcher(one).ok())
            .collect();
        let paths = item
            .value
            .paths
            .as_ref()
            .map_or(&[][..], |list| &list.value);
        for pattern in paths {
            let Ok(matcher) = source::matcher(&pattern.value) else {
                continue; // reported
            };
            let ours = own.iter().find(|(path, _)| {
                matcher.is_match(path) && !exclude.iter().any(|one| one.is_match(path))
            });
            if let Some((path, what)) = ours {
                let message = format!(
                    "{:?} matches {}, which the proxy writes itself for {what}",
                    pattern.value,
                    path.display()
                );
                report.error(
                    &pattern.place,
                    "own-output",
                    message,
                    "write a narrower pattern, add it to `exclude`, or use another directory",
                );
            }
        }
    }
}

/// Shows what was accepted.
pub(crate) fn show(logs: &Logs) -> Value {
    Object::new()
        .with("stateDir", path(&logs.state_dir))
        .with(
            "sources",
            logs.sources.iter().map(source::show).collect::<Vec<_>>(),
        )
        .with(
            "sinks",
            logs.sinks.iter().map(sink::show).collect::<Vec<_>>(),
        )
        .with("buffer", buffer::show(&logs.buffer))
        .into()
}
