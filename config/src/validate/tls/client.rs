//! TLS towards endpoints: whose certificates are believed, and what is shown to them.

use std::{net::IpAddr, sync::Arc};

use crate::{
    block::{At, problem::Report},
    files::Files,
    model::{Certificate, ClientTls, SubjectAltName},
    part::hostname,
    schema::UpstreamTlsBlock,
    validate::tls::{certificate, trust},
};

/// Checks the `tls` block of an upstream. What is wrong in it was reported.
pub(crate) fn client(block: &UpstreamTlsBlock, files: &mut Files<'_>, report: &mut Report) -> ClientTls {
    let authorities = trust::authorities(block.ca_files.as_ref(), files, report);
    ClientTls {
        hostname: block.hostname.as_ref().and_then(|written| server_name(written, report)),
        subject_alt_names: names(block.subject_alt_names.as_ref(), report),
        ca_certificates: authorities.certificates,
        ca_files: authorities.files,
        certificate: certificate(block, files, report),
    }
}

/// TLS towards what one URL names: spoken when its scheme says so, and then the block may be left out.
pub(crate) fn of_url(
    written: Option<&At<UpstreamTlsBlock>>,
    secure: bool,
    scheme: &str,
    files: &mut Files<'_>,
    report: &mut Report,
) -> Option<Arc<ClientTls>> {
    let read = written.map(|tls| client(&tls.value, files, report));
    if let Some(written) = written.filter(|_| !secure) {
        let message = "`tls` has no effect on a URL without TLS";
        let help = format!("remove it, or write {scheme}:// in the URL");
        report.error(&written.place, "conflicting-keys", message, help);
    }
    secure.then(|| Arc::new(read.unwrap_or_default()))
}

/// A DNS name in lower case, or an address as it is written in URLs.
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
    let Some(written) = written else { return Vec::new() };
    if written.value.is_empty() {
        let help = "remove it, and the certificate must be for the server name";
        report.error(&written.place, "empty-list", "there is no name", help);
    }
    written.value.iter().filter_map(|item| name(item, report)).collect()
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
            report.error(&written.place, "bad-name", format!("{text:?} is not a URI"), help);
            return None;
        }
        if text.contains('*') {
            let message = format!("{text:?} is compared byte by byte, so the star takes nothing");
            report.error(&written.place, "bad-name", message, "write each name in full");
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
        let help = "add `certFile: …`, or remove `keyFile` when no certificate is shown";
        report.missing(&key.place, &["certFile"], "`certFile` is missing", help);
    }
    let named = certificate::Named {
        shown_to: certificate::ShownTo::Servers,
        cert: block.cert_file.as_ref(),
        key: block.key_file.as_ref(),
        bundle: None,
    };
    certificate::certificate(&named, files, report)
}
