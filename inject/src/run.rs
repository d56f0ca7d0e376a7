//! Processes all files of an input: workloads first, then the Services in front of them, then the
//! texts.

use std::collections::HashMap;

use crate::{
    beside,
    config_map::ConfigMap,
    input::{Input, Output},
    object::{Object, Role, objects, one_line},
    options::Options,
    pod::{self, Pod, Verdict, Written},
    problem::{Problem, Wrong},
    record::INJECTED,
    report::{Action, Line},
    service::{self, Outcome, Target, Targets},
    stream::{Source, syntax_problem},
    undo,
    untouched::{NO_WORKLOAD, function_options, why_not},
    yaml::{
        Document, Tree, documents,
        edit::{Changed, Edits},
        splice::Splice,
    },
};

/// Puts the sidecar into every workload. What is already injected is injected anew.
///
/// # Errors
/// All problems of the input; also an input without a workload.
pub fn inject(inputs: &[Input], options: &Options) -> Result<Output, Vec<Problem>> {
    options.check().map_err(|wrong| {
        let problem = |message| Wrong::new(0, message, "").at("", "");
        wrong.into_iter().map(problem).collect::<Vec<_>>()
    })?;
    let undone: Vec<Option<Changed>> = inputs
        .iter()
        .map(|input| {
            input
                .text
                .contains(INJECTED)
                .then(|| undo::text(&input.text))
        })
        .collect();
    let sources: Vec<Source<'_>> = inputs
        .iter()
        .zip(&undone)
        .map(|(input, undone)| Source::new(input, undone.as_ref()))
        .collect();
    let mut run = Run::new(&sources, options);
    for (file, source) in sources.iter().enumerate() {
        let problems = documents(source.text, |document| run.document(file, document));
        run.problems
            .extend(problems.iter().map(|syntax| syntax_problem(source, syntax)));
    }
    run.services();
    run.finish(inputs)
}

/// Namespace and name of a ConfigMap.
type Key = (Option<String>, String);

/// A document with Services: its file, and the line of each Service in the report.
type Waiting<'a> = (usize, Document<'a>, Vec<(Object, usize)>);

struct Run<'s, 'a> {
    sources: &'s [Source<'a>],
    options: &'s Options,
    edits: Vec<Edits>,
    report: Vec<Line>,
    problems: Vec<Problem>,
    targets: Targets,
    /// Services, which are processed after all workloads.
    waiting: Vec<Waiting<'a>>,
    /// ConfigMaps of the input by namespace and name, with their positions.
    known: HashMap<Key, String>,
    /// ConfigMaps that were created, each with its workload.
    made: HashMap<Key, (ConfigMap, Problem)>,
    /// Files that begin with `---` now.
    opened: Vec<bool>,
    injected: usize,
    opted_out: usize,
    skipped: Vec<Problem>,
    behind_init: bool,
    written: Written,
}

