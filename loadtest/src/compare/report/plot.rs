//! Plots as SVG: axes with ticks and units, points with error bars, lines. Every candidate has a
//! color for color-blind readers and its own mark, the same in every plot; text uses the color of
//! the page.

use std::fmt::Write;

use super::page::escape;
use crate::stats::Spread;

/// Width of a plot in pixels.
const WIDTH: f64 = 560.0;

/// Left margin for names.
const LEFT: f64 = 104.0;

/// Right margin for values in a row chart.
const RIGHT: f64 = 118.0;

/// Height of a row.
const ROW: f64 = 24.0;

/// Half the size of a mark.
const MARK: f64 = 4.5;

/// Approximate width of a character.
const CHARACTER: f64 = 6.6;

/// The scale of an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    Linear,
    Log,
}

/// The number format of an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Count,
    Bytes,
    /// Percentiles, by position.
    Percentile,
}

/// The names of percentiles, by position.
pub(super) const PERCENTILES: [&str; 4] = ["p50", "p90", "p99", "p99.9"];

/// An axis: label and scale.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis<'a> {
    pub(super) title: &'a str,
    pub(super) scale: Scale,
    pub(super) unit: Unit,
}

/// One candidate's points.
#[derive(Debug, Clone)]
pub(super) struct Series {
    pub(super) candidate: String,
    pub(super) points: Vec<(f64, Spread)>,
}

/// Maps numbers to pixels.
#[derive(Debug, Clone, Copy)]
struct Ruler {
    scale: Scale,
    from: f64,
    to: f64,
    start: f64,
    end: f64,
}

impl Ruler {
    /// An axis for these numbers, with round ends.
    fn over(numbers: &[f64], scale: Scale, (start, end): (f64, f64)) -> Self {
        let usable =
            |number: &&f64| number.is_finite() && (scale == Scale::Linear || **number > 0.0);
        let least = numbers
            .iter()
            .filter(usable)
            .copied()
            .fold(f64::INFINITY, f64::min);
        let most = numbers
            .iter()
            .filter(usable)
            .copied()
            .fold(f64::NEG_INFINITY, f64::max);
        let (least, most) = if least.is_finite() {
            (least, most)
        } else {
            (1.0, 1.0)
        };
        let (from, to) = match scale {
            Scale::Linear => (least.min(0.0), if most > 0.0 { most * 1.06 } else { 1.0 }),
            Scale::Log => (least / 1.25, most * 1.25),
        };
        Self {
            scale,
            from,
            to,
            start,
            end,
        }
    }

    fn at(&self, number: f64) -> f64 {
        let part = match self.scale {
            Scale::Linear => (number - self.from) / (self.to - self.from),
            Scale::Log => {
                (number.max(self.from).ln() - self.from.ln()) / (self.to.ln() - self.from.ln())
            }
        };
        self.start + part * (self.end - self.start)
    }

    fn ticks(&self) -> Vec<f64> {
        match self.scale {
            Scale::Linear => {
                let step = round_step((self.to - self.from) / 5.0);
                let first = (self.from / step).ceil();
                (0..20)
                    .map(|number| (first + f64::from(number)) * step)
                    .filter(|tick| *tick <= self.to)
                    .collect()
            }
            Scale::Log => {
                let decades = (self.to / self.from).log10();
                let factors: &[f64] = match decades {
                    _ if decades < 0.7 => &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0],
                    _ if decades < 2.5 => &[1.0, 2.0, 5.0],
                    _ => &[1.0],
                };
                let lowest = self.from.log10().floor() as i32;
                let all = (lowest..lowest + 14)
                    .flat_map(|power| factors.iter().map(move |f| f * 10f64.powi(power)));
                all.filter(|tick| (self.from..=self.to).contains(tick))
                    .collect()
            }
        }
    }
}

/// The next of 1, 2, 5, 10 … from here.
fn round_step(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .map(|factor| factor * power)
        .into_iter()
        .find(|step| *step >= least)
        .unwrap_or(power)
}

