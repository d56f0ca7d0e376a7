//! What is compared of a request: as an evaluation expects it, and as it was seen.

use std::{
    cell::{Cell, RefCell},
    net::{IpAddr, Ipv4Addr},
    time::SystemTime,
};

use http::{HeaderName, HeaderValue};
use outrigger::evaluation::Evaluation;
use outrigger_config::model::{ListenerId, RouteId};
use outrigger_decision::{
    Conditions, Decision, Outcome, Subject, Trace,
    router::Choice,
    trace::{Lost, Said},
};
use outrigger_filters::{client_address, step::Counting};
use serde_json::Value;

use super::request::Asked;
use crate::support::{recording::Message, wire::status};

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Fields of a message that its codec or connection decides about.
const FRAMING: &[&str] = &["content-length", "transfer-encoding", "connection", "date"];

/// Fields in the order of their names; values of one name stay in theirs.
type Fields = Vec<(String, String)>;

/// What became of one request.
#[derive(Debug, PartialEq)]
pub struct Seen {
    pub route: Option<String>,
    pub client: String,
    pub status: u64,
    pub flag: String,
    pub reason: String,
    pub would_deny: String,
    pub rule: String,
    pub upstream: Option<String>,
    /// What an upstream got.
    pub sent: Option<Sent>,
    /// The fields of an answer of the proxy's own; `None` where it is an upstream's, or a refusal.
    pub answered: Option<Fields>,
}

/// The head that an upstream got.
#[derive(Debug, PartialEq)]
pub struct Sent {
    pub upstream: String,
    pub line: String,
    pub fields: Fields,
}

/// What may become of a request: one outcome, or one for each upstream that may be drawn.
pub struct Expected(Vec<Seen>);

fn fields<'a>(all: impl Iterator<Item = (&'a str, &'a [u8])>) -> Fields {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut fields: Fields = all
        .filter(|(name, _)| !FRAMING.contains(name))
        .map(|(name, value)| (name.to_owned(), text(value)))
        .collect();
    // A new id is another one each time.
    for (_, value) in fields.iter_mut().filter(|(name, _)| name == "x-request-id") {
        if value.len() == 36 && value.split('-').count() == 5 {
            *value = "new".to_owned();
        }
    }
    fields.sort_by(|a, b| a.0.cmp(&b.0));
    fields
}

impl Sent {
    /// The one message that came, if one did.
    pub fn of(got: Vec<(usize, Message)>) -> Option<Self> {
        assert!(got.len() <= 1, "sent more than once: {got:?}");
        let (upstream, message) = got.into_iter().next()?;
        let all = message.fields.iter();
        Some(Self {
            upstream: format!("u{upstream}"),
            line: message.line.clone(),
            fields: fields(all.map(|(name, value)| (&**name, value.as_bytes()))),
        })
    }
}

impl Seen {
    /// From the access log, the head of the answer and what an upstream got.
    pub fn of(line: &Value, head: &str, sent: Option<Sent>) -> Self {
        let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
        let name = |key: &str| line[key].as_str().map(str::to_owned);
        assert_eq!(line["status"], status(head), "{line}\n{head}");
        let own = sent.is_none() && text("flag").is_empty();
        let lines = head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(": "));
        let answered = own.then(|| fields(lines.map(|(name, value)| (name, value.as_bytes()))));
        Self {
            route: name("route"),
            client: text("clientAddress"),
            status: line["status"].as_u64().unwrap(),
            flag: text("flag"),
            reason: text("reason"),
            would_deny: text("wouldDeny"),
            rule: text("rule"),
            upstream: name("upstream"),
            sent,
            answered,
        }
    }

    fn decided(decision: &Decision, evaluation: &Evaluation) -> Self {
        let config = evaluation.config();
        let route = decision.route.map(|choice| config.route(choice.route));
        let client = decision.client.map_or(PEER, |client| client.address);
        let mut seen = Self {
            route: route.map(|route| route.name.to_string()),
            client: client.to_string(),
            status: 200,
            flag: String::new(),
            reason: String::new(),
            would_deny: decision
                .reported
                .first()
                .map_or("", |reason| reason.as_str())
                .to_owned(),
            rule: decision.rule.as_deref().unwrap_or_default().to_owned(),
            upstream: None,
            sent: None,
            answered: None,
        };
        match &decision.outcome {
            Outcome::Refuse(error) => {
                seen.status = error.status().as_u16().into();
                seen.flag = error.flag().as_str().to_owned();
                seen.reason = error.reason().as_str().to_owned();
            }
            Outcome::Answer(response) => {
                seen.status = response.status().as_u16().into();
                let all = response.headers().iter();
                seen.answered = Some(fields(
                    all.map(|(name, value)| (name.as_str(), value.as_bytes())),
                ));
            }
            Outcome::Forward(forwarding) => {
                let name = config.upstream(forwarding.upstream).name.to_string();
                seen.sent = Some(Self::sent(decision, &name));
                seen.upstream = Some(name);
            }
        }
        seen
    }

    fn sent(decision: &Decision, upstream: &str) -> Sent {
        let head = &decision.head;
        let target = head.uri.path_and_query().unwrap();
        let all: Vec<(HeaderName, HeaderValue)> = decision.fields();
        Sent {
            upstream: upstream.to_owned(),
            line: format!("{} {target} HTTP/1.1", head.method),
            fields: fields(
                all.iter()
                    .map(|(name, value)| (name.as_str(), value.as_bytes())),
            ),
        }
    }

    /// Words by which outcomes are counted.
    pub fn kinds(&self) -> Vec<String> {
        let outcome = match (&self.sent, &*self.reason) {
            (Some(_), _) => "forward".to_owned(),
            (None, "") => format!("answer {}", self.status),
            (None, reason) => reason.to_owned(),
        };
        let would_deny = (!self.would_deny.is_empty()).then(|| "would deny".to_owned());
        [outcome].into_iter().chain(would_deny).collect()
    }
}

