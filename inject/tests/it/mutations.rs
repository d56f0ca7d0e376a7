//! Manifests that are broken in small ways: never a panic, all or nothing, and what is injected can be restored.

use outrigger_inject::{Input, inject, uninject};

use crate::golden::cases;

/// What gets into YAML by accident.
const PIECES: [&str; 24] = [
    " ", "  ", "\n", "\n\n", "- ", ": ", "#", " # x\n", "---\n", "...\n", "{", "}", "[", "]", ",",
    "\"", "'", "&a ", "*a", "<<: ", "|\n", "~", "\t", "\u{fffd}",
];

fn mutated(text: &str, random: &mut fastrand::Rng) -> String {
    let mut text = text.to_owned();
    for _ in 0..random.usize(1..=3) {
        let ends: Vec<usize> = text
            .char_indices()
            .map(|(at, _)| at)
            .chain([text.len()])
            .collect();
        let mut place = || ends[random.usize(..ends.len())];
        let (a, b) = (place(), place());
        let (from, to) = (a.min(b), a.max(b));
        match random.u8(..6) {
            0 => text.insert_str(from, PIECES[random.usize(..PIECES.len())]),
            1 => drop(
                text.drain(
                    from..to
                        .min(
                            ends[ends
                                .partition_point(|end| *end < from + 4)
                                .min(ends.len() - 1)],
                        )
                        .max(from),
                ),
            ),
            2 => text.truncate(to),
            3 => {
                let lines: Vec<&str> = text.split_inclusive('\n').collect();
                let mut lines = lines.clone();
                if lines.len() > 1 {
                    let at = random.usize(..lines.len() - 1);
                    lines.swap(at, at + 1);
                }
                text = lines.concat();
            }
            4 => {
                let lines: Vec<&str> = text.split_inclusive('\n').collect();
                let gone = random.usize(..lines.len().max(1));
                let kept = lines.iter().enumerate().filter(|(index, _)| *index != gone);
                text = kept.map(|(_, line)| *line).collect();
            }
            _ => {
                let lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
                let at = random.usize(..lines.len().max(1));
                let mut lines = lines;
                if let Some(line) = lines.get_mut(at) {
                    line.insert_str(0, ["  ", "# ", "- "][random.usize(..3)]);
                }
                text = lines.concat();
            }
        }
    }
    text
}

/// More of them with `OUTRIGGER_MUTATIONS=1000`, and others with `OUTRIGGER_SEED=2`.
fn number(name: &str, default: u64) -> u64 {
    let found = std::env::var(name).ok().and_then(|text| text.parse().ok());
    found.unwrap_or(default)
}

#[test]
fn broken_manifests_never_panic_and_give_all_or_nothing() {
    let mut random = fastrand::Rng::with_seed(number("OUTRIGGER_SEED", 1));
    let (mut injected, mut refused) = (0, 0);
    for case in cases() {
        for _ in 0..number("OUTRIGGER_MUTATIONS", 12) {
            let text = mutated(&case.input.text, &mut random);
            let input = Input {
                name: case.input.name.clone(),
                text,
            };
            let one = |text: &str| Input {
                text: text.to_owned(),
                ..input.clone()
            };
            match inject(std::slice::from_ref(&input), &case.options) {
                Err(problems) => {
                    refused += 1;
                    assert!(!problems.is_empty());
                    for problem in problems {
                        assert!(!problem.message.is_empty() && !problem.to_string().contains('\n'));
                    }
                }
                Ok(output) => {
                    injected += 1;
                    let told = || {
                        format!(
                            "{}:\n{}\n=== gave\n{}",
                            case.name, input.text, output.texts[0]
                        )
                    };
                    let second = inject(&[one(&output.texts[0])], &case.options)
                        .unwrap_or_else(|problems| panic!("{problems:?}\n{}", told()));
                    assert!(
                        second.texts == output.texts,
                        "twice is not once: {}",
                        told()
                    );
                    if input.text.contains("outrigger/injected") {
                        continue;
                    }
                    let back = uninject(&[one(&output.texts[0])]).unwrap();
                    assert!(
                        back.texts[0] == input.text,
                        "not restored: {}
=== back
{}",
                        told(),
                        back.texts[0]
                    );
                }
            }
        }
    }
    assert!(
        injected > 100 && refused > 100,
        "{injected} injected, {refused} refused"
    );
}
