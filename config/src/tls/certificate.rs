//! A certificate chain with its key.

use std::{fmt, path::Path, sync::Arc, time::SystemTime};

use rustls::{
    Error, InconsistentKeys,
    crypto::aws_lc_rs,
    sign::{CertifiedKey, SigningKey},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::X509Certificate;

use crate::{
    block::{
        At,
        problem::Report,
        show::{Object, path},
    },
    files::{Files, NamedFile},
    tls::{
        pem::{self, Sections},
        x509::{self, Age},
    },
};

/// A certificate chain with its key. The key belongs to the first certificate, and the TLS library
/// can sign with it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Certificate {
    /// The leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's key.
    pub key: PrivateKey,
    /// When the leaf expires.
    pub not_after: SystemTime,
    /// The file of the chain.
    pub cert_file: Arc<Path>,
    /// The file of the key; the same file for a bundle.
    pub key_file: Arc<Path>,
}

/// A private key; never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct PrivateKey(pub(crate) Arc<PrivateKeyDer<'static>>);

impl PrivateKey {
    /// The key, for signing.
    pub fn der(&self) -> &PrivateKeyDer<'static> {
        &self.0
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Which peer a certificate is presented to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ShownTo {
    Clients,
    Servers,
}

/// The files of a block.
pub(crate) struct Named<'a> {
    pub(crate) shown_to: ShownTo,
    pub(crate) cert: Option<&'a At<String>>,
    pub(crate) key: Option<&'a At<String>>,
    pub(crate) bundle: Option<&'a At<String>>,
}

/// A file that was read, and the position of its name.
struct Part<'a> {
    written: &'a At<String>,
    file: NamedFile,
    sections: Sections,
}

/// Reads a chain and its key and checks that they belong together; `None` when a problem was
/// reported.
pub(crate) fn accept(
    named: &Named<'_>,
    files: &mut Files<'_>,
    report: &mut Report,
) -> Option<Arc<Certificate>> {
    match (named.cert, named.key, named.bundle) {
        (None, key, Some(bundle)) => {
            if let Some(key) = key {
                let help = "remove `keyFile`, or write `certFile` in place of `bundleFile`";
                report.error(
                    &key.place,
                    "conflicting-keys",
                    "`keyFile` cannot be used with `bundleFile`, which contains the key",
                    help,
                );
            }
            let both = part(bundle, files, report)?;
            pair(&both, &both, named.shown_to, report)
        }
        (Some(cert), Some(key), None) => {
            let (cert, key) = (part(cert, files, report), part(key, files, report));
            match (&cert, &key) {
                (Some(cert), Some(key)) => pair(cert, key, named.shown_to, report),
                // Both files are checked, so that all problems are reported at once.
                (Some(cert), None) => chain(cert, report).map(|_| ()).and(None),
                (None, Some(key)) => signing_key(key, report).map(|_| ()).and(None),
                (None, None) => None,
            }
        }
        (Some(cert), None, None) => {
            let help = match named.shown_to {
                ShownTo::Clients => {
                    "add `keyFile: …`, or write `bundleFile` if the key is in the same file"
                }
                ShownTo::Servers => "add `keyFile: …`, with the same file if it contains the key",
            };
            report.missing(&cert.place, &["keyFile"], "`keyFile` is missing", help);
            part(cert, files, report)
                .and_then(|cert| chain(&cert, report).map(|_| ()))
                .and(None)
        }
        // Neither or both: otherwise the block has reported it.
        _ => None,
    }
}

fn part<'a>(
    written: &'a At<String>,
    files: &mut Files<'_>,
    report: &mut Report,
) -> Option<Part<'a>> {
    let file = files.named(written, report)?;
    let sections = pem::sections(&file, written, report)?;
    Some(Part {
        written,
        file,
        sections,
    })
}

fn pair(
    cert: &Part<'_>,
    key: &Part<'_>,
    shown_to: ShownTo,
    report: &mut Report,
) -> Option<Arc<Certificate>> {
    // Check both before returning.
    let (chain, signing) = (chain(cert, report), signing_key(key, report));
    let (chain, (signing, der)) = (chain?, signing?);
    if !fits(chain.certificates, 0, &signing) {
        mismatch(cert, key, chain.certificates, &signing, report);
        return None;
    }
    in_order(cert, &chain, report)?;
    lifetime(cert, &chain.parsed, shown_to, report);
    purpose(cert, &chain.parsed[0], shown_to, report);
    Some(Arc::new(Certificate {
        not_after: x509::system_time(chain.parsed[0].validity().not_after),
        chain: chain.certificates.to_vec(),
        key: PrivateKey(Arc::new(der.clone_key())),
        cert_file: Arc::clone(&cert.file.path),
        key_file: Arc::clone(&key.file.path),
    }))
}

