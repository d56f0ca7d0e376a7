use std::{net::Ipv4Addr, time::UNIX_EPOCH};

use serde_json::{Value, json};

use super::*;

const FORMATS: [AccessLogFormat; 3] = [
    AccessLogFormat::Json,
    AccessLogFormat::Ecs,
    AccessLogFormat::Text,
];

fn record<'a>() -> Record<'a> {
    Record {
        time: UNIX_EPOCH + Duration::from_millis(1_767_323_045_678),
        request_id: "5f0c",
        listener: "public",
        route: Some("orders"),
        client_address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        method: Some("GET"),
        host: Some("api.example:8443"),
        path: Some("/v2/orders?token=secret"),
        protocol: Version::HTTP_11,
        status: 200,
        flag: "",
        reason: "",
        detail: None,
        would_deny: "",
        rule: None,
        upstream: Some("app"),
        endpoint: Some("127.0.0.1:8080"),
        attempts: 1,
        bytes_in: 12,
        bytes_out: 3_456,
        duration: Duration::from_micros(7_089),
    }
}

fn unknown<'a>() -> Record<'a> {
    Record {
        route: None,
        method: None,
        host: None,
        path: None,
        upstream: None,
        endpoint: None,
        status: 0,
        flag: "DC",
        reason: "client.closed",
        protocol: Version::HTTP_2,
        ..record()
    }
}

fn line(format: AccessLogFormat, record: &Record<'_>) -> String {
    let mut out = Vec::new();
    write(format, record, &mut out);
    String::from_utf8(out).unwrap()
}

fn parsed(format: AccessLogFormat, record: &Record<'_>) -> Value {
    serde_json::from_str(&line(format, record)).unwrap()
}

#[test]
fn the_json_form_has_every_name_that_tools_rely_on() {
    assert_eq!(
        line(AccessLogFormat::Json, &record()),
        concat!(
            r#"{"time":"2026-01-02T03:04:05.678Z","requestId":"5f0c","listener":"public","route":"orders","#,
            r#""clientAddress":"192.0.2.1","method":"GET","host":"api.example:8443","path":"/v2/orders","#,
            r#""protocol":"HTTP/1.1","status":200,"flag":"","reason":"","upstream":"app","#,
            r#""endpoint":"127.0.0.1:8080","attempts":1,"bytesIn":12,"bytesOut":3456,"durationMs":7.089}"#,
            "\n"
        )
    );
    let unknown = parsed(AccessLogFormat::Json, &unknown());
    assert_eq!(
        (&unknown["route"], &unknown["path"], &unknown["flag"]),
        (&Value::Null, &Value::Null, &json!("DC"))
    );
}

#[test]
fn the_ecs_form_uses_the_names_of_the_schema() {
    assert_eq!(
        parsed(AccessLogFormat::Ecs, &record()),
        json!({
            "@timestamp": "2026-01-02T03:04:05.678Z",
            "ecs": { "version": "8.11.0" },
            "event": {
                "dataset": "outrigger.access", "kind": "event", "category": ["web"], "outcome": "success",
                "duration": 7_089_000,
            },
            "http": {
                "version": "1.1",
                "request": { "id": "5f0c", "method": "GET", "body": { "bytes": 12 } },
                "response": { "status_code": 200, "body": { "bytes": 3456 } },
            },
            "client": { "address": "192.0.2.1", "ip": "192.0.2.1" },
            "url": { "path": "/v2/orders", "domain": "api.example" },
            "outrigger": {
                "listener": "public", "route": "orders", "upstream": "app", "endpoint": "127.0.0.1:8080", "attempts": 1,
            },
        })
    );
    let unknown = parsed(AccessLogFormat::Ecs, &unknown());
    assert_eq!(unknown["url"], Value::Null);
    assert_eq!(unknown["event"]["reason"], "client.closed");
    assert_eq!(unknown["event"]["outcome"], "failure");
    assert_eq!(unknown["http"]["response"]["status_code"], 0);
    assert_eq!(unknown["http"]["version"], "2");
    let only_host = Record {
        path: None,
        host: Some("[::1]"),
        ..record()
    };
    assert_eq!(
        parsed(AccessLogFormat::Ecs, &only_host)["url"],
        json!({ "domain": "[::1]" })
    );
}

#[test]
fn the_text_form_reads_like_a_sentence() {
    assert_eq!(
        line(AccessLogFormat::Text, &record()),
        "2026-01-02T03:04:05.678Z GET api.example:8443 /v2/orders HTTP/1.1 200 7.089ms requestId=5f0c listener=public \
         route=orders clientAddress=192.0.2.1 upstream=app endpoint=127.0.0.1:8080 attempts=1 bytesIn=12 bytesOut=3456\n"
    );
    assert_eq!(
        line(AccessLogFormat::Text, &unknown()),
        "2026-01-02T03:04:05.678Z - - - HTTP/2 0 7.089ms requestId=5f0c listener=public route=- clientAddress=192.0.2.1 \
         flag=DC reason=client.closed upstream=- endpoint=- attempts=1 bytesIn=12 bytesOut=3456\n"
    );
}

