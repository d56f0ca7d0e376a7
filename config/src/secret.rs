//! Secrets: read from a file or a variable, never written into the configuration, never shown.

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
    /// Source of a secret; the secret itself is never written into the configuration.
    SecretBlock {
        /// Path of a file that contains only the secret, relative to this file; one trailing line
        /// end is ignored. Reloaded when it changes.
        "file" file: String,
        /// Name of an environment variable that holds the secret.
        "env" env: String,
    }
    one_of ["file", "env"]
}

/// A [`SecretBlock`] whose source text is redacted when it contains the secret itself.
#[derive(Debug, Clone)]
pub(crate) struct SecretSpec(pub(crate) SecretBlock);

/// The two sources of a secret.
pub(crate) enum SecretRef<'a> {
    File(&'a At<String>),
    Env(&'a At<String>),
}

impl SecretSpec {
    /// The source; `None` when a problem was reported.
    pub(crate) fn reference(&self) -> Option<SecretRef<'_>> {
        let file = self.0.file.as_ref().map(SecretRef::File);
        file.or_else(|| self.0.env.as_ref().map(SecretRef::Env))
    }
}

/// A list or map has the span of its first character only, so each value in it is redacted
/// separately.
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
            None => "write { file: PATH } or { env: NAME }, and replace this secret: it may have been disclosed"
                .to_owned(),
        };
        // The source line is shown below the message, so the secret in it must be redacted.
        hide(node, reader);
        let message = "a secret must not be written into the configuration, because dumps, logs and backups would contain it";
        reader.invalid(place, "literal-secret", message.to_owned(), help);
        // The secret counts as present, so that no missing key is reported in addition.
        Some(Self(SecretBlock::default()))
    }
}

inline_schema!([] SecretSpec, |generator| generator.subschema_for::<SecretBlock>());

block! {
    /// Credentials.
    CredentialsBlock {
        /// A bearer token, one word of visible ASCII. The current content of its file is sent.
        "bearerToken" bearer_token: SecretSpec,
    }
    required ["bearerToken"]
}

/// Source of a secret that may change at runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// A file, read at each use of the secret.
    File(Arc<Path>),
    /// The environment, read when the configuration was loaded.
    Env {
        /// The variable.
        name: Arc<str>,
        /// Its value.
        value: SecretText,
    },
}

/// A secret; never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText {
    secret: Arc<[u8]>,
    origin: Option<SecretOrigin>,
}

/// The source from which a secret was read when the configuration was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretOrigin {
    /// A file.
    File(Arc<Path>),
    /// A variable of the environment.
    Env(Arc<str>),
}

impl SecretText {
    /// Wraps a secret.
    pub fn new(secret: impl Into<Arc<[u8]>>) -> Self {
        Self {
            secret: secret.into(),
            origin: None,
        }
    }

    /// Wraps a secret that was read from a source.
    pub(crate) fn from(origin: SecretOrigin, secret: &[u8]) -> Self {
        Self {
            secret: secret.into(),
            origin: Some(origin),
        }
    }

    /// The source.
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
            "the secret is shorter than {needed} bytes, the minimum for {}",
            word_of(algorithm)
        );
        let help = format!("generate a random one: openssl rand -base64 {needed}");
        report.error(&written.place, "short-secret", message, help);
    }
    secret
}

/// A bearer token for requests of the proxy itself; its file is read at each use, so here it is
/// only checked.
pub(crate) fn bearer_token(
    written: &At<SecretSpec>,
    files: &mut Files<'_>,
    report: &mut Report,
) -> Option<SecretSource> {
    match written.value.reference()? {
        SecretRef::File(path) => {
            let file = files.reread_at_use(path, report)?;
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

/// A password that is sent along; a file is read whenever it is used, so here it is only tried.
pub(crate) fn used_password(
    written: &At<SecretSpec>,
    files: &mut Files<'_>,
    report: &mut Report,
) -> Option<SecretSource> {
    match written.value.reference()? {
        SecretRef::File(path) => {
            let file = files.reread_at_use(path, report)?;
            Some(SecretSource::File(file.path))
        }
        SecretRef::Env(name) => Some(SecretSource::Env {
            name: name.value.as_str().into(),
            value: variable(name, files, report)?,
        }),
    }
}

/// A bearer token that is sent with every request; its file is part of the configuration and
/// reloaded when it changes.
pub(crate) fn reloadable_bearer_token(
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

/// A password; its file is part of the configuration and reloaded when it changes.
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
            "write a password, or remove the key",
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
        // The value may be the secret itself.
        report.hide(name.place.span);
        let message = "this is not the name of an environment variable";
        report.error(
            &name.place,
            "bad-variable",
            message,
            "write only the name, such as TOKEN_SECRET",
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

/// `b64token` of RFC 6750 section 2.1, simplified: no character that ends a header or separates
/// tokens.
fn check_bearer_token(token: &[u8], place: &Place, report: &mut Report) {
    if token.is_empty() || !token.iter().all(u8::is_ascii_graphic) {
        let message = "the content is not a bearer token, which is one word of visible ASCII";
        report.error(
            place,
            "bad-secret",
            message,
            "check it for spaces, line ends and quotes",
        );
    }
}

/// Editors add a line end that is not part of the secret.
fn one_line_end_off(content: &[u8]) -> &[u8] {
    let content = content.strip_suffix(b"\n").unwrap_or(content);
    content.strip_suffix(b"\r").unwrap_or(content)
}

/// Shows where a secret that may change while running comes from.
pub(crate) fn show_source(source: &SecretSource) -> Json {
    match source {
        SecretSource::File(file) => Object::new().with("file", path(file)).into(),
        SecretSource::Env { name, .. } => Object::new().with("env", text(name)).into(),
    }
}

/// Renders the source.
pub(crate) fn show(origin: Option<&SecretOrigin>) -> Json {
    match origin {
        Some(SecretOrigin::File(file)) => Object::new().with("file", path(file)).into(),
        Some(SecretOrigin::Env(name)) => Object::new().with("env", text(name)).into(),
        // A secret that was created without a file.
        None => "[redacted]".into(),
    }
}
