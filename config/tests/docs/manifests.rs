//! The Kubernetes manifests in deploy, README and docs work on every version that they name.

use serde_json::Value;

use crate::{files, yaml::blocks};

/// Fields that refer to a port of a pod from outside of the pod. Probes are different: the kubelet
/// resolves a name within the container.
const OUTSIDE: [&str; 4] = ["Service", "NetworkPolicy", "PodMonitor", "ServiceMonitor"];

/// The documents of each manifest in deploy, README and docs.
fn manifests() -> Vec<(String, Vec<Value>)> {
    let deployed = files(&["deploy"], "yaml")
        .into_iter()
        .map(|(path, text)| (path, vec![text]));
    let shown = files(&[".", "docs"], "md").into_iter().map(|(path, text)| {
        (
            path,
            blocks(&text)
                .into_iter()
                .map(|(_, block)| block)
                .collect::<Vec<_>>(),
        )
    });
    deployed
        .chain(shown)
        .flat_map(|(path, texts)| {
            texts
                .into_iter()
                .map(move |text| (path.display().to_string(), text))
        })
        .filter(|(_, text)| text.contains("apiVersion:"))
        .map(|(path, text)| (path, documents(&text)))
        .collect()
}

fn documents(text: &str) -> Vec<Value> {
    let parts = text
        .split("\n---\n")
        .filter(|part| part.contains("apiVersion:"));
    parts
        .map(|part| serde_saphyr::from_str(part).unwrap())
        .collect()
}

/// All values of this key below `value`.
fn under<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(map) => {
            for (name, inner) in map {
                if name == key {
                    found.push(inner);
                }
                under(inner, key, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| under(item, key, found)),
        _ => {}
    }
}

/// The names of the ports of all init containers.
fn names_of_init_containers(documents: &[Value]) -> Vec<&str> {
    let (mut containers, mut ports) = (Vec::new(), Vec::new());
    documents
        .iter()
        .for_each(|document| under(document, "initContainers", &mut containers));
    containers
        .iter()
        .for_each(|container| under(container, "ports", &mut ports));
    let ports = ports.iter().filter_map(|ports| ports.as_array()).flatten();
    ports.filter_map(|port| port["name"].as_str()).collect()
}

/// The names of such ports that are used from outside of the pod.
fn used_from_outside(documents: &[Value]) -> Vec<String> {
    let names = names_of_init_containers(documents);
    let mut used = Vec::new();
    for document in documents
        .iter()
        .filter(|one| OUTSIDE.iter().any(|kind| one["kind"] == *kind))
    {
        let mut ports = Vec::new();
        for key in ["port", "targetPort", "endPort"] {
            under(document, key, &mut ports);
        }
        let ports = ports
            .iter()
            .filter_map(|port| port.as_str())
            .filter(|port| names.contains(port));
        used.extend(ports.map(|port| format!("{}: {port}", document["kind"])));
    }
    used
}

/// Before Kubernetes 1.33 an EndpointSlice does not find a named port of an init container (kubernetes#127958, #128850).
#[test]
fn no_service_or_policy_names_a_port_of_an_init_container() {
    let mut with_names = 0;
    for (path, documents) in manifests() {
        with_names += usize::from(!names_of_init_containers(&documents).is_empty());
        assert_eq!(
            used_from_outside(&documents),
            [""; 0],
            "{path}: write the number"
        );
    }
    assert!(with_names >= 2, "{with_names}");
}

#[test]
fn a_named_port_of_an_init_container_is_found() {
    let text = "apiVersion: v1\nkind: Pod\nspec:\n  initContainers: [{ name: a, ports: [{ name: p, containerPort: 1 }] }]\n  \
                containers: [{ name: b, ports: [{ name: q, containerPort: 2 }] }]\n---\napiVersion: v1\nkind: Service\nspec:\n  \
                ports: [{ name: p, port: 80, targetPort: p }, { port: 81, targetPort: q }, { port: 82, targetPort: 1 }]\n";
    assert_eq!(used_from_outside(&documents(text)), ["\"Service\": p"]);
}
