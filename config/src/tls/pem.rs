//! PEM files, and messages about files that are not PEM. Messages never contain a byte of a file.

use rustls_pki_types::{
    CertificateDer, CertificateRevocationListDer, PrivateKeyDer,
    pem::{self, PemObject as _, SectionKind},
};
use x509_parser::prelude::{CertificateRevocationList, FromDer as _};

use crate::{
    block::{At, problem::Report},
    files::NamedFile,
    tls::x509,
};

/// The content of a PEM file, each kind in file order.
#[derive(Default)]
pub(crate) struct Sections {
    pub(crate) certificates: Vec<CertificateDer<'static>>,
    pub(crate) keys: Vec<PrivateKeyDer<'static>>,
    pub(crate) lists: Vec<CertificateRevocationListDer<'static>>,
    /// An encrypted private key.
    pub(crate) encrypted: bool,
    /// Other content, as text for messages.
    others: Vec<&'static str>,
}

/// Reads a PEM file; `None` when it is not PEM, which was reported.
pub(crate) fn sections(
    file: &NamedFile,
    written: &At<String>,
    report: &mut Report,
) -> Option<Sections> {
    let name = &written.value;
    if !contains(&file.content, b"-----BEGIN") {
        let (message, help) = not_pem(&file.content, name);
        report.error(
            &written.place,
            "not-pem",
            format!("{name:?} {message}"),
            help,
        );
        return None;
    }
    let mut sections = Sections {
        encrypted: contains(&file.content, b"-----BEGIN ENCRYPTED PRIVATE KEY-----"),
        ..Sections::default()
    };
    // The old encryption format has headers inside a section, which a decoder rejects.
    if contains(&file.content, b"Proc-Type: 4,ENCRYPTED") {
        sections.encrypted = true;
        return Some(sections);
    }
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(&file.content) {
        match section {
            Ok(section) => sections.add(section),
            Err(error) => {
                let message = format!("{name:?} is invalid PEM: {}", reason(&error));
                let help = "create the file again; it may be truncated, or two files were joined without a line break";
                report.error(&written.place, "bad-pem", message, help);
                return None;
            }
        }
    }
    Some(sections)
}

/// Reports an encrypted key.
pub(crate) fn encrypted(written: &At<String>, report: &mut Report) {
    let name = &written.value;
    let message = format!("the private key in {name:?} is encrypted, which is not supported");
    let help = format!("decrypt it: openssl pkey -in {name} -out decrypted.key");
    report.error(&written.place, "encrypted-key", message, help);
}

impl Sections {
    fn add(&mut self, (kind, der): (SectionKind, Vec<u8>)) {
        match kind {
            SectionKind::Certificate => self.certificates.push(der.into()),
            SectionKind::PrivateKey => self.keys.push(PrivateKeyDer::Pkcs8(der.into())),
            SectionKind::RsaPrivateKey => self.keys.push(PrivateKeyDer::Pkcs1(der.into())),
            SectionKind::EcPrivateKey => self.keys.push(PrivateKeyDer::Sec1(der.into())),
            SectionKind::Crl => self.lists.push(der.into()),
            SectionKind::PublicKey => self.others.push("a public key"),
            SectionKind::Csr => self.others.push("a certificate request"),
            _ => {}
        }
    }

    /// What the file contains instead of what was expected.
    pub(crate) fn found(&self) -> String {
        let mut found = self.others.clone();
        found.extend((!self.certificates.is_empty()).then_some("a certificate"));
        found.extend((!self.keys.is_empty() || self.encrypted).then_some("a private key"));
        found.extend((!self.lists.is_empty()).then_some("a revocation list"));
        found.dedup();
        if found.is_empty() {
            String::new()
        } else {
            format!(", only {}", found.join(" and "))
        }
    }
}

fn contains(content: &[u8], part: &[u8]) -> bool {
    content.windows(part.len()).any(|window| window == part)
}

/// What a file without PEM is: usually the same content in binary form.
fn not_pem(content: &[u8], name: &str) -> (&'static str, String) {
    let convert = |command: &str| {
        format!("convert it: openssl {command} -inform der -in {name} -out {name}.pem")
    };
    if x509::parse(content).is_some() {
        return ("is a certificate in DER, not in PEM", convert("x509"));
    }
    if CertificateRevocationList::from_der(content).is_ok() {
        return ("is a revocation list in DER, not in PEM", convert("crl"));
    }
    if is_pkcs12(content) {
        let help = format!(
            "convert it: openssl pkcs12 -in {name} -nodes -out {name}.pem, and use it as `bundleFile`"
        );
        return ("is a PKCS#12 store, not PEM", help);
    }
    if PrivateKeyDer::try_from(content).is_ok() {
        return ("is a private key in DER, not in PEM", convert("pkey"));
    }
    (
        "is not PEM",
        "use a text file with a line `-----BEGIN …-----`".to_owned(),
    )
}

/// RFC 7292 section 4: a sequence that begins with version 3.
fn is_pkcs12(content: &[u8]) -> bool {
    matches!(content, [0x30, length, rest @ ..] if {
        let skipped = if *length < 0x80 { 0 } else { usize::from(length & 0x7f) };
        rest.get(skipped..).is_some_and(|body| body.starts_with(&[2, 1, 3]))
    })
}

/// The reason without content of the file, which may be a key.
fn reason(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => {
            "the END line of a section does not match its BEGIN line"
        }
        pem::Error::IllegalSectionStart { .. } => "a BEGIN line is malformed",
        pem::Error::Base64Decode(_) => "a section is not base64",
        _ => "a section cannot be read",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pkcs12_store_is_recognized() {
        assert!(is_pkcs12(&[0x30, 0x82, 0x0a, 0x00, 2, 1, 3, 0x30]));
        assert!(is_pkcs12(&[0x30, 0x03, 2, 1, 3]));
        for other in [
            &[][..],
            &[0x30],
            &[0x30, 0xff],
            &[0x30, 0x82, 1, 2, 2, 1, 0],
            b"text",
        ] {
            assert!(!is_pkcs12(other), "{other:?}");
        }
    }

    #[test]
    fn no_message_contains_a_byte_of_the_file() {
        for text in [
            "-----BEGIN PRIVATE KEY-----\nSECRET\n",
            "-----BEGIN PRIVATE KEY SECRET\n",
            "-----BEGIN PRIVATE KEY-----\nSEC!RET\n-----END PRIVATE KEY-----\n",
        ] {
            let error =
                <(SectionKind, Vec<u8>)>::pem_slice_iter(text.as_bytes()).find_map(Result::err);
            assert!(!reason(&error.unwrap()).contains("SEC"), "{text}");
        }
    }
}
