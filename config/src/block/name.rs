//! Names and references to them.

use std::collections::HashMap;

use crate::block::{
    At,
    problem::{Place, Report, closest},
};

/// Names with a special meaning in references to upstreams and token providers. A listener or route
/// may use them, because references to those have no special names.
const RESERVED: [&str; 3] = ["app", "mtls", "none"];

/// Checks that a name is a DNS label (RFC 1123).
pub(crate) fn check(name: &str, place: &Place, report: &mut Report) {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = name.bytes().next().is_some_and(plain) && name.bytes().last().is_some_and(plain);
    if !ends || name.len() > 63 || !name.bytes().all(|byte| plain(byte) || byte == b'-') {
        let message = format!("{name:?} is not a valid name");
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

/// The names of one kind of item, each of which may be used once.
pub(crate) struct UsedNames<'a> {
    kind: &'static str,
    first: HashMap<String, &'a Place>,
}

impl<'a> UsedNames<'a> {
    /// An empty set.
    pub(crate) fn of(kind: &'static str) -> Self {
        Self {
            kind,
            first: HashMap::new(),
        }
    }

    /// Adds a name; reports it when it is already used.
    pub(crate) fn take(&mut self, name: &str, place: &'a Place, report: &mut Report) {
        let kind = self.kind;
        let Some(first) = self.first.get(name) else {
            self.first.insert(name.to_owned(), place);
            return;
        };
        let message = format!(
            "another {kind} already has the name `{name}`, at {}",
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

/// The position of each item by name; for duplicates the first one.
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

/// Maximum number of existing names listed in the message about an unresolved reference.
const LISTED_NAMES: usize = 20;

/// Reports a reference to an item that does not exist.
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
        None if known.len() > LISTED_NAMES => {
            format!(
                "the file has: {} and {} more",
                known[..LISTED_NAMES].join(", "),
                known.len() - LISTED_NAMES
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
    const RULE: &str =
        "use at most 63 characters of a-z, 0-9 and `-`, with a letter or digit at both ends";
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

/// The items of a list without duplicates, which are reported.
pub(crate) fn each_once<'a>(items: &'a [At<String>], report: &mut Report) -> Vec<&'a At<String>> {
    let mut once: Vec<&At<String>> = Vec::with_capacity(items.len());
    for item in items {
        if once.iter().any(|earlier| earlier.value == item.value) {
            let message = format!("{:?} is listed twice", item.value);
            report.error(
                &item.place,
                "duplicate-reference",
                message,
                "remove one of them",
            );
        } else {
            once.push(item);
        }
    }
    once
}
