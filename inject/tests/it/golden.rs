//! The cases in `tests/cases`.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use outrigger_inject::{ConfigSource, Configuration, Input, Options, Output, Problem, inject};

/// A case: what goes in, and how.
pub struct Case {
    pub name: String,
    pub input: Input,
    pub options: Options,
}

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")
}

/// All of them, by name.
pub fn cases() -> Vec<Case> {
    let mut names: Vec<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| Some(name.strip_suffix(".in.yaml")?.to_owned()))
        .collect();
    names.sort();
    names.iter().map(|name| case(name)).collect()
}

pub fn case(name: &str) -> Case {
    let read = |ending: &str| fs::read_to_string(folder().join(format!("{name}.{ending}")));
    Case {
        name: name.to_owned(),
        input: Input {
            name: format!("{name}.in.yaml"),
            text: read("in.yaml").unwrap_or_else(|error| panic!("{name}.in.yaml: {error}")),
        },
        options: options(&read("args").unwrap_or_default()),
    }
}

/// The flags of the command line, as far as they are options of an injection.
pub fn options(arguments: &str) -> Options {
    let mut options = Options::default();
    let mut words = arguments.split_whitespace();
    while let Some(flag) = words.next() {
        let mut value = || {
            words
                .next()
                .unwrap_or_else(|| panic!("{flag} needs a value"))
        };
        match flag {
            "--classic" => options.classic = true,
            "--rewrite-probes" => options.rewrite_probes = true,
            "--app-port" => options.app_port = Some(value().parse().unwrap()),
            "--after-init" => options.after_init = Some(value().to_owned()),
            "--app-prestop-sleep" => {
                let seconds = value().strip_suffix('s').unwrap().parse().unwrap();
                options.app_prestop_sleep = Some(Duration::from_secs(seconds));
            }
            "--config" => {
                let loaded = Configuration::load(&folder().join(value())).unwrap();
                options.config = ConfigSource::Given(Box::new(loaded));
            }
            "--set" => options.set(value()).unwrap(),
            _ => panic!("{flag} is no flag"),
        }
    }
    options
}

impl Case {
    pub fn run(&self) -> Result<Output, Vec<Problem>> {
        inject(std::slice::from_ref(&self.input), &self.options)
    }
}

/// The report of an injection, or its problems.
pub fn told(result: &Result<Output, Vec<Problem>>) -> String {
    let lines: Vec<String> = match result {
        Ok(output) => output.report.iter().map(ToString::to_string).collect(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    };
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// Runs a case and compares what came of it; the new text, or the problems as one text.
pub fn golden(name: &str) -> Result<String, String> {
    let result = case(name).run();
    let report = told(&result);
    compare(name, "report.txt", Some(&report));
    match result {
        Ok(output) => {
            compare(name, "out.yaml", Some(&output.texts[0]));
            Ok(output.texts[0].clone())
        }
        Err(_) => {
            compare(name, "out.yaml", None);
            Err(report)
        }
    }
}

fn compare(name: &str, ending: &str, found: Option<&str>) {
    let path = folder().join(format!("{name}.{ending}"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        match found {
            Some(text) => fs::write(&path, text).unwrap(),
            None => drop(fs::remove_file(&path)),
        }
        return;
    }
    let expected = fs::read_to_string(&path).ok();
    assert_eq!(
        found,
        expected.as_deref(),
        "differs from {} (UPDATE_GOLDEN=1 writes it anew)",
        path.display()
    );
}
