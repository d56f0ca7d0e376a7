//! Table entries: headers that are validated once, when they are added.

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

use outrigger_filters::recycle::names;

use super::{Field, Pseudo};

/// Size of each header in addition to its name and value (RFC 7541 section 4.1, RFC 9113 section
/// 6.5.2).
pub(super) const OVERHEAD: usize = 32;

/// The name of a header.
#[derive(Clone, Debug)]
pub(super) enum Name {
    Pseudo(Pseudo),
    Regular(HeaderName),
    Malformed,
}

impl Name {
    pub(super) fn parse(spelt: &[u8]) -> Self {
        // The parsers below accept upper case, and `from_lowercase` accepts a quotation mark.
        if spelt.iter().any(u8::is_ascii_uppercase) {
            return Self::Malformed;
        }
        if let [b':', pseudo @ ..] = spelt {
            return match Pseudo::named(pseudo) {
                Pseudo::Unknown if HeaderName::from_bytes(pseudo).is_err() => Self::Malformed,
                known => Self::Pseudo(known),
            };
        }
        names::name(spelt).map_or(Self::Malformed, Self::Regular)
    }
}

/// A header that no table stores.
pub(super) fn field(name: Name, value: Bytes, sensitive: bool) -> Field {
    match name {
        Name::Pseudo(pseudo) if is_value(&value) => Field::Pseudo(pseudo, value),
        Name::Regular(name) => match HeaderValue::from_maybe_shared(value) {
            Ok(mut value) => {
                value.set_sensitive(sensitive);
                Field::Regular(name, value)
            }
            Err(_) => Field::Malformed,
        },
        _ => Field::Malformed,
    }
}

/// One header with its size.
#[derive(Debug)]
pub(super) struct Entry {
    kept: Kept,
    name_length: usize,
    value_length: usize,
}

/// Like [`Field`], but a later header may refer to the name of one whose value is malformed.
#[derive(Debug)]
enum Kept {
    Pseudo(Pseudo, Bytes),
    Regular(HeaderName, HeaderValue),
    Malformed(Name),
}

impl Entry {
    pub(super) fn new(name: Name, name_length: usize, value: Bytes) -> Self {
        let value_length = value.len();
        let kept = match name {
            Name::Pseudo(pseudo) if is_value(&value) => Kept::Pseudo(pseudo, value),
            Name::Regular(name) => match HeaderValue::from_maybe_shared(value) {
                Ok(value) => Kept::Regular(name, value),
                Err(_) => Kept::Malformed(Name::Regular(name)),
            },
            name => Kept::Malformed(name),
        };
        Self {
            kept,
            name_length,
            value_length,
        }
    }

    /// An entry of the static table.
    pub(super) const fn pseudo(pseudo: Pseudo, name: &'static str, value: &'static str) -> Self {
        let kept = Kept::Pseudo(pseudo, Bytes::from_static(value.as_bytes()));
        Self {
            kept,
            name_length: name.len(),
            value_length: value.len(),
        }
    }

    /// An entry of the static table.
    pub(super) const fn regular(
        name: HeaderName,
        spelt: &'static str,
        value: &'static str,
    ) -> Self {
        let kept = Kept::Regular(name, HeaderValue::from_static(value));
        Self {
            kept,
            name_length: spelt.len(),
            value_length: value.len(),
        }
    }

    /// Its size in the table.
    pub(super) fn size(&self) -> usize {
        self.name_length + self.value_length + OVERHEAD
    }

    pub(super) fn field(&self) -> Field {
        match &self.kept {
            Kept::Pseudo(pseudo, value) => Field::Pseudo(*pseudo, value.clone()),
            Kept::Regular(name, value) => Field::Regular(name.clone(), value.clone()),
            Kept::Malformed(_) => Field::Malformed,
        }
    }

    /// The name and its length.
    pub(super) fn name(&self) -> (Name, usize) {
        let name = match &self.kept {
            Kept::Pseudo(pseudo, _) => Name::Pseudo(*pseudo),
            Kept::Regular(name, _) => Name::Regular(name.clone()),
            Kept::Malformed(name) => name.clone(),
        };
        (name, self.name_length)
    }
}

/// Whether [`HeaderValue`] accepts it.
fn is_value(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f))
}
