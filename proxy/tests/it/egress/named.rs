//! Endpoints whose own certificate is in `caFiles`: self-signed, as in test setups and in many
//! internal services.

use rcgen::{ExtendedKeyUsagePurpose, KeyUsagePurpose};

use super::{ask, handshakes, start, to_port};
use crate::support::{
    Proxy,
    front::{Front, Maker},
    origin,
    pki::{DAY, Leaf, Wanted},
    wait_for,
};

/// A proxy to an endpoint with a certificate; it trusts another one, or the same.
fn believing(believed: &Leaf, front: &Front, tls: &str) -> Proxy {
    start(&to_port(front.port(), tls), |folder| {
        std::fs::write(folder.join("ca.crt"), believed.chain_pem()).unwrap();
    })
}

fn localhost() -> Wanted {
    Wanted::server(&["localhost"])
}

#[test]
fn an_endpoint_whose_own_certificate_is_in_ca_files_is_believed() {
    let origin = origin();
    let plain = || localhost().usages(&[]);
    for (what, leaf) in [
        (
            "as openssl req -x509 makes it",
            plain().signing().by_itself(),
        ),
        ("for servers", localhost().signing().by_itself()),
        ("that may sign nothing", plain().by_itself()),
        (
            "with uses of its key",
            localhost()
                .key_usages(&[KeyUsagePurpose::DigitalSignature])
                .by_itself(),
        ),
    ] {
        let front = Maker::new(&leaf).before(origin.address());
        let proxy = believing(&leaf, &front, "");
        assert_eq!(ask(&proxy).0, 200, "{what}: {}", proxy.stderr());
        let proxy = believing(&leaf, &front, "      subjectAltNames: [localhost]\n");
        assert_eq!(
            ask(&proxy).0,
            200,
            "{what}, by subjectAltNames: {}",
            proxy.stderr()
        );
    }
}

#[test]
fn its_dates_names_and_usage_are_checked_all_the_same() {
    let origin = origin();
    let refused = |believed: &Leaf, leaf: &Leaf, tls: &str, reason: &str, told: &str| {
        let front = Maker::new(leaf).before(origin.address());
        let proxy = believing(believed, &front, tls);
        let (status, _, line) = ask(&proxy);
        assert_eq!(
            (status, &line["reason"]),
            (502, &format!("upstream.tls_{reason}").into()),
            "{line}"
        );
        let said = wait_for("the reason in the log", || {
            let log = proxy.stderr();
            log.lines()
                .find(|line| line.contains("no TLS with the endpoint"))
                .map(str::to_owned)
        });
        assert!(said.contains(told), "{told} is not in {said}");
        for raw in [
            "Other(",
            "OtherError",
            "CaUsed",
            "UnknownIssuer",
            "InvalidPurpose",
            "Context",
        ] {
            assert!(
                !said.contains(raw) && !line.to_string().contains(raw),
                "{said}\n{line}"
            );
        }
        assert!(handshakes(&proxy, "failed", reason) >= 1.0);
    };
    let own = |leaf: Wanted, tls: &str, reason: &str, told: &str| {
        let leaf = leaf.signing().by_itself();
        refused(&leaf, &leaf, tls, reason, told);
    };
    own(
        localhost().valid(-10 * DAY, -DAY),
        "",
        "expired",
        "has expired",
    );
    own(
        localhost().valid(DAY, 10 * DAY),
        "",
        "not_yet_valid",
        "clocks",
    );
    own(
        localhost().only_dns("elsewhere.example"),
        "",
        "wrong_name",
        "elsewhere.example",
    );
    own(
        localhost(),
        "      subjectAltNames: [pay.example]\n",
        "wrong_name",
        "localhost",
    );
    own(
        localhost().usages(&[ExtendedKeyUsagePurpose::ClientAuth]),
        "",
        "wrong_purpose",
        "serverAuth",
    );
    own(
        localhost().key_usages(&[KeyUsagePurpose::KeyCertSign]),
        "",
        "wrong_purpose",
        "digitalSignature",
    );
    // The same names with another key, and what a certificate signed that may not sign.
    let (one, other) = (
        localhost().signing().by_itself(),
        localhost().signing().by_itself(),
    );
    refused(&one, &other, "", "bad_certificate", "caFiles");
    let (one, other) = (localhost().by_itself(), localhost().by_itself());
    refused(&one, &other, "", "unknown_ca", "caFiles");
}
