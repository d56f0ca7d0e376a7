//! The record of an injection in an object, so that it can be undone byte for byte: the annotation
//! `outrigger/injected`.

use serde::{Deserialize, Serialize};

/// The annotation with the record, as JSON.
pub(crate) const INJECTED: &str = "outrigger/injected";
/// `disabled` or `false`: this pod gets no sidecar.
pub(crate) const INJECT: &str = "outrigger/inject";
/// The app's port.
pub(crate) const APP_PORT: &str = "outrigger/app-port";
/// The init container that runs before the sidecar.
pub(crate) const AFTER_INIT: &str = "outrigger/after-init";

/// The state before the injection.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Record {
    /// `native`, `classic`, `service` or `config`.
    pub(crate) mode: String,
    /// Inserted keys, from the outside in: `metadata`, `annotations`, `initContainers` and so on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) made: Vec<String>,
    /// Replaced values, as they were written: by key, and for Services by `port/protocol`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) was: Vec<(String, String)>,
    /// Inserted annotations, besides the record.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) annotations: Vec<String>,
    /// The container that got a preStop hook.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) sleeps: String,
}

impl Record {
    pub(crate) fn new(mode: &str) -> Self {
        Self {
            mode: mode.to_owned(),
            ..Self::default()
        }
    }

    pub(crate) fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    pub(crate) fn write(&self) -> String {
        // Strings and lists of strings, whose serialization cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(crate) fn has_made(&self, key: &str) -> bool {
        self.made.iter().any(|made| made == key)
    }

    pub(crate) fn was(&self, key: &str) -> Option<&str> {
        let (_, text) = self.was.iter().find(|(name, _)| name == key)?;
        Some(text)
    }
}
