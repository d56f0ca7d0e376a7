//! TLS with endpoints: trusted CAs and client certificate.

use std::{net::IpAddr, path::Path, sync::Arc};

use rustls_pki_types::CertificateDer;
use serde_json::Value;

use crate::{
    block::{
        At, block,
        problem::Report,
        show::{Object, path, text},
    },
    files::Files,
    part::hostname,
    tls::{
        certificate::{self, Certificate},
        trust,
    },
};

block! {
    /// TLS with endpoints whose URLs begin with https. They are always verified. Files are reloaded
    /// when they change; a certificate and its key are loaded as a pair or not at all.
    UpstreamTlsBlock {
        /// The server name: sent as SNI, verified in the certificate, and used as Host on outbound
        /// routes. Default: the host of the endpoint's URL.
        "hostname" hostname: String,
        /// Names of which the certificate must have one, in place of the server name: URIs such as
        /// `spiffe://example.com/ns/pay/sa/api`, DNS names, addresses. Default: the server name.
        "subjectAltNames" subject_alt_names: Vec<At<String>>,
        /// PEM files with the CAs that sign the endpoints' certificates. Default: the system's CA
        /// certificates.
        "caFiles" ca_files: Vec<At<String>>,
        /// PEM file with the client certificate first, followed by its issuers; sent to endpoints
        /// that request one. Default: no client certificate.
        "certFile" cert_file: String,
        /// PEM file with the key of `certFile`, not encrypted: PKCS#8, PKCS#1 or SEC1; ECDSA, Ed25519, or RSA from 2048 bits.
        "keyFile" key_file: String,
    }
}

/// `upstreams.*.tls`: TLS towards endpoints, which are always verified.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ClientTls {
    /// Server name, verified name, and Host on outbound routes. Default: that of each endpoint.
    pub hostname: Option<Arc<str>>,
    /// If not empty, the certificate must have one of these names in place of the server name.
    pub subject_alt_names: Vec<SubjectAltName>,
    /// The CA certificates for endpoints; empty: those of the system.
    pub ca_certificates: Vec<CertificateDer<'static>>,
    /// The files that they were read from.
    pub ca_files: Vec<Arc<Path>>,
    /// The client certificate for endpoints that request one.
    pub certificate: Option<Arc<Certificate>>,
}

impl ClientTls {
    /// Whether the other configuration has the same settings, regardless of file contents.
    pub fn same_block(&self, other: &Self) -> bool {
        let files = |tls: &Self| {
            let certificate = tls.certificate.as_ref();
            certificate.map(|one| (Arc::clone(&one.cert_file), Arc::clone(&one.key_file)))
        };
        self.hostname == other.hostname
            && self.subject_alt_names == other.subject_alt_names
            && self.ca_files == other.ca_files
            && files(self) == files(other)
    }
}

/// A name that a certificate may have.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SubjectAltName {
    /// A DNS name, in lower case.
    Dns(Arc<str>),
    /// An address.
    Ip(IpAddr),
    /// A URI, compared byte by byte.
    Uri(Arc<str>),
}

/// Validates the `tls` block of an upstream. Problems were reported.
pub(crate) fn accept(
    block: &UpstreamTlsBlock,
    files: &mut Files<'_>,
    report: &mut Report,
) -> ClientTls {
    let authorities = trust::authorities(block.ca_files.as_ref(), files, report);
    ClientTls {
        hostname: block
            .hostname
            .as_ref()
            .and_then(|written| server_name(written, report)),
        subject_alt_names: names(block.subject_alt_names.as_ref(), report),
        ca_certificates: authorities.certificates,
        ca_files: authorities.files,
        certificate: certificate(block, files, report),
    }
}

