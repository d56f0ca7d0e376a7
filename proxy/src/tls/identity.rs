//! From a certificate to the identity that filters see.

use std::{fmt::Write, sync::Arc};

use aws_lc_rs::digest::{SHA256, digest};
use outrigger_filters::identity::Identity;
use rustls_pki_types::CertificateDer;
use x509_parser::{
    certificate::X509Certificate,
    extensions::GeneralName,
    oid_registry::{
        OID_DOMAIN_COMPONENT, OID_USERID, OID_X509_COMMON_NAME, OID_X509_COUNTRY_NAME,
        OID_X509_LOCALITY_NAME, OID_X509_ORGANIZATION_NAME, OID_X509_ORGANIZATIONAL_UNIT,
        OID_X509_STATE_OR_PROVINCE_NAME, OID_X509_STREET_ADDRESS,
    },
    prelude::FromDer,
    x509::{AttributeTypeAndValue, X509Name},
};

/// A certificate that cannot be read as X.509.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the certificate cannot be read")]
pub(crate) struct Unreadable;

/// Parses a certificate.
///
/// # Errors
/// It is not one, or something stands behind it.
pub(crate) fn parse<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, Unreadable> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(Unreadable),
    }
}

/// Whom the certificate names.
///
/// # Errors
/// It cannot be read, or its alternative names cannot.
pub(crate) fn read(der: &CertificateDer<'_>) -> Result<Identity, Unreadable> {
    of(&parse(der)?, der)
}

/// Whom a certificate that was parsed already names.
///
/// # Errors
/// Its alternative names cannot be read.
pub(crate) fn of(certificate: &X509Certificate<'_>, der: &[u8]) -> Result<Identity, Unreadable> {
    let (mut uris, mut dns_names) = (Vec::new(), Vec::new());
    let names = certificate
        .subject_alternative_name()
        .map_err(|_| Unreadable)?;
    for name in names.iter().flat_map(|names| &names.value.general_names) {
        match name {
            GeneralName::URI(uri) => uris.push(Arc::from(*uri)),
            GeneralName::DNSName(name) => dns_names.push(Arc::from(*name)),
            GeneralName::Invalid(..) => return Err(Unreadable),
            _ => {}
        }
    }
    let subject = distinguished_name(certificate.subject()).into();
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(digest(&SHA256, der).as_ref());
    Ok(Identity {
        sha256,
        subject,
        uris,
        dns_names,
    })
}

/// A name as text (RFC 4514): the last part first, as `CN=orders,O=Example`.
pub(crate) fn distinguished_name(name: &X509Name<'_>) -> String {
    let parts: Vec<_> = name.iter_rdn().collect();
    let mut text = String::new();
    for (i, part) in parts.iter().rev().enumerate() {
        for (j, attribute) in part.iter().enumerate() {
            text.push_str(match (i, j) {
                (0, 0) => "",
                (_, 0) => ",",
                _ => "+",
            });
            push_attribute(&mut text, attribute);
        }
    }
    text
}

fn push_attribute(text: &mut String, attribute: &AttributeTypeAndValue<'_>) {
    let short = [
        (OID_X509_COMMON_NAME, "CN"),
        (OID_X509_LOCALITY_NAME, "L"),
        (OID_X509_STATE_OR_PROVINCE_NAME, "ST"),
        (OID_X509_ORGANIZATION_NAME, "O"),
        (OID_X509_ORGANIZATIONAL_UNIT, "OU"),
        (OID_X509_COUNTRY_NAME, "C"),
        (OID_X509_STREET_ADDRESS, "STREET"),
        (OID_DOMAIN_COMPONENT, "DC"),
        (OID_USERID, "UID"),
    ];
    let short = short
        .iter()
        .find(|(oid, _)| oid == attribute.attr_type())
        .map(|(_, name)| *name);
    match (short, attribute.as_str()) {
        (Some(name), Ok(value)) => {
            text.push_str(name);
            text.push('=');
            push_escaped(text, value);
        }
        // A type without a short name, or a value that is no text: its encoding (RFC 4514 section 2.4).
        (name, _) => {
            match name {
                Some(name) => text.push_str(name),
                None => text.push_str(&attribute.attr_type().to_id_string()),
            }
            text.push_str("=#");
            let value = attribute.attr_value();
            push_hex(text, &[u8::try_from(value.header.tag().0).unwrap_or(0)]);
            push_length(text, value.data.len());
            push_hex(text, value.data);
        }
    }
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        let _ = write!(text, "{byte:02x}"); // writing into a String cannot fail
    }
}

/// A DER length.
fn push_length(text: &mut String, length: usize) {
    let bytes = length.to_be_bytes();
    let significant = &bytes[bytes
        .iter()
        .position(|byte| *byte != 0)
        .unwrap_or(bytes.len() - 1)..];
    if length >= 0x80 {
        push_hex(text, &[0x80 | significant.len() as u8]);
    }
    push_hex(text, significant);
}

/// RFC 4514 section 2.4; control characters too, so that a name stays on its line.
fn push_escaped(text: &mut String, value: &str) {
    let last = value.chars().count().saturating_sub(1);
    for (at, character) in value.chars().enumerate() {
        match character {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => text.extend(['\\', character]),
            ' ' if at == 0 || at == last => text.push_str("\\ "),
            '#' if at == 0 => text.push_str("\\#"),
            control if control.is_control() => {
                let mut bytes = [0; 4];
                for byte in control.encode_utf8(&mut bytes).bytes() {
                    let _ = write!(text, "\\{byte:02X}");
                }
            }
            other => text.push(other),
        }
    }
}
