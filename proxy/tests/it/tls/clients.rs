//! Client certificates: which are accepted, and the identity that is forwarded to the app.

use rcgen::{DnType, ExtendedKeyUsagePurpose};
use rustls::version;

use super::Setup;
use crate::support::{
    pki::{Ca, DAY, Leaf, Wanted},
    tls::{Answer, Maker, alert},
    wait_for,
};

const REQUIRED: &str = "      clientAuth: { caFiles: [clients.crt] }\n";

/// One client of the matrix.
struct Case {
    what: &'static str,
    leaf: Option<Leaf>,
    /// The reason that is counted and the alert that the client sees; `None`: it is served.
    refused: Option<(&'static str, &'static str)>,
    /// What the line in the log says of it, beside the reason.
    told: &'static [&'static str],
}

/// Both versions: with 1.3 the client is rejected after its handshake is complete.
fn check(setup: &Setup, cases: &[Case]) {
    for case in cases {
        for version in [&version::TLS12, &version::TLS13] {
            let before = case.refused.map(|(reason, _)| setup.failed(reason));
            let maker = Maker::new(&setup.ca).versions(&[version]);
            let client = case.leaf.iter().fold(maker, Maker::showing).done();
            let answer = client.get(setup.address(), "/headers");
            match (case.refused, answer) {
                (None, Ok(answer)) => assert_eq!(answer.status, 200, "{}", case.what),
                (None, Err(error)) => panic!(
                    "{} was refused: {error}\n{}",
                    case.what,
                    setup.proxy.stderr()
                ),
                (Some(_), Ok(answer)) => panic!("{} was served: {answer:?}", case.what),
                (Some((reason, seen)), Err(error)) => {
                    assert_eq!(alert(&error), seen, "{}", case.what);
                    wait_for(case.what, || {
                        (setup.failed(reason) == before.unwrap() + 1.0).then_some(())
                    });
                    wait_for(case.what, || {
                        let stderr = setup.proxy.stderr();
                        let mut lines = stderr
                            .lines()
                            .filter(|line| line.contains(&format!("reason=\"{reason}\"")));
                        lines
                            .any(|line| case.told.iter().all(|word| line.contains(word)))
                            .then_some(())
                    });
                }
            }
        }
    }
}

fn good(what: &'static str, leaf: Leaf) -> Case {
    Case {
        what,
        leaf: Some(leaf),
        refused: None,
        told: &[],
    }
}

fn bad(
    what: &'static str,
    leaf: Leaf,
    reason: &'static str,
    alert: &'static str,
    told: &'static [&'static str],
) -> Case {
    Case {
        what,
        leaf: Some(leaf),
        refused: Some((reason, alert)),
        told,
    }
}

/// `docs/security.md` 15.
#[test]
fn only_a_certificate_of_our_own_clients_opens_the_door() {
    let (clients, strangers) = (Ca::new("Clients"), Ca::new("Strangers"));
    let (between, _) = clients.intermediate("Between");
    let (deeper, _) = between.intermediate("Deeper");
    let impostor = Ca::new("Clients"); // the right name, another key
    let bound = clients.intermediate_for("Bound", "shop.example");
    let setup = Setup::start(REQUIRED, |folder, _| {
        std::fs::write(folder.join("clients.crt"), clients.pem()).unwrap();
    });
    let client = || Wanted::client("orders").uri("spiffe://prod/ns/shop/sa/orders");
    let server = ExtendedKeyUsagePurpose::ServerAuth;
    let both = [server.clone(), ExtendedKeyUsagePurpose::ClientAuth];
    check(
        &setup,
        &[
            Case {
                what: "nothing",
                leaf: None,
                refused: Some(("no_certificate", "CertificateRequired")),
                told: &[],
            },
            good("a client", clients.sign(client())),
            good("RSA", clients.sign(client().key(&rcgen::PKCS_RSA_SHA256))),
            good(
                "P-384",
                clients.sign(client().key(&rcgen::PKCS_ECDSA_P384_SHA384)),
            ),
            good("Ed25519", clients.sign(client().key(&rcgen::PKCS_ED25519))),
            good("a client and server", clients.sign(client().usages(&both))),
            good("no names", clients.sign(Wanted::client("legacy"))),
            good("one between", between.sign(client()).over(&between)),
            good(
                "two between",
                deeper.sign(client()).over(&deeper).over(&between),
            ),
            good(
                "in another order",
                deeper.sign(client()).over(&between).over(&deeper),
            ),
            good(
                "within what its authority may name",
                bound.sign(client().only_dns("a.shop.example")).over(&bound),
            ),
            bad(
                "outside of it",
                bound.sign(client().only_dns("a.bank.example")).over(&bound),
                "bad_certificate",
                "CertificateUnknown",
                &["CN=Bound", "may not sign for its names"],
            ),
            bad(
                "one missing between",
                deeper.sign(client()).over(&deeper),
                "unknown_ca",
                "UnknownCA",
                &["CN=Deeper"],
            ),
            bad(
                "a stranger",
                strangers.sign(client()),
                "unknown_ca",
                "UnknownCA",
                &["CN=orders", "CN=Strangers"],
            ),
            bad(
                "an impostor",
                impostor.sign(client()),
                "bad_certificate",
                "DecryptError",
                &[],
            ),
            bad(
                "expired",
                clients.sign(client().valid(-10 * DAY, -DAY)),
                "expired",
                "CertificateExpired",
                &[
                    "spiffe://prod/ns/shop/sa/orders",
                    "issued by CN=Clients",
                    "valid from",
                ],
            ),
            bad(
                "not yet valid",
                clients.sign(client().valid(DAY, 10 * DAY)),
                "not_yet_valid",
                "CertificateExpired",
                &["valid from"],
            ),
            bad(
                "a server",
                clients.sign(client().usages(&[server])),
                "wrong_purpose",
                "UnsupportedCertificate",
                &["clientAuth"],
            ),
            bad(
                "no usage",
                clients.sign(client().usages(&[])),
                "wrong_purpose",
                "UnsupportedCertificate",
                &[],
            ),
            bad(
                "two SPIFFE IDs",
                clients.sign(client().uri("SPIFFE://prod/ns/shop/sa/admin")),
                "multiple_spiffe_ids",
                "CertificateUnknown",
                &[
                    "spiffe://prod/ns/shop/sa/orders",
                    "SPIFFE://prod/ns/shop/sa/admin",
                ],
            ),
            good(
                "a SPIFFE ID and another URI",
                clients.sign(client().uri("https://orders.example/")),
            ),
        ],
    );
}