/// TLS for a single URL: used when the scheme requires it, and then the block may be omitted.
pub(crate) fn of_url(
    written: Option<&At<UpstreamTlsBlock>>,
    secure: bool,
    scheme: &str,
    files: &mut Files<'_>,
    report: &mut Report,
) -> Option<Arc<ClientTls>> {
    let read = written.map(|tls| accept(&tls.value, files, report));
    if let Some(written) = written.filter(|_| !secure) {
        let message = "`tls` has no effect on a URL without TLS";
        let help = format!("remove it, or write {scheme}:// in the URL");
        report.error(&written.place, "conflicting-keys", message, help);
    }
    secure.then(|| Arc::new(read.unwrap_or_default()))
}

/// A DNS name in lower case, or an address as written in URLs.
fn server_name(written: &At<String>, report: &mut Report) -> Option<Arc<str>> {
    match written.value.parse() {
        Ok(IpAddr::V4(address)) => Some(address.to_string().into()),
        Ok(IpAddr::V6(address)) => Some(format!("[{address}]").into()),
        Err(_) => match bracketed(&written.value) {
            Some(address) => Some(format!("[{address}]").into()),
            None => hostname::exact(written, report).map(Arc::from),
        },
    }
}

fn bracketed(text: &str) -> Option<std::net::Ipv6Addr> {
    text.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

fn names(written: Option<&At<Vec<At<String>>>>, report: &mut Report) -> Vec<SubjectAltName> {
    let Some(written) = written else {
        return Vec::new();
    };
    if written.value.is_empty() {
        let help = "remove it; then the certificate must be valid for the server name";
        report.error(
            &written.place,
            "empty-list",
            "the list of names is empty",
            help,
        );
    }
    written
        .value
        .iter()
        .filter_map(|item| name(item, report))
        .collect()
}

fn name(written: &At<String>, report: &mut Report) -> Option<SubjectAltName> {
    let text = &written.value;
    if let Ok(address) = text.parse() {
        return Some(SubjectAltName::Ip(address));
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_graphic());
        if scheme.is_empty() || rest.is_empty() || !plain(text) {
            let help = "write a URI such as spiffe://example.com/ns/pay/sa/api";
            report.error(
                &written.place,
                "bad-name",
                format!("{text:?} is not a valid URI"),
                help,
            );
            return None;
        }
        if text.contains('*') {
            let message = format!("{text:?} contains a star, but names are compared byte by byte");
            report.error(
                &written.place,
                "bad-name",
                message,
                "write each name in full",
            );
            return None;
        }
        return Some(SubjectAltName::Uri(text.as_str().into()));
    }
    hostname::exact(written, report).map(|name| SubjectAltName::Dns(name.into()))
}

fn certificate(
    block: &UpstreamTlsBlock,
    files: &mut Files<'_>,
    report: &mut Report,
) -> Option<Arc<Certificate>> {
    if let (None, Some(key)) = (&block.cert_file, &block.key_file) {
        let help = "add `certFile: …`, or remove `keyFile` to send no client certificate";
        report.missing(&key.place, &["certFile"], "`certFile` is missing", help);
    }
    let named = certificate::Named {
        shown_to: certificate::ShownTo::Servers,
        cert: block.cert_file.as_ref(),
        key: block.key_file.as_ref(),
        bundle: None,
    };
    certificate::accept(&named, files, report)
}

/// Renders the accepted value.
pub(crate) fn show(tls: &ClientTls) -> Object {
    let name = |name: &SubjectAltName| match name {
        SubjectAltName::Dns(name) | SubjectAltName::Uri(name) => text(name),
        SubjectAltName::Ip(address) => address.to_string().into(),
    };
    let names: Vec<Value> = tls.subject_alt_names.iter().map(name).collect();
    let ca_files: Vec<Value> = tls.ca_files.iter().map(|file| path(file)).collect();
    Object::new()
        .maybe("hostname", tls.hostname.as_deref().map(text))
        .maybe("subjectAltNames", (!names.is_empty()).then_some(names))
        .maybe("caFiles", (!ca_files.is_empty()).then_some(ca_files))
        .maybe(
            "certFile",
            tls.certificate.as_ref().map(|one| path(&one.cert_file)),
        )
        .maybe(
            "keyFile",
            tls.certificate.as_ref().map(|one| path(&one.key_file)),
        )
}
