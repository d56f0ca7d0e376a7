//! Pods that get no sidecar, and pods with a sidecar of another tool.

use super::{Pod, Verdict, container::containers};
use crate::{problem::Wrong, record::INJECT, yaml::boolean};

/// Containers of other injectors.
const CONTAINERS: [(&str, &str); 7] = [
    ("istio-proxy", "Istio"),
    ("linkerd-proxy", "Linkerd"),
    ("consul-dataplane", "Consul"),
    ("consul-connect-envoy-sidecar", "Consul"),
    ("kuma-sidecar", "Kuma"),
    ("envoy-sidecar", "Envoy"),
    ("osm-envoy", "Open Service Mesh"),
];

/// Annotations that other injectors leave.
const ANNOTATIONS: [(&str, &str); 4] = [
    ("sidecar.istio.io/status", "Istio"),
    ("linkerd.io/proxy-version", "Linkerd"),
    ("consul.hashicorp.com/connect-inject-status", "Consul"),
    ("kuma.io/sidecar-injected", "Kuma"),
];

/// Annotations and labels that request another sidecar, and the values that do not.
const WEBHOOKS: [(&str, &str); 4] = [
    ("sidecar.istio.io/inject", "Istio"),
    ("linkerd.io/inject", "Linkerd"),
    ("consul.hashicorp.com/connect-inject", "Consul"),
    ("kuma.io/sidecar-injection", "Kuma"),
];

pub(super) fn verdict(pod: &Pod<'_, '_>) -> Option<Verdict> {
    let tree = pod.tree;
    if let Some(value) = pod.annotation(INJECT)
        && matches!(value, "disabled" | "false" | "no" | "off")
    {
        return Some(Verdict::OptedOut(format!("annotation {INJECT}: {value}")));
    }
    let host = tree.get(pod.spec, "hostNetwork");
    if host.is_some_and(|host| boolean(tree.node(host)) == Some(true)) {
        return Some(Verdict::Skipped(
            "hostNetwork: the proxy's ports would be those of the node".to_owned(),
        ));
    }
    let selected = tree
        .get(pod.spec, "nodeSelector")
        .and_then(|selector| tree.text_of(selector, "kubernetes.io/os"));
    let named = tree
        .path(pod.spec, &["os"])
        .and_then(|os| tree.text_of(os, "name"));
    if selected.or(named) == Some("windows") || named == Some("windows") {
        return Some(Verdict::Skipped(
            "Windows: the image is for Linux".to_owned(),
        ));
    }
    let any = containers(tree, pod.spec)
        .iter()
        .any(|container| !container.init);
    (!any).then(|| Verdict::Skipped("no containers".to_owned()))
}

/// A sidecar of another tool.
pub(super) fn other_tools(pod: &Pod<'_, '_>) -> Option<Wrong> {
    let tree = pod.tree;
    let by_name = containers(tree, pod.spec)
        .into_iter()
        .find_map(|container| {
            let name = container.name(tree);
            let (_, tool) = CONTAINERS.iter().find(|(known, _)| *known == name)?;
            Some((
                tree.node(container.map).line,
                format!("container {name}"),
                *tool,
            ))
        });
    let by_annotation = || {
        ANNOTATIONS
            .iter()
            .find(|(name, _)| pod.annotation(name).is_some())
            .map(|(name, tool)| (pod.line(), format!("annotation {name}"), *tool))
    };
    let (line, what, tool) = by_name.or_else(by_annotation)?;
    Some(Wrong::new(
        line,
        format!(
            "{tool} is already injected here ({what}), and two proxies would stand in each other's way"
        ),
        "remove that sidecar, or annotate the pod template with outrigger/inject: disabled",
    ))
}

/// Notes that a webhook in the cluster may insert another sidecar.
pub(super) fn note_webhooks(pod: &Pod<'_, '_>, notes: &mut Vec<String>) {
    let labels = pod.labels();
    for (name, tool) in WEBHOOKS {
        let label = labels
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str());
        if let Some(value) = pod.annotation(name).or(label)
            && !matches!(value, "false" | "disabled" | "no")
        {
            notes.push(format!("{name}: {value} asks {tool} for a second sidecar"));
        }
    }
}
