//! Where tokens stand.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use outrigger_config::model::TokenLocation;

use crate::jwt::extract;
use crate::reason::Reason;

fn bearer() -> TokenLocation {
    TokenLocation::Header {
        name: header::AUTHORIZATION,
        scheme: Some("Bearer".into()),
    }
}

fn plain(name: &'static str) -> TokenLocation {
    TokenLocation::Header {
        name: HeaderName::from_static(name),
        scheme: None,
    }
}

fn cookie(name: &str) -> TokenLocation {
    TokenLocation::Cookie(name.into())
}

fn head(fields: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(
            HeaderName::from_static(name),
            HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        );
    }
    headers
}

/// docs/security.md 10.
#[test]
fn the_first_place_that_has_one_decides() {
    let all = [bearer(), plain("x-token"), cookie("session")];
    for (fields, expected) in [
        (&[][..], Ok(None)),
        (&[("authorization", "Bearer a.b.c")], Ok(Some("a.b.c"))),
        (&[("authorization", "bearer a.b.c")], Ok(Some("a.b.c"))),
        (&[("authorization", "BEARER   a.b.c")], Ok(Some("a.b.c"))),
        (&[("authorization", "Bearer")], Ok(Some(""))),
        (&[("authorization", "Bearer a b")], Ok(Some("a b"))),
        (&[("authorization", "Bearera.b.c")], Ok(None)),
        (&[("authorization", "Basic dTpw")], Ok(None)),
        (&[("authorization", "Bear")], Ok(None)),
        (&[("authorization", "")], Ok(None)),
        (&[("authorization", "Bearer \u{e9}")], Ok(Some("\u{e9}"))),
        (
            &[("authorization", "Basic dTpw"), ("x-token", "x")],
            Ok(Some("x")),
        ),
        (
            &[
                ("authorization", "Bearer a"),
                ("x-token", "x"),
                ("cookie", "session=s"),
            ],
            Ok(Some("a")),
        ),
        (&[("x-token", ""), ("cookie", "session=s")], Ok(Some(""))),
        (
            &[("x-token", "x"), ("x-token", "x")],
            Err(Reason::AuthDuplicateToken),
        ),
        (
            &[
                ("authorization", "Bearer a"),
                ("x-token", "x"),
                ("x-token", "y"),
            ],
            Ok(Some("a")),
        ),
        (
            &[("authorization", "Bearer a"), ("authorization", "bearer b")],
            Err(Reason::AuthDuplicateToken),
        ),
        (&[("cookie", "session=s")], Ok(Some("s"))),
        (&[("cookie", "a=1; session=s; b=2")], Ok(Some("s"))),
        (&[("cookie", "a=1;session=s;b=2")], Ok(Some("s"))),
        (&[("cookie", "a=1"), ("cookie", "session=s")], Ok(Some("s"))),
        (&[("cookie", "session=s=t")], Ok(Some("s=t"))),
        (&[("cookie", "session=\"s\"")], Ok(Some("s"))),
        (&[("cookie", "a=\"1\"; session=\"s\"; b=2")], Ok(Some("s"))),
        (&[("cookie", "session=\"\"")], Ok(Some(""))),
        // Only a pair of quotes around the whole value is taken away, and only one.
        (&[("cookie", "session=\"")], Ok(Some("\""))),
        (&[("cookie", "session=\"s")], Ok(Some("\"s"))),
        (&[("cookie", "session=s\"")], Ok(Some("s\""))),
        (&[("cookie", "session=\"\"s\"\"")], Ok(Some("\"s\""))),
        (
            &[("cookie", "session=s; session=\"s\"")],
            Err(Reason::AuthDuplicateToken),
        ),
        (&[("cookie", "session=")], Ok(Some(""))),
        (&[("cookie", "session")], Ok(None)),
        (
            &[("cookie", "Session=s; xsession=s; session2=s; a=session=s")],
            Ok(None),
        ),
        (
            &[("cookie", "session=s; session=t")],
            Err(Reason::AuthDuplicateToken),
        ),
        (
            &[("cookie", "session=s; session =t")],
            Err(Reason::AuthDuplicateToken),
        ),
        (
            &[("cookie", "session=s"), ("cookie", "session=s")],
            Err(Reason::AuthDuplicateToken),
        ),
    ] {
        assert_eq!(extract::find(&all, &head(fields)), expected, "{fields:?}");
    }
    let latin1 = HeaderMap::from_iter([(
        header::AUTHORIZATION,
        HeaderValue::from_bytes(b"Bearer \xe9").unwrap(),
    )]);
    assert_eq!(extract::find(&all, &latin1), Err(Reason::AuthTokenEncoding));
}

#[test]
fn what_the_app_must_not_see_is_taken_away_and_nothing_else() {
    let from = [bearer(), plain("x-token"), cookie("session")];
    for (before, after) in [
        (
            &[("authorization", "Bearer a"), ("accept", "*/*")][..],
            &[("accept", "*/*")][..],
        ),
        (
            &[("authorization", "Basic dTpw")],
            &[("authorization", "Basic dTpw")],
        ),
        (&[("x-token", "a"), ("x-token", "b")], &[]),
        (&[("cookie", "session=s")], &[]),
        (
            &[("cookie", "a=1; session=s;b=2")],
            &[("cookie", "a=1; b=2")],
        ),
        (
            &[("cookie", "a=\"1\"; session=\"s\";b=2")],
            &[("cookie", "a=\"1\"; b=2")],
        ),
        (
            &[("cookie", "session=s; session =t; sessions=u")],
            &[("cookie", "sessions=u")],
        ),
        (
            &[("cookie", "a=1"), ("cookie", "session=s; b=2; flag")],
            &[("cookie", "a=1"), ("cookie", "b=2; flag")],
        ),
        (&[("cookie", "a=1;b=2")], &[("cookie", "a=1;b=2")]),
        // Also where it was not looked for, since the first place decided.
        (
            &[("authorization", "Bearer a"), ("cookie", "session=s; a=1")],
            &[("cookie", "a=1")],
        ),
    ] {
        let mut headers = head(before);
        extract::remove(&from, &mut headers);
        assert_eq!(headers, head(after), "{before:?}");
    }
}
