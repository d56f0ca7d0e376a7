//! Fuzz targets for every parser of external bytes. Each target accepts any bytes, and panics when
//! a requirement is violated.
//!
//! The fuzzer runs them from `fuzz_targets/`; `proxy/tests/corpus.rs` runs the corpus through them
//! with every change.

use std::sync::{Arc, LazyLock};

use http::{HeaderName, HeaderValue, Method, Request, Uri, Version, header};
use outrigger::fuzzing;
use outrigger_config::{
    jwks, load_str,
    model::{ListenerLimits, PathRules, UnderscoreHeaders},
    strict_json::Json,
};
use outrigger_filters::{
    framing, hop_by_hop,
    identity::{Identity, forwarded_client_cert},
    jwt::{KeySet, Token},
    owned_headers, path, proxy_protocol,
};
use outrigger_inject::{Input, Options, inject as inject_sidecar, uninject};
use outrigger_logs::{
    checkpoint,
    record::{self, Assembler, AssemblerSettings, Piece},
    spool::segment,
};
use regex::Regex;

/// A line that begins so begins a record.
static START: LazyLock<Regex> = LazyLock::new(|| Regex::new("^[0-9a]").expect("a regex"));

/// A target by name; the corpus has a folder for each.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const ALL: &[Target] = &[
    ("config", config),
    ("token", token),
    ("jwks", jwks_text),
    ("path", canonical_path),
    ("client_cert", client_cert),
    ("proxy_header", proxy_header),
    ("request", request),
    ("answer", answer),
    ("client", client),
    ("hpack", hpack),
    ("frames", frames),
    ("inject", inject),
    ("log_checkpoint", log_checkpoint),
    ("log_chunk", log_chunk),
    ("log_cri", log_cri),
    ("log_logfmt", log_logfmt),
    ("log_multiline", log_multiline),
];

/// A checkpoint of the log shipper: what is believed is written again in a form that is believed.
pub fn log_checkpoint(data: &[u8]) {
    if let Some(read) = checkpoint::decode(data) {
        assert_eq!(checkpoint::decode(&checkpoint::encode(&read)), Some(read));
    }
}

/// A chunk of the log shipper's spool: all its records lie within it.
pub fn log_chunk(data: &[u8]) {
    if let Some(chunk) = segment::decode(data) {
        let documents: usize = (0..chunk.records.len())
            .map(|index| chunk.record(index).document.len())
            .sum();
        assert_eq!(documents, chunk.documents.len());
        assert_eq!(segment::encode(&chunk), data);
    }
}

/// A line of a container runtime.
pub fn log_cri(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(line) = record::cri::parse(text) {
        assert!(text.ends_with(line.content));
        assert!(text.contains(line.stream.as_str()));
    }
}

/// A line of logfmt.
pub fn log_logfmt(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(fields) = record::logfmt::parse(text) {
        assert!(!fields.is_empty() && text.contains('='));
    }
}

/// Lines that are joined: whatever the blocks are, the records are the same, none is over the bound, and offsets rise.
pub fn log_multiline(data: &[u8]) {
    let read = |blocks: &[&[u8]]| {
        let settings = AssemblerSettings {
            max_line: 64,
            cri: data.len() % 2 == 1,
            multiline: Some(record::multiline::Settings {
                joins: record::multiline::Joins::Start(START.clone()),
                timeout: std::time::Duration::from_secs(1),
                max: 100,
            }),
        };
        let (mut seen, now) = (Vec::new(), tokio::time::Instant::now());
        let mut assembler = Assembler::new(0, &settings);
        let mut emit = |piece: Piece<'_>| seen.push((piece.start, piece.text.into_owned()));
        for block in blocks {
            assembler.push(block, now, &mut emit);
            assert!(assembler.complete() <= assembler.position());
        }
        assembler.finish(now, &mut emit);
        assert_eq!(assembler.position(), data.len() as u64);
        assert_eq!(assembler.complete(), assembler.position());
        seen
    };
    let whole = read(&[data]);
    let middle = data.len() / 2;
    assert_eq!(read(&[&data[..middle], &data[middle..]]), whole);
    // U+FFFD has three bytes for each that was replaced.
    assert!(whole.iter().all(|(_, text)| text.len() <= 3 * 100));
}

