//! The ConfigMap for a workload.

use crate::{
    options::{ConfigSource, Options},
    pod::Ports,
    record::{INJECTED, Record},
    yaml::value::Value,
};

/// Hook annotations, which the ConfigMap of a hook needs too: it must exist when the hook runs.
const HOOKS: [&str; 6] = [
    "helm.sh/hook",
    "helm.sh/hook-weight",
    "helm.sh/hook-delete-policy",
    "argocd.argoproj.io/hook",
    "argocd.argoproj.io/hook-delete-policy",
    "argocd.argoproj.io/sync-wave",
];

/// A ConfigMap to create.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ConfigMap {
    pub(crate) name: String,
    pub(crate) namespace: Option<String>,
    /// The hook annotations of its workload.
    pub(crate) hooks: Vec<(String, String)>,
    pub(crate) text: String,
}

/// Text that was inserted before a document because of a ConfigMap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opening {
    None,
    /// `---`.
    Marker,
    /// The beginning of a list, whose first item the document became.
    List,
}

impl Opening {
    /// The name in the record.
    pub(crate) fn word(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Marker => Some("start"),
            Self::List => Some("list"),
        }
    }
}

impl ConfigMap {
    pub(crate) fn new(
        name: String,
        namespace: Option<String>,
        annotation: impl Fn(&str) -> Option<String>,
        options: &Options,
        ports: &Ports,
    ) -> Self {
        let hooks = HOOKS
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), annotation(name)?)));
        let text = match &options.config {
            ConfigSource::Given(config) => config.text.clone(),
            _ => generated(ports),
        };
        Self {
            name,
            namespace,
            hooks: hooks.collect(),
            text,
        }
    }

    /// The Kubernetes object.
    pub(crate) fn object(&self, opening: Opening) -> Value {
        let mut record = Record::new("config");
        record.made.extend(opening.word().map(str::to_owned));
        let mut metadata = vec![("name", Value::text(&self.name))];
        metadata.extend(
            self.namespace
                .as_ref()
                .map(|namespace| ("namespace", Value::text(namespace))),
        );
        let mut annotations = vec![(INJECTED.to_owned(), Value::Text(record.write()))];
        let hooks = self.hooks.iter();
        annotations.extend(hooks.map(|(name, text)| (name.clone(), Value::text(text))));
        metadata.push(("annotations", Value::Map(annotations)));
        Value::map(vec![
            ("apiVersion", Value::text("v1")),
            ("kind", Value::text("ConfigMap")),
            ("metadata", Value::map(metadata)),
            (
                "data",
                Value::map(vec![("outrigger.yaml", Value::Lines(self.text.clone()))]),
            ),
        ])
    }
}

/// A minimal configuration: the app's port, and the ports that the sidecar declares.
fn generated(ports: &Ports) -> String {
    let app = ports.app.unwrap_or_default();
    format!(
        "app: {{ port: {app} }}\nlisteners: [{{ port: {} }}]\nstatus: {{ address: \"[::]:{}\" }}\nadmin: {{ address: \"127.0.0.1:{}\" }}\n",
        ports.proxy(),
        ports.status,
        ports.admin
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generated_configuration_is_accepted_without_a_warning() {
        let ports = Ports {
            inbound: vec![8000],
            status: 9902,
            admin: 9901,
            app: Some(8080),
        };
        let loaded =
            outrigger_config::load_str("outrigger.yaml", &generated(&ports), &|_: &str| None)
                .unwrap();
        assert!(loaded.warnings.is_empty());
        assert_eq!(loaded.config.listeners[0].address.socket.port(), 8000);
    }
}
