//! Secrets: named by a file or a variable, never written out.

use crate::block::{
    At, Read, Reader, block, inline_schema,
    node::{Node, Value},
    problem::Place,
};

block! {
    /// Where a secret comes from; it is never written into the file itself.
    SecretBlock {
        /// Path of a file that holds the secret and nothing else, relative to this file; one line end behind it does not count. Read again when it changes.
        "file" file: String,
        /// Name of an environment variable that holds the secret.
        "env" env: String,
    }
    one_of ["file", "env"]
}

/// A [`SecretBlock`] whose place is hidden when somebody wrote the secret itself there.
#[derive(Debug, Clone)]
pub(crate) struct SecretSpec(pub(crate) SecretBlock);

/// The two ways to name a secret.
pub(crate) enum SecretRef<'a> {
    File(&'a At<String>),
    Env(&'a At<String>),
}

impl SecretSpec {
    /// Where it is; `None` when what stands there was reported.
    pub(crate) fn reference(&self) -> Option<SecretRef<'_>> {
        let file = self.0.file.as_ref().map(SecretRef::File);
        file.or_else(|| self.0.env.as_ref().map(SecretRef::Env))
    }
}

/// A list or map has the span of its first character only, so each value in it is hidden for itself.
fn hide(node: &Node, reader: &mut Reader<'_>) {
    match &node.value {
        Value::List(items) => items.iter().for_each(|item| hide(item, reader)),
        Value::Map(entries) => entries.iter().for_each(|(_, value)| hide(value, reader)),
        _ => reader.report.hide(node.span),
    }
}

impl Read for SecretSpec {
    fn read(node: &Node, place: &Place, reader: &mut Reader<'_>) -> Option<Self> {
        if let Value::Map(entries) = &node.value {
            for (_, other) in entries.iter().filter(|(key, _)| !matches!(key.name.as_str(), "file" | "env")) {
                hide(other, reader);
            }
            return SecretBlock::read(node, place, reader).map(Self);
        }
        let variable = match &node.value {
            Value::Text(text) => text.strip_prefix("${env:").and_then(|rest| rest.strip_suffix('}')),
            _ => None,
        };
        let help = match variable {
            Some(name) => format!("write {{ env: {} }}", name.split(":-").next().unwrap_or_default()),
            None => "write { file: PATH } or { env: NAME }, and change a secret that was shown".to_owned(),
        };
        // The line is shown below the message, and with it what nobody may see.
        hide(node, reader);
        let message = "a secret is not written into the configuration: dumps, logs and backups would show it";
        reader.invalid(place, "literal-secret", message.to_owned(), help);
        // There is a secret all the same, so that nothing else is said to be missing.
        Some(Self(SecretBlock::default()))
    }
}

inline_schema!([] SecretSpec, |generator| generator.subschema_for::<SecretBlock>());