/// `docs/security.md` 15: revoked, and unknown revocation when CRLs are given; 16: nextUpdate is enforced, and every CA needs a list.
#[test]
fn with_revocation_lists_every_authority_of_a_chain_needs_a_current_one() {
    let clients = Ca::new("Clients");
    let (between, between_serial) = clients.intermediate("Between");
    let (taken_back, taken_back_serial) = clients.intermediate("Taken back");
    let (unlisted, _) = clients.intermediate("Unlisted");
    let (stale, _) = clients.intermediate("Stale");
    let client = || Wanted::client("orders");
    let (fired, fired_below) = (
        clients.sign(client()),
        between.sign(client()).over(&between),
    );
    assert_ne!(between_serial, taken_back_serial);
    let tls = "      clientAuth: { caFiles: [clients.crt], crlFiles: [root.crl, between.crl, taken.crl, stale.crl] }\n";
    let setup = Setup::start(tls, |folder, _| {
        let file = |name: &str, text: String| std::fs::write(folder.join(name), text).unwrap();
        file("clients.crt", clients.pem());
        file(
            "root.crl",
            clients.crl(&[fired.serial, taken_back_serial], 30 * DAY),
        );
        file("between.crl", between.crl(&[fired_below.serial], 30 * DAY));
        file("taken.crl", taken_back.crl(&[], 30 * DAY));
        file("stale.crl", stale.crl(&[], -DAY));
    });
    check(
        &setup,
        &[
            good("a client", clients.sign(client())),
            good("a client below", between.sign(client()).over(&between)),
            bad(
                "revoked",
                fired,
                "revoked",
                "CertificateRevoked",
                &["CN=orders"],
            ),
            bad(
                "revoked below",
                fired_below,
                "revoked",
                "CertificateRevoked",
                &["CN=Between"],
            ),
            bad(
                "an authority that was revoked",
                taken_back.sign(client()).over(&taken_back),
                "revoked",
                "CertificateRevoked",
                &["CN=Taken back"],
            ),
            bad(
                "an authority without a list",
                unlisted.sign(client()).over(&unlisted),
                "unknown_revocation",
                "UnknownCA",
                &["CN=Unlisted", "crlFiles"],
            ),
            bad(
                "a list that is out of date",
                stale.sign(client()).over(&stale),
                "crl_expired",
                "UnknownCA",
                &["CN=Stale", "out of date"],
            ),
        ],
    );
}

fn told(answer: &Answer) -> Option<String> {
    let echoed: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let fields = echoed["headers"].as_array().unwrap();
    let mut found = fields
        .iter()
        .filter(|field| field[0] == "x-forwarded-client-cert");
    let value = found
        .next()
        .map(|field| field[1].as_str().unwrap().to_owned());
    assert!(found.next().is_none(), "told twice: {echoed}");
    value
}

