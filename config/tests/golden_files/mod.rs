//! The files that `golden/*.yaml` refer to, one for each kind of mistake.

use std::{fs, path::Path};

use rcgen::{CertifiedIssuer, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use rustls_pki_types::{CertificateRevocationListDer, pem::PemObject as _};

use crate::certificates::{
    self, authority, authority_params, in_days, revocation_list, server_params,
};

/// Writes certificates into `folder/tls`, and the content of `tests/files` (key sets, secrets) into
/// `folder/files`.
pub(crate) fn write(folder: &Path) {
    fs::create_dir(folder.join("files")).unwrap();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.join("files").join(entry.file_name())).unwrap();
    }
    let folder = &folder.join("tls");
    let root = certificates::write(folder, &["public.example.com"]);
    let file = |name: &str, content: &str| fs::write(folder.join(name), content).unwrap();
    file("empty.pem", "\n");
    fs::create_dir(folder.join("folder")).unwrap();
    keys(folder);
    lifetimes(folder, &root);
    chains(folder, &root);
    trust(folder);
    not_pem(folder);
}

/// A PEM section with text as content.
fn section(label: &str, base64: &str) -> String {
    format!("-----BEGIN {label}-----\n{base64}\n-----END {label}-----\n")
}

fn keys(folder: &Path) {
    let file = |name: &str, content: String| fs::write(folder.join(name), content).unwrap();
    let other = || KeyPair::generate().unwrap().serialize_pem();
    file("other.key", other());
    file("two.key", other() + &other());
    file(
        "encrypted.key",
        section("ENCRYPTED PRIVATE KEY", "MIHsMFcGCSqGSIb3DQEFDTBK"),
    );
    let old = "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,01\n\nAAAA";
    file("old-encrypted.key", section("RSA PRIVATE KEY", old));
    file("unusable.key", section("PRIVATE KEY", "AAAA"));
    file("public.pem", section("PUBLIC KEY", "AAAA"));
    file("request.pem", section("CERTIFICATE REQUEST", "AAAA"));
}

/// Certificates for one key, `lifetime.key`, that are expired, about to expire, or not yet valid.
fn lifetimes(folder: &Path, root: &CertifiedIssuer<'_, KeyPair>) {
    let key = KeyPair::generate().unwrap();
    fs::write(folder.join("lifetime.key"), key.serialize_pem()).unwrap();
    let days = [
        ("expired", -400, -30),
        ("ending", -1, 3),
        ("later", 1, 365),
        ("clients", -1, 365),
    ];
    for (name, from, until) in days {
        let mut params = server_params(&["public.example.com"]);
        params.not_before = in_days(from).to_datetime();
        params.not_after = in_days(until).to_datetime();
        if name == "clients" {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        }
        fs::write(
            folder.join(format!("{name}.crt")),
            params.signed_by(&key, root).unwrap().pem(),
        )
        .unwrap();
    }
}

/// Chains for one key, `chain.key`.
fn chains(folder: &Path, root: &CertifiedIssuer<'_, KeyPair>) {
    let file = |name: &str, content: String| fs::write(folder.join(name), content).unwrap();
    let between = CertifiedIssuer::signed_by(
        authority_params("Between CA"),
        KeyPair::generate().unwrap(),
        root,
    )
    .unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = server_params(&["public.example.com"])
        .signed_by(&key, &between)
        .unwrap();
    file("chain.key", key.serialize_pem());
    file("chain.crt", leaf.pem() + &between.pem() + &root.pem());
    file("leaf-last.crt", root.pem() + &between.pem() + &leaf.pem());
    file("root-early.crt", leaf.pem() + &root.pem() + &between.pem());
    file("stray.crt", leaf.pem() + &authority("Another CA").pem());
    let mut ended = authority_params("Ended CA");
    ended.not_before = in_days(-400).to_datetime();
    ended.not_after = in_days(-30).to_datetime();
    let ended = CertifiedIssuer::signed_by(ended, KeyPair::generate().unwrap(), root).unwrap();
    let below = server_params(&["public.example.com"])
        .signed_by(&key, &ended)
        .unwrap();
    file("ended.crt", below.pem() + &ended.pem());
    // Version 2 in place of 3, and a truncated certificate.
    let mut version = leaf.der().to_vec();
    let at = version
        .windows(5)
        .position(|bytes| bytes == [0xa0, 3, 2, 1, 2])
        .unwrap();
    version[at + 4] = 1;
    file("version.crt", certificates::pem("CERTIFICATE", &version));
    file(
        "part.crt",
        certificates::pem("CERTIFICATE", &leaf.der()[..100]),
    );
}

fn trust(folder: &Path) {
    let file = |name: &str, content: String| fs::write(folder.join(name), content).unwrap();
    let mut signs_nothing = authority_params("Signs Nothing");
    signs_nothing.key_usages = vec![KeyUsagePurpose::CrlSign];
    file(
        "signs-nothing.crt",
        signs_nothing
            .self_signed(&KeyPair::generate().unwrap())
            .unwrap()
            .pem(),
    );
    let mut expired = authority_params("Old CA");
    expired.not_before = in_days(-400).to_datetime();
    expired.not_after = in_days(-30).to_datetime();
    file(
        "old-ca.crt",
        expired
            .self_signed(&KeyPair::generate().unwrap())
            .unwrap()
            .pem(),
    );
    let outdated = authority("Late CA");
    file("late-ca.crt", outdated.pem());
    file("late-ca.crl", revocation_list(&outdated, -1));
    file("broken.crl", section("X509 CRL", "AAAA"));
}

/// Common mistakes in place of PEM.
fn not_pem(folder: &Path) {
    let file = |name: &str, content: &[u8]| fs::write(folder.join(name), content).unwrap();
    let authority = authority("Binary CA");
    file("binary.crt", authority.der());
    file("binary.key", authority.key().serialized_der());
    let list = revocation_list(&authority, 10);
    file(
        "binary.crl",
        &CertificateRevocationListDer::from_pem_slice(list.as_bytes()).unwrap(),
    );
    file("store.p12", &[0x30, 0x82, 0x01, 0x00, 2, 1, 3, 0x30, 0x82]);
    file("words.crt", b"put the certificate here\n");
    let whole = authority.pem();
    file("cut.crt", &whole.as_bytes()[..whole.len() / 2]);
    file("garbled.crt", whole.replacen("MII", "M!I", 1).as_bytes());
}
