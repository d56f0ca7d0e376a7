//! TLS: the files that a listener or an upstream names, read and checked.
//!
//! What would make every handshake fail is an error: a key of another certificate, a CA that is none. What time does to
//! a certificate is a warning, because time may also mend it: an expired one is replaced by the next rotation, and a
//! restart in between must not take the plain listeners down with it.

pub(crate) mod certificate;
pub(crate) mod client;
pub(crate) mod names;
pub(crate) mod pem;
pub(crate) mod trust;
pub(crate) mod x509;

use std::sync::Arc;

use crate::{
    block::{
        At,
        field::{flag, word},
        problem::{Place, Report},
    },
    files::Files,
    listener::direction::Direction,
    model::{Certificate, ClientAuth, ClientAuthMode, Config, ServerTls, SniCertificate, TlsVersion},
    part::hostname::{self, Hostname},
    schema::{ClientAuthBlock, File, SniBlock, TlsBlock},
};

/// Checks the `tls` block of a listener; `None` when something in it is wrong, which was reported.
pub(crate) fn server(
    written: &At<TlsBlock>,
    direction: Direction,
    files: &mut Files<'_>,
    report: &mut Report,
) -> Option<Arc<ServerTls>> {
    if direction == Direction::Outbound {
        let message = "an outbound listener takes plain requests from the app, over loopback";
        let help = "remove `tls`; TLS towards clients is spoken on inbound listeners";
        report.error(&written.place, "tls-outbound", message, help);
    }
    let block = &written.value;
    let named = certificate::Named {
        shown_to: certificate::ShownTo::Clients,
        cert: block.cert_file.as_ref(),
        key: block.key_file.as_ref(),
        bundle: block.bundle_file.as_ref(),
    };
    let certificate = certificate::certificate(&named, files, report);
    let sni = sni(block.sni.as_ref(), files, report);
    let client_auth = block.client_auth.as_ref().map(|block| client_auth(&block.value, files, report));
    Some(Arc::new(ServerTls {
        certificate: certificate?,
        sni,
        min_version: block.min_version.as_ref().map_or(TlsVersion::Tls12, |version| version.value.0),
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
        let certificate = certificate::certificate(&named, files, report);
        let Some(hostnames) = &block.hostnames else { continue };
        if hostnames.value.is_empty() {
            let help = "write the server names that get this certificate";
            report.error(&hostnames.place, "empty-list", "there is no hostname", help);
        }
        let hostnames = server_names(&hostnames.value, certificate.as_ref(), &mut seen, report);
        entries.extend(certificate.map(|certificate| SniCertificate { hostnames, certificate }));
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
        let Some(hostname) = hostname::pattern(name, report) else { continue };
        if let Some((_, first)) = seen.iter().find(|(known, _)| *known == hostname) {
            let message = format!("{:?} has a certificate already (at {})", name.value, report.spot(first));
            report.error(&name.place, "duplicate-name", message, "keep one of the two");
        }
        if certificate.is_some_and(|certificate| !names::covers(certificate, &hostname)) {
            let message = format!("this certificate is not for {:?}, so clients refuse it", name.value);
            let help = "name the certificate whose subjectAltName holds it";
            report.warning(&name.place, "certificate-of-another-name", message, help);
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

/// Kubelet has no client certificate: where one is required, its probes fail for ever. Who writes `status` knows where
/// they belong; who does not, or switched it off, is told.
pub(crate) fn probes(file: &File, config: &Config, report: &mut Report) {
    let known = file.status.is_some() && config.status.is_some();
    let written = file.listeners.as_ref().map_or(&[][..], |listeners| &listeners.value);
    for (item, listener) in written.iter().zip(&config.listeners).filter(|_| !known) {
        let block = item.value.tls.as_ref().and_then(|tls| tls.value.client_auth.as_ref());
        let mode = listener.tls.as_ref().and_then(|tls| tls.client_auth.as_ref()).map(|auth| auth.mode);
        if let Some(block) = block.filter(|_| mode == Some(ClientAuthMode::Required)) {
            let place = block.value.mode.as_ref().map_or(&block.place, |mode| &mode.place);
            let message = "kubelet has no client certificate, so its probes fail on this listener";
            let help =
                "send probes to the status server, and write `status: { address: \"[::]:9902\" }` to say so";
            report.warning(place, "probes-need-status", message, help);
        }
    }
}
