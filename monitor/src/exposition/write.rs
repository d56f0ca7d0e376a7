//! Families written again, also as text where they came as OpenMetrics.

use std::fmt::Write;

use super::{Family, Page, Sample, Syntax, base};

impl Page<'_> {
    /// Leaves out the families that would be mixed up with one of `names`; the result is how many.
    pub fn without(&mut self, names: &[&str]) -> usize {
        let ours: Vec<&str> = names.iter().map(|name| base(name)).collect();
        let before = self.families.len();
        self.families
            .retain(|family| !ours.contains(&base(family.name)));
        before - self.families.len()
    }

    /// Writes all families behind `out`, a page without its `# EOF`.
    pub fn write(&self, syntax: Syntax, out: &mut String) {
        for family in &self.families {
            match (self.syntax, syntax) {
                (Syntax::OpenMetrics, Syntax::Text) => as_text(family, out),
                // A page in OpenMetrics is only made where the app's is one.
                _ => as_it_is(family, out),
            }
        }
    }
}

fn as_it_is(family: &Family<'_>, out: &mut String) {
    let name = family.name;
    for (word, said) in [
        ("HELP", family.help),
        ("TYPE", family.kind),
        ("UNIT", family.unit),
    ] {
        if let Some(said) = said {
            let _ = writeln!(out, "# {word} {name} {said}");
        }
    }
    for line in &family.lines {
        out.push_str(line);
        out.push('\n');
    }
}

/// The text format 0.0.4 has no `unit`, no exemplars, and no times of creation; its names have their suffix, and its
/// timestamps are in milliseconds.
fn as_text(family: &Family<'_>, out: &mut String) {
    let (suffix, kind) = match family.kind {
        Some("counter") => ("_total", "counter"),
        Some("info") => ("_info", "gauge"),
        Some("stateset" | "gauge") => ("", "gauge"),
        Some("histogram") => ("", "histogram"),
        Some("summary") => ("", "summary"),
        _ => ("", "untyped"),
    };
    let name = family.name;
    if let Some(help) = family.help {
        // Quotes are escaped in OpenMetrics alone.
        let help = help.replace("\\\"", "\"");
        let _ = writeln!(out, "# HELP {name}{suffix} {help}");
    }
    let _ = writeln!(out, "# TYPE {name}{suffix} {kind}");
    for line in &family.lines {
        let Some(sample) = Sample::read(line, Syntax::OpenMetrics) else {
            continue;
        };
        if sample.name.strip_prefix(name) == Some("_created") {
            continue;
        }
        let labels = match sample.labels {
            "" => String::new(),
            labels => format!("{{{labels}}}"),
        };
        let _ = write!(out, "{}{labels} {}", sample.name, sample.value);
        if let Some(seconds) = sample.timestamp.and_then(|time| time.parse::<f64>().ok()) {
            let _ = write!(out, " {}", (seconds * 1000.0).round() as i64);
        }
        out.push('\n');
    }
}
