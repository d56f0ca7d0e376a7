//! Certificates for tests, generated when a test runs so that nothing in the repository expires.

use std::{fs, path::Path, time::SystemTime};

use base64::Engine as _;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, SerialNumber,
};
use x509_parser::time::ASN1Time;

/// A CA that is valid for some days.
pub(crate) fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    CertifiedIssuer::self_signed(authority_params(name), KeyPair::generate().unwrap()).unwrap()
}

pub(crate) fn authority_params(name: &str) -> CertificateParams {
    let mut params = params(name, &[]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// A server's certificate for `names`, not yet signed.
pub(crate) fn server_params(names: &[&str]) -> CertificateParams {
    let mut params = params(names[0], names);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

fn params(common_name: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params.not_before = in_days(-1).to_datetime();
    params.not_after = in_days(365).to_datetime();
    params
}

/// The time this many days from now; negative for the past.
pub(crate) fn in_days(days: i64) -> ASN1Time {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    ASN1Time::from_timestamp(i64::try_from(now).unwrap() + days * 24 * 3600).unwrap()
}

/// An empty revocation list.
pub(crate) fn revocation_list(issuer: &CertifiedIssuer<'_, KeyPair>, due_in_days: i64) -> String {
    let params = CertificateRevocationListParams {
        this_update: in_days(-2).to_datetime(),
        next_update: in_days(due_in_days).to_datetime(),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    params.signed_by(issuer).unwrap().pem().unwrap()
}

/// Bytes as PEM on one line, which every decoder accepts.
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

/// Writes `tls.crt`, `tls.key`, `bundle.pem`, `ca.crt` and `ca.crl` for these server names into a folder.
pub(crate) fn write(folder: &Path, names: &[&str]) -> CertifiedIssuer<'static, KeyPair> {
    fs::create_dir_all(folder).unwrap();
    let authority = authority("Test CA");
    let key = KeyPair::generate().unwrap();
    let certificate = server_params(names).signed_by(&key, &authority).unwrap();
    let file = |name: &str, text: String| fs::write(folder.join(name), text).unwrap();
    file("tls.crt", certificate.pem());
    file("tls.key", pem("PRIVATE KEY", key.serialized_der()));
    file("bundle.pem", key.serialize_pem() + &certificate.pem());
    file("ca.crt", authority.pem());
    file("ca.crl", revocation_list(&authority, 30));
    authority
}

/// Writes `client.crt` and `client.key`, for a client of this name.
#[allow(dead_code, reason = "each test uses its own part")]
pub(crate) fn write_client(folder: &Path, name: &str) {
    let key = KeyPair::generate().unwrap();
    let mut params = params(name, &[]);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    fs::write(
        folder.join("client.crt"),
        params.self_signed(&key).unwrap().pem(),
    )
    .unwrap();
    fs::write(folder.join("client.key"), key.serialize_pem()).unwrap();
}
