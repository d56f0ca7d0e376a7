//! Objects that an injection does not change.

use crate::{object::Object, problem::Wrong, yaml::Tree};

/// The reason for an object that creates no pods.
pub(crate) const NO_WORKLOAD: &str = "not a workload";

/// Why an object is not changed.
pub(crate) fn why_not(tree: &Tree<'_>, object: Object) -> String {
    let kind = object.kind(tree);
    if kind.is_empty() {
        return "not a Kubernetes object".to_owned();
    }
    if object.has_template(tree) {
        let version = tree
            .text_of(object.map, "apiVersion")
            .unwrap_or("no apiVersion");
        return format!("{kind} of {version} is not known here, and its pods get no sidecar");
    }
    NO_WORKLOAD.to_owned()
}

/// Options in the `functionConfig` of a KRM function would be ignored, so they are rejected.
pub(crate) fn function_options(tree: &Tree<'_>) -> Option<Wrong> {
    if tree.nodes.is_empty() || tree.text_of(0, "kind") != Some("ResourceList") {
        return None;
    }
    let config = tree.get(0, "functionConfig")?;
    let entry = tree.entries(config).into_iter().find(|entry| {
        !matches!(
            tree.scalar(entry.key),
            Some("apiVersion" | "kind" | "metadata")
        )
    })?;
    Some(Wrong::new(
        tree.node(entry.key).line,
        format!(
            "`functionConfig.{}` is not read",
            tree.scalar(entry.key).unwrap_or_default()
        ),
        "write options into the script that the function starts: outrigger inject --app-port 8080",
    ))
}
