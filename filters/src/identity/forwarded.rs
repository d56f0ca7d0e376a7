//! X-Forwarded-Client-Cert, in the format of Envoy.
//!
//! `By=…;Hash=…;Subject="…";URI=…;DNS=…`: the proxy's own URI, the certificate's SHA-256, its
//! subject, and its names, one pair each. The holder of a certificate chose the text, so nothing in
//! it may look like another pair, another element or another header: a value with other than plain
//! characters is quoted, with `\` before `"` and `\`. Bytes that are not visible ASCII are
//! percent-encoded, and then `%` as well.

use std::fmt::Write;

use http::HeaderValue;

use super::Identity;

/// The field's value; `by` is the proxy's own URI, if its certificate has one.
pub fn forwarded_client_cert(identity: &Identity, by: Option<&str>) -> Option<HeaderValue> {
    let mut text = String::with_capacity(256);
    if let Some(by) = by {
        pair(&mut text, "By", by);
    }
    let mut hash = String::with_capacity(64);
    for byte in identity.sha256 {
        let _ = write!(hash, "{byte:02x}"); // writing into a String cannot fail
    }
    pair(&mut text, "Hash", &hash);
    // Always quoted, also if it is empty: parsers expect that.
    text.push_str(";Subject=\"");
    push_escaped(&mut text, &identity.subject);
    text.push('"');
    identity
        .uris
        .iter()
        .for_each(|uri| pair(&mut text, "URI", uri));
    identity
        .dns_names
        .iter()
        .for_each(|name| pair(&mut text, "DNS", name));
    HeaderValue::from_str(&text).ok()
}

fn pair(text: &mut String, key: &str, value: &str) {
    if !text.is_empty() {
        text.push(';');
    }
    text.push_str(key);
    text.push('=');
    if value.bytes().all(is_plain) {
        text.push_str(value);
    } else {
        text.push('"');
        push_escaped(text, value);
        text.push('"');
    }
}

/// A character that needs no quotes: visible, and without a meaning in this header or in a list of
/// them.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b',' | b';' | b'=' | b'"' | b'\\')
}

fn push_escaped(text: &mut String, value: &str) {
    let encodes = !value
        .bytes()
        .all(|byte| byte.is_ascii_graphic() || byte == b' ');
    for byte in value.bytes() {
        match byte {
            b'"' | b'\\' => text.extend(['\\', char::from(byte)]),
            b'%' if encodes => text.push_str("%25"),
            b' '..=b'~' => text.push(char::from(byte)),
            other => {
                let _ = write!(text, "%{other:02X}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(subject: &str, uris: &[&str], dns: &[&str]) -> Identity {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).into()).collect();
        Identity {
            sha256: [0xab; 32],
            subject: subject.into(),
            uris: owned(uris),
            dns_names: owned(dns),
        }
    }

    fn value(identity: &Identity, by: Option<&str>) -> String {
        let value = forwarded_client_cert(identity, by).unwrap();
        value.to_str().unwrap().replace(&"ab".repeat(32), "…")
    }

    #[test]
    fn it_has_envoys_form() {
        let one = identity(
            "CN=a,O=b",
            &["spiffe://prod/ns/a/sa/b"],
            &["a.example", "b.example"],
        );
        assert_eq!(
            value(&one, Some("spiffe://prod/ns/p/sa/q")),
            "By=spiffe://prod/ns/p/sa/q;Hash=…;Subject=\"CN=a,O=b\";URI=spiffe://prod/ns/a/sa/b;\
             DNS=a.example;DNS=b.example"
        );
        assert_eq!(value(&identity("", &[], &[]), None), "Hash=…;Subject=\"\"");
    }

    /// `docs/security.md` 8.
    #[test]
    fn no_name_can_pass_for_another_pair_element_or_header() {
        for (name, written) in [
            ("a;URI=b", "\"a;URI=b\""),
            ("a,By=b", "\"a,By=b\""),
            ("a\";URI=b", "\"a\\\";URI=b\""),
            ("a\\", "\"a\\\\\""),
            ("a\\\";URI=b", "\"a\\\\\\\";URI=b\""),
            ("a\r\nX-Evil: 1", "\"a%0D%0AX-Evil: 1\""),
            ("a\0b%00", "\"a%00b%2500\""),
            ("é", "\"%C3%A9\""),
            ("\u{7f}", "\"%7F\""),
            ("a%20b", "a%20b"),
            (" a ", "\" a \""),
            ("", ""),
        ] {
            let one = identity(name, &[name], &[name]);
            let subject = if written.starts_with('"') {
                written.to_owned()
            } else {
                format!("\"{written}\"")
            };
            assert_eq!(
                value(&one, None),
                format!("Hash=…;Subject={subject};URI={written};DNS={written}")
            );
        }
    }
}
