//! `tls` of a listener: server certificates and client authentication.

use std::{path::Path, sync::Arc};

use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};
use serde_json::{Value as Json, json};

use crate::{
    block::{
        At, Flag, Read, Reader, Word, Words, block,
        field::{flag, word},
        inline_schema, json,
        node::{Node, Value},
        problem::{Place, Report},
        show::{self, Object, path},
        words,
    },
    files::Files,
    listener::direction::Direction,
    part::hostname::{self, Hostname},
    tls::{
        certificate::{self, Certificate},
        names, trust,
    },
};

block! {
    /// TLS with clients: server certificates and client authentication. Files are reloaded when
    /// they change; a certificate and its key are loaded as a pair or not at all.
    TlsBlock {
        /// PEM file with the server certificate first, followed by its issuers, each before its own
        /// issuer.
        "certFile" cert_file: String,
        /// PEM file with the key of `certFile`, not encrypted: PKCS#8, PKCS#1 or SEC1; ECDSA,
        /// Ed25519, or RSA from 2048 bits.
        "keyFile" key_file: String,
        /// One PEM file with key and chain, in place of `certFile` and `keyFile`.
        "bundleFile" bundle_file: String,
        /// Minimum TLS version: "1.2" or "1.3", in quotes. Default "1.2".
        "minVersion" min_version: Version,
        /// Further certificates, selected by server name (SNI): exact before wildcard, longer
        /// first. Other names get the certificate above.
        "sni" sni: Vec<At<SniBlock>>,
        /// Client authentication (mTLS). Default: clients need no certificate.
        "clientAuth" client_auth: ClientAuthBlock,
    }
    one_of ["certFile", "bundleFile"]
}

block! {
    /// A certificate for some server names.
    SniBlock {
        /// Server names, such as `api.example.com` or `*.example.com` (the star is one or more
        /// labels). At least one.
        "hostnames" hostnames: Vec<At<String>>,
        /// PEM file with the chain, as in `tls`.
        "certFile" cert_file: String,
        /// PEM file with the key, as in `tls`.
        "keyFile" key_file: String,
        /// One PEM file with key and chain, in place of `certFile` and `keyFile`.
        "bundleFile" bundle_file: String,
    }
    required ["hostnames"]
    one_of ["certFile", "bundleFile"]
}

block! {
    /// Client authentication (mTLS).
    ClientAuthBlock {
        /// `required`: a connection without a certificate signed by these CAs fails. `optional`: a
        /// client may have no certificate, and a route that requires `mtls` returns 403. Default
        /// required. Kubelet probes have no certificate; use the `status` server for them.
        "mode" mode: Word<ClientAuthMode>,
        /// PEM files with the CAs that sign client certificates. At least one.
        "caFiles" ca_files: Vec<At<String>>,
        /// PEM files with certificate revocation lists. With any list, every CA in a client's chain
        /// needs a current one, else the client is rejected. Default none.
        "crlFiles" crl_files: Vec<At<String>>,
        /// Whether the client's identity is forwarded to the app in X-Forwarded-Client-Cert. Default false; that header is always removed from clients' requests.
        "forwardIdentity" forward_identity: Flag,
    }
    required ["caFiles"]
}

/// `minVersion`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Version(pub(crate) TlsVersion);

impl Read for Version {
    fn read(node: &Node, place: &Place, reader: &mut Reader<'_>) -> Option<Self> {
        const HELP: &str = "use \"1.2\" or \"1.3\"";
        let text = match &node.value {
            Value::Text(text) => reader.substituted(text, place)?.0,
            Value::Integer(_) | Value::Float => {
                let number = reader.report.source().slice(node.span).to_owned();
                let found = TlsVersion::WORDS.iter().find(|(word, _)| *word == number);
                let help =
                    found.map_or_else(|| HELP.to_owned(), |(word, _)| format!("write \"{word}\""));
                reader.mismatch(node, place, "a string", &help);
                return None;
            }
            _ => {
                reader.mismatch(node, place, "a string", HELP);
                return None;
            }
        };
        let found = TlsVersion::WORDS
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, version)| Self(*version));
        if found.is_none() {
            let message = format!("{text:?} is not supported");
            reader.invalid(place, "bad-value", message, HELP.to_owned());
        }
        found
    }
}

