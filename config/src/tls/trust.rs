//! CA certificates and revocation lists.

use std::{path::Path, sync::Arc, time::SystemTime};

use rustls::{RootCertStore, crypto::aws_lc_rs, server::WebPkiClientVerifier};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, TrustAnchor};
use x509_parser::prelude::{CertificateRevocationList, FromDer as _, X509Certificate};

use crate::{
    block::{At, problem::Report},
    files::Files,
    tls::{
        pem,
        x509::{self, Age},
    },
};

/// The content of `caFiles`.
#[derive(Default)]
pub(crate) struct Authorities {
    /// The certificates, each of a CA or of a peer itself.
    pub(crate) certificates: Vec<CertificateDer<'static>>,
    /// The files that they were read from.
    pub(crate) files: Vec<Arc<Path>>,
}

/// The content of `crlFiles`.
#[derive(Default)]
pub(crate) struct Revocation {
    pub(crate) lists: Vec<CertificateRevocationListDer<'static>>,
    pub(crate) files: Vec<Arc<Path>>,
}

/// Reads a list of files with CA certificates. The list and each file must not be empty. Each
/// certificate must be a CA, or self-signed and trusted for its owner only; all other problems are
/// reported.
pub(crate) fn authorities(
    written: Option<&At<Vec<At<String>>>>,
    files: &mut Files<'_>,
    report: &mut Report,
) -> Authorities {
    let mut authorities = Authorities::default();
    // A missing required key was already reported.
    let Some(written) = written else {
        return authorities;
    };
    if written.value.is_empty() {
        let help = "add at least one PEM file with a CA certificate";
        report.error(
            &written.place,
            "empty-list",
            "the list of CA files is empty",
            help,
        );
    }
    for item in &written.value {
        let Some(file) = files.named(item, report) else {
            continue;
        };
        let Some(sections) = pem::sections(&file, item, report) else {
            continue;
        };
        if sections.certificates.is_empty() {
            let message = format!(
                "{:?} contains no certificate{}",
                item.value,
                sections.found()
            );
            let help = "use a PEM file with a line `-----BEGIN CERTIFICATE-----`";
            report.error(&item.place, "no-certificate", message, help);
        }
        for (index, der) in sections.certificates.iter().enumerate() {
            authority(index, der, item, report);
        }
        authorities.certificates.extend(sections.certificates);
        authorities.files.push(file.path);
    }
    authorities
}

fn authority(
    index: usize,
    der: &CertificateDer<'static>,
    written: &At<String>,
    report: &mut Report,
) {
    let (place, name) = (&written.place, &written.value);
    let number = index + 1;
    let parsed = x509::parse(der).filter(|_| RootCertStore::empty().add(der.clone()).is_ok());
    let Some(certificate) = parsed else {
        let message = format!("certificate {number} in {name:?} cannot be parsed");
        let help = "export the CA certificate again; `openssl x509 -text -noout -in FILE` shows the content";
        report.error(place, "bad-certificate", message, help);
        return;
    };
    let who = x509::shown(certificate.subject());
    if !may_sign(&certificate) && !is_self_signed(&certificate) {
        let message = format!(
            "certificate {number} in {name:?}, {who}, is not a CA: it may not sign certificates"
        );
        let help = "use the certificate that signs the others, which has the basic constraint CA:TRUE; only a \
                    self-signed certificate may be trusted for its owner alone";
        report.error(place, "not-a-ca", message, help);
        return;
    }
    let (from, until) = (
        certificate.validity().not_before,
        certificate.validity().not_after,
    );
    let validity = match x509::age(from, until, SystemTime::now()) {
        Age::Ended => Some((
            "certificate-expired",
            format!("expired on {}", x509::date(until)),
        )),
        Age::Ending => Some((
            "certificate-expires",
            format!("expires within 7 days, on {}", x509::date(until)),
        )),
        Age::NotYet => Some((
            "certificate-not-yet-valid",
            format!("is not valid before {}", x509::date(from)),
        )),
        Age::Good => None,
    };
    if let Some((code, validity)) = validity {
        let message = format!("the CA {who} in {name:?} {validity}");
        report.warning(
            place,
            code,
            message,
            "add its successor, and remove this one later",
        );
    }
}

/// RFC 5280 sections 4.2.1.9 and 4.2.1.3.
fn may_sign(certificate: &X509Certificate<'_>) -> bool {
    let usage = certificate.key_usage().ok().flatten();
    certificate.is_ca() && usage.is_none_or(|usage| usage.value.key_cert_sign())
}

