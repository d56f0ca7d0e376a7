//! Names and references to them.

use std::collections::HashMap;

use crate::block::{
    At,
    problem::{Place, Report, closest},
};

/// Names that mean something of their own where upstreams and token providers are referred to. A listener or route may
/// have them: nothing else can stand where those are named.
const RESERVED: [&str; 3] = ["app", "mtls", "none"];

/// Checks that a name is a DNS label (RFC 1123).
pub(crate) fn check(name: &str, place: &Place, report: &mut Report) {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = name.bytes().next().is_some_and(plain) && name.bytes().last().is_some_and(plain);
    if !ends || name.len() > 63 || !name.bytes().all(|byte| plain(byte) || byte == b'-') {
        let message = format!("{name:?} is not a name");
        report.error(place, "bad-name", message, help(name));
    }
}

/// Checks that a name is not one of the reserved ones.
pub(crate) fn not_reserved(name: &str, place: &Place, report: &mut Report) {
    if RESERVED.contains(&name) {
        let message = format!("the name `{name}` is reserved");
        report.error(place, "reserved-name", message, "choose another name");
    }
}

/// The names of one kind of thing, each of which is to be used once.
pub(crate) struct Taken<'a> {
    kind: &'static str,
    first: HashMap<String, &'a Place>,
}

impl<'a> Taken<'a> {
    /// None yet.
    pub(crate) fn of(kind: &'static str) -> Self {
        Self {
            kind,
            first: HashMap::new(),
        }
    }

    /// One more; reported when it is there already.
    pub(crate) fn take(&mut self, name: &str, place: &'a Place, report: &mut Report) {
        let kind = self.kind;
        let Some(first) = self.first.get(name) else {
            self.first.insert(name.to_owned(), place);
            return;
        };
        let message = format!(
            "a second {kind} has the name `{name}`; the first is at {}",
            report.spot(first)
        );
        report.error(
            place,
            "duplicate-name",
            message,
            format!("give each {kind} its own `name`"),
        );
    }
}

/// Where each thing stands, by its name; the first of a name counts.
pub(crate) fn by_name<'a, T>(
    things: &'a [T],
    name: impl Fn(&'a T) -> &'a str,
) -> HashMap<&'a str, u32> {
    let mut found = HashMap::with_capacity(things.len());
    for (index, thing) in (0..).zip(things) {
        found.entry(name(thing)).or_insert(index);
    }
    found
}

/// So many names are told to whoever has named something else.
const TOLD: usize = 20;

/// Reports a reference to something that does not exist.
pub(crate) fn unresolved<'a>(
    kind: &str,
    name: &str,
    place: &Place,
    known: impl Iterator<Item = &'a str>,
    report: &mut Report,
) {
    let known: Vec<&str> = known.collect();
    let help = match closest(name, known.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if known.is_empty() => format!("there is no {kind} in this file"),
        None if known.len() > TOLD => {
            format!(
                "the file has: {} and {} more",
                known[..TOLD].join(", "),
                known.len() - TOLD
            )
        }
        None => format!("the file has: {}", known.join(", ")),
    };
    report.error(
        place,
        "unresolved-reference",
        format!("there is no {kind} named `{name}`"),
        help,
    );
}

fn help(name: &str) -> String {
    const RULE: &str = "use at most 63 of a-z, 0-9 and `-`, with a letter or digit at both ends";
    let fixed: String = name
        .to_ascii_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let fixed = fixed.trim_matches('-');
    if fixed.is_empty() || fixed.len() > 63 {
        RULE.to_owned()
    } else {
        format!("{RULE}, such as `{fixed}`")
    }
}

/// The items of a list without those that stand there again, which are reported.
pub(crate) fn each_once<'a>(items: &'a [At<String>], report: &mut Report) -> Vec<&'a At<String>> {
    let mut once: Vec<&At<String>> = Vec::with_capacity(items.len());
    for item in items {
        if once.iter().any(|earlier| earlier.value == item.value) {
            let message = format!("{:?} is named twice", item.value);
            report.error(&item.place, "duplicate-reference", message, "name it once");
        } else {
            once.push(item);
        }
    }
    once
}