inline_schema!([] Version, |_generator| {
    json::or_variable(json!({ "type": "string", "enum": TlsVersion::WORDS.iter().map(|(word, _)| *word).collect::<Vec<_>>() }))
});

/// `listeners[].tls`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerTls {
    /// The certificate for clients whose server name matches no entry of `sni`.
    pub certificate: Arc<Certificate>,
    /// Further certificates, selected by server name: exact before wildcard, longer wildcards
    /// first.
    pub sni: Vec<SniCertificate>,
    /// Minimum TLS version. Default 1.2.
    pub min_version: TlsVersion,
    /// Client authentication; `None`: clients need no certificate.
    pub client_auth: Option<ClientAuth>,
}

/// One item of `sni`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SniCertificate {
    /// The server names; at least one.
    pub hostnames: Vec<Hostname>,
    /// The certificate for these names.
    pub certificate: Arc<Certificate>,
}

/// Minimum TLS version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TlsVersion {
    /// TLS 1.2 and 1.3.
    Tls12,
    /// TLS 1.3 only.
    Tls13,
}

/// `clientAuth`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientAuth {
    /// Whether a client without a certificate may connect. Default required.
    pub mode: ClientAuthMode,
    /// The CA certificates for client certificates; at least one.
    pub ca_certificates: Vec<CertificateDer<'static>>,
    /// The files that they were read from.
    pub ca_files: Vec<Arc<Path>>,
    /// Revocation lists; with any list, every CA of a chain needs a current one.
    pub crls: Vec<CertificateRevocationListDer<'static>>,
    /// The files that they were read from.
    pub crl_files: Vec<Arc<Path>>,
    /// Whether the client's identity is forwarded to the app in X-Forwarded-Client-Cert. Default false.
    pub forward_identity: bool,
}

/// Whether a client without a certificate may connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClientAuthMode {
    /// No: the handshake fails.
    Required,
    /// Yes; a route that requires `mtls` returns 403.
    Optional,
}

words! {
    TlsVersion { "1.2" => Tls12, "1.3" => Tls13 }
    ClientAuthMode { "required" => Required, "optional" => Optional }
}

/// Validates the `tls` block of a listener; `None` when a problem was reported.
pub(crate) fn accept(
    written: &At<TlsBlock>,
    direction: Direction,
    files: &mut Files<'_>,
    report: &mut Report,
) -> Option<Arc<ServerTls>> {
    if direction == Direction::Outbound {
        let message = "an outbound listener accepts plain requests from the app, over loopback";
        let help = "remove `tls`, which is for inbound listeners only";
        report.error(&written.place, "tls-outbound", message, help);
    }
    let block = &written.value;
    let named = certificate::Named {
        shown_to: certificate::ShownTo::Clients,
        cert: block.cert_file.as_ref(),
        key: block.key_file.as_ref(),
        bundle: block.bundle_file.as_ref(),
    };
    let certificate = certificate::accept(&named, files, report);
    let sni = sni(block.sni.as_ref(), files, report);
    let client_auth = block
        .client_auth
        .as_ref()
        .map(|block| client_auth(&block.value, files, report));
    Some(Arc::new(ServerTls {
        certificate: certificate?,
        sni,
        min_version: block
            .min_version
            .as_ref()
            .map_or(TlsVersion::Tls12, |version| version.value.0),
        client_auth,
    }))
}

