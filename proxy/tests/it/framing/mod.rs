//! `docs/security.md` 1 to 10 over raw sockets, in front of an origin that records every byte: a
//! rejected request is not forwarded, is counted and is logged once; an accepted request is one
//! message with one interpretation.
//!
//! Each case names its requirement. A table runs to its end and then reports all failures.

mod bodies;
mod headers;
mod http2;
mod http2_states;
mod paths;
mod refused;
mod requests;
mod smuggling;
mod upstream;

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use serde_json::Value;

use crate::support::{
    PATIENCE, Proxy,
    frames::{Field, Frames, Outcome},
    recording::{Message, Recording, messages, parse},
    wait_for,
};

/// How long a second answer, or a second message at the origin, may take to show up where there must be none.
const QUIET: Duration = Duration::from_millis(60);

/// A proxy in front of a recording origin.
struct Bench {
    proxy: Proxy,
    origin: Recording,
}

/// What a refusal must be: status, and the reason that is counted and logged.
#[derive(Clone, Copy)]
struct Refusal(u16, &'static str);

/// The codec refused before there was a request.
const UNPARSED: Refusal = Refusal(400, "request.http1_syntax");

impl Bench {
    fn new() -> Self {
        Self::listener("")
    }

    /// With more keys of the listener.
    fn listener(keys: &str) -> Self {
        Self::over(Recording::ok(), keys)
    }

    fn over(origin: Recording, keys: &str) -> Self {
        let yaml = format!(
            "app: {{ port: {} }}\nworkers: 1\nlisteners: [{{ port: 0{keys} }}]\n",
            origin.port()
        );
        Self {
            proxy: Proxy::start(&yaml),
            origin,
        }
    }

    fn log(&self) -> Vec<Value> {
        self.proxy
            .stdout()
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// The line of the newest request, which may come a little after its answer.
    fn last_logged(&self) -> Value {
        wait_for("the access-log line", || self.log().pop())
    }

    fn rejected(&self, reason: &str) -> f64 {
        self.proxy.metric(&format!(
            "outrigger_downstream_rejected_total{{reason=\"{reason}\"}}"
        ))
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.proxy.address("in-0")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends bytes and reads until the proxy closes.
    fn to_the_end(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = self.connect();
        let _ = stream.write_all(bytes);
        read_to_end(&mut stream)
    }

    /// Sends bytes, reads one whole answer and whatever comes right behind it.
    fn ask(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = self.connect();
        let _ = stream.write_all(bytes);
        read_answer(&mut stream)
    }

    /// The access-log line that follows the first `before` ones; there must be exactly one.
    fn one_line(&self, before: usize) -> Result<Value, String> {
        let mut lines = wait_for("an access-log line", || {
            Some(self.log()).filter(|log| log.len() > before)
        });
        if lines.len() != before + 1 {
            return Err(format!(
                "{} access-log lines: {:?}",
                lines.len() - before,
                &lines[before..]
            ));
        }
        Ok(lines.remove(before))
    }

    /// Requirements on every HTTP/1.1 refusal.
    fn refuses(&self, bytes: &[u8], Refusal(status, reason): Refusal) -> Result<(), String> {
        let (lines, count) = (self.log().len(), self.rejected(reason));
        let (reached, whole) = (self.origin.total_bytes(), self.origin.messages().len());
        let answer = self.to_the_end(bytes);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, _) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        if !head.starts_with(&format!("HTTP/1.1 {status} "))
            && !head.starts_with(&format!("HTTP/1.0 {status} "))
        {
            return Err(format!(
                "answered {head:?} instead of {status}; log {:?}",
                self.log().last()
            ));
        }
        if !head.to_ascii_lowercase().contains("\r\nconnection: close") {
            return Err(format!("no Connection: close in {head:?}"));
        }
        if answer.matches("HTTP/1.").count() != 1 {
            return Err(format!("more than one answer: {answer:?}"));
        }
        let line = self.one_line(lines)?;
        if (line["status"].as_u64(), line["reason"].as_str()) != (Some(status.into()), Some(reason))
        {
            return Err(format!("logged as {line}, not {reason}"));
        }
        if self.rejected(reason) != count + 1.0 {
            return Err(format!(
                "{reason} counted {} times",
                self.rejected(reason) - count
            ));
        }
        if reason == "request.body" {
            // The head was good and may be on its way: never a whole message, and the connection is cut.
            if self.origin.messages().len() != whole {
                return Err("a broken body reached the origin as a whole message".into());
            }
            if self.origin.connections() > 0 {
                self.origin.wait_closed(self.origin.connections() - 1);
            }
        } else if self.origin.total_bytes() != reached {
            return Err("bytes reached the origin".into());
        }
        Ok(())
    }

    /// Requirements on everything accepted; the one message that reached the origin.
    fn accepts(&self, bytes: &[u8]) -> Result<Message, String> {
        let before = self.origin.messages().len();
        let answer = self.ask(bytes);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        if !answer.starts_with("HTTP/1.1 200 ") && !answer.starts_with("HTTP/1.0 200 ") {
            return Err(format!("answered {answer:?}; log {:?}", self.log().last()));
        }
        self.one_message(before)
    }

    /// The origin has seen one message, and not a byte more. Another request shows it: what was left anywhere would
    /// come before it, since there is one worker.
    fn only_one_reached(&self) -> Result<(), String> {
        self.ask(b"GET /last HTTP/1.1\r\nHost: a\r\n\r\n");
        let all = self.origin.bytes();
        let mut targets = Vec::new();
        for mut rest in all.iter().map(Vec::as_slice) {
            while let Some((message, length)) = parse(rest) {
                targets.push(message.target().to_owned());
                rest = &rest[length..];
            }
            if !rest.is_empty() {
                return Err(format!("the origin saw {all:?}"));
            }
        }
        match &targets[..] {
            [_, last] if last == "/last" => Ok(()),
            _ => Err(format!("the origin saw {targets:?}")),
        }
    }

    fn one_message(&self, before: usize) -> Result<Message, String> {
        let mut all = self.origin.messages();
        // Connections are listed in the order they were opened, so take away what was there.
        if all.len() != before + 1 {
            return Err(format!(
                "{} messages at the origin: {:?}",
                all.len() - before,
                self.origin.bytes()
            ));
        }
        let message = all.pop().ok_or("no message")?;
        unambiguous(&message)?;
        Ok(message)
    }

    /// Sends one HTTP/2 request; how it ended.
    fn http2(&self, fields: &[Field<'_>], body: Option<&[u8]>) -> Outcome {
        let mut client = Frames::connect(self.proxy.address("in-0"));
        client.headers(1, fields, body.is_none());
        if let Some(body) = body {
            client.data(1, body, true);
        }
        client.outcome(1)
    }
}

/// One Host, one framing, nothing hop-by-hop, and the headers that the proxy owns are the proxy's.
fn unambiguous(message: &Message) -> Result<(), String> {
    let fail = |what: &str| Err(format!("{what}: {message:?}"));
    let framing = message.all("content-length").len() + message.all("transfer-encoding").len();
    if message.all("host").len() != 1 || framing > 1 {
        return fail("not one Host and at most one framing field");
    }
    if message
        .all("transfer-encoding")
        .iter()
        .any(|value| *value != "chunked")
    {
        return fail("a Transfer-Encoding other than chunked");
    }
    if !message.line.ends_with(" HTTP/1.1") || message.line.split(' ').count() != 3 {
        return fail("request line");
    }
    let hop = [
        "keep-alive",
        "proxy-connection",
        "http2-settings",
        "proxy-authorization",
        "proxy-authenticate",
    ];
    if hop.iter().any(|name| !message.all(name).is_empty()) {
        return fail("a hop-by-hop field");
    }
    let connection = message.all("connection");
    if !matches!(connection[..], [] | ["te"] | ["upgrade"])
        || message.all("te").iter().any(|te| *te != "trailers")
    {
        return fail("Connection or TE");
    }
    for name in ["x-request-id", "x-forwarded-for", "x-forwarded-proto"] {
        if message.all(name).len() != 1 {
            return fail(name);
        }
    }
    // HTTP/1.0 without Host leaves nothing to say about the host.
    if message.all("x-forwarded-host").len() > 1 {
        return fail("x-forwarded-host");
    }
    let owned = |name: &str| {
        let name = name.replace('_', "-");
        matches!(
            &*name,
            "x-real-ip" | "forwarded" | "x-forwarded-client-cert"
        ) || name.starts_with("x-outrigger-")
    };
    if message.fields.iter().any(|(name, _)| owned(name)) {
        return fail("a header that only the proxy may write");
    }
    Ok(())
}

fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}

/// One whole answer and what follows within [`QUIET`].
fn read_answer(stream: &mut TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        if !messages(&answer).is_empty() {
            stream.set_read_timeout(Some(QUIET)).unwrap();
        }
        match stream.read(&mut buffer) {
            Ok(read @ 1..) => answer.extend_from_slice(&buffer[..read]),
            _ => return answer,
        }
    }
}

/// Tells everything that went wrong in a table at once.
#[derive(Default)]
struct Report(Vec<String>);

impl Report {
    fn case(&mut self, requirement: u8, name: &str, result: Result<(), String>) {
        if let Err(problem) = result {
            self.0
                .push(format!("requirement {requirement}, {name}: {problem}"));
        }
    }

    #[track_caller]
    fn finish(self) {
        assert!(
            self.0.is_empty(),
            "{} cases failed:\n{}",
            self.0.len(),
            self.0.join("\n")
        );
    }
}

fn bytes(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}