/// A configuration file: accepted, or rejected with positions and fixes.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Err(error) = load_str("fuzz.yaml", text, &|_: &str| None) {
        assert!(!error.render(false).is_empty());
    }
}

/// A token: parsing it twice gives the same result, and serializing the result gives the same
/// token.
pub fn token(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(token) = Token::parse(text) {
        assert_eq!(text.bytes().filter(|byte| *byte == b'.').count(), 2);
        assert_eq!(
            Token::parse(text)
                .map(|again| again.issuer().map(str::to_owned))
                .ok(),
            Some(token.issuer().map(str::to_owned))
        );
    }
}

/// A key set, and its JSON parser.
pub fn jwks_text(data: &[u8]) {
    let _ = Json::parse(data, 16);
    if let Ok(set) = jwks::parse(data) {
        assert!(
            !KeySet::public(set).is_empty(),
            "a set without a usable key is rejected"
        );
    }
}

/// A path: canonicalizing the canonical form changes nothing, and it cannot lead elsewhere.
pub fn canonical_path(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let rules = PathRules::default();
    let Ok(canonical) = path::canonical(text, rules) else {
        return;
    };
    assert_eq!(
        path::canonical(&canonical, rules).as_deref(),
        Ok(&*canonical)
    );
    assert!(
        canonical.starts_with('/')
            && !canonical.contains("//")
            && !canonical.contains(['\\', '{', '"', '<'])
    );
    assert!(
        !canonical
            .split('/')
            .any(|segment| matches!(segment, "." | ".."))
    );
}

/// X-Forwarded-Client-Cert from arbitrary names: always one element with the expected pairs.
pub fn client_cert(data: &[u8]) {
    let texts: Vec<Arc<str>> = data
        .split(|byte| *byte == 0)
        .map(|part| String::from_utf8_lossy(part).into())
        .collect();
    let mut identity = Identity {
        subject: Arc::clone(&texts[0]),
        ..Identity::default()
    };
    for (index, text) in texts[1..].iter().enumerate() {
        if index % 2 == 0 {
            &mut identity.uris
        } else {
            &mut identity.dns_names
        }
        .push(Arc::clone(text));
    }
    let value = forwarded_client_cert(&identity, None).expect("any name can be written");
    let (mut quoted, mut escaped, mut pairs) = (false, false, 1);
    for byte in value.as_bytes() {
        assert!(matches!(byte, b' '..=b'~'), "{value:?}");
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b';' if !quoted => pairs += 1,
            b',' => assert!(quoted, "another element in {value:?}"),
            _ => {}
        }
    }
    assert!(!quoted && !escaped, "{value:?}");
    assert_eq!(pairs, 2 + texts.len() - 1, "{value:?}"); // Hash and Subject, and one for each name
}

/// A PROXY header: more bytes never change a rejection, and never change the parsed result.
pub fn proxy_header(data: &[u8]) {
    let whole = proxy_protocol::parse(data);
    if let Ok(Some(found)) = &whole {
        assert!(found.length <= data.len());
    }
    for end in 0..data.len().min(600) {
        match proxy_protocol::parse(&data[..end]) {
            Ok(None) => {}
            Ok(Some(found)) => assert_eq!(
                proxy_protocol::parse(data)
                    .ok()
                    .flatten()
                    .map(|all| all.length),
                Some(found.length)
            ),
            Err(_) => assert!(
                whole.is_err(),
                "rejected after {end} bytes, but accepted as a whole"
            ),
        }
    }
}

