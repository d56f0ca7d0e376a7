//! Headers from the `extAuth` response for the app.
//!
//! An app that trusts a header cannot know which route a request took. So a client's header with a
//! name from any route's `responseHeaders` is removed on every inbound route, also if the service
//! was not called or did not respond. Credentials (`authorization`, `cookie`) are the exception:
//! they are removed only where the route's own service may replace them.

use http::{HeaderMap, HeaderName, header};
use outrigger_config::model::{Config, Direction, Route};

use crate::{
    claim_headers::reads_like,
    service::Request,
    step::{Step, Verdict},
};

/// Removes headers that only the service may set, and inserts those that it sent.
#[derive(Debug)]
pub struct HandOverStep(Vec<HeaderName>);

impl HandOverStep {
    /// The step for a route; `None` if the route does not need it.
    pub fn new(config: &Config, route: &Route) -> Option<Self> {
        let names = names(config, route);
        (!names.is_empty()).then(|| Self(names))
    }
}

/// Header names that are removed from requests on every inbound route.
pub fn owned(config: &Config) -> impl Iterator<Item = &HeaderName> {
    let inbound = config
        .routes
        .iter()
        .filter(|route| is_inbound(config, route));
    inbound.flat_map(of_route).filter(|name| {
        !matches!(
            **name,
            header::AUTHORIZATION | header::COOKIE | header::SET_COOKIE
        )
    })
}

fn of_route(route: &Route) -> impl Iterator<Item = &HeaderName> {
    route
        .ext_auth
        .iter()
        .flat_map(|service| &service.response_headers)
}

fn is_inbound(config: &Config, route: &Route) -> bool {
    route
        .listeners
        .iter()
        .any(|id| config.listener(*id).direction == Direction::Inbound)
}

/// Header names that are removed from requests of this route.
fn names(config: &Config, route: &Route) -> Vec<HeaderName> {
    let own = of_route(route).filter(|name| **name != header::SET_COOKIE);
    let others = owned(config).filter(|_| is_inbound(config, route));
    let mut names: Vec<HeaderName> = own.chain(others).cloned().collect();
    names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
    names.dedup();
    names
}

/// Removes every field with such a name, or one that differs only in `_` and `-`.
fn strip(names: &[HeaderName], headers: &mut HeaderMap) {
    let is_one = |name: &HeaderName| {
        names
            .iter()
            .any(|own| reads_like(own.as_str(), name.as_str()))
    };
    let found: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_one(name))
        .cloned()
        .collect();
    for name in found {
        headers.remove(name);
    }
}

impl Step for HandOverStep {
    fn on_request(&self, request: &mut Request) -> Verdict {
        strip(&self.0, &mut request.head.headers);
        for (name, value) in request.context.take_for_app() {
            request.head.headers.append(name, value);
        }
        Verdict::Pass
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn config() -> Config {
        let text = "\
app: { port: 8080 }
listeners: [{ port: 8000 }, { name: egress, port: 9001, direction: outbound }]
upstreams: { out: { endpoints: [{ url: \"http://a.example\" }] } }
routes:
  - name: asks
    matches: [{ path: /asks }]
    extAuth: { url: \"http://127.0.0.1:1\", responseHeaders: [x-user, authorization, set-cookie] }
  - { name: other, matches: [{ path: /other }], extAuth: { url: \"http://127.0.0.1:1\", responseHeaders: [x-tenant] } }
  - { name: open }
  - { name: out, listeners: [egress], backendRefs: [out] }
";
        outrigger_config::load_str("test.yaml", text, &|_: &str| None)
            .unwrap()
            .config
    }

    #[test]
    fn names_are_taken_away_on_every_inbound_route_but_credentials_only_where_they_are_replaced() {
        let config = config();
        for (route, expected) in [
            ("asks", &["authorization", "x-tenant", "x-user"][..]),
            ("other", &["x-tenant", "x-user"]),
            ("open", &["x-tenant", "x-user"]),
            ("out", &[]),
        ] {
            let route = config
                .routes
                .iter()
                .find(|one| &*one.name == route)
                .unwrap();
            assert_eq!(names(&config, route), expected, "{}", route.name);
            assert_eq!(
                HandOverStep::new(&config, route).is_some(),
                !expected.is_empty()
            );
        }
    }

    #[test]
    fn every_spelling_is_taken_away() {
        let mut headers = HeaderMap::new();
        for name in ["x-user-id", "x_user_id", "x-user_id", "x-user"] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static("1"));
            headers.append(HeaderName::from_static(name), HeaderValue::from_static("2"));
        }
        strip(&[HeaderName::from_static("x-user-id")], &mut headers);
        assert_eq!(headers.keys().collect::<Vec<_>>(), ["x-user"]);
    }
}