fn sni(
    written: Option<&At<Vec<At<SniBlock>>>>,
    files: &mut Files<'_>,
    report: &mut Report,
) -> Vec<SniCertificate> {
    let mut seen: Vec<(Hostname, &Place)> = Vec::new();
    let mut entries = Vec::new();
    for item in written.map_or(&[][..], |items| &items.value) {
        let block = &item.value;
        let named = certificate::Named {
            shown_to: certificate::ShownTo::Clients,
            cert: block.cert_file.as_ref(),
            key: block.key_file.as_ref(),
            bundle: block.bundle_file.as_ref(),
        };
        let certificate = certificate::accept(&named, files, report);
        let Some(hostnames) = &block.hostnames else {
            continue;
        };
        if hostnames.value.is_empty() {
            let help = "add the server names for this certificate";
            report.error(
                &hostnames.place,
                "empty-list",
                "the list of host names is empty",
                help,
            );
        }
        let hostnames = server_names(&hostnames.value, certificate.as_ref(), &mut seen, report);
        entries.extend(certificate.map(|certificate| SniCertificate {
            hostnames,
            certificate,
        }));
    }
    entries
}

fn server_names<'a>(
    written: &'a [At<String>],
    certificate: Option<&Arc<Certificate>>,
    seen: &mut Vec<(Hostname, &'a Place)>,
    report: &mut Report,
) -> Vec<Hostname> {
    let mut hostnames = Vec::with_capacity(written.len());
    for name in written {
        let Some(hostname) = hostname::pattern(name, report) else {
            continue;
        };
        if let Some((_, first)) = seen.iter().find(|(known, _)| *known == hostname) {
            let message = format!(
                "{:?} has a certificate already (at {})",
                name.value,
                report.spot(first)
            );
            report.error(
                &name.place,
                "duplicate-name",
                message,
                "keep one of the two",
            );
        }
        if certificate.is_some_and(|certificate| !names::covers(certificate, &hostname)) {
            let message = format!(
                "this certificate is not valid for {:?}, so clients reject it",
                name.value
            );
            let help = "use a certificate with this name in subjectAltName";
            report.warning(&name.place, "certificate-wrong-name", message, help);
        }
        seen.push((hostname.clone(), &name.place));
        hostnames.push(hostname);
    }
    hostnames
}

fn client_auth(block: &ClientAuthBlock, files: &mut Files<'_>, report: &mut Report) -> ClientAuth {
    let authorities = trust::authorities(block.ca_files.as_ref(), files, report);
    let revocation = trust::revocation(block.crl_files.as_ref(), &authorities, files, report);
    ClientAuth {
        mode: word(&block.mode, ClientAuthMode::Required),
        ca_certificates: authorities.certificates,
        ca_files: authorities.files,
        crls: revocation.lists,
        crl_files: revocation.files,
        forward_identity: flag(&block.forward_identity, false),
    }
}

/// Renders the accepted value.
pub(crate) fn show(tls: &ServerTls) -> Object {
    let sni: Vec<Json> = tls.sni.iter().map(show_sni).collect();
    certificate::show(Object::new(), &tls.certificate)
        .with("minVersion", show::word(tls.min_version))
        .maybe("sni", (!sni.is_empty()).then_some(sni))
        .maybe("clientAuth", tls.client_auth.as_ref().map(show_client_auth))
}

fn show_sni(entry: &SniCertificate) -> Json {
    let hostnames: Vec<Json> = entry.hostnames.iter().map(hostname::show).collect();
    certificate::show(
        Object::new().with("hostnames", hostnames),
        &entry.certificate,
    )
    .into()
}

fn show_client_auth(auth: &ClientAuth) -> Object {
    let paths = |files: &[Arc<Path>]| files.iter().map(|file| path(file)).collect::<Vec<_>>();
    Object::new()
        .with("mode", show::word(auth.mode))
        .with("caFiles", paths(&auth.ca_files))
        .with("crlFiles", paths(&auth.crl_files))
        .with("forwardIdentity", auth.forward_identity)
}
