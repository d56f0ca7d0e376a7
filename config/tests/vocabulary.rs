//! The vocabulary of version 1, as it is written in its sample: every block that this version has is accepted so.

// Helpers of tests are tests too.
#![allow(clippy::unwrap_used)]

mod certificates;

use std::fs;

use outrigger_config::{
    effective_yaml, load_str,
    model::{Auth, Credential, KeySource, Mode, ProviderId, Requirement},
};

const SAMPLE: &str = include_str!("vocabulary.yaml");
const KEYS: &str = include_str!("files/jwks.json");
const ACCOUNT: &str = "var/run/secrets/kubernetes.io/serviceaccount";

#[test]
fn the_sample_is_accepted_as_it_is_written() {
    let root = tempfile::tempdir().unwrap();
    let below = |name: &str| root.path().join(name);
    certificates::write(&below("etc/outrigger/tls"), &["api.example.com"]);
    certificates::write(&below("etc/outrigger/int"), &["a.internal.example.com"]);
    certificates::write(&below(ACCOUNT), &["kubernetes.default.svc"]);
    fs::write(below(ACCOUNT).join("token"), "header.payload.signature").unwrap();
    fs::create_dir(below("etc/outrigger/pay")).unwrap();
    certificates::write_client(&below("etc/outrigger/pay"), "orders");
    fs::rename(below("etc/outrigger/pay/client.crt"), below("etc/outrigger/pay/tls.crt")).unwrap();
    fs::rename(below("etc/outrigger/pay/client.key"), below("etc/outrigger/pay/tls.key")).unwrap();
    fs::copy(below("etc/outrigger/tls/ca.crt"), below("etc/outrigger/pay-ca.crt")).unwrap();
    fs::create_dir_all(below("var/run/secrets/pay")).unwrap();
    fs::write(below("var/run/secrets/pay/token"), "opaque\n").unwrap();
    fs::create_dir(below("etc/outrigger/jwks")).unwrap();
    fs::write(below("etc/outrigger/jwks/partner.json"), KEYS).unwrap();
    // Only the root of the file system is another one.
    let at = root.path().display();
    let text = SAMPLE
        .replace(" /etc/", &format!(" {at}/etc/"))
        .replace("[/etc/", &format!("[{at}/etc/"))
        .replace(" /var/", &format!(" {at}/var/"))
        .replace("[/var/", &format!("[{at}/var/"));
    let unset = |_: &str| None;
    let loaded =
        load_str("outrigger.yaml", &text, &unset).unwrap_or_else(|error| panic!("{}", error.render(false)));
    // The sample names no route for this limit.
    let warnings: Vec<_> = loaded.warnings.iter().map(|warning| (warning.code, &*warning.path)).collect();
    assert_eq!(warnings, [("unused-rate-limit", "rateLimits.shared")]);

    let config = loaded.config;
    let auth = |name: &str| &config.routes.iter().find(|route| &*route.name == name).unwrap().auth;
    let token = |id| Credential::Token(ProviderId(id));
    let enforced = |requirement| Auth::new(requirement, Mode::Enforce);
    assert_eq!(*auth("orders"), enforced(Requirement::AnyOf(vec![token(0), token(2)])), "from defaults");
    assert_eq!(*auth("admin"), enforced(Requirement::AllOf(vec![token(0), Credential::Mtls])));
    for open in ["probes", "maintenance", "legacy", "pay-out"] {
        assert_eq!(*auth(open), Auth::none(), "{open}");
    }
    let KeySource::Url(_, keys) = &config.jwt_providers[1].keys else { panic!() };
    assert_eq!(keys.ca_certificates.len(), 1);

    let shown = effective_yaml(&config);
    let again = load_str("outrigger.yaml", &shown, &unset).unwrap_or_else(|e| panic!("{}", e.render(false)));
    assert_eq!(again.config, config);
}
