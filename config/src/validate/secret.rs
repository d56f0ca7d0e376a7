//! Secrets: read from where they are named, and never told.

use std::sync::Arc;

use crate::{
    block::{
        At,
        problem::{Place, Report},
        word_of,
    },
    files::Files,
    model::{JwtAlgorithm, SecretOrigin, SecretSource, SecretText},
    schema::{SecretRef, SecretSpec},
};

/// A secret that signs tokens; long enough for each of the algorithms (RFC 7518 section 3.2).
pub(crate) fn shared(
    written: &At<SecretSpec>,
    algorithms: &[JwtAlgorithm],
    files: &mut Files<'_>,
    report: &mut Report,
) -> SecretText {
    let secret = match written.value.reference() {
        Some(SecretRef::File(path)) => files.named(path, report).map(|file| {
            SecretText::from(SecretOrigin::File(Arc::clone(&file.path)), one_line_end_off(&file.content))
        }),
        Some(SecretRef::Env(name)) => variable(name, files, report),
        None => None,
    };
    let Some(secret) = secret else { return SecretText::new(*b"") };
    let longest =
        algorithms.iter().map(|algorithm| (algorithm.min_secret_bytes(), *algorithm)).max_by_key(|(b, _)| *b);
    if let Some((needed, algorithm)) = longest
        && secret.expose().len() < needed
    {
        let message =
            format!("the secret is shorter than {needed} bytes, which {} needs", word_of(algorithm));
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
            Some(SecretSource::Env { name: name.value.as_str().into(), value })
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
            SecretText::from(SecretOrigin::File(file.path), one_line_end_off(&file.content))
        }
        SecretRef::Env(name) => variable(name, files, report)?,
    };
    if secret.expose().is_empty() {
        report.error(&written.place, "bad-secret", "the password is empty", "write one, or remove the key");
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
        report.error(&name.place, "bad-variable", message, "write the name alone, such as TOKEN_SECRET");
        return None;
    }
    let value = files.variable(&name.value);
    if value.is_none() {
        let message = format!("the environment variable {:?} is not set", name.value);
        let help = "set it for this process, or write { file: PATH }";
        report.error(&name.place, "unset-variable", message, help);
    }
    value.map(|value| SecretText::from(SecretOrigin::Env(name.value.as_str().into()), value.as_bytes()))
}

/// `b64token` of RFC 6750 section 2.1, as far as it matters: nothing that ends a header or begins another token.
fn check_bearer_token(token: &[u8], place: &Place, report: &mut Report) {
    if token.is_empty() || !token.iter().all(u8::is_ascii_graphic) {
        let message = "what stands there is no bearer token: one word of visible ASCII";
        report.error(place, "bad-secret", message, "look for spaces, line ends and quotes in it");
    }
}

/// Editors end a file with a line end that nobody meant as a part of the secret.
fn one_line_end_off(content: &[u8]) -> &[u8] {
    let content = content.strip_suffix(b"\n").unwrap_or(content);
    content.strip_suffix(b"\r").unwrap_or(content)
}