/// Whether it is self-signed, and its key may sign a handshake (RFC 8446 section 4.4.2.2). The
/// signature is not verified: a certificate in the file is trusted anyway.
fn is_self_signed(certificate: &X509Certificate<'_>) -> bool {
    let usage = certificate.key_usage().ok().flatten();
    certificate.subject().as_raw() == certificate.issuer().as_raw()
        && usage.is_none_or(|usage| usage.value.digital_signature())
}

/// Reads a list of files with revocation lists.
pub(crate) fn revocation(
    written: Option<&At<Vec<At<String>>>>,
    authorities: &Authorities,
    files: &mut Files<'_>,
    report: &mut Report,
) -> Revocation {
    let mut revocation = Revocation::default();
    let mut good = true;
    let Some(written) = written else {
        return revocation;
    };
    for item in &written.value {
        let Some(file) = files.named(item, report) else {
            continue;
        };
        let Some(sections) = pem::sections(&file, item, report) else {
            continue;
        };
        if sections.lists.is_empty() {
            let message = format!(
                "{:?} contains no revocation list{}",
                item.value,
                sections.found()
            );
            let help = "use a PEM file with a line `-----BEGIN X509 CRL-----`";
            report.error(&item.place, "no-crl", message, help);
        }
        for (index, der) in sections.lists.iter().enumerate() {
            good &= list(index, der, item, report);
        }
        revocation.lists.extend(sections.lists);
        revocation.files.push(file.path);
    }
    // A list that seems missing may be in a file that could not be read.
    if good && !revocation.lists.is_empty() && revocation.files.len() == written.value.len() {
        each_has_a_list(authorities, &revocation, written, report);
    }
    revocation
}

/// Whether a list is usable; otherwise a problem was reported.
fn list(
    index: usize,
    der: &CertificateRevocationListDer<'static>,
    written: &At<String>,
    report: &mut Report,
) -> bool {
    let (place, name) = (&written.place, &written.value);
    let number = index + 1;
    let parsed = CertificateRevocationList::from_der(der)
        .ok()
        .map(|(_, list)| list);
    let Some((list, until)) = parsed.and_then(|list| list.next_update().map(|until| (list, until)))
    else {
        let message = format!(
            "revocation list {number} in {name:?} cannot be used: it is malformed, or has no next update"
        );
        let help = "create a CRL of version 2 with a next update";
        report.error(place, "bad-crl", message, help);
        return false;
    };
    let who = x509::shown(list.issuer());
    if !is_taken(der) {
        let message = format!("revocation list {number} in {name:?}, of {who}, cannot be used");
        let help = "create a full CRL (not a delta) of version 2 with a CRL number";
        report.error(place, "bad-crl", message, help);
        return false;
    }
    if x509::age(list.last_update(), until, SystemTime::now()) == Age::Ended {
        let message = format!(
            "the revocation list of {who} in {name:?} expired on {} (next update)",
            x509::date(until)
        );
        let help = "install the CA's new list: until then every client whose chain has this CA is rejected";
        report.warning(place, "crl-outdated", message, help);
    }
    true
}

/// Whether the TLS library can read it.
fn is_taken(der: &CertificateRevocationListDer<'static>) -> bool {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut anything = RootCertStore::empty();
    anything.roots.push(TrustAnchor {
        subject: Vec::new().into(),
        subject_public_key_info: Vec::new().into(),
        name_constraints: None,
    });
    WebPkiClientVerifier::builder_with_provider(Arc::new(anything), provider)
        .with_crls([der.clone()])
        .build()
        .is_ok()
}

/// Without its list, every certificate of a CA counts as revoked, which is most likely a mistake.
fn each_has_a_list(
    authorities: &Authorities,
    revocation: &Revocation,
    written: &At<Vec<At<String>>>,
    report: &mut Report,
) {
    let lists: Vec<_> = revocation
        .lists
        .iter()
        .filter_map(|der| CertificateRevocationList::from_der(der).ok())
        .collect();
    let parsed = authorities
        .certificates
        .iter()
        .filter_map(|der| x509::parse(der));
    for certificate in parsed.filter(may_sign) {
        let subject = certificate.subject();
        if lists
            .iter()
            .all(|(_, list)| list.issuer().as_raw() != subject.as_raw())
        {
            let who = x509::shown(certificate.subject());
            let message = format!(
                "the CA {who} has no revocation list, so all clients with its certificates are rejected"
            );
            let help = "add its CRL, or remove `crlFiles` to disable revocation checks";
            report.warning(&written.place, "ca-without-crl", message, help);
        }
    }
}
