//! Rendering of problems, as text and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::block::problem::{Problem, Severity};

/// Maximum columns of a shown source line; a longer line is cut around the mark.
const WIDTH: usize = 110;

/// Problems as text: position, message, the source line with the span marked, the path, and the
/// fix.
pub fn render_text(problems: &[Problem], source: &str, color: bool) -> String {
    let lines: Vec<&str> = source.lines().collect();
    let paint = Paint(color);
    let mut out = String::new();
    for (index, problem) in problems.iter().enumerate() {
        if index > 0 {
            out.push('\n');
        }
        one(&mut out, problem, &lines, &paint);
    }
    out
}

/// Problems as the JSON that `check --format json` prints.
pub fn render_json(problems: &[Problem]) -> Value {
    let valid = problems
        .iter()
        .all(|problem| problem.severity != Severity::Error);
    json!({ "valid": valid, "problems": problems })
}

fn one(out: &mut String, problem: &Problem, lines: &[&str], paint: &Paint) {
    let Problem {
        severity,
        code,
        file,
        line,
        column,
        path,
        message,
        help,
        ..
    } = problem;
    let (severity, place) = (
        paint.severity(*severity),
        paint.bold(&format!("{file}:{line}:{column}")),
    );
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{place}: {severity}: {message} [{code}]");
    if let Some(text) = lines.get(line - 1).filter(|text| !text.trim().is_empty()) {
        marked_line(out, problem, text, paint);
    }
    if !path.is_empty() {
        let _ = writeln!(out, "  = at {path}");
    }
    if !help.is_empty() {
        let _ = writeln!(out, "  = {} {help}", paint.help());
    }
}

fn marked_line(out: &mut String, problem: &Problem, text: &str, paint: &Paint) {
    let shown: Vec<char> = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let start = (problem.column - 1).min(shown.len());
    let end = match problem.end_line == problem.line {
        true => problem
            .end_column
            .saturating_sub(1)
            .clamp(start, shown.len()),
        false => shown.len(),
    };
    let cut = if start + 10 > WIDTH {
        start - WIDTH / 2
    } else {
        0
    };
    let visible: String = shown.iter().skip(cut).take(WIDTH).collect();
    let marks = (end - start).clamp(1, WIDTH - (start - cut).min(WIDTH - 1));
    let number = problem.line.to_string();
    let margin = " ".repeat(number.len());
    let (indent, marks) = (
        " ".repeat(start - cut),
        paint.mark(problem.severity, &"^".repeat(marks)),
    );
    let _ = writeln!(out, "{margin} |");
    let _ = writeln!(out, "{number} | {}", visible.trim_end());
    let _ = writeln!(out, "{margin} | {indent}{marks}");
}

/// Colours, or none.
struct Paint(bool);

impl Paint {
    fn wrap(&self, code: &str, text: &str) -> String {
        if self.0 {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    fn severity(&self, severity: Severity) -> String {
        self.mark(severity, &severity.to_string())
    }

    fn mark(&self, severity: Severity, text: &str) -> String {
        self.wrap(
            if severity == Severity::Error {
                "1;31"
            } else {
                "1;33"
            },
            text,
        )
    }

    fn bold(&self, text: &str) -> String {
        self.wrap("1", text)
    }

    fn help(&self) -> String {
        self.wrap("1;36", "help:")
    }
}
