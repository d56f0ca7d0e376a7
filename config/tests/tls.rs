//! `listeners[].tls`: accepted settings, and that no part of a key leaves the model.

// Helpers of tests are tests too.
#![allow(clippy::unwrap_used)]

mod certificates;

use std::{fs, path::Path, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use outrigger_config::{
    Loaded, diff, effective_json, effective_yaml, load_path, load_str,
    model::{ClientAuthMode, Hostname, ServerTls, TlsVersion},
};
use rcgen::{
    CertifiedIssuer, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384,
    PKCS_ECDSA_P521_SHA512, PKCS_ED25519, PKCS_RSA_SHA256, SignatureAlgorithm,
};
use tempfile::TempDir;

fn unset(_: &str) -> Option<String> {
    None
}

fn load(folder: &Path, text: &str) -> Loaded {
    let path = folder.join("a.yaml");
    fs::write(&path, text).unwrap();
    load_path(&path, &unset).unwrap_or_else(|error| panic!("{}", error.render(false)))
}

/// The `tls` of the one listener, which is accepted without a warning.
fn tls(folder: &Path, tls: &str) -> Arc<ServerTls> {
    let text = format!(
        "app: {{ port: 8080 }}\nstatus: {{ address: \"[::]:9902\" }}\nlisteners: [{{ port: 8443, tls: {tls} }}]\n"
    );
    let loaded = load(folder, &text);
    assert_eq!(loaded.warnings, []);
    loaded.config.listeners[0].tls.clone().unwrap()
}

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    certificates::write(folder.path(), &["a.example.com"]);
    folder
}

#[test]
fn a_pair_and_a_bundle_are_the_same_certificate() {
    let folder = folder();
    let pair = tls(folder.path(), "{ certFile: tls.crt, keyFile: tls.key }");
    let bundle = tls(folder.path(), "{ bundleFile: bundle.pem }");
    assert_eq!(pair.certificate.chain, bundle.certificate.chain);
    assert_eq!(pair.certificate.key, bundle.certificate.key);
    assert_eq!(*pair.certificate.cert_file, *folder.path().join("tls.crt"));
    assert_eq!(
        *bundle.certificate.key_file,
        *folder.path().join("bundle.pem")
    );
    assert_eq!(
        (pair.min_version, &pair.client_auth, &pair.sni),
        (TlsVersion::Tls12, &None, &Vec::new())
    );
    let until = pair
        .certificate
        .not_after
        .duration_since(std::time::SystemTime::now())
        .unwrap();
    assert_eq!(until.as_secs().div_ceil(24 * 3600), 365);
}

#[test]
fn everything_else_is_read_as_it_is_written() {
    let folder = folder();
    let tls = tls(
        folder.path(),
        "{ bundleFile: bundle.pem, minVersion: \"1.3\", \
           sni: [{ hostnames: [A.example.com, \"*.example.com\"], certFile: tls.crt, keyFile: tls.key }], \
           clientAuth: { mode: optional, caFiles: [ca.crt, ./ca.crt], crlFiles: [ca.crl], forwardIdentity: true } }",
    );
    assert_eq!(tls.min_version, TlsVersion::Tls13);
    let names = [
        Hostname::Exact("a.example.com".into()),
        Hostname::Wildcard(".example.com".into()),
    ];
    assert_eq!(tls.sni[0].hostnames, names);
    let auth = tls.client_auth.as_ref().unwrap();
    assert_eq!(
        (auth.mode, auth.forward_identity),
        (ClientAuthMode::Optional, true)
    );
    assert_eq!(
        (
            auth.ca_certificates.len(),
            auth.ca_files.len(),
            auth.crls.len()
        ),
        (2, 2, 1)
    );
}

#[test]
fn each_kind_of_key_is_taken_in_each_form() {
    let folder = tempfile::tempdir().unwrap();
    let authority = certificates::authority("Test CA");
    let kinds: [(&SignatureAlgorithm, Option<&str>); 5] = [
        (&PKCS_ECDSA_P256_SHA256, Some("EC PRIVATE KEY")),
        (&PKCS_ECDSA_P384_SHA384, Some("EC PRIVATE KEY")),
        (&PKCS_ECDSA_P521_SHA512, Some("EC PRIVATE KEY")),
        (&PKCS_RSA_SHA256, Some("RSA PRIVATE KEY")),
        (&PKCS_ED25519, None),
    ];
    for (kind, older_form) in kinds {
        let key = KeyPair::generate_for(kind).unwrap();
        let certificate = certificates::server_params(&["a"])
            .signed_by(&key, &authority)
            .unwrap();
        fs::write(folder.path().join("tls.crt"), certificate.pem()).unwrap();
        let mut forms = vec![key.serialize_pem()];
        forms.extend(older_form.map(|label| {
            // The parameters that OpenSSL writes before an EC key are ignored.
            let parameters = certificates::pem("EC PARAMETERS", b"\x06\x05\x2b\x81\x04\x00\x22");
            parameters + &certificates::pem(label, inner(key.serialized_der()))
        }));
        for form in forms {
            fs::write(folder.path().join("tls.key"), form).unwrap();
            tls(folder.path(), "{ certFile: tls.crt, keyFile: tls.key }");
        }
    }
}

/// The key inside PKCS#8 (RFC 5958): the octet string at the end of version, algorithm, key.
fn inner(pkcs8: &[u8]) -> &[u8] {
    fn read(der: &[u8]) -> (&[u8], &[u8]) {
        let count = usize::from(der[1]);
        let (start, length) = match count {
            0..0x80 => (2, count),
            _ => {
                let bytes = &der[2..2 + (count & 0x7f)];
                (
                    2 + bytes.len(),
                    bytes
                        .iter()
                        .fold(0, |sum, byte| sum * 256 + usize::from(*byte)),
                )
            }
        };
        (&der[start..start + length], &der[start + length..])
    }
    let (_, after_version) = read(read(pkcs8).0);
    read(read(after_version).1).0
}