/// The shortest form of a number.
fn short(number: f64, unit: Unit) -> String {
    if unit == Unit::Percentile {
        return PERCENTILES
            .get(number as usize)
            .copied()
            .unwrap_or_default()
            .to_owned();
    }
    let (step, names) = match unit {
        Unit::Bytes => (1024.0, ["", " KiB", " MiB", " GiB"]),
        _ => (1000.0, ["", "k", "M", "G"]),
    };
    let (mut number, mut name) = (number, 0);
    while number >= step && name + 1 < names.len() {
        number /= step;
        name += 1;
    }
    let digits = match number {
        _ if number.fract().abs() < 1e-9 || number >= 100.0 => 0,
        _ if number < 1.0 => 2,
        _ => 1,
    };
    format!("{number:.digits$}{}", names[name])
}

/// The index of a candidate, which determines color and mark.
fn look(candidate: &str) -> usize {
    let known = [
        "outrigger",
        "haproxy",
        "nginx",
        "envoy",
        "caddy",
        "pingora",
        "outrigger-bare",
        "direct",
    ];
    known
        .iter()
        .position(|one| *one == candidate)
        .unwrap_or(known.len() - 1)
}

/// The mark of a candidate at a point.
fn mark(candidate: &str, x: f64, y: f64) -> String {
    let (look, m) = (look(candidate), MARK);
    let shape = match look {
        0 => format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{:.1}\"/>", m + 0.5),
        1 => format!(
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{2:.1}\" height=\"{2:.1}\"/>",
            x - m,
            y - m,
            2.0 * m
        ),
        2 => polygon(&[(x, y - m - 1.0), (x + m + 0.5, y + m), (x - m - 0.5, y + m)]),
        3 => polygon(&[
            (x, y - m - 1.5),
            (x + m + 1.5, y),
            (x, y + m + 1.5),
            (x - m - 1.5, y),
        ]),
        4 => polygon(&[(x, y + m + 1.0), (x + m + 0.5, y - m), (x - m - 0.5, y - m)]),
        5 => format!(
            "<path class=\"open\" d=\"M{:.1} {y:.1}H{:.1}M{x:.1} {:.1}V{:.1}\"/>",
            x - m - 1.0,
            x + m + 1.0,
            y - m - 1.0,
            y + m + 1.0
        ),
        6 => format!("<circle class=\"open\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{m:.1}\"/>"),
        _ => format!(
            "<path class=\"open\" d=\"M{0:.1} {2:.1}L{1:.1} {3:.1}M{0:.1} {3:.1}L{1:.1} {2:.1}\"/>",
            x - m,
            x + m,
            y - m,
            y + m
        ),
    };
    format!("<g class=\"c{look}\">{shape}</g>")
}

fn polygon(corners: &[(f64, f64)]) -> String {
    let points: Vec<_> = corners
        .iter()
        .map(|(x, y)| format!("{x:.1},{y:.1}"))
        .collect();
    format!("<polygon points=\"{}\"/>", points.join(" "))
}

/// A legend with the marks and names of these candidates.
pub(super) fn legend(candidates: &[&str]) -> String {
    let one = |name: &&str| {
        let mark = mark(name, 8.0, 8.0);
        format!(
            "<span><svg viewBox=\"0 0 16 16\" width=\"16\" height=\"16\">{mark}</svg> {}</span>",
            escape(name)
        )
    };
    format!(
        "<p class=\"legend\">{}</p>\n",
        candidates.iter().map(one).collect::<Vec<_>>().join(" ")
    )
}

struct Canvas {
    body: String,
    width: f64,
    height: f64,
}

impl Canvas {
    fn text(&mut self, class: &str, (x, y): (f64, f64), text: &str) {
        let _ = write!(
            self.body,
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>",
            escape(text)
        );
    }

    fn line(&mut self, class: &str, (x, y): (f64, f64), (to_x, to_y): (f64, f64)) {
        let _ = write!(
            self.body,
            "<line class=\"{class}\" x1=\"{x:.1}\" y1=\"{y:.1}\" x2=\"{to_x:.1}\" y2=\"{to_y:.1}\"/>"
        );
    }

    fn finish(self, label: &str) -> String {
        let (width, height) = (self.width, self.height);
        format!(
            "<svg class=\"plot\" viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" aria-label=\"{}\">{}</svg>\n",
            escape(label),
            self.body
        )
    }
}

