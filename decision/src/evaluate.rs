//! Predicts what the data path would do with one request: the same functions, in the same order,
//! without sending or waiting.
//!
//! Results that depend on more than the request, its client and the configuration are left open:
//! which endpoint has room, how long anything takes, `fault`, and decisions of external services. A
//! step of the last kind is listed in [`Decision::undecided`], and the evaluation continues as if
//! it had passed the request.

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

/// A placeholder for the id that the proxy would generate.
const NEW_ID: [u8; 36] = *b"00000000-0000-0000-0000-000000000000";

/// The inputs of a decision besides request, client and configuration.
pub struct Conditions<'a> {
    /// When the head was complete.
    pub now: Moment,
    /// The same on the wall clock, for the times in tokens.
    pub time: SystemTime,
    /// Returns a number below its argument: the random choice among weighted upstreams.
    pub draw: &'a dyn Fn(u32) -> u32,
    /// Whether a body follows the head.
    pub has_body: bool,
    /// Whether the request counts towards rate limits.
    pub counting: Counting,
}

/// The result of an evaluation, and the head that would be sent.
#[derive(Debug)]
pub struct Decision {
    /// The listener that accepted it.
    pub listener: ListenerId,
    /// The route and the match; `None` if the request was rejected before, or none matches.
    pub route: Option<Choice>,
    /// What happens to the request.
    pub outcome: Outcome,
    /// Its client; `None` if the request was rejected before it was determined.
    pub client: Option<ClientAddress>,
    /// The request id from a trusted peer; without one the proxy generates one.
    pub kept_id: Option<RequestId>,
    /// Its head, as the last stage left it.
    pub head: Parts,
    /// Headers that the proxy adds; `None` if they are among the fields already.
    pub own: Option<Own>,
    /// Rejections that `mode: report` does not enforce.
    pub reported: Vec<Reason>,
    /// The rule or limit that rejected the request, or would have.
    pub rule: Option<Arc<str>>,
    /// Stages whose result cannot be known without carrying them out.
    pub undecided: Vec<&'static str>,
}

/// What happens to a request.
#[derive(Debug)]
pub enum Outcome {
    /// It is sent to an upstream.
    Forward(Forwarding),
    /// The proxy responds itself.
    Answer(Box<Response<Body>>),
    /// The request is rejected.
    Refuse(Error),
}

/// How a request is sent to an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forwarding {
    /// The upstream.
    pub upstream: UpstreamId,
    /// Whether Host is replaced by that of the endpoint.
    pub endpoint_host: bool,
    /// What the protocol of the upstream requires.
    pub sending: Sending,
    /// Which further attempts are permitted.
    pub tries: Tries,
}

impl Decision {
    /// The fields for the upstream: those of the head, then those that the proxy adds. The codec
    /// adds the framing fields.
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

/// An evaluation in progress.
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
    /// Runs all stages.
    ///
    /// # Errors
    /// The result of an earlier stage that ended the evaluation.
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

    /// Applies the verdict of a stage.
    ///
    /// # Errors
    /// The verdict ends the evaluation.
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

    /// Reports the result of the stage that ended the evaluation.
    fn ended(&self, name: &'static str, outcome: Outcome) -> Outcome {
        let said = match &outcome {
            Outcome::Forward(_) => Said::Pass,
            Outcome::Answer(response) => Said::Answer(response),
            Outcome::Refuse(error) => Said::Refuse(error),
        };
        self.trace.stage(name, said);
        outcome
    }

    /// 7 and 8: the route whose steps run.
    ///
    /// # Errors
    /// No route matches, or the request is a preflight.
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

    /// 15, or the preparation of the first attempt.
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

    /// Selects an upstream, and prepares the head for it.
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