/// `docs/security.md` 8.
#[test]
fn a_verified_identity_is_forwarded_and_clients_cannot_forge_it() {
    let clients = Ca::new("Clients");
    let auth = |forward: bool, mode: &str| {
        format!(
            "      clientAuth: {{ mode: {mode}, caFiles: [clients.crt], forwardIdentity: {forward} }}\n"
        )
    };
    let setup = Setup::start(&auth(true, "optional"), |folder, ca| {
        std::fs::write(folder.join("clients.crt"), clients.pem()).unwrap();
        let server = Wanted::server(&["localhost"]).uri("spiffe://prod/ns/shop/sa/proxy");
        ca.sign(server).write(folder, "tls");
    });
    let leaf = clients.sign(
        Wanted::client("a;URI=spiffe://prod/ns/shop/sa/admin")
            .named(DnType::OrganizationName, "Shop \"&\" Sons, Ltd")
            .uri("spiffe://prod/ns/shop/sa/orders")
            .dns("orders.shop"),
    );
    let lie = "GET /headers HTTP/1.1\r\nhost: localhost\r\nX-Forwarded-Client-Cert: By=x;URI=spiffe://prod/admin\r\n\r\n";
    let ask = |maker: Maker<'_>| {
        let mut connection = maker.done().connect(setup.address()).unwrap();
        connection.send(lie).unwrap();
        told(&connection.answer().unwrap())
    };
    let hash = sha256(&leaf.certificate);
    let expected = format!(
        "By=spiffe://prod/ns/shop/sa/proxy;Hash={hash};\
         Subject=\"O=Shop \\\\\\\"&\\\\\\\" Sons\\\\, Ltd,CN=a\\\\;URI=spiffe://prod/ns/shop/sa/admin\";\
         URI=spiffe://prod/ns/shop/sa/orders;DNS=orders.shop"
    );
    assert_eq!(ask(Maker::new(&setup.ca).showing(&leaf)), Some(expected));
    assert_eq!(
        ask(Maker::new(&setup.ca)),
        None,
        "a client without a certificate has no identity"
    );
    // A certificate of an unknown CA is rejected, also if none is required.
    let stranger = Ca::new("Strangers").sign(Wanted::client("orders"));
    let error = Maker::new(&setup.ca)
        .showing(&stranger)
        .done()
        .get(setup.address(), "/")
        .err()
        .unwrap();
    assert_eq!(alert(&error), "UnknownCA");
    // Forwarded only if it is enabled.
    let quiet = Setup::start(&auth(false, "required"), |folder, _| {
        std::fs::write(folder.join("clients.crt"), clients.pem()).unwrap();
    });
    let mut connection = Maker::new(&quiet.ca)
        .showing(&leaf)
        .done()
        .connect(quiet.address())
        .unwrap();
    connection.send(lie).unwrap();
    assert_eq!(told(&connection.answer().unwrap()), None);
}

fn sha256(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Self-signed certificates that are themselves in `caFiles`.
#[test]
fn a_client_whose_own_certificate_is_in_ca_files_is_believed_and_checked() {
    let clients = Ca::new("Clients");
    let client = |name: &str| Wanted::client(name).uri(&format!("spiffe://prod/{name}"));
    let (signing, plain) = (client("a").signing().by_itself(), client("b").by_itself());
    let ended = client("d").signing().valid(-9 * DAY, -DAY).by_itself();
    let aimless = client("e").signing().usages(&[]).by_itself();
    let double = client("f").uri("spiffe://prod/other").by_itself();
    let named = [&signing, &plain, &ended, &aimless, &double];
    let pem: String = named.iter().map(|leaf| leaf.chain_pem()).collect();
    let setup = Setup::start(REQUIRED, |folder, _| {
        std::fs::write(folder.join("clients.crt"), clients.pem() + &pem).unwrap();
    });
    check(
        &setup,
        &[
            good("one that may sign", signing),
            good("one that may not", plain),
            good("one of the CA beside them", clients.sign(client("g"))),
            bad(
                "one that has ended",
                ended,
                "expired",
                "CertificateExpired",
                &["CN=d", "has expired"],
            ),
            bad(
                "one for no usage",
                aimless,
                "wrong_purpose",
                "UnsupportedCertificate",
                &["clientAuth"],
            ),
            bad(
                "two workloads",
                double,
                "multiple_spiffe_ids",
                "CertificateUnknown",
                &["CN=f"],
            ),
            bad(
                "another of that name",
                client("b").by_itself(),
                "unknown_ca",
                "UnknownCA",
                &["caFiles"],
            ),
        ],
    );
    for raw in [
        "Other(",
        "OtherError",
        "CaUsed",
        "UnknownIssuer",
        "InvalidPurpose",
        "Context",
    ] {
        assert!(
            !setup.proxy.stderr().contains(raw),
            "{raw}: {}",
            setup.proxy.stderr()
        );
    }
}

#[test]
fn a_revocation_list_takes_a_certificate_of_ca_files_back_and_the_others_need_none() {
    let (revoked, other) = (
        Wanted::client("c").signing().by_itself(),
        Wanted::client("d").signing().by_itself(),
    );
    let list = Ca::new("c").crl(&[revoked.serial], DAY);
    let setup = Setup::start(
        "      clientAuth: { caFiles: [clients.crt], crlFiles: [clients.crl] }\n",
        |folder, _| {
            std::fs::write(
                folder.join("clients.crt"),
                revoked.chain_pem() + &other.chain_pem(),
            )
            .unwrap();
            std::fs::write(folder.join("clients.crl"), list).unwrap();
        },
    );
    let told = &["CN=c", "was revoked"];
    check(
        &setup,
        &[
            bad(
                "one that was taken back",
                revoked,
                "revoked",
                "CertificateRevoked",
                told,
            ),
            good("another one", other),
        ],
    );
}
