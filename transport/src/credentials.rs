//! Credentials of outgoing requests. A file is read each time it is needed, so that a rotated
//! secret takes effect immediately; file access is for the control thread only. Workers use only
//! [`bearer`], with a secret that was read before.

use std::{fs, io, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderName, HeaderValue, header};
use outrigger_config::model::SecretSource;

/// One way to authenticate requests.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// `Authorization: Bearer` (RFC 6750). White space around the token is ignored.
    Bearer(SecretSource),
    /// `Authorization: Basic` (RFC 7617).
    Basic {
        /// The user, without a colon.
        user: Arc<str>,
        /// The password. One line end after it is ignored.
        password: SecretSource,
    },
    /// Any other header.
    Header {
        /// Its name.
        name: HeaderName,
        /// Its value. One line end after it is ignored.
        value: SecretSource,
    },
}

impl Credentials {
    /// The header to send. May read a file.
    ///
    /// # Errors
    /// The file cannot be read, or the secret has bytes that a header must not contain.
    pub fn header(&self) -> io::Result<(HeaderName, HeaderValue)> {
        Ok(match self {
            Self::Bearer(token) => (header::AUTHORIZATION, bearer(read(token)?.trim_ascii())?),
            Self::Basic { user, password } => {
                let mut pair = format!("{user}:").into_bytes();
                pair.extend_from_slice(strip_line_end(&read(password)?));
                let text = format!("Basic {}", STANDARD.encode(pair));
                (header::AUTHORIZATION, sensitive(text.as_bytes())?)
            }
            Self::Header { name, value } => {
                (name.clone(), sensitive(strip_line_end(&read(value)?))?)
            }
        })
    }
}

/// The value of `Authorization` for a bearer token.
///
/// # Errors
/// The token has bytes that a header must not contain.
pub fn bearer(token: &[u8]) -> io::Result<HeaderValue> {
    sensitive(&[b"Bearer ", token].concat())
}

fn sensitive(value: &[u8]) -> io::Result<HeaderValue> {
    let mut value = HeaderValue::from_bytes(value).map_err(|_| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "it has bytes that a header must not contain",
        )
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn read(source: &SecretSource) -> io::Result<Vec<u8>> {
    match source {
        SecretSource::File(path) => fs::read(path),
        SecretSource::Env { value, .. } => Ok(value.expose().to_vec()),
    }
}

fn strip_line_end(secret: &[u8]) -> &[u8] {
    let secret = secret.strip_suffix(b"\n").unwrap_or(secret);
    secret.strip_suffix(b"\r").unwrap_or(secret)
}

#[cfg(test)]
mod tests {
    use outrigger_config::model::SecretText;

    use super::*;

    fn env(secret: &str) -> SecretSource {
        SecretSource::Env {
            name: "SECRET".into(),
            value: SecretText::new(secret.as_bytes()),
        }
    }

    #[test]
    fn each_kind_is_one_header_which_is_never_shown() {
        let name = HeaderName::from_static("x-api-key");
        for (credentials, expected) in [
            (
                Credentials::Bearer(env(" abc\n")),
                "authorization: Bearer abc",
            ),
            (
                // RFC 7617 section 2.
                Credentials::Basic {
                    user: "Aladdin".into(),
                    password: env("open sesame\n"),
                },
                "authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
            ),
            (
                Credentials::Header {
                    name,
                    value: env("k 1\r\n"),
                },
                "x-api-key: k 1",
            ),
        ] {
            let (name, value) = credentials.header().unwrap();
            assert_eq!(format!("{name}: {}", value.to_str().unwrap()), expected);
            assert!(!format!("{value:?} {credentials:?}").contains("abc"));
            assert!(value.is_sensitive());
        }
    }

    #[test]
    fn a_file_is_read_again_and_what_no_header_can_carry_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let credentials = Credentials::Bearer(SecretSource::File(path.as_path().into()));
        let missing = credentials.header().unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        for token in ["one", "two"] {
            fs::write(&path, token).unwrap();
            assert_eq!(credentials.header().unwrap().1, format!("Bearer {token}"));
        }
        fs::write(&path, "a\nb").unwrap();
        let unusable = credentials.header().unwrap_err();
        assert_eq!(unusable.kind(), io::ErrorKind::InvalidData);
    }
}
