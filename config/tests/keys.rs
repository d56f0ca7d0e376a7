//! Every key has an effect: for each key in each block of the schema, changing or removing its
//! value changes the accepted configuration.
//!
//! `full.yaml` and [`MORE`] contain each key at least once. A key that is in schema and docs but
//! not read by any code fails here, and so does a key that is in no sample.

// Helpers of tests are tests too.
#![allow(clippy::unwrap_used)]

mod certificates;
#[allow(dead_code, reason = "only the match is needed here")]
mod checker;
mod sample;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use checker::fits;
use outrigger_config::{json_schema, load_str, model::Config};
use serde_json::Value;

/// Keys that `full.yaml` cannot contain beside their alternatives.
const MORE: &[&str] = &[
    "app: { socket: app.sock }\nmonitor: { process: { pidFile: run/app.pid }, checks: [{ name: db, tcp: \"db.infra:5432\" }, { name: ledger, grpc: \"http://ledger:9000\", service: ledger.v1 }] }",
    "
app: { port: 8080, protocol: h2c, readiness: { grpc: orders.v1 } }
listeners:
  - port: 8443
    tls:
      bundleFile: int/bundle.pem
      sni: [{ hostnames: [public.example.com], certFile: tls/tls.crt, keyFile: tls/tls.key }]
jwtProviders:
  corp: { issuer: i, audiences: [a], algorithms: [HS256], secret: { env: SECRET } }
upstreams:
  a:
    endpoints: [{ url: http://a.example.com }, { url: http://b.example.com }]
    protocol: h2c
    healthCheck: { grpc: orders.v1 }
    loadBalancer: { policy: consistentHash, hashOn: { cookie: session } }
  b: { endpoints: [{ url: http://c.example.com }], healthCheck: { tcp: true } }
routes: [{ name: all, backendRefs: [a, b] }]
",
];

/// Alternative values that cannot be derived from the sample, by block and key.
const OTHER: &[(&str, &str, &str)] = &[
    ("AppBlock", "host", "\"::1\""),
    ("BackendRefBlock", "name", "ledger"),
    ("ClientAuthBlock", "caFiles", "[other/ca.crt]"),
    (
        "ClientCertBlock",
        "subjectAltNames",
        "[\"spiffe://other/*\"]",
    ),
    ("File", "workers", "3"),
    ("HeaderChangesBlock", "add", "{ x-added: \"1\" }"),
    ("CheckBlock", "grpc", "\"http://other:9000\""),
    ("CheckBlock", "http", "\"https://other.example.com/\""),
    ("CheckBlock", "tcp", "\"other:5432\""),
    ("HedgeBlock", "after", "50ms"),
    ("MirrorBackendBlock", "name", "app"),
    ("OtlpBlock", "url", "\"https://other:4318\""),
    ("RedisBlock", "url", "\"rediss://limits.infra:6380/3\""),
    ("SecretBlock", "env", "OTHER"),
    ("SecretBlock", "file", "secrets/shared.txt"),
    ("ServerBlock", "address", "\"127.0.0.1:9999\""),
    ("SniBlock", "bundleFile", "other/bundle.pem"),
    ("SniBlock", "hostnames", "[a.internal.example.com]"),
    ("TlsBlock", "bundleFile", "other/bundle.pem"),
];

/// Values that are rejected because of their content, which proves that they are read.
const REFUSED: &[(&str, &str, &str, &str)] = &[
    ("SinkBlock", "type", "stdout", "conflicting-keys"),
    ("SniBlock", "certFile", "other/tls.crt", "key-mismatch"),
    ("TlsBlock", "certFile", "other/tls.crt", "key-mismatch"),
];

/// Keys without effect on the accepted configuration, each with its reason.
const WITHOUT_EFFECT: &[(&str, &str, &str)] = &[
    ("AccessLogBlock", "output", "there is one value"),
    ("File", "version", "there is one value"),
    (
        "HealthCheckBlock",
        "tcp",
        "the only value selects the kind of check",
    ),
    (
        "ValueMatchBlock",
        "present",
        "the only value selects the kind of match",
    ),
];

type Key = (String, String);

/// A key of a sample.
struct Place {
    sample: usize,
    /// The block that has the key, as a JSON Pointer.
    block: String,
    /// Whether the key is required, used or not.
    required: bool,
    schema: Value,
}

/// Finds the keys of a sample, and the schema block of each.
struct Walk<'a> {
    root: &'a Value,
    sample: usize,
    found: &'a mut BTreeMap<Key, Vec<Place>>,
}

impl<'a> Walk<'a> {
    fn value(&mut self, block: &str, schema: &'a Value, value: &Value, at: &str) {
        if let Some(target) = schema["$ref"].as_str() {
            let name = target.rsplit('/').next().unwrap();
            self.value(
                name,
                self.root.pointer(target.trim_start_matches('#')).unwrap(),
                value,
                at,
            );
        }
        let alternatives = schema["anyOf"].as_array().into_iter().flatten();
        if let Some(fitting) = alternatives
            .into_iter()
            .find(|one| fits(self.root, one, value))
        {
            self.value(block, fitting, value, at);
        }
        for (index, item) in value.as_array().into_iter().flatten().enumerate() {
            self.value(block, &schema["items"], item, &format!("{at}/{index}"));
        }
        for (key, item) in value.as_object().into_iter().flatten() {
            let below = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
            if let Some(property) = schema["properties"].get(key) {
                self.place(block, schema, key, at);
                self.value(block, property, item, &below);
            } else {
                self.value(block, &schema["additionalProperties"], item, &below);
            }
        }
    }

    fn place(&mut self, block: &str, schema: &Value, key: &str, at: &str) {
        let listed = |list: &Value| {
            list.as_array()
                .is_some_and(|list| list.iter().any(|one| one == key))
        };
        let one_of = schema["oneOf"].as_array().into_iter().flatten();
        let required =
            listed(&schema["required"]) || one_of.into_iter().any(|one| listed(&one["required"]));
        let place = Place {
            sample: self.sample,
            block: at.to_owned(),
            required,
            schema: schema["properties"][key].clone(),
        };
        self.found
            .entry((block.to_owned(), key.to_owned()))
            .or_default()
            .push(place);
    }
}

/// All keys of all blocks.
fn keys(schema: &Value) -> BTreeSet<Key> {
    let blocks = schema["$defs"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, block)| (name.as_str(), block));
    let pairs = blocks.chain([("File", schema)]).flat_map(|(name, block)| {
        let keys = block["properties"].as_object().into_iter().flatten();
        keys.map(move |(key, _)| (name.to_owned(), key.clone()))
    });
    pairs.collect()
}

/// Keywords that a schema allows.
fn words(schema: &Value, found: &mut Vec<Value>) {
    found.extend(schema["enum"].as_array().into_iter().flatten().cloned());
    found.extend(schema.get("const").cloned());
    schema["anyOf"]
        .as_array()
        .into_iter()
        .flatten()
        .for_each(|one| words(one, found));
}

/// Possible alternatives for a value.
fn others(key: &Key, schema: &Value, value: &Value) -> Vec<Value> {
    let mut found = Vec::new();
    let written = OTHER
        .iter()
        .filter(|(block, name, _)| (*block, *name) == (&*key.0, &*key.1));
    found.extend(written.map(|(_, _, text)| serde_saphyr::from_str::<Value>(text).unwrap()));
    words(schema, &mut found);
    match value {
        Value::Bool(value) => found.push((!value).into()),
        Value::Number(number) => {
            let number = number.as_f64().unwrap();
            found.extend([number + 1.0, number - 1.0].map(|number| (number as i64).into()));
        }
        Value::String(text) => {
            let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            if let Ok(number) = text[..digits].parse::<u64>() {
                found.push(format!("{}{}", number + 1, &text[digits..]).into());
            }
            found.extend([format!("{text}x").into(), format!("x{text}").into()]);
        }
        Value::Array(items) => {
            found.extend((0..items.len()).map(|left_out| {
                let kept = items
                    .iter()
                    .enumerate()
                    .filter(|(index, _)| *index != left_out);
                kept.map(|(_, item)| item.clone()).collect()
            }));
        }
        _ => {}
    }
    found.retain(|other| other != value);
    found
}

struct Samples {
    folder: tempfile::TempDir,
    trees: Vec<Value>,
    configs: Vec<Config>,
}

impl Samples {
    fn load(folder: &Path, tree: &Value) -> Result<Config, String> {
        let name = folder.join("outrigger.yaml").display().to_string();
        let environment = |name: &str| match name {
            "SECRET" => Some("0123456789".repeat(7)),
            "OTHER" => Some("9876543210".repeat(7)),
            _ => None,
        };
        let loaded = load_str(&name, &tree.to_string(), &environment);
        loaded
            .map(|loaded| loaded.config)
            .map_err(|error| error.render(false))
    }

    fn new() -> Self {
        let folder = sample::folder();
        certificates::write(&folder.path().join("other"), &["*.internal.example.com"]);
        let options = serde_saphyr::options! { strict_booleans: true };
        let texts = [&[include_str!("full.yaml")], MORE].concat();
        let trees: Vec<Value> = texts
            .iter()
            .map(|text| serde_saphyr::from_str_with_options(text, options.clone()).unwrap())
            .collect();
        let configs = trees
            .iter()
            .map(|tree| Self::load(folder.path(), tree).unwrap_or_else(|error| panic!("{error}")));
        Self {
            configs: configs.collect(),
            trees,
            folder,
        }
    }

    /// Whether an alternative value, or none, results in another configuration.
    fn matters(&self, key: &Key, place: &Place) -> bool {
        let tree = &self.trees[place.sample];
        let value = &tree.pointer(&place.block).unwrap()[&key.1];
        let with = |other: Option<Value>| {
            let mut tree = tree.clone();
            let block = tree
                .pointer_mut(&place.block)
                .unwrap()
                .as_object_mut()
                .unwrap();
            match other {
                Some(other) => block.insert(key.1.clone(), other),
                None => block.remove(&key.1),
            };
            Self::load(self.folder.path(), &tree)
        };
        let differs = |config: &Config| *config != self.configs[place.sample];
        match with(None) {
            Ok(config) if differs(&config) => return true,
            // Other keys depend on it.
            Err(_) if !place.required => return true,
            _ => {}
        }
        let refused = REFUSED
            .iter()
            .filter(|(block, name, ..)| (*block, *name) == (&*key.0, &*key.1));
        let mut refused = refused.map(|(_, _, other, error)| (with(Some((*other).into())), error));
        refused.any(|(result, error)| result.is_err_and(|told| told.contains(error)))
            || others(key, &place.schema, value)
                .into_iter()
                .any(|other| with(Some(other)).is_ok_and(|config| differs(&config)))
    }
}

#[test]
fn every_key_of_every_block_changes_what_is_accepted() {
    let (schema, samples) = (json_schema(), Samples::new());
    let mut places = BTreeMap::new();
    for (sample, tree) in samples.trees.iter().enumerate() {
        Walk {
            root: &schema,
            sample,
            found: &mut places,
        }
        .value("File", &schema, tree, "");
    }
    let missing: Vec<_> = keys(&schema)
        .into_iter()
        .filter(|key| !places.contains_key(key))
        .collect();
    assert!(missing.is_empty(), "in no sample: {missing:#?}");
    let mattering: Vec<(&Key, String)> = places
        .iter()
        .flat_map(|(key, places)| places.iter().map(move |place| (key, place)))
        .filter(|(key, place)| samples.matters(key, place))
        .map(|(key, place)| (key, format!("{}:{}/{}", place.sample, place.block, key.1)))
        .collect();
    // A block has an effect if one of its keys has; the sample value of the block itself may be the
    // default.
    let matters = |(key, places): (&Key, &Vec<Place>)| {
        mattering.iter().any(|(one, _)| *one == key)
            || places.iter().any(|place| {
                let below = format!("{}:{}/{}/", place.sample, place.block, key.1);
                mattering.iter().any(|(_, at)| at.starts_with(&below))
            })
    };
    let ignored: BTreeSet<_> = places
        .iter()
        .filter(|place| !matters(*place))
        .map(|(key, _)| key.clone())
        .collect();
    let expected: BTreeSet<_> = WITHOUT_EFFECT
        .iter()
        .map(|(block, key, _)| ((*block).to_owned(), (*key).to_owned()))
        .collect();
    assert_eq!(ignored, expected, "accepted and ignored");
}
