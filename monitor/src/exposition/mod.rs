//! A page of metrics in the text format 0.0.4 of Prometheus, or in OpenMetrics 1.0: read strictly, and written again.
//!
//! Prometheus drops a page as a whole for one line that it cannot read. So a page of an app is read to its last line before
//! anything of it stands beside metrics of the proxy. Samples are kept as they are. Lines of one family that stand apart are
//! brought together under one `# HELP` and one `# TYPE`, as OpenMetrics asks for.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/> and <https://prometheus.io/docs/specs/om/open_metrics_spec/>.

mod sample;
mod write;

use std::collections::HashMap;

pub use self::sample::{Sample, labels};

/// How a page is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// `text/plain; version=0.0.4`.
    Text,
    /// `application/openmetrics-text; version=1.0.0`.
    OpenMetrics,
}

/// A page that is no page of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// A line is neither a sample nor a comment.
    #[error("line {0} is not a sample")]
    Line(usize),
    /// An OpenMetrics page that does not end with `# EOF`, or goes on behind it.
    #[error("the page is cut, or goes on behind # EOF")]
    End,
}

/// A page, by families in the order of their first lines.
#[derive(Debug)]
pub struct Page<'a> {
    /// How it was written.
    pub syntax: Syntax,
    /// Its families.
    pub families: Vec<Family<'a>>,
}

/// Samples of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Family<'a> {
    /// Its name: in OpenMetrics without the suffix of the samples.
    pub name: &'a str,
    /// The word behind `# TYPE`.
    pub kind: Option<&'a str>,
    /// The text behind `# HELP`, escaped as it was.
    pub help: Option<&'a str>,
    /// The word behind `# UNIT`.
    pub unit: Option<&'a str>,
    /// The lines of its samples.
    pub lines: Vec<&'a str>,
}

/// What a comment says of a family.
enum Meta<'a> {
    Help(&'a str),
    Type(&'a str),
    Unit(&'a str),
}

impl<'a> Page<'a> {
    /// Reads a page.
    ///
    /// # Errors
    /// Prometheus would not read it.
    pub fn read(text: &'a str, syntax: Syntax) -> Result<Self, Broken> {
        let mut page = Self {
            syntax,
            families: Vec::new(),
        };
        let mut names = HashMap::new();
        let mut ended = false;
        for (index, line) in text.lines().enumerate() {
            if ended {
                return Err(Broken::End);
            }
            match line {
                "" => {}
                "# EOF" => ended = syntax == Syntax::OpenMetrics,
                _ if line.starts_with('#') => page
                    .comment(&mut names, line)
                    .ok_or(Broken::Line(index + 1))?,
                _ => page
                    .sample(&mut names, line)
                    .ok_or(Broken::Line(index + 1))?,
            }
        }
        match syntax == Syntax::OpenMetrics && !ended {
            true => Err(Broken::End),
            false => Ok(page),
        }
    }

    /// How many samples it has.
    pub fn samples(&self) -> usize {
        self.families.iter().map(|family| family.lines.len()).sum()
    }

    fn family(&mut self, names: &mut HashMap<&'a str, usize>, name: &'a str) -> &mut Family<'a> {
        let index = *names.entry(name).or_insert_with(|| {
            self.families.push(Family {
                name,
                kind: None,
                help: None,
                unit: None,
                lines: Vec::new(),
            });
            self.families.len() - 1
        });
        &mut self.families[index]
    }

    /// Of several comments of one kind the first counts.
    fn comment(&mut self, names: &mut HashMap<&'a str, usize>, line: &'a str) -> Option<()> {
        let Some((name, meta)) = meta(line) else {
            return Some(()); // a comment like any other
        };
        if !sample::is_name(name) {
            return None;
        }
        let family = self.family(names, name);
        match meta {
            Meta::Help(text) => family.help.get_or_insert(text),
            Meta::Type(word) if is_kind(word) => family.kind.get_or_insert(word),
            Meta::Unit(word) if word.bytes().all(|byte| byte.is_ascii_graphic()) => {
                family.unit.get_or_insert(word)
            }
            Meta::Type(_) | Meta::Unit(_) => return None,
        };
        Some(())
    }

    fn sample(&mut self, names: &mut HashMap<&'a str, usize>, line: &'a str) -> Option<()> {
        let name = Sample::read(line, self.syntax)?.name;
        let of_kind = |(family, suffix): (&'a str, &str)| {
            let index = *names.get(family)?;
            let kind = self.families[index].kind?;
            suffixes(kind, self.syntax)
                .contains(&suffix)
                .then_some(index)
        };
        let index = match names.get(name) {
            Some(index) => Some(*index),
            None => name
                .rfind('_')
                .map(|at| name.split_at(at))
                .and_then(of_kind),
        };
        match index {
            Some(index) => self.families[index].lines.push(line),
            None => self.family(names, name).lines.push(line),
        }
        Some(())
    }
}

/// What `# HELP`, `# TYPE` and `# UNIT` say, and of which family.
fn meta(line: &str) -> Option<(&str, Meta<'_>)> {
    let rest = line.strip_prefix("# ")?;
    let (word, rest) = rest.split_once(' ')?;
    let (name, text) = rest.split_once(' ').unwrap_or((rest, ""));
    let meta = match word {
        "HELP" => Meta::Help(text),
        "TYPE" => Meta::Type(text.trim()),
        "UNIT" => Meta::Unit(text.trim()),
        _ => return None,
    };
    Some((name, meta))
}

fn is_kind(word: &str) -> bool {
    [
        "counter",
        "gauge",
        "histogram",
        "summary",
        "untyped",
        "unknown",
        "info",
        "stateset",
        "gaugehistogram",
    ]
    .contains(&word)
}

/// What may stand behind the name of a family in the names of its samples.
fn suffixes(kind: &str, syntax: Syntax) -> &'static [&'static str] {
    match (kind, syntax) {
        ("histogram", Syntax::Text) => &["_bucket", "_sum", "_count"],
        ("summary", Syntax::Text) => &["_sum", "_count"],
        ("histogram", Syntax::OpenMetrics) => &["_bucket", "_sum", "_count", "_created"],
        ("summary", Syntax::OpenMetrics) => &["_sum", "_count", "_created"],
        ("gaugehistogram", Syntax::OpenMetrics) => &["_bucket", "_gsum", "_gcount"],
        ("counter", Syntax::OpenMetrics) => &["_total", "_created"],
        ("info", Syntax::OpenMetrics) => &["_info"],
        _ => &[],
    }
}

/// The name without the suffix that one of its samples may have: two families with the same one would be mixed up.
pub fn base(name: &str) -> &str {
    let suffixes = [
        "_total", "_created", "_bucket", "_sum", "_count", "_info", "_gsum", "_gcount",
    ];
    let mut stripped = suffixes
        .iter()
        .filter_map(|suffix| name.strip_suffix(suffix));
    stripped.next().unwrap_or(name)
}
