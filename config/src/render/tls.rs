//! TLS: paths are shown, and nothing that was read from them.

use std::path::Path;

use serde_json::Value;

use crate::{
    block::show::{Object, path, text, word},
    model::{Certificate, ClientAuth, ClientTls, ServerTls, SniCertificate, SubjectAltName},
    part::hostname,
};

pub(crate) fn server(tls: &ServerTls) -> Object {
    let sni: Vec<Value> = tls.sni.iter().map(sni).collect();
    certificate(Object::new(), &tls.certificate)
        .with("minVersion", word(tls.min_version))
        .maybe("sni", (!sni.is_empty()).then_some(sni))
        .maybe("clientAuth", tls.client_auth.as_ref().map(client_auth))
}

fn sni(entry: &SniCertificate) -> Value {
    let hostnames: Vec<Value> = entry.hostnames.iter().map(hostname::show).collect();
    certificate(Object::new().with("hostnames", hostnames), &entry.certificate).into()
}

fn certificate(object: Object, certificate: &Certificate) -> Object {
    match certificate.cert_file == certificate.key_file {
        true => object.with("bundleFile", path(&certificate.cert_file)),
        false => {
            object.with("certFile", path(&certificate.cert_file)).with("keyFile", path(&certificate.key_file))
        }
    }
}

fn client_auth(auth: &ClientAuth) -> Object {
    let paths = |files: &[std::sync::Arc<Path>]| files.iter().map(|file| path(file)).collect::<Vec<_>>();
    Object::new()
        .with("mode", word(auth.mode))
        .with("caFiles", paths(&auth.ca_files))
        .with("crlFiles", paths(&auth.crl_files))
        .with("forwardIdentity", auth.forward_identity)
}

/// Towards endpoints.
pub(crate) fn client(tls: &ClientTls) -> Object {
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
        .maybe("certFile", tls.certificate.as_ref().map(|one| path(&one.cert_file)))
        .maybe("keyFile", tls.certificate.as_ref().map(|one| path(&one.key_file)))
}
