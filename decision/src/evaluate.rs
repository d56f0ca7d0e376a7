//! What the data path would do with one request: the same functions, in the same order, with nothing sent and nothing waited
//! for.
//!
//! What depends on more than the request, its client and the configuration stays open: which endpoint has room, how long
//! anything takes, `fault`, and what only a service outside knows. A step of that last kind is named in
//! [`Decision::undecided`], and the evaluation goes on as if it had let the request pass.

use std::{rc::Rc, sync::Arc, time::SystemTime};

use http::{HeaderName, HeaderValue, Response, request::Parts};
use outrigger_config::model::{Action, ListenerId, Route, RouteId, UpstreamId, WeightedBackend};
use outrigger_filters::{
    client_address::ClientAddress,
    context::{Context, Exchange, Moment, RequestId},
    cors::{self, Grant},
    error::Error,
    owned_headers::Own,
    reason::Reason,
    recycle::Alarm,
    retry::Policy,
    service::{Body, Request},
    step::{Counting, Verdict},
};

use crate::{
    Runtime, Subject, Trace,
    backends::Backends,
    choice::{self, Entered},
    intake::{self, Facts},
    respond::{self, Direct},
    router::Choice,
    trace::{self, Said},
    tries::{self, Tries},
    wire::{self, Sending},
};

/// Stands for the id that a request gets when it comes.
const NEW_ID: [u8; 36] = *b"00000000-0000-0000-0000-000000000000";

/// What a decision depends on beside request, client and configuration.
pub struct Conditions<'a> {
    /// When the head is complete.
    pub now: Moment,
    /// The same on the wall clock, which tokens go by.
    pub time: SystemTime,
    /// Gives a number below the one that it gets: the draw among upstreams with weights.
    pub draw: &'a dyn Fn(u32) -> u32,
    /// Whether a body follows the head.
    pub has_body: bool,
    /// Whether the request counts for rate limits.
    pub counting: Counting,
}

/// What happens to a request, and what it looks like then.
#[derive(Debug)]
pub struct Decision {
    /// The listener that it came through.
    pub listener: ListenerId,
    /// The route and the match that took it; `None` where it was refused before, or none did.
    pub route: Option<Choice>,
    /// What happens to it.
    pub outcome: Outcome,
    /// Its client; `None` where it was refused before that was looked at.
    pub client: Option<ClientAddress>,
    /// The request id that a trusted peer gave it; without one it gets a new one.
    pub kept_id: Option<RequestId>,
    /// Its head, as far as it came.
    pub head: Parts,
    /// What the proxy says about it beside its own fields; `None` where that stands among them.
    pub own: Option<Own>,
    /// Refusals that `mode: report` does not carry out.
    pub reported: Vec<Reason>,
    /// The rule or limit that refused it, or would have.
    pub rule: Option<Arc<str>>,
    /// Stages that cannot be known before they are carried out.
    pub undecided: Vec<&'static str>,
}

/// What happens to a request.
#[derive(Debug)]
pub enum Outcome {
    /// It is sent to an upstream.
    Forward(Forwarding),
    /// The proxy answers it itself.
    Answer(Box<Response<Body>>),
    /// It is refused.
    Refuse(Error),
}

/// How a request is sent to an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forwarding {
    /// The upstream.
    pub upstream: UpstreamId,
    /// Whether Host becomes that of the endpoint.
    pub endpoint_host: bool,
    /// As the wire wants it.
    pub sending: Sending,
    /// Which tries it may have.
    pub tries: Tries,
}

impl Decision {
    /// The fields that an upstream gets: those of the head, then what the proxy says. The codec adds what frames the body.
    pub fn fields(&self) -> Vec<(HeaderName, HeaderValue)> {
        let head = self.head.headers.iter();
        let mut fields: Vec<_> = head
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        if let Some(own) = &self.own {
            own.each(|name, value| {
                let value = HeaderValue::from_bytes(value);
                fields.extend(value.ok().map(|value| (name.clone(), value)));
            });
        }
        fields
    }
}

/// Decides about one request as the data path does.
pub fn evaluate<R: Runtime, T: Trace>(
    runtime: &R,
    subject: &Subject<'_>,
    mut head: Parts,
    conditions: &Conditions<'_>,
    trace: T,
) -> Decision {
    let exchange = begin(subject, conditions);
    let mut facts = Facts::default();
    let admitted = intake::admit(&mut head, subject, runtime, &mut facts);
    let (client, kept_id) = (facts.client, facts.kept_id.clone());
    facts.write(&exchange, || RequestId::New(NEW_ID));
    let mut evaluation = Evaluation {
        runtime,
        listener: subject.listener,
        conditions,
        trace,
        request: Request {
            head: Box::new(head),
            body: Body::Empty,
            context: Rc::clone(&exchange),
        },
        choice: None,
        grant: None,
        undecided: Vec::new(),
    };
    let outcome = evaluation.run(admitted).unwrap_or_else(|ended| ended);
    evaluation.end(outcome, client, kept_id)
}

fn begin(subject: &Subject<'_>, conditions: &Conditions<'_>) -> Context {
    let identity = subject.tls.as_ref().and_then(|tls| tls.identity);
    let (now, peer) = (conditions.now, subject.peer);
    let exchange = Exchange::begin(now, peer, identity.cloned(), Alarm::default());
    exchange.set_wall_time(conditions.time);
    if !conditions.has_body {
        exchange.complete_request(now);
    }
    exchange
}

