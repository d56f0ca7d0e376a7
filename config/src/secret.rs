//! Secrets: named by a file or a variable, never written out, never shown.

use std::{fmt, path::Path, sync::Arc};

use serde_json::Value as Json;

use crate::{
    block::{
        At, Read, Reader, block, inline_schema,
        node::{Node, Value},
        problem::{Place, Report},
        show::{Object, path, text},
        word_of,
    },
    files::Files,
    part::algorithm::JwtAlgorithm,
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
            for (_, other) in entries
                .iter()
                .filter(|(key, _)| !matches!(key.name.as_str(), "file" | "env"))
            {
                hide(other, reader);
            }
            return SecretBlock::read(node, place, reader).map(Self);
        }
        let variable = match &node.value {
            Value::Text(text) => text
                .strip_prefix("${env:")
                .and_then(|rest| rest.strip_suffix('}')),
            _ => None,
        };
        let help = match variable {
            Some(name) => format!(
                "write {{ env: {} }}",
                name.split(":-").next().unwrap_or_default()
            ),
            None => "write { file: PATH } or { env: NAME }, and change a secret that was shown"
                .to_owned(),
        };
        // The line is shown below the message, and with it what nobody may see.
        hide(node, reader);
        let message =
            "a secret is not written into the configuration: dumps, logs and backups would show it";
        reader.invalid(place, "literal-secret", message.to_owned(), help);
        // There is a secret all the same, so that nothing else is said to be missing.
        Some(Self(SecretBlock::default()))
    }
}

inline_schema!([] SecretSpec, |generator| generator.subschema_for::<SecretBlock>());

block! {
    /// What proves who asks.
    CredentialsBlock {
        /// A bearer token, one word of visible ASCII. What its file holds now is what is sent.
        "bearerToken" bearer_token: SecretSpec,
    }
    required ["bearerToken"]
}

/// Where a secret that may change while running comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// A file, read whenever the secret is used.
    File(Arc<Path>),
    /// The environment, read when the configuration was loaded.
    Env {
        /// The variable.
        name: Arc<str>,
        /// What it held.
        value: SecretText,
    },
}

/// A secret; never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText {
    secret: Arc<[u8]>,
    origin: Option<SecretOrigin>,
}

/// Where a secret was read from when the configuration was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretOrigin {
    /// A file.
    File(Arc<Path>),
    /// A variable of the environment.
    Env(Arc<str>),
}

impl SecretText {
    /// Keeps a secret.
    pub fn new(secret: impl Into<Arc<[u8]>>) -> Self {
        Self {
            secret: secret.into(),
            origin: None,
        }
    }

    /// Keeps a secret that was read from somewhere.
    pub(crate) fn from(origin: SecretOrigin, secret: &[u8]) -> Self {
        Self {
            secret: secret.into(),
            origin: Some(origin),
        }
    }

    /// Where it was read from.
    pub fn origin(&self) -> Option<&SecretOrigin> {
        self.origin.as_ref()
    }

