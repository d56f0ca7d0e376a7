//! The Kubernetes objects of a document, and their pod templates.

use crate::yaml::{Id, Kind, Tree};

/// An object: a whole document, or an item of a list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Object {
    pub(crate) map: Id,
    /// The list that contains it, and its index there.
    pub(crate) item: Option<(Id, usize)>,
}

/// The kind of an object, as injection sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Creates pods.
    Workload,
    Service,
    ConfigMap,
    /// An unknown kind, which may or may not create pods.
    Other,
}

/// Groups and kinds that create pods, and the path of the pod template in them.
const WORKLOADS: &[(&str, &str, &[&str])] = &[
    ("", "Pod", &[]),
    ("", "ReplicationController", &["spec", "template"]),
    ("apps", "Deployment", &["spec", "template"]),
    ("apps", "StatefulSet", &["spec", "template"]),
    ("apps", "DaemonSet", &["spec", "template"]),
    ("apps", "ReplicaSet", &["spec", "template"]),
    ("extensions", "Deployment", &["spec", "template"]),
    ("extensions", "DaemonSet", &["spec", "template"]),
    ("extensions", "ReplicaSet", &["spec", "template"]),
    ("batch", "Job", &["spec", "template"]),
    (
        "batch",
        "CronJob",
        &["spec", "jobTemplate", "spec", "template"],
    ),
];

/// The objects of a document: the items of lists, without the lists themselves.
pub(crate) fn objects(tree: &Tree<'_>) -> Vec<Object> {
    let mut found = Vec::new();
    collect(tree, 0, None, &mut found);
    found
}

fn collect(tree: &Tree<'_>, map: Id, item: Option<(Id, usize)>, found: &mut Vec<Object>) {
    if !matches!(tree.node(tree.resolved(map)).kind, Kind::Map(_)) {
        return;
    }
    let is_list = tree
        .text_of(map, "kind")
        .is_some_and(|kind| kind.ends_with("List"));
    // An item that is an alias belongs to the place where its anchor is.
    let own_items = tree
        .entry(map, "items")
        .filter(|entry| is_list && entry.own);
    match own_items {
        Some(entry) => {
            let list = tree.resolved(entry.value);
            for (index, item) in tree.items(list).iter().enumerate() {
                collect(tree, *item, Some((list, index)), found);
            }
        }
        None => found.push(Object { map, item }),
    }
}

impl Object {
    pub(crate) fn kind<'t>(&self, tree: &'t Tree<'_>) -> &'t str {
        tree.text_of(self.map, "kind").unwrap_or("")
    }

    fn group<'t>(&self, tree: &'t Tree<'_>) -> &'t str {
        let version = tree.text_of(self.map, "apiVersion").unwrap_or("");
        version.split_once('/').map_or("", |(group, _)| group)
    }

    pub(crate) fn role(&self, tree: &Tree<'_>) -> Role {
        let (group, kind) = (self.group(tree), self.kind(tree));
        match kind {
            "Service" if group.is_empty() => Role::Service,
            "ConfigMap" if group.is_empty() => Role::ConfigMap,
            _ if self.pod_path(tree).is_some() => Role::Workload,
            _ => Role::Other,
        }
    }

    /// The path of the pod template.
    pub(crate) fn pod_path(&self, tree: &Tree<'_>) -> Option<&'static [&'static str]> {
        let (group, kind) = (self.group(tree), self.kind(tree));
        WORKLOADS
            .iter()
            .find(|(known, name, _)| *known == group && *name == kind)
            .map(|(_, _, path)| *path)
    }

    /// The map with `metadata` and `spec` of its pods.
    pub(crate) fn pod(&self, tree: &Tree<'_>) -> Option<Id> {
        tree.path(self.map, self.pod_path(tree)?)
            .filter(|pod| tree.is_map(*pod))
    }

    pub(crate) fn is_job(&self, tree: &Tree<'_>) -> bool {
        matches!(self.kind(tree), "Job" | "CronJob")
    }

    pub(crate) fn name(&self, tree: &Tree<'_>) -> Option<String> {
        let metadata = tree.get(self.map, "metadata")?;
        if let Some(name) = tree.text_of(metadata, "name") {
            return Some(name.to_owned());
        }
        let prefix = tree.text_of(metadata, "generateName")?;
        Some(prefix.trim_end_matches('-').to_owned())
    }

    pub(crate) fn namespace<'t>(&self, tree: &'t Tree<'_>) -> Option<&'t str> {
        tree.text_of(tree.get(self.map, "metadata")?, "namespace")
    }

    /// Kind, namespace and name, such as `Deployment shop/web`.
    pub(crate) fn title(&self, tree: &Tree<'_>) -> String {
        let kind = match self.kind(tree) {
            "" => "object without kind",
            kind => kind,
        };
        let name = self.name(tree).unwrap_or_default();
        let title = match (self.namespace(tree), name.as_str()) {
            (_, "") => kind.to_owned(),
            (Some(namespace), name) => format!("{kind} {namespace}/{name}"),
            (None, name) => format!("{kind} {name}"),
        };
        one_line(&title)
    }

    pub(crate) fn line(&self, tree: &Tree<'_>) -> usize {
        tree.node(self.map).line
    }

    /// Whether it contains something like a pod template: a `template` with containers.
    pub(crate) fn has_template(&self, tree: &Tree<'_>) -> bool {
        let template = tree.path(self.map, &["spec", "template", "spec", "containers"]);
        template.is_some_and(|containers| !tree.items(containers).is_empty())
    }
}

/// Makes text of a manifest safe for one line of a report.
pub(crate) fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}
