//! Describes a certificate for a log line: subject, issuer, validity.
//!
//! All of it comes from the peer, so it is escaped, and each part has a length limit.

use outrigger_transport::tls::certificate;
use rustls_pki_types::CertificateDer;

/// Longest part, and most names; together far below the limit of a line.
const MOST: usize = 256;
const MOST_NAMES: usize = 8;

/// The description of one certificate.
pub(crate) fn certificate(der: &CertificateDer<'_>) -> String {
    let Ok(parsed) = certificate::parse(der) else {
        return "a certificate that cannot be read".to_owned();
    };
    let mut text = format!(
        "certificate of {}",
        printable(&certificate::distinguished_name(parsed.subject()))
    );
    if let Ok(Some(names)) = parsed.subject_alternative_name() {
        let names = &names.value.general_names;
        let told: Vec<String> = names
            .iter()
            .take(MOST_NAMES)
            .map(|name| printable(&name.to_string()))
            .collect();
        text.push_str(&format!(
            " ({}{})",
            told.join(", "),
            if names.len() > MOST_NAMES {
                ", …"
            } else {
                ""
            }
        ));
    }
    text.push_str(&format!(
        ", issued by {}",
        printable(&certificate::distinguished_name(parsed.issuer()))
    ));
    let validity = parsed.validity();
    text.push_str(&format!(
        ", valid from {} to {}",
        validity.not_before, validity.not_after
    ));
    text.push_str(&format!(
        ", serial {}",
        printable(&parsed.raw_serial_as_string())
    ));
    text
}

/// Printable characters on one line, truncated when it is long.
pub(super) fn printable(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        if out.len() > MOST {
            out.push('…');
            break;
        }
        match character {
            '"' | '\'' | '\\' => out.push(character),
            other => out.extend(other.escape_debug()),
        }
    }
    if out.is_empty() {
        "an unnamed subject".to_owned()
    } else {
        out
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn made(name: &str, sans: Vec<SanType>) -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.subject_alt_names = sans;
        params
            .self_signed(&KeyPair::generate().unwrap())
            .unwrap()
            .der()
            .clone()
    }

    /// `docs/security.md` 20.
    #[test]
    fn a_line_about_a_certificate_is_one_line_and_not_long() {
        let sans = (0..50).map(|i| {
            SanType::URI(
                format!("spiffe://{i}/\u{7}{}", "x".repeat(900))
                    .try_into()
                    .unwrap(),
            )
        });
        let text = certificate(&made(
            &format!("a\nb\u{1b}[31m{}", "é\u{202e}".repeat(2000)),
            sans.collect(),
        ));
        assert!(
            text.chars().all(|c| !c.is_control() && c != '\u{202e}'),
            "{text:?}"
        );
        assert!(text.len() < 4096, "{}", text.len());
        assert!(
            text.starts_with("certificate of CN=a\\0Ab\\1B[31m"),
            "{text}"
        );
        assert_eq!(
            certificate(&CertificateDer::from(vec![1, 2, 3])),
            "a certificate that cannot be read"
        );
    }

    #[test]
    fn a_line_names_whose_it_is_who_signed_it_and_until_when() {
        let uri = SanType::URI("spiffe://prod/ns/a/sa/b".try_into().unwrap());
        let text = certificate(&made("orders", vec![uri]));
        assert!(
            text.contains(
                "certificate of CN=orders (URI(spiffe://prod/ns/a/sa/b)), issued by CN=orders"
            ),
            "{text}"
        );
        assert!(
            text.contains(", valid from Jan  1 00:00:00 1975 +00:00 to Jan  1 00:00:00 4096"),
            "{text}"
        );
    }
}