/// A bar for each candidate from zero, with the range of its rounds and the value beside it.
pub(super) fn bars(title: &str, rows: &[(String, Spread)]) -> String {
    let height = ROW * rows.len() as f64 + 44.0;
    let mut canvas = Canvas {
        body: String::new(),
        width: WIDTH,
        height,
    };
    let numbers: Vec<_> = rows.iter().map(|(_, spread)| spread.most).collect();
    let ruler = Ruler::over(&numbers, Scale::Linear, (LEFT, WIDTH - RIGHT));
    let bottom = height - 38.0;
    vertical_grid(&mut canvas, &ruler, Unit::Count, (4.0, bottom));
    canvas.text(
        "title middle",
        (f64::midpoint(LEFT, WIDTH - RIGHT), height - 6.0),
        title,
    );
    for (number, (candidate, spread)) in rows.iter().enumerate() {
        let y = 4.0 + ROW * (number as f64 + 0.5);
        let (zero, x) = (ruler.at(0.0), ruler.at(spread.median));
        let _ = write!(
            canvas.body,
            "<rect class=\"bar c{}\" x=\"{zero:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"12\"/>",
            look(candidate),
            y - 6.0,
            (x - zero).max(0.5)
        );
        range(
            &mut canvas,
            (ruler.at(spread.least), ruler.at(spread.most)),
            y,
        );
        canvas.body.push_str(&mark(candidate, x, y));
        canvas.text("end", (LEFT - 8.0, y + 4.0), candidate);
        let digits = if spread.median < 10.0 { 2 } else { 1 };
        let value = format!(
            "{:.digits$} [{:.digits$}-{:.digits$}]",
            spread.median, spread.least, spread.most
        );
        canvas.text("", (ruler.at(spread.most) + 10.0, y + 4.0), &value);
    }
    canvas.finish(title)
}

/// An error bar from minimum to maximum.
fn range(canvas: &mut Canvas, (from, to): (f64, f64), y: f64) {
    canvas.line("range", (from, y), (to, y));
    canvas.line("range", (from, y - 4.0), (from, y + 4.0));
    canvas.line("range", (to, y - 4.0), (to, y + 4.0));
}

fn vertical_grid(canvas: &mut Canvas, ruler: &Ruler, unit: Unit, (top, bottom): (f64, f64)) {
    let mut free = f64::NEG_INFINITY;
    for tick in ruler.ticks() {
        let (x, text) = (ruler.at(tick), short(tick, unit));
        canvas.line("grid", (x, top), (x, bottom));
        let half = text.chars().count() as f64 * CHARACTER / 2.0;
        // A number that would overlap the previous one is omitted; its line stays.
        if x - half > free {
            canvas.text("middle", (x, bottom + 14.0), &text);
            free = x + half + 4.0;
        }
    }
    canvas.line("axis", (ruler.start, bottom), (ruler.end, bottom));
}

/// For each row the marks of all candidates, with a line at one: left of it is cheaper than the
/// reference.
pub(super) fn ratios(title: &str, rows: &[(String, Vec<(String, Spread)>)]) -> String {
    let (left, width) = (150.0, 760.0);
    let height = ROW * rows.len() as f64 + 44.0;
    let mut canvas = Canvas {
        body: String::new(),
        width,
        height,
    };
    let mut numbers: Vec<_> = rows
        .iter()
        .flat_map(|(_, row)| row.iter().map(|(_, one)| one.median))
        .collect();
    numbers.push(1.0);
    let ruler = Ruler::over(&numbers, Scale::Log, (left, width - 12.0));
    let bottom = height - 38.0;
    vertical_grid(&mut canvas, &ruler, Unit::Count, (4.0, bottom));
    let one = ruler.at(1.0);
    canvas.line("one", (one, 4.0), (one, bottom));
    canvas.text(
        "title middle",
        (f64::midpoint(left, width), height - 6.0),
        title,
    );
    for (number, (name, row)) in rows.iter().enumerate() {
        let y = 4.0 + ROW * (number as f64 + 0.5);
        canvas.text("end", (left - 8.0, y + 4.0), name);
        canvas.line("row", (left, y), (width - 12.0, y));
        // Outrigger last, so that its mark is on top.
        let ours = |candidate: &str| candidate == "outrigger";
        for (candidate, spread) in row.iter().filter(|(one, _)| !ours(one)) {
            canvas
                .body
                .push_str(&mark(candidate, ruler.at(spread.median), y));
        }
        for (candidate, spread) in row.iter().filter(|(one, _)| ours(one)) {
            range(
                &mut canvas,
                (ruler.at(spread.least), ruler.at(spread.most)),
                y,
            );
            canvas
                .body
                .push_str(&mark(candidate, ruler.at(spread.median), y));
        }
    }
    canvas.finish(title)
}

