//! The kustomize component in `deploy/component` gives the same sidecar as an injection, and valid manifests.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use outrigger_inject::{Configuration, Input, Options, inject};
use serde_json::Value;

use crate::schema;

fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../deploy")
        .join(path)
}

fn documents(text: &str) -> Vec<Value> {
    let parts = text.split("\n---\n");
    parts
        .map(|part| serde_saphyr::from_str(part).unwrap())
        .collect()
}

/// What `kubectl kustomize` makes of the example; `None` where there is no kubectl.
fn built() -> Option<String> {
    let output = Command::new("kubectl")
        .arg("kustomize")
        .arg(deploy("component-example"))
        .stdin(Stdio::null())
        .output();
    let Ok(output) = output else {
        eprintln!("SKIPPED: there is no kubectl on this machine");
        return None;
    };
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn its_configuration_is_accepted() {
    let loaded = Configuration::load(&deploy("component/outrigger.yaml")).unwrap();
    assert_eq!(loaded.warnings, "");
}

#[test]
fn its_sidecar_is_the_one_of_an_injection() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {containers: [{name: web, image: web}]}\n";
    let mut options = Options::default();
    options.app_port = Some(8080);
    let input = Input {
        name: "pod.yaml".to_owned(),
        text: pod.to_owned(),
    };
    let injected = documents(&inject(&[input], &options).unwrap().texts[0]);
    let ours = &injected[0]["spec"]["initContainers"][0];
    let read = |name: &str| {
        documents(&fs::read_to_string(deploy(&format!("component/{name}"))).unwrap()).remove(0)
    };
    let workload = read("workload.yaml");
    let template = &workload["spec"]["template"];
    assert_eq!(template["spec"]["initContainers"][0], *ours);
    assert_eq!(
        read("cron-job.yaml")["spec"]["jobTemplate"]["spec"]["template"],
        *template
    );
    let text = fs::read_to_string(deploy("component/outrigger.yaml")).unwrap();
    assert_eq!(injected[1]["data"]["outrigger.yaml"], text.as_str());
}

#[test]
fn it_patches_what_has_the_label_and_nothing_else() {
    let Some(text) = built() else { return };
    let mut patched = Vec::new();
    for object in documents(&text) {
        let kind = object["kind"].as_str().unwrap();
        let enabled = object["metadata"]["labels"]["outrigger"] == "enabled";
        if kind == "Service" {
            assert_eq!(
                object["spec"]["ports"][0]["targetPort"],
                if enabled { 8000 } else { 8080 }
            );
            continue;
        }
        let template = match kind {
            "CronJob" => &object["spec"]["jobTemplate"]["spec"]["template"],
            _ => &object["spec"]["template"],
        };
        let first = &template["spec"]["initContainers"][0]["name"];
        assert_eq!(first == "outrigger", enabled, "{text}");
        patched.extend(enabled.then(|| kind.to_owned()));
    }
    patched.sort();
    assert_eq!(
        patched,
        ["CronJob", "DaemonSet", "Deployment", "Job", "StatefulSet"]
    );
}

#[test]
fn its_output_is_valid_for_the_first_and_the_newest_version() {
    let (Some(text), Some(python)) = (built(), schema::python()) else {
        return;
    };
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("component.yaml");
    fs::write(&path, text).unwrap();
    let output = schema::validate(&python, &[path, deploy("native-sidecar.yaml")]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
}