impl Expected {
    /// Evaluates a request, once for each draw among upstreams; at last so that it counts for rate limits.
    pub fn of(evaluation: &Evaluation, asked: &Asked) -> Self {
        let total = Cell::new(1);
        let decide = |point: u32, counting: Counting| {
            let draw = |all: u32| {
                total.set(all);
                point
            };
            decide(evaluation, asked, &draw, counting)
        };
        let mut all = vec![decide(0, Counting::No)];
        let mut point = 1;
        while point < total.get() {
            all.push(decide(point, Counting::No));
            point += 1;
        }
        let counted = decide(0, Counting::Yes);
        assert_eq!(
            all[0], counted,
            "a look at the limits and a request that counts"
        );
        Self(all)
    }

    /// The outcome with this upstream, or else any.
    pub fn for_upstream(&self, upstream: Option<&str>) -> &Seen {
        let found = self
            .0
            .iter()
            .find(|seen| seen.upstream.as_deref() == upstream);
        found.unwrap_or(&self.0[0])
    }
}

fn decide(
    evaluation: &Evaluation,
    asked: &Asked,
    draw: &dyn Fn(u32) -> u32,
    counting: Counting,
) -> Seen {
    let peer_value = client_address::peer_value(PEER);
    let subject = Subject {
        listener: ListenerId(0),
        peer: PEER,
        peer_value: &peer_value,
        tls: None,
    };
    let conditions = Conditions {
        now: tokio::time::Instant::now(),
        time: SystemTime::now(),
        draw,
        has_body: !asked.body.is_empty(),
        counting,
    };
    let heard = Heard::default();
    let decision = match counting {
        Counting::No => evaluation.decide(&subject, asked.head(), &conditions, &heard),
        Counting::Yes => evaluation.decide(&subject, asked.head(), &conditions, ()),
    };
    if counting == Counting::No {
        heard.check(&decision);
    }
    assert!(decision.undecided.is_empty(), "{:?}", decision.undecided);
    Seen::decided(&decision, evaluation)
}

/// What a trace has heard.
#[derive(Default)]
struct Heard {
    candidates: RefCell<Vec<(RouteId, u32, Option<Lost>)>>,
    last: Cell<Option<bool>>,
}

impl Trace for &Heard {
    fn candidate(self, route: RouteId, match_index: u32, lost: Option<Lost>) {
        let mut candidates = self.candidates.borrow_mut();
        candidates.push((route, match_index, lost));
    }

    fn stage(self, _: &'static str, said: Said<'_>) {
        self.last.set(Some(matches!(said, Said::Pass)));
    }
}

impl Heard {
    /// One candidate has won, the one that the decision names; and what said the last word is what decided.
    fn check(&self, decision: &Decision) {
        let candidates = self.candidates.borrow();
        let won: Vec<_> = candidates
            .iter()
            .filter(|(_, _, lost)| lost.is_none())
            .map(|(route, index, _)| (*route, *index))
            .collect();
        let chosen = |choice: Choice| (choice.route, choice.match_index);
        let named: Vec<_> = decision.route.map(chosen).into_iter().collect();
        assert_eq!(won, named, "{candidates:?}");
        let is_forwarded = matches!(decision.outcome, Outcome::Forward(_));
        assert_eq!(self.last.get(), Some(is_forwarded));
    }
}
