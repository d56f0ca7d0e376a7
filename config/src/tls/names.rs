//! Server names of a certificate.

use x509_parser::extensions::GeneralName;

use crate::{
    part::hostname::Hostname,
    tls::{certificate::Certificate, x509},
};

/// Whether clients that connect to a name of `hostname` accept the certificate (RFC 9525 section
/// 6.3; the common name is ignored).
pub(crate) fn covers(certificate: &Certificate, hostname: &Hostname) -> bool {
    let Some(leaf) = certificate.chain.first().and_then(|der| x509::parse(der)) else {
        return false;
    };
    let names = leaf.subject_alternative_name().ok().flatten();
    let names = names.iter().flat_map(|names| &names.value.general_names);
    names
        .into_iter()
        .any(|name| matches!(name, GeneralName::DNSName(name) if takes(name, hostname)))
}

/// Whether a name in a certificate, where `*` is one label, covers a name of `hostname`, where it
/// is one or more labels.
fn takes(name: &str, hostname: &Hostname) -> bool {
    let name = name.to_ascii_lowercase();
    match (hostname, name.strip_prefix('*')) {
        (Hostname::Exact(wanted), None) => **wanted == *name,
        (Hostname::Exact(wanted), Some(suffix)) => wanted
            .split_once('.')
            .is_some_and(|(first, _)| wanted[first.len()..] == *suffix),
        (Hostname::Wildcard(wanted), None) => name.ends_with(&**wanted),
        (Hostname::Wildcard(wanted), Some(suffix)) => suffix.ends_with(&**wanted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_one_label_in_a_certificate_and_one_or_more_in_the_file() {
        let exact = |name: &str| Hostname::Exact(name.into());
        let wildcard = |suffix: &str| Hostname::Wildcard(suffix.into());
        for (name, hostname, expected) in [
            ("a.example.com", exact("a.example.com"), true),
            ("A.Example.com", exact("a.example.com"), true),
            ("b.example.com", exact("a.example.com"), false),
            ("*.example.com", exact("a.example.com"), true),
            ("*.example.com", exact("a.b.example.com"), false),
            ("*.example.com", exact("example.com"), false),
            ("*.example.com", wildcard(".example.com"), true),
            ("a.example.com", wildcard(".example.com"), true),
            ("*.b.example.com", wildcard(".example.com"), true),
            ("*.example.com", wildcard(".b.example.com"), false),
            ("example.com", wildcard(".example.com"), false),
        ] {
            assert_eq!(takes(name, &hostname), expected, "{name} {hostname:?}");
        }
    }
}
