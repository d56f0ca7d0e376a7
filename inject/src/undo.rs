//! Removes injections from a text.

use std::collections::BTreeMap;

use crate::{
    input::{Input, Output},
    object::{Object, Role, objects},
    pod::{self, Pod},
    problem::Problem,
    report::{Action, Line},
    service,
    stream::{Source, end_of, newline_of, syntax_problem},
    yaml::{
        Document, Id, documents,
        edit::{Changed, Edits},
        splice::{Splice, line_behind, line_start},
    },
};

/// Restores every injected object; all others stay as they are.
///
/// # Errors
/// Text that is not YAML.
pub fn uninject(inputs: &[Input]) -> Result<Output, Vec<Problem>> {
    let (mut texts, mut report, mut problems) = (Vec::new(), Vec::new(), Vec::new());
    for input in inputs {
        let source = Source::new(input, None);
        let mut undo = Undo::new(&input.text);
        let wrong = documents(&input.text, |document| undo.document(&document));
        problems.extend(wrong.iter().map(|syntax| syntax_problem(&source, syntax)));
        report.extend(undo.report.into_iter().map(|line| Line {
            file: input.name.clone(),
            ..line
        }));
        texts.push(undo.edits.apply(&input.text).text);
    }
    if problems.is_empty() {
        Ok(Output { texts, report })
    } else {
        Err(problems)
    }
}

/// A text without its injections. Text that is not YAML is kept as far as it was parsed; the parser
/// of the result reports its problems again.
pub(crate) fn text(text: &str) -> Changed {
    let mut undo = Undo::new(text);
    let problems = documents(text, |document| undo.document(&document));
    if problems.is_empty() {
        undo.edits.apply(text)
    } else {
        Edits::default().apply(text)
    }
}

struct Undo<'a> {
    text: &'a str,
    newline: &'static str,
    edits: Edits,
    report: Vec<Line>,
}

impl<'a> Undo<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            newline: newline_of(text),
            edits: Edits::default(),
            report: Vec::new(),
        }
    }

    fn document(&mut self, document: &Document<'a>) {
        let tree = &document.tree;
        let mut splice = Splice::new(tree, self.newline);
        let mut items: BTreeMap<Id, Vec<usize>> = BTreeMap::new();
        for object in objects(tree) {
            let (action, detail) = match self.object(document, object, &mut splice, &mut items) {
                Some(action) => (action, String::new()),
                None => (Action::Untouched, "not injected".to_owned()),
            };
            self.report.push(Line {
                file: String::new(),
                line: object.line(tree),
                object: object.title(tree),
                action,
                detail,
            });
        }
        for (list, indexes) in items {
            splice.remove_items(list, &indexes);
        }
        self.edits.append(splice.edits);
    }

    fn object(
        &mut self,
        document: &Document<'a>,
        object: Object,
        splice: &mut Splice<'_, 'a>,
        items: &mut BTreeMap<Id, Vec<usize>>,
    ) -> Option<Action> {
        let tree = &document.tree;
        match object.role(tree) {
            Role::Workload => {
                let pod = Pod::of(tree, object)?;
                pod::undo(&pod, &pod::record_of(&pod)?, splice);
                Some(Action::Restored)
            }
            Role::Service => {
                service::undo(object, &service::record_of(tree, object)?, splice);
                Some(Action::Restored)
            }
            Role::ConfigMap => {
                let record =
                    service::record_of(tree, object).filter(|record| record.mode == "config")?;
                match object.item {
                    Some((list, 1)) if record.has_made("list") && self.unwrap(document, list) => {}
                    Some((list, index)) => items.entry(list).or_default().push(index),
                    None => self.remove_document(document),
                }
                if record.has_made("start") {
                    self.remove_start();
                }
                Some(Action::Removed)
            }
            Role::Other => None,
        }
    }

    fn remove_document(&mut self, document: &Document<'a>) {
        let begins = self.text[document.start..].starts_with("---");
        let first = if begins {
            document.start
        } else {
            document.tree.node(0).start
        };
        let start = line_start(self.text, first);
        let end = end_of(self.text, document);
        self.edits.remove_lines(start..end);
    }

    /// Replaces a list of two by the object that it was created from; `false` if it has more items
    /// now.
    fn unwrap(&mut self, document: &Document<'a>, list: Id) -> bool {
        let tree = &document.tree;
        let [object, _] = tree.items(list) else {
            return false;
        };
        let (root, object) = (tree.node(0), tree.node(*object));
        self.edits.remove(root.start..object.start);
        self.edits.remove(object.end..root.end);
        true
    }

    /// Removes the `---` that was inserted before a JSON document.
    fn remove_start(&mut self) {
        let mark = self.text.len() - self.text.trim_start_matches('\u{feff}').len();
        if self.text[mark..].starts_with("---") {
            self.edits.remove(mark..line_behind(self.text, mark + 1));
        }
    }
}
