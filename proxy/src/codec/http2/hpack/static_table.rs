//! The static table (RFC 7541 appendix A), and the index of each name in it.

use http::header;

use super::{Pseudo, entry::Entry};

/// Entries of the static table.
pub(super) const LENGTH: usize = 61;

/// Generates both tables from one list, so that they agree.
macro_rules! entries {
    (pseudo { $($pseudo:ident $colon_name:literal $pseudo_value:literal;)* }
     regular { $($constant:ident $name:literal $value:literal;)* }) => {
        /// The entry with index 1 comes first. A static, not a constant, so that it exists once.
        pub(super) static ENTRIES: [Entry; LENGTH] = [
            $(Entry::pseudo(Pseudo::$pseudo, $colon_name, $pseudo_value),)*
            $(Entry::regular(header::$constant, $name, $value),)*
        ];

        pub(super) const NAMES: [&str; LENGTH] = [$($colon_name,)* $($name,)*];
    };
}

entries! {
    pseudo {
        Authority ":authority" "";
        Method ":method" "GET";
        Method ":method" "POST";
        Path ":path" "/";
        Path ":path" "/index.html";
        Scheme ":scheme" "http";
        Scheme ":scheme" "https";
        Status ":status" "200";
        Status ":status" "204";
        Status ":status" "206";
        Status ":status" "304";
        Status ":status" "400";
        Status ":status" "404";
        Status ":status" "500";
    }
    regular {
        ACCEPT_CHARSET "accept-charset" "";
        ACCEPT_ENCODING "accept-encoding" "gzip, deflate";
        ACCEPT_LANGUAGE "accept-language" "";
        ACCEPT_RANGES "accept-ranges" "";
        ACCEPT "accept" "";
        ACCESS_CONTROL_ALLOW_ORIGIN "access-control-allow-origin" "";
        AGE "age" "";
        ALLOW "allow" "";
        AUTHORIZATION "authorization" "";
        CACHE_CONTROL "cache-control" "";
        CONTENT_DISPOSITION "content-disposition" "";
        CONTENT_ENCODING "content-encoding" "";
        CONTENT_LANGUAGE "content-language" "";
        CONTENT_LENGTH "content-length" "";
        CONTENT_LOCATION "content-location" "";
        CONTENT_RANGE "content-range" "";
        CONTENT_TYPE "content-type" "";
        COOKIE "cookie" "";
        DATE "date" "";
        ETAG "etag" "";
        EXPECT "expect" "";
        EXPIRES "expires" "";
        FROM "from" "";
        HOST "host" "";
        IF_MATCH "if-match" "";
        IF_MODIFIED_SINCE "if-modified-since" "";
        IF_NONE_MATCH "if-none-match" "";
        IF_RANGE "if-range" "";
        IF_UNMODIFIED_SINCE "if-unmodified-since" "";
        LAST_MODIFIED "last-modified" "";
        LINK "link" "";
        LOCATION "location" "";
        MAX_FORWARDS "max-forwards" "";
        PROXY_AUTHENTICATE "proxy-authenticate" "";
        PROXY_AUTHORIZATION "proxy-authorization" "";
        RANGE "range" "";
        REFERER "referer" "";
        REFRESH "refresh" "";
        RETRY_AFTER "retry-after" "";
        SERVER "server" "";
        SET_COOKIE "set-cookie" "";
        STRICT_TRANSPORT_SECURITY "strict-transport-security" "";
        TRANSFER_ENCODING "transfer-encoding" "";
        USER_AGENT "user-agent" "";
        VARY "vary" "";
        VIA "via" "";
        WWW_AUTHENTICATE "www-authenticate" "";
    }
}

/// Pseudo-headers come first.
const FIRST_REGULAR: usize = 14;

/// A power of two, and large enough that [`slot`] maps no two names to the same slot.
const SLOTS: usize = 128;

/// The index of the name in each slot; 0 for none.
static SLOT_INDEXES: [u8; SLOTS] = slot_indexes();

/// The index of an entry with this name, except pseudo-headers. A single comparison, whatever the
/// name.
pub(super) fn index(name: &str) -> Option<usize> {
    let index = usize::from(SLOT_INDEXES[slot(name.as_bytes())]);
    let known = NAMES.get(index.checked_sub(1)?)?;
    (*known == name).then_some(index)
}

/// Perfect for the names of the static table: [`slot_indexes`] does not compile otherwise.
const fn slot(name: &[u8]) -> usize {
    let [first, ..] = name else { return 0 };
    let [.., last] = name else { return 0 };
    (name.len().wrapping_mul(15) + *first as usize * 14 + *last as usize * 39) % SLOTS
}

const fn slot_indexes() -> [u8; SLOTS] {
    let mut slots = [0; SLOTS];
    let mut entry = FIRST_REGULAR;
    while entry < LENGTH {
        let slot = slot(NAMES[entry].as_bytes());
        assert!(slots[slot] == 0, "two names have the same slot");
        entry += 1;
        slots[slot] = entry as u8;
    }
    slots
}

#[cfg(test)]
mod tests {
    use super::super::{Field, entry::Name};
    use super::*;

    #[test]
    fn every_entry_has_its_name_and_size() {
        for (entry, spelt) in ENTRIES.iter().zip(NAMES) {
            match (entry.field(), Name::parse(spelt.as_bytes())) {
                (Field::Pseudo(found, value), Name::Pseudo(named)) => {
                    assert_eq!(
                        (found, entry.size()),
                        (named, spelt.len() + value.len() + 32),
                        "{spelt}"
                    );
                }
                (Field::Regular(found, value), Name::Regular(named)) => {
                    assert_eq!(found.as_str(), spelt);
                    assert_eq!(
                        (found, entry.size()),
                        (named, spelt.len() + value.len() + 32),
                        "{spelt}"
                    );
                }
                other => panic!("{spelt}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_name_has_an_index_if_it_stands_in_the_table() {
        for (entry, name) in NAMES.iter().enumerate().skip(FIRST_REGULAR) {
            assert_eq!(index(name), Some(entry + 1), "{name}");
        }
        for other in [
            "",
            "x",
            "te",
            "accepts",
            "x-forwarded-for",
            "hosu",
            ":path",
            "content-typo",
            "traceparent",
        ] {
            assert_eq!(index(other), None, "{other}");
        }
    }
}
