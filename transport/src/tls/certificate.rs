//! Reads certificates: names, and whether the encoding is valid.

use std::fmt::Write;

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
pub struct Unreadable;

/// Parses a certificate.
///
/// # Errors
/// It is not a certificate, or bytes follow it.
pub fn parse<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, Unreadable> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(Unreadable),
    }
}

/// The subject alternative names of a certificate, of the kinds that identify workloads and hosts.
#[derive(Debug, Default)]
pub struct AlternativeNames<'a> {
    /// URIs, such as SPIFFE IDs.
    pub uris: Vec<&'a str>,
    /// DNS names.
    pub dns_names: Vec<&'a str>,
}

/// Reads the subject alternative names of a certificate; none where it lacks the extension.
///
/// # Errors
/// The extension, or a name in it, cannot be read.
pub fn alternative_names<'a>(
    certificate: &'a X509Certificate<'_>,
) -> Result<AlternativeNames<'a>, Unreadable> {
    let mut found = AlternativeNames::default();
    let names = certificate
        .subject_alternative_name()
        .map_err(|_| Unreadable)?;
    for name in names.iter().flat_map(|names| &names.value.general_names) {
        match name {
            GeneralName::URI(uri) => found.uris.push(uri),
            GeneralName::DNSName(name) => found.dns_names.push(name),
            GeneralName::Invalid(..) => return Err(Unreadable),
            _ => {}
        }
    }
    Ok(found)
}

/// A name as text (RFC 4514), most specific part first, as `CN=orders,O=Example`.
pub fn distinguished_name(name: &X509Name<'_>) -> String {
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
        // A type without a short name, or a value that is not text: hexadecimal (RFC 4514 section
        // 2.4).
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

/// RFC 4514 section 2.4; control characters are escaped too, so that a name cannot break a log
/// line.
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