/// A line with marks and ranges for each candidate.
pub(super) fn lines(x: Axis<'_>, y: Axis<'_>, series: &[Series]) -> String {
    let (left, top, bottom, right) = (64.0, 10.0, 250.0, WIDTH - 16.0);
    let mut canvas = Canvas {
        body: String::new(),
        width: WIDTH,
        height: 300.0,
    };
    let all = || series.iter().flat_map(|one| &one.points);
    let across: Vec<_> = all().map(|(x, _)| *x).collect();
    let up: Vec<_> = all()
        .flat_map(|(_, spread)| [spread.least, spread.most])
        .collect();
    let across = match x.unit {
        Unit::Percentile => Ruler {
            scale: Scale::Linear,
            from: -0.3,
            to: 3.3,
            start: left,
            end: right,
        },
        _ => Ruler::over(&across, x.scale, (left, right)),
    };
    let up = Ruler::over(&up, y.scale, (bottom, top));
    vertical_grid(&mut canvas, &across, x.unit, (top, bottom));
    for tick in up.ticks() {
        canvas.line("grid", (left, up.at(tick)), (right, up.at(tick)));
        canvas.text("end", (left - 6.0, up.at(tick) + 4.0), &short(tick, y.unit));
    }
    canvas.line("axis", (left, top), (left, bottom));
    canvas.text("title middle", (f64::midpoint(left, right), 292.0), x.title);
    let middle = f64::midpoint(top, bottom);
    let _ = write!(
        canvas.body,
        "<text class=\"title middle\" transform=\"translate(14 {middle:.1}) rotate(-90)\">{}</text>",
        escape(y.title)
    );
    for one in series {
        let points: Vec<_> = one
            .points
            .iter()
            .filter(|(x_value, _)| x.scale == Scale::Linear || *x_value > 0.0)
            .map(|(x_value, spread)| (across.at(*x_value), spread))
            .collect();
        let path: Vec<_> = points
            .iter()
            .map(|(x, spread)| format!("{x:.1},{:.1}", up.at(spread.median)))
            .collect();
        let look = look(&one.candidate);
        let _ = write!(
            canvas.body,
            "<polyline class=\"line c{look}\" points=\"{}\"/>",
            path.join(" ")
        );
        for (x, spread) in points {
            canvas.line("range", (x, up.at(spread.least)), (x, up.at(spread.most)));
            canvas
                .body
                .push_str(&mark(&one.candidate, x, up.at(spread.median)));
        }
    }
    canvas.finish(&format!("{} by {}", y.title, x.title))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_few_round_and_on_the_ruler() {
        for (numbers, scale) in [
            (vec![3.0, 97.0], Scale::Linear),
            (vec![0.004], Scale::Linear),
            (vec![0.16, 12.3], Scale::Log),
            (vec![14.0, 15.0], Scale::Log),
            (vec![1.0, 1e8], Scale::Log),
            (vec![], Scale::Log),
        ] {
            let ruler = Ruler::over(&numbers, scale, (0.0, 100.0));
            let ticks = ruler.ticks();
            assert!((1..=13).contains(&ticks.len()), "{numbers:?}: {ticks:?}");
            assert!(
                ticks
                    .iter()
                    .all(|tick| (0.0..=100.0).contains(&ruler.at(*tick))),
                "{numbers:?}: {ticks:?}"
            );
            for number in &numbers {
                assert!(
                    (0.0..=100.0).contains(&ruler.at(*number)),
                    "{numbers:?}: {number}"
                );
            }
        }
    }

    #[test]
    fn numbers_are_short() {
        let texts = [0.5, 15.0, 1500.0, 10_000.0, 2e6].map(|number| short(number, Unit::Count));
        assert_eq!(texts, ["0.50", "15", "1.5k", "10k", "2M"]);
        assert_eq!(
            [0.0, 65536.0].map(|number| short(number, Unit::Bytes)),
            ["0", "64 KiB"]
        );
    }

    #[test]
    fn candidates_differ_in_mark_and_colour() {
        let names = [
            "outrigger",
            "haproxy",
            "nginx",
            "envoy",
            "caddy",
            "pingora",
            "outrigger-bare",
            "direct",
        ];
        let marks: std::collections::HashSet<_> = names.map(|name| mark(name, 0.0, 0.0)).into();
        assert_eq!(marks.len(), names.len());
    }
}