    /// The secret itself.
    pub fn expose(&self) -> &[u8] {
        &self.secret
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// A secret that signs tokens; long enough for each of the algorithms (RFC 7518 section 3.2).
pub(crate) fn shared(
    written: &At<SecretSpec>,
    algorithms: &[JwtAlgorithm],
    files: &mut Files<'_>,
    report: &mut Report,
) -> SecretText {
    let secret = match written.value.reference() {
        Some(SecretRef::File(path)) => files.named(path, report).map(|file| {
            SecretText::from(
                SecretOrigin::File(Arc::clone(&file.path)),
                one_line_end_off(&file.content),
            )
        }),
        Some(SecretRef::Env(name)) => variable(name, files, report),
        None => None,
    };
    let Some(secret) = secret else {
        return SecretText::new(*b"");
    };
    let longest = algorithms
        .iter()
        .map(|algorithm| (algorithm.min_secret_bytes(), *algorithm))
        .max_by_key(|(b, _)| *b);
    if let Some((needed, algorithm)) = longest
        && secret.expose().len() < needed
    {
        let message = format!(
            "the secret is shorter than {needed} bytes, which {} needs",
            word_of(algorithm)
        );
        let help = format!("make a random one: openssl rand -base64 {needed}");
        report.error(&written.place, "short-secret", message, help);
    }
    secret
}

/// A bearer token that is sent along; a file is read whenever it is used, so here it is only tried.
pub(crate) fn bearer_token(
    written: &At<SecretSpec>,
    files: &mut Files<'_>,
    report: &mut Report,
) -> Option<SecretSource> {
    match written.value.reference()? {
        SecretRef::File(path) => {
            let file = files.tried(path, report)?;
            check_bearer_token(file.content.trim_ascii(), &path.place, report);
            Some(SecretSource::File(file.path))
        }
        SecretRef::Env(name) => {
            let value = variable(name, files, report)?;
            check_bearer_token(value.expose(), &name.place, report);
            Some(SecretSource::Env {
                name: name.value.as_str().into(),
                value,
            })
        }
    }
}

/// A bearer token that is sent with every request; its file is a part of the configuration, which is read again when it
/// changes.
pub(crate) fn kept_bearer_token(
    written: &At<SecretSpec>,
    files: &mut Files<'_>,
    report: &mut Report,
) -> Option<SecretText> {
    match written.value.reference()? {
        SecretRef::File(path) => {
            let file = files.named(path, report)?;
            let token = file.content.trim_ascii();
            check_bearer_token(token, &path.place, report);
            Some(SecretText::from(SecretOrigin::File(file.path), token))
        }
        SecretRef::Env(name) => {
            let value = variable(name, files, report)?;
            check_bearer_token(value.expose(), &name.place, report);
            Some(value)
        }
    }
}

/// A password; its file is a part of the configuration, which is read again when it changes.
pub(crate) fn password(
    written: &At<SecretSpec>,
    files: &mut Files<'_>,
    report: &mut Report,
) -> Option<SecretText> {
    let secret = match written.value.reference()? {
        SecretRef::File(path) => {
            let file = files.named(path, report)?;
            SecretText::from(
                SecretOrigin::File(file.path),
                one_line_end_off(&file.content),
            )
        }
        SecretRef::Env(name) => variable(name, files, report)?,
    };
    if secret.expose().is_empty() {
        report.error(
            &written.place,
            "bad-secret",
            "the password is empty",
            "write one, or remove the key",
        );
    }
    Some(secret)
}

fn variable(name: &At<String>, files: &Files<'_>, report: &mut Report) -> Option<SecretText> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.value.is_empty()
        || name.value.starts_with(|c: char| c.is_ascii_digit())
        || !name.value.bytes().all(plain)
    {
        // Perhaps it is the secret itself.
        report.hide(name.place.span);
        let message = "this is not the name of a variable";
        report.error(
            &name.place,
            "bad-variable",
            message,
            "write the name alone, such as TOKEN_SECRET",
        );
        return None;
    }
    let value = files.variable(&name.value);
    if value.is_none() {
        let message = format!("the environment variable {:?} is not set", name.value);
        let help = "set it for this process, or write { file: PATH }";
        report.error(&name.place, "unset-variable", message, help);
    }
    value.map(|value| {
        SecretText::from(
            SecretOrigin::Env(name.value.as_str().into()),
            value.as_bytes(),
        )
    })
}

/// `b64token` of RFC 6750 section 2.1, as far as it matters: nothing that ends a header or begins another token.
fn check_bearer_token(token: &[u8], place: &Place, report: &mut Report) {
    if token.is_empty() || !token.iter().all(u8::is_ascii_graphic) {
        let message = "what stands there is no bearer token: one word of visible ASCII";
        report.error(
            place,
            "bad-secret",
            message,
            "look for spaces, line ends and quotes in it",
        );
    }
}

/// Editors end a file with a line end that nobody meant as a part of the secret.
fn one_line_end_off(content: &[u8]) -> &[u8] {
    let content = content.strip_suffix(b"\n").unwrap_or(content);
    content.strip_suffix(b"\r").unwrap_or(content)
}

/// Shows where it comes from.
pub(crate) fn show(origin: Option<&SecretOrigin>) -> Json {
    match origin {
        Some(SecretOrigin::File(file)) => Object::new().with("file", path(file)).into(),
        Some(SecretOrigin::Env(name)) => Object::new().with("env", text(name)).into(),
        // One that was made without a file.
        None => "[redacted]".into(),
    }
}