/// A request head from HTTP/2 to HTTP/1.1: rejected, or written as one unambiguous head.
pub fn request(data: &[u8]) {
    let Some(mut head) = request_head(data) else {
        return;
    };
    let (mut owned, mut hop) = (
        owned_headers::Found::default(),
        hop_by_hop::Found::default(),
    );
    let see = |name: &HeaderName, _: &HeaderValue| {
        owned.see(name);
        hop.see(name);
    };
    let host = match framing::check(&head, &ListenerLimits::default(), see) {
        Ok(Some(authority)) => {
            HeaderValue::from_str(authority.text).expect("a checked authority is a value")
        }
        Ok(None) => panic!("HTTP/2 has an authority"),
        Err(_) => return,
    };
    let Ok(canonical) = path::canonical(head.uri.path(), PathRules::default()) else {
        return;
    };
    let Ok(uri) = canonical.parse::<Uri>() else {
        return;
    };
    if owned
        .strip(&mut head.headers, UnderscoreHeaders::Reject, false)
        .is_err()
    {
        return;
    }
    hop.strip(&mut head.headers, owned_headers::owns);
    head.headers.insert(header::HOST, host);
    head.uri = uri;
    let written = fuzzing::written_head(head);
    let mut fields = [httparse::EMPTY_HEADER; 256];
    let mut read = httparse::Request::new(&mut fields);
    let complete = read.parse(&written).expect("what we write can be read");
    assert_eq!(
        complete,
        httparse::Status::Complete(written.len()),
        "one head and nothing behind it"
    );
    let count = |wanted: &[&str]| {
        read.headers
            .iter()
            .filter(|field| wanted.contains(&field.name))
            .count()
    };
    assert_eq!(count(&["host"]), 1);
    assert!(count(&["content-length", "transfer-encoding"]) <= 1);
    assert_eq!(
        count(&[
            "connection",
            "keep-alive",
            "upgrade",
            "te",
            "proxy-connection",
            "x-forwarded-for"
        ]),
        0
    );
}

/// Method, path and authority in the first line, then one field per line.
fn request_head(data: &[u8]) -> Option<http::request::Parts> {
    let mut lines = data.split(|byte| *byte == b'\n');
    let mut first = std::str::from_utf8(lines.next()?).ok()?.splitn(3, ' ');
    let (method, path, authority) = (first.next()?, first.next()?, first.next()?);
    let uri = Uri::builder()
        .scheme("http")
        .authority(authority)
        .path_and_query(path)
        .build()
        .ok()?;
    let (mut head, ()) = Request::new(()).into_parts();
    (head.method, head.uri, head.version) = (
        Method::from_bytes(method.as_bytes()).ok()?,
        uri,
        Version::HTTP_2,
    );
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        head.headers
            .append(name, HeaderValue::from_bytes(&line[colon + 1..]).ok()?);
    }
    Some(head)
}

/// A response of an upstream: the result does not depend on how it is split into reads, and no head
/// is accepted that another parser would reject.
pub fn answer(data: &[u8]) {
    let whole = fuzzing::read_answer(data, data.len());
    for size in [1, 2, 7] {
        assert_eq!(
            fuzzing::read_answer(data, size),
            whole,
            "in pieces of {size}"
        );
    }
    let first = whole.head.is_some() && !data.starts_with(b"\r") && !data.starts_with(b"\n");
    if first && data.starts_with(b"HTTP/1.1 2") {
        let mut fields = [httparse::EMPTY_HEADER; 128];
        assert!(
            httparse::Response::new(&mut fields)
                .parse(data)
                .is_ok_and(|status| status.is_complete())
        );
    }
}