impl<'s, 'a> Run<'s, 'a> {
    fn new(sources: &'s [Source<'a>], options: &'s Options) -> Self {
        Self {
            sources,
            options,
            edits: sources.iter().map(|_| Edits::default()).collect(),
            report: Vec::new(),
            problems: Vec::new(),
            targets: Targets::default(),
            waiting: Vec::new(),
            known: HashMap::new(),
            made: HashMap::new(),
            opened: vec![false; sources.len()],
            injected: 0,
            opted_out: 0,
            skipped: Vec::new(),
            behind_init: false,
            written: Written::default(),
        }
    }

    fn document(&mut self, file: usize, document: Document<'a>) {
        let tree = &document.tree;
        if let Some(wrong) = function_options(tree) {
            let problem = wrong.at(self.sources[file].name, "ResourceList");
            self.problems.push(self.located(file, problem));
        }
        let mut services = Vec::new();
        for object in objects(tree) {
            match object.role(tree) {
                Role::Workload => self.workload(file, &document, object),
                Role::Service => {
                    services.push((object, self.report.len()));
                    self.say(file, tree, object, Action::Untouched, String::new());
                }
                Role::ConfigMap => {
                    let name = object.name(tree).unwrap_or_default();
                    let place = (object.namespace(tree).map(str::to_owned), name);
                    let line = self.sources[file].lines.original(object.line(tree));
                    self.known
                        .insert(place, format!("{}:{line}", self.sources[file].name));
                    self.say(
                        file,
                        tree,
                        object,
                        Action::Untouched,
                        NO_WORKLOAD.to_owned(),
                    );
                }
                Role::Other => {
                    self.say(file, tree, object, Action::Untouched, why_not(tree, object))
                }
            }
        }
        if !services.is_empty() {
            self.waiting.push((file, document, services));
        }
    }

    fn say(
        &mut self,
        file: usize,
        tree: &Tree<'_>,
        object: Object,
        action: Action,
        detail: String,
    ) {
        let source = &self.sources[file];
        self.report.push(Line {
            file: source.name.to_owned(),
            line: source.lines.original(object.line(tree)),
            object: object.title(tree),
            action,
            detail: one_line(&detail),
        });
    }

    fn located(&self, file: usize, mut problem: Problem) -> Problem {
        problem.line = self.sources[file].lines.original(problem.line);
        problem.message = one_line(&problem.message);
        problem
    }

    fn workload(&mut self, file: usize, document: &Document<'a>, object: Object) {
        let tree = &document.tree;
        let source = &self.sources[file];
        let problem = |wrong: Wrong| wrong.at(source.name, &object.title(tree));
        let Some(pod) = Pod::of(tree, object) else {
            self.skip(file, tree, object, "no pod template");
            return;
        };
        let mut splice = Splice::new(tree, source.newline);
        match pod::inject(&pod, self.options, &mut self.written, &mut splice) {
            Err(wrong) => {
                let wrong: Vec<_> = wrong.into_iter().map(problem).collect();
                let wrong = wrong.into_iter().map(|problem| self.located(file, problem));
                let wrong: Vec<_> = wrong.collect();
                self.problems.extend(wrong);
            }
            Ok(Verdict::Skipped(reason)) => {
                self.targets.add(Target::new(&pod, None));
                self.skip(file, tree, object, &reason);
            }
            Ok(Verdict::OptedOut(reason)) => {
                self.targets.add(Target::new(&pod, None));
                self.opted_out += 1;
                self.say(file, tree, object, Action::Skipped, reason);
            }
            Ok(Verdict::Injected(done)) => {
                self.injected += 1;
                self.behind_init |= done.behind_init;
                self.targets
                    .add(Target::new(&pod, Some(done.ports.clone())));
                self.say(file, tree, object, Action::Injected, done.detail);
                let map = done.config_map.map(|name| {
                    let namespace = object.namespace(tree).map(str::to_owned);
                    let annotation = |name: &str| {
                        let annotations = tree.path(object.map, &["metadata", "annotations"])?;
                        tree.text_of(annotations, name).map(str::to_owned)
                    };
                    ConfigMap::new(name, namespace, annotation, self.options, &done.ports)
                });
                if let Some(map) = map {
                    self.config_map(file, document, object, map, &mut splice);
                }
                self.edits[file].append(splice.edits);
            }
        }
    }

    fn skip(&mut self, file: usize, tree: &Tree<'_>, object: Object, reason: &str) {
        let wrong = Wrong::new(
            object.line(tree),
            format!("it gets no sidecar ({reason}), and nothing else in the input does"),
            "annotate the pod template with outrigger/inject: disabled where that is meant",
        );
        let problem = wrong.at(self.sources[file].name, &object.title(tree));
        let problem = self.located(file, problem);
        self.skipped.push(problem);
        self.say(file, tree, object, Action::Skipped, reason.to_owned());
    }

    /// Inserts a ConfigMap after its workload, once for each name.
    fn config_map(
        &mut self,
        file: usize,
        document: &Document<'a>,
        object: Object,
        map: ConfigMap,
        splice: &mut Splice<'_, 'a>,
    ) {
        let tree = &document.tree;
        let source = &self.sources[file];
        let title = object.title(tree);
        let clash = |message: String, help: &str| {
            Wrong::new(object.line(tree), message, help).at(source.name, &title)
        };
        let key = (map.namespace.clone(), map.name.clone());
        if let Some((made, other)) = self.made.get(&key) {
            if *made != map {
                let message = format!(
                    "its ConfigMap {} would be that of {} too, with another content",
                    map.name, other.object
                );
                let problem = clash(
                    message,
                    "name one of yours: --set config=configmap/NAME, or rename a workload",
                );
                let problem = self.located(file, problem);
                self.problems.push(problem);
            }
            return;
        }
        let origin = clash(String::new(), "");
        let origin = self.located(file, origin);
        let opened = &mut self.opened[file];
        if let Err(wrong) = beside::put(source, document, object, &map, splice, opened) {
            let problem = self.located(file, wrong.at(source.name, &title));
            self.problems.push(problem);
            return;
        }
        let name = match &map.namespace {
            Some(namespace) => format!("ConfigMap {namespace}/{}", map.name),
            None => format!("ConfigMap {}", map.name),
        };
        self.report.push(Line {
            file: origin.file.clone(),
            line: origin.line,
            object: one_line(&name),
            action: Action::Added,
            detail: format!("the configuration of {}", origin.object),
        });
        self.made.insert(key, (map, origin));
    }

    fn services(&mut self) {
        for (file, document, services) in std::mem::take(&mut self.waiting) {
            let source = &self.sources[file];
            let mut splice = Splice::new(&document.tree, source.newline);
            for (object, slot) in services {
                match service::rewrite(object, &self.targets, &mut splice) {
                    Ok(Outcome::Changed(detail)) => {
                        self.report[slot].action = Action::Changed;
                        self.report[slot].detail = one_line(&detail);
                    }
                    Ok(Outcome::Untouched(reason)) => self.report[slot].detail = reason,
                    Err(wrong) => {
                        let problem = wrong.at(source.name, &object.title(&document.tree));
                        let problem = self.located(file, problem);
                        self.problems.push(problem);
                    }
                }
            }
            self.edits[file].append(splice.edits);
        }
    }

    fn finish(mut self, inputs: &[Input]) -> Result<Output, Vec<Problem>> {
        for (key, (map, origin)) in &self.made {
            if let Some(place) = self.known.get(key) {
                self.problems.push(Problem {
                    message: format!("its ConfigMap {} is already there, at {place}", map.name),
                    help: "rename that one, or use it: --set config=configmap/NAME".to_owned(),
                    ..origin.clone()
                });
            }
        }
        if self.problems.is_empty() && self.injected == 0 && self.opted_out == 0 {
            self.problems = self.nothing_done(inputs);
        }
        if let Some(name) = self
            .options
            .after_init
            .as_ref()
            .filter(|_| !self.behind_init)
            && self.problems.is_empty()
        {
            let message = format!("--after-init {name}: no pod has an init container of that name");
            let file = inputs.first().map_or("", |input| &input.name);
            self.problems.push(Wrong::new(1, message, "").at(file, ""));
        }
        if !self.problems.is_empty() {
            let file =
                |problem: &Problem| inputs.iter().position(|input| input.name == problem.file);
            self.problems
                .sort_by_key(|problem| (file(problem), problem.line));
            return Err(self.problems);
        }
        let texts = self.edits.into_iter().zip(self.sources);
        let texts = texts.map(|(edits, source)| {
            if edits.is_empty() {
                source.text.to_owned()
            } else {
                edits.apply(source.text).text
            }
        });
        Ok(Output {
            texts: texts.collect(),
            report: self.report,
        })
    }

    fn nothing_done(&mut self, inputs: &[Input]) -> Vec<Problem> {
        if !self.skipped.is_empty() {
            return std::mem::take(&mut self.skipped);
        }
        let mut kinds: Vec<&str> = self
            .report
            .iter()
            .filter_map(|line| line.object.split(' ').next())
            .collect();
        kinds.sort_unstable();
        kinds.dedup();
        let found = match kinds[..] {
            [] => "there is no Kubernetes object".to_owned(),
            _ => format!("there is no workload, only {}", kinds.join(", ")),
        };
        let help = "a workload is a Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController, Job or CronJob";
        let file = match inputs {
            [input] => input.name.clone(),
            _ => inputs
                .first()
                .map_or_else(String::new, |input| input.name.clone()),
        };
        vec![Wrong::new(1, found, help).at(&file, "")]
    }
}