/// A decision in the making.
struct Evaluation<'a, R, T> {
    runtime: &'a R,
    listener: ListenerId,
    conditions: &'a Conditions<'a>,
    trace: T,
    request: Request,
    choice: Option<Choice>,
    grant: Option<Box<Grant>>,
    undecided: Vec<&'static str>,
}

impl<'a, R: Runtime, T: Trace> Evaluation<'a, R, T> {
    /// All stages.
    ///
    /// # Errors
    /// One in front of the last has decided.
    fn run(&mut self, admitted: Result<(), Error>) -> Result<Outcome, Outcome> {
        self.stage(trace::INTAKE, Some(admitted.into()))?;
        let id = self.choose()?;
        for step in self.runtime.steps(id).iter() {
            let verdict = step.peek(&mut self.request, self.conditions.counting);
            self.stage(step.name(), verdict)?;
        }
        let outcome = self.act(self.runtime.config().route(id));
        Ok(self.ended(trace::ACTION, outcome))
    }

    /// What a stage says.
    ///
    /// # Errors
    /// It has decided.
    fn stage(&mut self, name: &'static str, verdict: Option<Verdict>) -> Result<(), Outcome> {
        match verdict {
            Some(Verdict::Pass) => self.trace.stage(name, Said::Pass),
            Some(Verdict::Refuse(error)) => return Err(self.ended(name, Outcome::Refuse(error))),
            Some(Verdict::Answer(response)) => {
                return Err(self.ended(name, Outcome::Answer(Box::new(response))));
            }
            Some(Verdict::Wait(_)) | None => {
                self.trace.stage(name, Said::Unknown);
                self.undecided.push(name);
            }
        }
        Ok(())
    }

    /// A stage has decided.
    fn ended(&self, name: &'static str, outcome: Outcome) -> Outcome {
        let said = match &outcome {
            Outcome::Forward(_) => Said::Pass,
            Outcome::Answer(response) => Said::Answer(response),
            Outcome::Refuse(error) => Said::Refuse(error),
        };
        self.trace.stage(name, said);
        outcome
    }

    /// 7 and 8: the route whose steps decide.
    ///
    /// # Errors
    /// There is none, or it is a preflight.
    fn choose(&mut self) -> Result<RouteId, Outcome> {
        let preflight = cors::preflight(&self.request.head);
        let (runtime, listener, asked) = (self.runtime, self.listener, preflight.as_ref());
        let (choice, newer_keys) =
            choice::choose(runtime, listener, &self.request, asked, self.trace);
        self.choice = choice;
        if newer_keys.is_some_and(|provider| runtime.verifiers().may_renew(provider)) {
            self.stage(trace::ROUTE, None)?;
        }
        match choice::enter(runtime, choice.as_ref(), asked.is_some(), &self.request) {
            Ok(Entered::Steps(route, grant)) => {
                self.grant = grant;
                self.stage(trace::ROUTE, Some(Verdict::Pass))?;
                Ok(route)
            }
            Ok(Entered::Preflight(grant, response)) => {
                self.grant = Some(grant);
                Err(self.ended(trace::CORS, Outcome::Answer(response)))
            }
            Err(error) => Err(self.ended(trace::ROUTE, Outcome::Refuse(error))),
        }
    }

    /// 15, or all that a request needs for its first try.
    fn act(&mut self, route: &'a Route) -> Outcome {
        match &route.action {
            Action::Redirect(accepted) => match respond::redirect(accepted, &self.request) {
                Ok(response) => Outcome::Answer(Box::new(response)),
                Err(error) => Outcome::Refuse(error),
            },
            Action::Respond(accepted) => {
                Outcome::Answer(Box::new(Direct::new(accepted).response()))
            }
            Action::Forward(backends) => Outcome::Forward(self.forward(route, backends)),
        }
    }

    /// Draws an upstream, and makes the head what it gets.
    fn forward(&mut self, route: &Route, backends: &[WeightedBackend]) -> Forwarding {
        let (runtime, request) = (self.runtime, &mut self.request);
        let targets = Backends::new(runtime.config(), route, backends);
        let upstream = targets.choose(request, self.conditions.draw);
        let sending = wire::prepare(
            &mut request.head,
            self.conditions.has_body,
            runtime.config().upstream(upstream),
            runtime.authorization(upstream),
            &request.context,
        );
        let policy = route.retry.as_ref().map(Policy::new);
        let hedges = route.hedge.is_some();
        let tries = tries::plan(policy.as_ref(), hedges, &sending, &request.head);
        if tries::counts(route) {
            let mut own = request.context.own.borrow_mut();
            tries::announce(1, &mut request.head.headers, own.as_mut());
        }
        Forwarding {
            upstream,
            endpoint_host: targets.endpoint_host,
            sending,
            tries,
        }
    }

    fn end(
        self,
        mut outcome: Outcome,
        client: Option<ClientAddress>,
        kept_id: Option<RequestId>,
    ) -> Decision {
        let Request { head, context, .. } = self.request;
        if let Outcome::Answer(response) = &mut outcome {
            let config = self.runtime.config();
            let route = self.choice.map(|choice| config.route(choice.route));
            respond::finish(&context, route, self.grant, response.headers_mut());
        }
        Decision {
            listener: self.listener,
            route: self.choice,
            outcome,
            client,
            kept_id,
            head: *head,
            own: context.own.take(),
            reported: context.would_denies(),
            rule: context.rule().map(Arc::from),
            undecided: self.undecided,
        }
    }
}