/// A chain that can be parsed; the leaf is present.
struct Chain<'a> {
    certificates: &'a [CertificateDer<'static>],
    parsed: Vec<X509Certificate<'a>>,
}

fn chain<'a>(part: &'a Part<'_>, report: &mut Report) -> Option<Chain<'a>> {
    let name = &part.written.value;
    let certificates = &part.sections.certificates;
    if certificates.is_empty() {
        if part.sections.encrypted {
            pem::encrypted(part.written, report);
            return None;
        }
        let message = format!("{name:?} contains no certificate{}", part.sections.found());
        let help = "use a PEM file with a line `-----BEGIN CERTIFICATE-----`";
        report.error(&part.written.place, "no-certificate", message, help);
        return None;
    }
    let mut parsed = Vec::with_capacity(certificates.len());
    for (index, der) in certificates.iter().enumerate() {
        let Some(certificate) = x509::parse(der) else {
            let message = format!("certificate {} in {name:?} cannot be parsed", index + 1);
            let help =
                "issue a new certificate; `openssl x509 -text -noout -in FILE` shows the content";
            report.error(&part.written.place, "bad-certificate", message, help);
            return None;
        };
        parsed.push(certificate);
    }
    Some(Chain {
        certificates,
        parsed,
    })
}

fn signing_key<'a>(
    part: &'a Part<'_>,
    report: &mut Report,
) -> Option<(Arc<dyn SigningKey>, &'a PrivateKeyDer<'static>)> {
    let (place, name) = (&part.written.place, &part.written.value);
    let [key] = &part.sections.keys[..] else {
        if part.sections.encrypted {
            pem::encrypted(part.written, report);
        } else if part.sections.keys.is_empty() {
            let message = format!("{name:?} contains no private key{}", part.sections.found());
            let help = "use a PEM file with a line `-----BEGIN PRIVATE KEY-----`, or with RSA or EC in the line";
            report.error(place, "no-key", message, help);
        } else {
            let message = format!(
                "{name:?} contains {} private keys",
                part.sections.keys.len()
            );
            report.error(
                place,
                "many-keys",
                message,
                "keep only the key of the certificate",
            );
        }
        return None;
    };
    let signing = aws_lc_rs::default_provider()
        .key_provider
        .load_private_key(key.clone_key());
    if signing.is_err() {
        let message = format!("the private key in {name:?} cannot be used");
        let help = "use ECDSA on P-256, P-384 or P-521, Ed25519, or RSA with 2048 to 8192 bits";
        report.error(place, "unsupported-key", message, help);
    }
    signing.ok().map(|signing| (signing, key))
}

/// Whether the key belongs to the certificate with this index.
fn fits(chain: &[CertificateDer<'static>], index: usize, key: &Arc<dyn SigningKey>) -> bool {
    let alone = CertifiedKey::new(vec![chain[index].clone()], Arc::clone(key));
    matches!(
        alone.keys_match(),
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown))
    )
}