/// Bytes of a client: the same requests however they are split, and each as another parser reads
/// it.
pub fn client(data: &[u8]) {
    let whole = fuzzing::read_requests(data, data.len());
    for size in [1, 2, 7] {
        assert_eq!(
            fuzzing::read_requests(data, size),
            whole,
            "in pieces of {size}"
        );
    }
    let places: Vec<usize> = data.iter().map(|byte| usize::from(*byte) * 3).collect();
    assert_eq!(
        fuzzing::read_requests_cut_at(data, &places),
        whole,
        "cut at {places:?}"
    );
    let Some(first) = whole.all.first() else {
        return;
    };
    let mut fields = [httparse::EMPTY_HEADER; 128];
    let mut read = httparse::Request::new(&mut fields);
    let complete = read.parse(data).is_ok_and(|status| status.is_complete());
    if !complete && first.target.contains('%') {
        return; // bytes that are not UTF-8 are encoded in the target, and the other parser rejects them
    }
    assert!(complete, "the other parser rejects {first:?}");
    assert!(
        first.target.bytes().all(|byte| byte.is_ascii_graphic()),
        "{first:?}"
    );
    assert_eq!(
        (read.method, read.version),
        (Some(first.method.as_str()), Some(u8::from(first.is_http11)))
    );
    // A repeated equal Content-Length is removed (RFC 9110 section 8.6).
    let is_length =
        |field: &&httparse::Header<'_>| field.name.eq_ignore_ascii_case("content-length");
    let repeated = read
        .headers
        .iter()
        .filter(is_length)
        .count()
        .saturating_sub(1);
    assert_eq!(read.headers.len() - repeated, first.fields.len());
    for field in read.headers.iter() {
        assert!(
            first
                .fields
                .get_all(field.name)
                .iter()
                .any(|value| value == field.value),
            "{}",
            field.name
        );
    }
    let lengths = first.fields.get_all(header::CONTENT_LENGTH).iter().count();
    let encodings = first
        .fields
        .get_all(header::TRANSFER_ENCODING)
        .iter()
        .count();
    if first.ended && first.is_http11 && lengths + encodings == 0 {
        assert!(first.body.is_empty() && first.trailers.is_empty());
    }
}

/// Header blocks, each after a length byte: a decoded block can be encoded and decoded again, the
/// dynamic table stays within its limit, and the result does not depend on how many fields are
/// requested.
pub fn hpack(data: &[u8]) {
    let all = fuzzing::read_blocks(data, usize::MAX);
    assert_eq!(all.fields, all.again);
    assert!(all.table_size <= 4096 && all.fields.len() <= data.len());
    for most in [0, 1, 3] {
        let some = fuzzing::read_blocks(data, most);
        assert_eq!(
            (some.table_size, some.broken),
            (all.table_size, all.broken),
            "{most} fields"
        );
    }
}

/// HTTP/2 from a client (an even first byte) or from an endpoint: the result does not depend on how
/// the bytes are split, and buffered bodies never exceed the windows.
pub fn frames(data: &[u8]) {
    let Some((side, bytes)) = data.split_first() else {
        return;
    };
    let as_endpoint = side & 1 == 1;
    let mut all = if as_endpoint {
        Vec::new()
    } else {
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()
    };
    all.extend_from_slice(bytes);
    let whole = fuzzing::take_frames(&all, as_endpoint, usize::MAX);
    assert!(whole.kept <= 256 * 1024);
    for piece in [1, 7, 100] {
        assert_eq!(
            fuzzing::take_frames(&all, as_endpoint, piece),
            whole,
            "in pieces of {piece}"
        );
    }
}

/// Manifests: refused as a whole, or injected so that a second time changes nothing and every byte can be restored.
pub fn inject(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let input = |text: &str| Input {
        name: "fuzz.yaml".to_owned(),
        text: text.to_owned(),
    };
    let options = Options::default();
    let _ = uninject(&[input(text)]);
    match inject_sidecar(&[input(text)], &options) {
        Err(problems) => assert!(!problems.is_empty()),
        Ok(output) => {
            let injected = input(&output.texts[0]);
            let again = inject_sidecar(std::slice::from_ref(&injected), &options);
            assert_eq!(
                again.expect("what is injected can be injected").texts,
                output.texts
            );
            let back = uninject(&[injected]).expect("what is injected is YAML");
            // A text that has been injected before is restored to what it was before that.
            assert!(back.texts[0] == text || text.contains("outrigger/injected"));
        }
    }
}