#[test]
fn chains_may_hold_their_root_and_cross_signed_certificates_and_windows_line_ends() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (
        certificates::authority("One"),
        certificates::authority("Two"),
    );
    let (params, between_key) = (
        certificates::authority_params("Between"),
        KeyPair::generate().unwrap(),
    );
    let by_two = params.signed_by(&between_key, &two).unwrap();
    let between = CertifiedIssuer::signed_by(params, between_key, &one).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = certificates::server_params(&["a"])
        .signed_by(&key, &between)
        .unwrap();
    fs::write(
        folder.path().join("tls.key"),
        key.serialize_pem().replace('\n', "\r\n"),
    )
    .unwrap();
    let chains = [
        (vec![leaf.pem()], 1),
        (vec![leaf.pem(), between.pem()], 2),
        (
            vec![
                "text before it\r\n".to_owned(),
                leaf.pem(),
                between.pem(),
                one.pem(),
            ],
            3,
        ),
        (vec![leaf.pem(), between.pem(), by_two.pem(), two.pem()], 4),
    ];
    for (parts, length) in chains {
        fs::write(folder.path().join("tls.crt"), parts.concat()).unwrap();
        let tls = tls(folder.path(), "{ certFile: tls.crt, keyFile: tls.key }");
        assert_eq!(tls.certificate.chain.len(), length);
    }
}

#[test]
fn kubelet_probes_are_warned_of_unless_the_file_names_their_place() {
    let folder = folder();
    let codes = |status: &str, mode: &str| -> Vec<&str> {
        let tls =
            format!("{{ bundleFile: bundle.pem, clientAuth: {{ {mode}caFiles: [ca.crt] }} }}");
        let text =
            format!("app: {{ port: 8080 }}\n{status}\nlisteners: [{{ port: 8443, tls: {tls} }}]\n");
        load(folder.path(), &text)
            .warnings
            .iter()
            .map(|warning| warning.code)
            .collect()
    };
    assert_eq!(codes("", ""), ["probes-need-status"]);
    assert_eq!(codes("", "mode: required, "), ["probes-need-status"]);
    assert_eq!(
        codes("status: off", "mode: required, "),
        ["probes-need-status"]
    );
    assert_eq!(
        codes("status: { address: \"[::]:9902\" }", "mode: required, "),
        [""; 0]
    );
    assert_eq!(codes("", "mode: optional, "), [""; 0]);
}

/// docs/security.md 22.
#[test]
fn no_dump_and_no_message_holds_a_byte_of_a_key() {
    let folder = folder();
    let pem = fs::read_to_string(folder.path().join("tls.key")).unwrap();
    let lines: Vec<&str> = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = STANDARD.decode(lines.concat()).unwrap();
    let numbers = format!("{:?}", &der[der.len() - 8..]);
    let leaks =
        |text: &str| lines.iter().any(|line| text.contains(line)) || text.contains(&numbers[1..20]);
    assert!(leaks(&format!("{der:?}")) && leaks(&pem));

    let yaml = "app: { port: 8080 }\nlisteners: [{ port: 8443, tls: { certFile: tls.crt, keyFile: tls.key } }]\n";
    let loaded = load(folder.path(), yaml);
    let other = load(folder.path(), "app: { port: 8080 }");
    assert!(!leaks(&format!("{loaded:?}")));
    assert!(!leaks(&effective_yaml(&loaded.config)));
    assert!(!leaks(&effective_json(&loaded.config).to_string()));
    assert!(!leaks(&diff(&other.config, &loaded.config).to_string()));
    // A key in every wrong place, valid and malformed.
    for (name, content) in [
        ("ca.crt", pem.clone()),
        ("tls.crt", pem.clone()),
        ("tls.key", pem.replace("-----END PRIVATE KEY-----", "")),
        (
            "tls.key",
            pem.replace("-----BEGIN PRIVATE KEY-----\n", "-----BEGIN PRIVATE KEY "),
        ),
        ("tls.key", pem.replacen('\n', "\n!", 2)),
        ("tls.key", lines.join("\n")),
        ("ca.crl", pem.clone()),
    ] {
        certificates::write(folder.path(), &["a.example.com"]);
        fs::write(folder.path().join(name), content).unwrap();
        let yaml = "app: { port: 8080 }\nlisteners: [{ port: 8443, tls: { certFile: tls.crt, keyFile: tls.key, \
            clientAuth: { caFiles: [ca.crt], crlFiles: [ca.crl] } } }]\n";
        let error = load_str(
            &folder.path().join("a.yaml").display().to_string(),
            yaml,
            &unset,
        )
        .unwrap_err();
        assert!(
            !leaks(&error.render(false)) && !leaks(&error.to_string()),
            "{}",
            error.render(false)
        );
        assert!(!leaks(&format!("{error:?}")));
    }
}

#[test]
fn a_renewed_certificate_is_a_changed_listener() {
    let folder = folder();
    let yaml = "app: { port: 8080 }\nlisteners: [{ name: public, port: 8443, tls: { bundleFile: bundle.pem } }]\n";
    let before = load(folder.path(), yaml);
    certificates::write(folder.path(), &["a.example.com"]);
    let after = load(folder.path(), yaml);
    assert_eq!(
        diff(&before.config, &after.config).to_string(),
        "listeners ~public"
    );
    assert_ne!(before.hash, after.hash);
    let files: Vec<_> = after
        .files
        .iter()
        .map(|file| file.file_name().unwrap().to_owned())
        .collect();
    assert_eq!(files, ["a.yaml", "bundle.pem"]);
}