fn mismatch(
    cert: &Part<'_>,
    key: &Part<'_>,
    chain: &[CertificateDer<'static>],
    signing: &Arc<dyn SigningKey>,
    report: &mut Report,
) {
    let (certs, keys) = (&cert.written.value, &key.written.value);
    if let Some(index) = (1..chain.len()).find(|index| fits(chain, *index, signing)) {
        let message = format!(
            "the key belongs to certificate {} in {certs:?}, not to the first",
            index + 1
        );
        report.error(&cert.written.place, "chain-order", message, ORDER);
        return;
    }
    let alone = CertifiedKey::new(chain.to_vec(), Arc::clone(signing));
    if !matches!(alone.keys_match(), Err(Error::InconsistentKeys(_))) {
        let message = format!("the certificate in {certs:?} cannot be used for TLS");
        let help = "issue an X.509 certificate of version 3; `openssl x509 -text -noout -in FILE` shows the version";
        report.error(&cert.written.place, "bad-certificate", message, help);
        return;
    }
    let message = match certs == keys {
        true => format!("the key in {keys:?} does not belong to the first certificate"),
        false => format!("the key in {keys:?} does not belong to the certificate in {certs:?}"),
    };
    let help = "use two files that were issued together; both commands print the same public key: \
                openssl x509 -noout -pubkey -in CERT, openssl pkey -pubout -in KEY";
    report.error(&key.written.place, "key-mismatch", message, help);
}

const ORDER: &str = "put the server certificate first, then its issuer, and so on";

/// Whether every certificate after the first signed one before it. A root may be omitted, and
/// cross-signed certificates may be side by side.
fn in_order(part: &Part<'_>, chain: &Chain<'_>, report: &mut Report) -> Option<()> {
    let names: Vec<_> = chain
        .parsed
        .iter()
        .map(|cert| (cert.subject().as_raw(), cert.issuer().as_raw()))
        .collect();
    let stray = (1..names.len()).find(|index| {
        names[..*index]
            .iter()
            .all(|(_, issuer)| *issuer != names[*index].0)
    });
    let Some(index) = stray else { return Some(()) };
    let who = x509::shown(chain.parsed[index].subject());
    let message = format!(
        "certificate {} in {:?}, {who}, is not the issuer of any certificate before it",
        index + 1,
        part.written.value
    );
    report.error(&part.written.place, "chain-order", message, ORDER);
    None
}

/// An expired root may be in the chain: peers ignore it.
fn lifetime(
    part: &Part<'_>,
    chain: &[X509Certificate<'_>],
    shown_to: ShownTo,
    report: &mut Report,
) {
    let (place, name) = (&part.written.place, &part.written.value);
    let they = shown_to.they();
    for (index, certificate) in chain.iter().enumerate() {
        if index > 0 && certificate.subject() == certificate.issuer() {
            continue;
        }
        let which = match index {
            0 => format!("the certificate in {name:?}"),
            _ => format!(
                "certificate {} in {name:?}, {},",
                index + 1,
                x509::shown(certificate.subject())
            ),
        };
        let (from, until) = (
            certificate.validity().not_before,
            certificate.validity().not_after,
        );
        let (code, what, help) = match x509::age(from, until, SystemTime::now()) {
            Age::Ended => {
                let help = format!("renew it: {they} reject it. A new one is loaded automatically");
                (
                    "certificate-expired",
                    format!("expired on {}", x509::date(until)),
                    help,
                )
            }
            Age::Ending => {
                let help = "renew it, and check why it was not renewed automatically";
                let what = format!("expires within 7 days, on {}", x509::date(until));
                ("certificate-expires", what, help.to_owned())
            }
            Age::NotYet => {
                let what = format!("is not valid before {}", x509::date(from));
                let help = "wait, or check this machine's clock";
                ("certificate-not-yet-valid", what, help.to_owned())
            }
            Age::Good => continue,
        };
        report.warning(place, code, format!("{which} {what}"), help);
    }
}

fn purpose(part: &Part<'_>, leaf: &X509Certificate<'_>, shown_to: ShownTo, report: &mut Report) {
    let Some(usage) = leaf
        .extended_key_usage()
        .ok()
        .flatten()
        .map(|usage| usage.value)
    else {
        return;
    };
    let (good, purpose, wanted) = match shown_to {
        ShownTo::Clients => (usage.server_auth, "servers", "serverAuth"),
        ShownTo::Servers => (usage.client_auth, "clients", "clientAuth"),
    };
    if good || usage.any {
        return;
    }
    let (name, they) = (&part.written.value, shown_to.they());
    let message =
        format!("the certificate in {name:?} is not valid for {purpose}, so {they} reject it");
    let help = format!("issue it with the extended key usage {wanted}");
    report.warning(
        &part.written.place,
        "certificate-wrong-usage",
        message,
        help,
    );
}

impl ShownTo {
    /// The peers that verify the certificate.
    fn they(self) -> &'static str {
        match self {
            Self::Clients => "clients",
            Self::Servers => "servers",
        }
    }
}

/// Renders its files.
pub(crate) fn show(object: Object, certificate: &Certificate) -> Object {
    match certificate.cert_file == certificate.key_file {
        true => object.with("bundleFile", path(&certificate.cert_file)),
        false => object
            .with("certFile", path(&certificate.cert_file))
            .with("keyFile", path(&certificate.key_file)),
    }
}
