//! The table holds together, and `docs/reasons.md` is written from it.

use std::{collections::BTreeSet, fmt::Write, fs, path::Path};

use super::{Effect, Flag, Reason};

const MARKER: &str = "<!-- Generated from filters/src/reason.rs. UPDATE_DOCS=1 cargo test -p outrigger-filters --lib reason -->\n";

fn headers(effect: Effect) -> &'static str {
    match effect {
        Effect::Plain => "",
        Effect::Close | Effect::Reset => "`Connection: close`",
        Effect::RetryAfter => "`Retry-After`",
        Effect::Overloaded => "`Retry-After`, `x-outrigger-overloaded: true`",
        Effect::InvalidToken => "`WWW-Authenticate: Bearer error=\"invalid_token\"`",
        Effect::InsufficientScope => "`WWW-Authenticate: Bearer error=\"insufficient_scope\"`",
    }
}

fn number(number: Option<u16>) -> String {
    number.map_or_else(String::new, |number| number.to_string())
}

fn table() -> String {
    let mut flags = Vec::new();
    for reason in Reason::ALL {
        if !flags.contains(&reason.flag()) {
            flags.push(reason.flag());
        }
    }
    let mut text = String::new();
    for flag in flags {
        write!(text, "\n### {}\n\n", flag.as_str()).unwrap();
        text.push_str("| reason | status | gRPC | headers | meaning |\n|---|---|---|---|---|\n");
        for reason in Reason::ALL.iter().filter(|one| one.flag() == flag) {
            let (status, grpc) = (
                reason.status().map(|one| one.as_u16()),
                reason.grpc_status(),
            );
            let name = reason.as_str();
            let (status, grpc, headers) = (number(status), number(grpc), headers(reason.effect()));
            let meaning = reason.meaning();
            writeln!(
                text,
                "| `{name}` | {status} | {grpc} | {headers} | {meaning} |"
            )
            .unwrap();
        }
    }
    text
}

#[test]
fn the_documentation_has_every_reason_as_the_table_has_it() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reasons.md");
    let page = fs::read_to_string(&path).unwrap();
    let (by_hand, generated) = page.split_once(MARKER).expect("the marker is on the page");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, format!("{by_hand}{MARKER}{}", table())).unwrap();
        return;
    }
    assert_eq!(generated, table(), "run the command above the tables");
}

#[test]
fn names_are_two_words_of_one_alphabet_and_stand_once() {
    let names: BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(names.len(), Reason::ALL.len());
    for name in names {
        let (group, word) = name.split_once('.').expect("group.word");
        let is_word = |text: &str| {
            !text.is_empty()
                && text
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        };
        assert!(is_word(group) && is_word(word), "{name}");
    }
}

#[test]
fn a_line_says_the_same_in_all_its_columns() {
    for reason in Reason::ALL {
        let status = reason.status().map(|status| status.as_u16());
        assert_ne!(reason.flag(), Flag::None, "{reason:?}");
        assert!(reason.meaning().ends_with(['.', '?']), "{reason:?}");
        match reason.effect() {
            Effect::InvalidToken => assert_eq!((status, reason.flag()), (Some(401), Flag::Ua)),
            Effect::InsufficientScope => assert_eq!(status, Some(403)),
            Effect::RetryAfter => assert!(matches!(status, Some(429 | 503)), "{reason:?}"),
            Effect::Overloaded => assert_eq!(status, Some(503), "{reason:?}"),
            Effect::Reset => assert_eq!(reason.flag(), Flag::Dpe, "{reason:?}"),
            Effect::Plain | Effect::Close => assert_ne!(status, Some(401), "{reason:?}"),
        }
    }
}
