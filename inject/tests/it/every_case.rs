//! What holds for every case.

use outrigger_inject::{Action, ConfigSource, Input, Options, inject, uninject};

use crate::golden::{Case, case, cases, golden};

fn again(case: &Case, text: &str) -> Input {
    Input {
        name: case.input.name.clone(),
        text: text.to_owned(),
    }
}

#[test]
fn each_gives_what_is_written_beside_it() {
    let all = cases();
    assert!(all.len() >= 80, "{} cases", all.len());
    let mut failed = 0;
    for case in &all {
        failed += usize::from(golden(&case.name).is_err());
    }
    assert!(
        failed >= 15 && failed * 2 < all.len(),
        "{failed} of {} are errors",
        all.len()
    );
}

/// What an injection starts from: the input, or what it was before an earlier injection.
fn original(case: &Case) -> String {
    match case.name.as_str() {
        "inj_8_classic_then_native" => super::golden::case("inj_8_classic").input.text,
        "again_after_an_edit" | "again_after_kustomize" => uninjected(&case.input),
        _ => case.input.text.clone(),
    }
}

fn uninjected(input: &Input) -> String {
    uninject(std::slice::from_ref(input))
        .unwrap()
        .texts
        .remove(0)
}

#[test]
fn uninject_restores_every_byte() {
    let mut seen = 0;
    for case in cases() {
        let Ok(output) = case.run() else { continue };
        seen += 1;
        let back = uninjected(&again(&case, &output.texts[0]));
        assert_eq!(back, original(&case), "{}", case.name);
    }
    assert!(seen >= 60, "{seen}");
}

#[test]
fn injecting_twice_equals_once() {
    for case in cases() {
        let Ok(output) = case.run() else { continue };
        let second = inject(&[again(&case, &output.texts[0])], &case.options).unwrap();
        assert_eq!(second.texts, output.texts, "{}", case.name);
        let actions = |output: &outrigger_inject::Output| -> Vec<_> {
            output
                .report
                .iter()
                .filter(|line| matches!(line.action, Action::Injected | Action::Changed))
                .map(|line| (line.object.clone(), line.detail.clone()))
                .collect()
        };
        assert_eq!(actions(&second), actions(&output), "{}", case.name);
    }
}

#[test]
fn new_flags_take_the_place_of_old_ones() {
    for case in cases() {
        let Ok(output) = case.run() else { continue };
        if !matches!(case.options.config, ConfigSource::Generated) {
            continue;
        }
        let mut changed = case.options.clone();
        changed
            .set("image=registry.example.com/outrigger:9")
            .unwrap();
        changed.set("resources=null").unwrap();
        let updated = inject(&[again(&case, &output.texts[0])], &changed).unwrap();
        let fresh = inject(&[again(&case, &original(&case))], &changed).unwrap();
        assert_eq!(updated.texts, fresh.texts, "{}", case.name);
        let injected = |line: &outrigger_inject::Line| line.action == Action::Injected;
        if output.report.iter().any(injected) {
            assert_ne!(updated.texts, output.texts, "{}", case.name);
        }
    }
}

/// The documents of a stream, cut at `---` lines: those of objects that nothing was said about are the same bytes.
#[test]
fn documents_that_are_not_touched_are_the_same_bytes() {
    let mut seen = 0;
    for case in cases() {
        let Ok(output) = case.run() else { continue };
        let after: Vec<&str> = parts(&output.texts[0]);
        let starts = line_of_parts(&case.input.text);
        for (part, first) in parts(&case.input.text).into_iter().zip(starts) {
            let last = first + part.lines().count();
            let touched = output.report.iter().any(|line| {
                line.line >= first
                    && line.line <= last
                    && line.action != Action::Untouched
                    && line.action != Action::Skipped
            });
            if !touched && !part.trim().is_empty() {
                seen += 1;
                assert!(
                    after
                        .iter()
                        .any(|other| other.trim_end() == part.trim_end()),
                    "{}: this document has changed:\n{part}",
                    case.name
                );
            }
        }
    }
    assert!(seen >= 30, "{seen}");
}

fn parts(text: &str) -> Vec<&str> {
    text.split("\n---").collect()
}

fn line_of_parts(text: &str) -> Vec<usize> {
    let mut line = 1;
    let mut starts = Vec::new();
    for part in parts(text) {
        starts.push(line);
        line += part.matches('\n').count() + 1;
    }
    starts
}

#[test]
fn the_order_of_objects_stays() {
    for case in cases() {
        let Ok(output) = case.run() else { continue };
        let before = uninject(std::slice::from_ref(&case.input)).unwrap();
        let titles = |report: &[outrigger_inject::Line]| -> Vec<String> {
            report
                .iter()
                .filter(|line| !matches!(line.action, Action::Added | Action::Removed))
                .map(|line| line.object.clone())
                .collect()
        };
        assert_eq!(
            titles(&output.report),
            titles(&before.report),
            "{}",
            case.name
        );
    }
}

#[test]
fn several_files_are_one_input() {
    let workload = case("service_in_another_file");
    let service = Input {
        name: "service.yaml".to_owned(),
        text: "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\nspec:\n  selector:\n    app: web\n  ports:\n    - port: 80\n      targetPort: 8080\n".to_owned(),
    };
    let output = inject(&[service, workload.input], &Options::default()).unwrap();
    assert!(
        output.texts[0].contains("targetPort: 8000"),
        "{}",
        output.texts[0]
    );
    assert_eq!(output.report[0].action, Action::Changed);
}
