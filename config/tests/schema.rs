//! The JSON Schema accepts and rejects the same files as the loader, as far as a schema can.

// Helpers of tests are tests too.
#![allow(clippy::unwrap_used)]

mod checker;

use std::{collections::BTreeSet, fs, path::Path};

use checker::violations;
use outrigger_config::{json_schema, load_str};
use serde_json::Value;

fn unset(_: &str) -> Option<String> {
    None
}

fn tree(yaml: &str) -> Option<Value> {
    // In YAML 1.2, and so in editors, `off` is a string.
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(yaml, options).ok()
}

#[test]
fn the_full_sample_fits_the_schema() {
    let sample = tree(include_str!("full.yaml")).unwrap();
    assert_eq!(violations(&json_schema(), &sample), Vec::<String>::new());
}

#[test]
fn short_forms_and_variables_fit_the_schema() {
    for text in [
        "app: { port: \"${env:PORT:-8080}\" }",
        "app: { socket: a.sock }\nworkers: 4\nstatus: off\nadmin: \"${env:ADMIN:-off}\"",
        "app: { port: 1 }\nlifecycle: { drainTimeout: \"${env:DRAIN}s\" }",
        "app: { port: 1 }\nroutes: [{ name: a, backendRefs: [app], matches: [{ path: { exact: /a } }] }]",
        "app: { port: 1 }\nlisteners: [{ port: 0, limits: { bodyBytes: \"${env:A:-1}MiB\" } }]",
    ] {
        let variables = |name: &str| {
            Some(if name == "DRAIN" {
                "5".to_owned()
            } else {
                "off".to_owned()
            })
        };
        let port = |name: &str| {
            if name == "PORT" || name == "A" {
                None
            } else {
                variables(name)
            }
        };
        load_str("t", text, &port).unwrap_or_else(|error| panic!("{}", error.render(false)));
        assert_eq!(
            violations(&json_schema(), &tree(text).unwrap()),
            Vec::<String>::new(),
            "{text}"
        );
    }
}

#[test]
fn what_the_schema_refuses_the_loader_refuses_too() {
    let schema = json_schema();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut refused = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let Some(sample) = tree(&text).filter(|_| path.extension().is_some_and(|e| e == "yaml"))
        else {
            continue;
        };
        if !violations(&schema, &sample).is_empty() {
            refused += 1;
            assert!(load_str("t", &text, &unset).is_err(), "{path:?}");
        }
    }
    assert!(
        refused > 15,
        "only {refused} files are rejected by the schema"
    );
}

#[test]
fn an_editor_sees_the_commonest_mistakes() {
    for text in [
        "app: { prot: 8080 }",
        "app: { port: 8080, socket: a }",
        "app: { port: 80800 }",
        "app: { port: \"8080\" }",
        "app: { port: 1 }\nlifecycle: { drainTimeout: 5 }",
        "app: { port: 1 }\nlifecycle: { drainTimeout: 5 s }",
        "app: { port: 1 }\nlisteners: [{ port: 1, limits: { headerBytes: 64kb } }]",
        "app: { port: 1 }\nlisteners: [{ port: 1, direction: in }]",
        "app: { port: 1 }\nroutes: [{ matches: [] }]",
        "app: { port: 1 }\nroutes: [{ name: a, matches: [{ path: { suffix: a } }] }]",
        "app:",
        "- app",
    ] {
        assert!(
            !violations(&json_schema(), &tree(text).unwrap()).is_empty(),
            "{text}"
        );
    }
}

#[test]
fn every_object_is_closed_and_every_key_is_described() {
    let schema = json_schema();
    let mut blocks = vec![&schema];
    blocks.extend(schema["$defs"].as_object().unwrap().values());
    assert!(blocks.len() > 20);
    for block in blocks {
        assert_eq!(block["additionalProperties"], false, "{block}");
        for (key, property) in block["properties"].as_object().unwrap() {
            assert!(
                property["description"]
                    .as_str()
                    .is_some_and(|text| text.len() > 5),
                "{key}"
            );
        }
    }
}

#[test]
fn the_full_sample_leaves_out_only_alternatives() {
    let schema = json_schema();
    let mut known = BTreeSet::new();
    for block in schema["$defs"]
        .as_object()
        .unwrap()
        .values()
        .chain([&schema])
    {
        known.extend(block["properties"].as_object().unwrap().keys().cloned());
    }
    let mut used = BTreeSet::new();
    keys(&tree(include_str!("full.yaml")).unwrap(), &mut used);
    let left: Vec<&String> = known.difference(&used).collect();
    assert_eq!(left, ["env", "grpc", "pidFile", "service", "socket", "tcp"]);
}

fn keys(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                found.insert(key.clone());
                keys(value, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| keys(item, found)),
        _ => {}
    }
}
