//! Streams as large as those of a whole platform.

use std::fmt::Write as _;

use outrigger_inject::{Action, Input, Options, inject, uninject};

/// Workloads, Services and other objects in turn; every fifth document is empty or a comment.
fn stream(documents: usize) -> String {
    let mut text = String::new();
    for number in 0..documents {
        text.push_str("---\n");
        let _ = match number % 5 {
            0 => write!(
                text,
                "# Source: charts/app-{number}/deployment.yaml\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: app-{number}\n  \
                 namespace: team-{0}\nspec:\n  selector:\n    matchLabels: {{app: app-{number}}}\n  template:\n    metadata:\n      \
                 labels: {{app: app-{number}}}\n    spec:\n      containers:\n        - name: app\n          image: app:{number}\n          \
                 ports:\n            - {{name: http, containerPort: 8080}}\n",
                number % 7
            ),
            1 => write!(
                text,
                "apiVersion: v1\nkind: Service\nmetadata: {{name: app-{0}, namespace: team-{1}}}\nspec:\n  selector: {{app: app-{0}}}\n  \
                 ports: [{{port: 80, targetPort: http}}]\n",
                number - 1,
                (number - 1) % 7
            ),
            2 => write!(
                text,
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c-{number}}}\ndata:\n  text: |\n    ---\n    {number}\n"
            ),
            3 => writeln!(text, "# nothing here: {number}"),
            _ => write!(
                text,
                "apiVersion: example.com/v1\nkind: Thing\nmetadata: {{name: t-{number}}}\nspec: {{on: \"yes\", mode: 0{}}}\n",
                number % 8
            ),
        };
    }
    text
}

#[test]
fn a_stream_of_two_thousand_documents_is_injected_and_restored() {
    let input = Input {
        name: "stream.yaml".to_owned(),
        text: stream(2000),
    };
    let output = inject(std::slice::from_ref(&input), &Options::default()).unwrap();
    let count = |action| {
        let lines = output.report.iter().filter(|line| line.action == action);
        lines.count()
    };
    assert_eq!(count(Action::Injected), 400);
    assert_eq!(count(Action::Added), 400);
    assert_eq!(count(Action::Changed), 400);
    assert_eq!(count(Action::Untouched), 800);
    let injected = Input {
        text: output.texts[0].clone(),
        ..input.clone()
    };
    assert_eq!(
        inject(std::slice::from_ref(&injected), &Options::default())
            .unwrap()
            .texts,
        output.texts
    );
    assert!(
        uninject(&[injected]).unwrap().texts[0] == input.text,
        "not restored"
    );
}

/// A line of a report or message names the line of the input, also when the input was injected before.
#[test]
fn lines_are_those_of_the_input_after_an_injection_too() {
    let workload = |name: &str, port: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\nspec:\n  containers:\n    - name: x\n      image: x\n{port}"
        )
    };
    let first = workload("a", "      ports: [{containerPort: 80}]\n");
    let input = |text: String| Input {
        name: "x.yaml".to_owned(),
        text,
    };
    let injected = inject(&[input(first)], &Options::default())
        .unwrap()
        .texts
        .remove(0);
    let lines = injected.lines().count();
    let wrong = inject(
        &[input(format!("{injected}---\n{}", workload("b", "")))],
        &Options::default(),
    )
    .unwrap_err();
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert_eq!(
        (wrong[0].line, wrong[0].object.as_str()),
        (lines + 2, "Pod b")
    );
}
