//! Parses a probe of the command line.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use serde_json::{Map, Value};

use super::{AppProbe, Handler};

/// The default of Kubernetes.
const TIMEOUT: u64 = 1;

pub(super) fn read(text: &str) -> Result<AppProbe, String> {
    let value: Value =
        serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))?;
    let map = map(&value, "it")?;
    only(
        map,
        "it",
        &["path", "timeoutSeconds", "httpGet", "tcpSocket", "grpc"],
    )?;
    let path = word(map, "path")?.ok_or("`path` is missing")?;
    if !path.starts_with("/app/") {
        return Err(format!(
            "`path` is {path:?}; write /app/CONTAINER/livez, readyz or startupz"
        ));
    }
    let timeout = match map.get("timeoutSeconds") {
        None => TIMEOUT,
        Some(value) => value
            .as_u64()
            .filter(|seconds| *seconds > 0)
            .ok_or("`timeoutSeconds` is a whole number over 0")?,
    };
    Ok(AppProbe {
        path: path.to_owned(),
        handler: handler(map)?,
        timeout: Duration::from_secs(timeout),
    })
}

fn handler(map: &Map<String, Value>) -> Result<Handler, String> {
    let kinds = ["httpGet", "tcpSocket", "grpc"];
    let mut found = kinds
        .iter()
        .filter_map(|kind| Some((*kind, map.get(*kind)?)));
    let (Some((kind, value)), None) = (found.next(), found.next()) else {
        return Err("write exactly one of httpGet, tcpSocket and grpc".to_owned());
    };
    let inner = self::map(value, kind)?;
    let port = inner
        .get("port")
        .and_then(Value::as_u64)
        .and_then(|port| u16::try_from(port).ok())
        .filter(|port| *port > 0)
        .ok_or_else(|| format!("`{kind}.port` is a number from 1 to 65535"))?;
    match kind {
        "httpGet" => {
            only(inner, kind, &["port", "path", "httpHeaders"])?;
            let target = word(inner, "path")?.unwrap_or("/");
            // Kubernetes adds a missing slash.
            let target = format!("/{}", target.strip_prefix('/').unwrap_or(target));
            target
                .parse::<Uri>()
                .map_err(|error| format!("`httpGet.path` is {target:?}: {error}"))?;
            let headers = headers(inner.get("httpHeaders"))?;
            Ok(Handler::Http {
                port,
                target,
                headers,
            })
        }
        "tcpSocket" => {
            only(inner, kind, &["port"])?;
            Ok(Handler::Tcp { port })
        }
        _ => {
            only(inner, kind, &["port", "service"])?;
            let service = word(inner, "service")?.unwrap_or_default().to_owned();
            Ok(Handler::Grpc { port, service })
        }
    }
}

fn headers(list: Option<&Value>) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    let Some(list) = list else {
        return Ok(headers);
    };
    let list = list.as_array().ok_or("`httpHeaders` is a list")?;
    for item in list {
        let item = map(item, "httpHeaders")?;
        only(item, "httpHeaders", &["name", "value"])?;
        let name = word(item, "name")?.ok_or("`httpHeaders.name` is missing")?;
        let value = word(item, "value")?.unwrap_or_default();
        let pair = (name.parse::<HeaderName>(), value.parse::<HeaderValue>());
        let (Ok(name), Ok(value)) = pair else {
            return Err(format!("{name:?} with {value:?} is no header"));
        };
        headers.append(name, value);
    }
    Ok(headers)
}

fn map<'a>(value: &'a Value, what: &str) -> Result<&'a Map<String, Value>, String> {
    value
        .as_object()
        .ok_or_else(|| format!("{what} is no object"))
}

fn word<'a>(map: &'a Map<String, Value>, key: &str) -> Result<Option<&'a str>, String> {
    match map.get(key) {
        None => Ok(None),
        Some(value) => value
            .as_str()
            .map(Some)
            .ok_or_else(|| format!("`{key}` is no string")),
    }
}

fn only(map: &Map<String, Value>, what: &str, known: &[&str]) -> Result<(), String> {
    match map.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => Err(format!(
            "{what} has {key:?}, which is unknown; known are {}",
            known.join(", ")
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_understood_is_refused() {
        for (text, expected) in [
            ("", "no JSON"),
            ("[]", "no object"),
            (r#"{"path":"/app/a/livez"}"#, "exactly one"),
            (
                r#"{"path":"/app/a/livez","tcpSocket":{"port":1},"grpc":{"port":1}}"#,
                "exactly one",
            ),
            (
                r#"{"path":"/livez","tcpSocket":{"port":1}}"#,
                "/app/CONTAINER",
            ),
            (
                r#"{"path":"/app/a/livez","tcpSocket":{"port":"http"}}"#,
                "1 to 65535",
            ),
            (
                r#"{"path":"/app/a/livez","tcpSocket":{"port":1,"host":"x"}}"#,
                "\"host\"",
            ),
            (
                r#"{"path":"/app/a/livez","httpGet":{"port":1,"scheme":"HTTPS"}}"#,
                "\"scheme\"",
            ),
            (
                r#"{"path":"/app/a/livez","httpGet":{"port":1,"path":"/ x"}}"#,
                "`httpGet.path`",
            ),
            (
                r#"{"path":"/app/a/livez","httpGet":{"port":1,"httpHeaders":[{"name":"a b"}]}}"#,
                "no header",
            ),
            (
                r#"{"path":"/app/a/livez","timeoutSeconds":0,"tcpSocket":{"port":1}}"#,
                "over 0",
            ),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn defaults_are_those_of_kubernetes() {
        let probe =
            read(r#"{"path":"/app/a/livez","httpGet":{"port":80,"path":"health"}}"#).unwrap();
        assert_eq!(probe.timeout, Duration::from_secs(1));
        assert!(matches!(probe.handler, Handler::Http { ref target, .. } if target == "/health"));
    }
}