#[test]
fn the_numbers_behind_a_reason_stand_in_every_form() {
    let detail = "3 endpoints: 2 ejected, 1 unhealthy";
    let refused = Record {
        flag: "UH",
        reason: "upstream.none_healthy",
        detail: Some(detail),
        ..record()
    };
    assert_eq!(parsed(AccessLogFormat::Json, &refused)["detail"], detail);
    assert_eq!(
        parsed(AccessLogFormat::Ecs, &refused)["outrigger"]["detail"],
        detail
    );
    let text = line(AccessLogFormat::Text, &refused);
    assert!(
        text.contains(" detail=\"3 endpoints: 2 ejected, 1 unhealthy\" upstream="),
        "{text}"
    );
}

#[test]
fn a_refusal_that_was_not_carried_out_stands_in_every_form() {
    let tried = Record {
        would_deny: "auth.missing_token",
        rule: Some("no-bots"),
        ..record()
    };
    assert_eq!(
        parsed(AccessLogFormat::Json, &tried)["wouldDeny"],
        "auth.missing_token"
    );
    assert_eq!(parsed(AccessLogFormat::Json, &tried)["rule"], "no-bots");
    assert_eq!(
        parsed(AccessLogFormat::Ecs, &tried)["outrigger"]["would_deny"],
        "auth.missing_token"
    );
    assert_eq!(
        parsed(AccessLogFormat::Ecs, &tried)["outrigger"]["rule"],
        "no-bots"
    );
    let text = line(AccessLogFormat::Text, &tried);
    assert!(
        text.contains(" wouldDeny=auth.missing_token rule=no-bots upstream="),
        "{text}"
    );
}

/// `docs/security.md` 20.
#[test]
fn nothing_from_a_request_breaks_a_line_or_steers_a_terminal() {
    let hostile = "a\"b\\c\r\nd\te\0f\u{1b}[31m\u{7f}\u{85}\u{9b}\u{2028}é😀 status=200 \u{202e}";
    let record = Record {
        request_id: hostile,
        method: Some(hostile),
        host: Some(hostile),
        path: Some(hostile),
        endpoint: Some(hostile),
        ..record()
    };
    for format in FORMATS {
        let line = line(format, &record);
        assert!(
            line.ends_with('\n') && line.bytes().filter(|byte| *byte == b'\n').count() == 1,
            "{line}"
        );
        assert!(
            line.trim_end_matches('\n')
                .bytes()
                .all(|byte| matches!(byte, b' '..=b'~')),
            "{line}"
        );
    }
    assert_eq!(parsed(AccessLogFormat::Json, &record)["path"], hostile);
    assert_eq!(
        parsed(AccessLogFormat::Ecs, &record)["url"]["path"],
        hostile
    );
    assert!(
        line(AccessLogFormat::Text, &record)
            .contains(r#" "a\"b\\c\r\nd\te\u0000f\u001b[31m\u007f"#)
    );
}

/// `docs/security.md` 20.
#[test]
fn a_line_is_never_longer_than_its_bound_and_what_is_cut_says_so() {
    for filler in ["a", "\"", "\n", "\u{1b}", "é", "😀"] {
        let long = filler.repeat(70_000);
        let record = Record {
            request_id: &long,
            listener: &long,
            route: Some(&long),
            client_address: "2001:db8:1111:2222:3333:4444:5555:6666".parse().unwrap(),
            method: Some(&long),
            host: Some(&long),
            path: Some(&long),
            flag: &long,
            reason: &long,
            would_deny: &long,
            rule: Some(&long),
            upstream: Some(&long),
            endpoint: Some(&long),
            attempts: u32::MAX,
            status: u16::MAX,
            bytes_in: u64::MAX,
            bytes_out: u64::MAX,
            duration: Duration::MAX,
            ..record()
        };
        for format in FORMATS {
            let line = line(format, &record);
            assert!(line.len() <= MAX_LINE, "{}", line.len());
            assert!(line.contains("...\""), "{line}");
        }
        assert!(
            parsed(AccessLogFormat::Json, &record)["path"]
                .as_str()
                .unwrap()
                .ends_with("...")
        );
        parsed(AccessLogFormat::Ecs, &record);
    }
}

#[test]
fn lines_follow_each_other_in_one_buffer_and_leave_out_the_query() {
    let mut out = Vec::new();
    for format in FORMATS {
        write(format, &record(), &mut out);
    }
    let text = String::from_utf8(out).unwrap();
    assert_eq!(text.lines().count(), 3);
    assert!(!text.contains("secret") && !text.contains('?'));
}

const MARKER: &str = "<!-- Generated from filters/src/access_log/fields.rs. UPDATE_DOCS=1 cargo test -p outrigger-filters --lib access_log -->\n";

#[test]
fn the_documentation_has_every_field_as_the_list_has_it() {
    use std::fmt::Write;
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/access-log.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (by_hand, generated) = page.split_once(MARKER).expect("the marker is on the page");
    let mut table = "\n| field | in ECS | present | meaning |\n|---|---|---|---|\n".to_owned();
    for field in fields::ALL {
        let present = match field.shown {
            fields::Shown::IfAny => "if there is something to say",
            fields::Shown::First | fields::Shown::Named => "always",
        };
        let (name, ecs, meaning) = (field.name, field.ecs, field.meaning);
        writeln!(table, "| `{name}` | `{ecs}` | {present} | {meaning} |").unwrap();
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, format!("{by_hand}{MARKER}{table}")).unwrap();
        return;
    }
    assert_eq!(generated, table, "run the command above the table");
}
