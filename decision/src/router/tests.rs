use std::{cell::RefCell, cmp::Reverse, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use outrigger_config::model::{
    Action, Auth, ClaimMatch, ClaimPath, Credential, DirectResponse, HeaderMatch, Hostname,
    ListenerId, Mode, PathMatch, PathTemplate, Pattern, ProviderId, QueryMatch, Requirement, Route,
    RouteId, RouteMatch, Scheme, TemplateSegment, ValueMatch,
};
use outrigger_filters::claims::Claims;

use super::{Choice, Head, RouteTable, Tokens};
use crate::{Trace, trace::Lost};

const LISTENER: ListenerId = ListenerId(0);

fn route(hostnames: &[&str], matches: Vec<RouteMatch>) -> Route {
    let action = Action::Respond(DirectResponse::new(StatusCode::OK, "".into()));
    let mut route = Route::new("r".into(), vec![LISTENER], matches, action);
    route.hostnames = hostnames.iter().map(|name| hostname(name)).collect();
    route
}

fn hostname(name: &str) -> Hostname {
    match name.strip_prefix('*') {
        Some(suffix) => Hostname::Wildcard(suffix.into()),
        None => Hostname::Exact(name.into()),
    }
}

/// `=/x` is exact, `~/x` a regex, `{` makes a template, else a prefix.
fn on(path: &str) -> RouteMatch {
    RouteMatch::new(match path.split_at(1) {
        ("=", exact) => PathMatch::Exact(exact.into()),
        ("~", source) => PathMatch::Regex(Pattern::new(source).unwrap()),
        _ if path.contains('{') => PathMatch::Template(template(path)),
        _ => PathMatch::Prefix(path.into()),
    })
}

fn template(source: &str) -> PathTemplate {
    let segment = |text: &str| match text
        .strip_prefix('{')
        .and_then(|text| text.strip_suffix('}'))
    {
        Some(name) => TemplateSegment::Variable(name.into()),
        None => TemplateSegment::Literal(text.into()),
    };
    PathTemplate::new(source.into(), source[1..].split('/').map(segment).collect())
}

fn header(name: &'static str, value: ValueMatch) -> HeaderMatch {
    HeaderMatch::new(HeaderName::from_static(name), value)
}

fn exact(text: &str) -> ValueMatch {
    ValueMatch::Exact(text.into())
}

fn regex(source: &str) -> ValueMatch {
    ValueMatch::Regex(Pattern::new(source).unwrap())
}

fn claim(name: &str, value: ValueMatch) -> ClaimMatch {
    ClaimMatch::new(ClaimPath::new([Arc::from(name)]), vec![value])
}

/// A token that was verified: its provider, and claims that are texts.
#[derive(Debug, Clone)]
struct Token(ProviderId, Vec<(&'static str, &'static str)>);

impl Claims for Token {
    fn has(&self, claim: &ClaimPath) -> bool {
        self.any(claim, &mut |_| true)
    }

    fn any(&self, claim: &ClaimPath, holds: &mut dyn FnMut(&str) -> bool) -> bool {
        self.1
            .iter()
            .any(|(name, value)| *name == &*claim.members()[0] && holds(value))
    }

    fn has_scope(&self, _: &str) -> bool {
        false
    }
}

impl Tokens for Vec<Token> {
    fn any(&self, providers: &[ProviderId], holds: &mut dyn FnMut(&dyn Claims) -> bool) -> bool {
        let mut of_them = self
            .iter()
            .filter(|token| providers.is_empty() || providers.contains(&token.0));
        of_them.any(|token| holds(token))
    }
}

/// A request for tests, owned.
#[derive(Debug)]
struct Request {
    method: Method,
    scheme: Scheme,
    host: Option<String>,
    path: String,
    query: Option<String>,
    headers: HeaderMap,
    preflight: bool,
    tokens: Vec<Token>,
}

impl Request {
    fn get(host: &str, target: &str) -> Self {
        let (path, query) = target
            .split_once('?')
            .map_or((target, None), |(path, query)| (path, Some(query)));
        Self {
            method: Method::GET,
            scheme: Scheme::Http,
            host: Some(host.to_owned()).filter(|host| !host.is_empty()),
            path: path.to_owned(),
            query: query.map(str::to_owned),
            headers: HeaderMap::new(),
            preflight: false,
            tokens: Vec::new(),
        }
    }

    fn claiming(mut self, provider: u32, claims: &[(&'static str, &'static str)]) -> Self {
        self.tokens
            .push(Token(ProviderId(provider), claims.to_vec()));
        self
    }

    fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.append(name, HeaderValue::from_static(value));
        self
    }

    fn head(&self) -> Head<'_> {
        Head {
            host: self.host.as_deref(),
            path: &self.path,
            query: self.query.as_deref(),
            method: &self.method,
            scheme: self.scheme,
            headers: &self.headers,
            own: None,
            preflight: self.preflight,
            tokens: Some(&self.tokens),
        }
    }
}

/// Index of the route chosen, by the table and by the reference alike.
fn chosen(routes: &[Route], request: &Request) -> Option<u32> {
    let table = RouteTable::of_routes(routes, LISTENER);
    let choice = table.choose(&request.head());
    assert_eq!(choice, reference::choose(routes, LISTENER, &request.head()));
    let traced = table.choose_and_tell(&request.head(), &Heard::default());
    assert_eq!(choice, traced, "a trace changes nothing");
    choice.map(|choice| choice.route.0)
}

/// A trace that records its calls.
#[derive(Default)]
struct Heard {
    hostnames: RefCell<Vec<Option<String>>>,
    candidates: RefCell<Vec<(u32, u32, Option<Lost>)>>,
}

impl Trace for &Heard {
    fn hostname(self, name: Option<&str>) {
        let name = name.map(str::to_owned);
        self.hostnames.borrow_mut().push(name);
    }

    fn candidate(self, route: RouteId, match_index: u32, lost: Option<Lost>) {
        let mut candidates = self.candidates.borrow_mut();
        candidates.push((route.0, match_index, lost));
    }
}

#[test]
fn a_trace_hears_every_candidate_in_order_and_why_it_lost() {
    let with = |path: &str, change: &dyn Fn(&mut RouteMatch)| {
        let mut one = on(path);
        change(&mut one);
        one
    };
    let put = |one: &mut RouteMatch| one.method = Some(Method::PUT);
    let https = |one: &mut RouteMatch| one.scheme = Some(Scheme::Https);
    let headers = |one: &mut RouteMatch| one.headers.push(header("x-env", exact("prod")));
    let query = |one: &mut RouteMatch| {
        let value = ValueMatch::Present;
        one.query_params.push(QueryMatch::new("v".into(), value));
    };
    let claims = |one: &mut RouteMatch| one.claims.push(claim("role", exact("admin")));
    let routes = [
        route(
            &["h.example"],
            vec![with("=/a/b", &put), with("~/a/[b-c]+", &claims)],
        ),
        route(
            &["*.example"],
            vec![with("/a", &headers), on("=/elsewhere")],
        ),
        route(&[], vec![with("/a/{x}", &https), on("/a/{x}"), on("/a/b")]),
        route(&[], vec![with("/a", &query), on("/"), on("~/never")]),
        route(&["other.example"], vec![on("/")]),
    ];
    let heard = Heard::default();
    let request = Request::get("H.example:8080", "/a/b");
    let table = RouteTable::of_routes(&routes, LISTENER);
    let choice = table.choose_and_tell(&request.head(), &heard).unwrap();
    assert_eq!((choice.route.0, choice.match_index), (2, 1));
    let names = ["h.example", ".example"].map(|name| Some(name.to_owned()));
    assert_eq!(heard.hostnames.take(), [&names[..], &[None]].concat());
    assert_eq!(
        heard.candidates.take(),
        [
            (0, 0, Some(Lost::Method)),
            (0, 1, Some(Lost::Claims)),
            (1, 0, Some(Lost::Headers)),
            (2, 0, Some(Lost::Scheme)),
            (2, 1, None),
            (2, 2, Some(Lost::Precedence)),
            (3, 0, Some(Lost::Query)),
            (3, 1, Some(Lost::Precedence)),
        ]
    );
}

#[test]
fn one_route_for_everything_takes_everything() {
    let routes = [route(&[], vec![on("/")])];
    for request in [
        Request::get("", "/"),
        Request::get("a:80", "/x/y?z"),
        Request::get("[::1]:80", "*"),
    ] {
        let choice = RouteTable::of_routes(&routes, LISTENER).choose(&request.head());
        assert_eq!(
            choice,
            Some(Choice {
                route: RouteId(0),
                match_index: 0,
                prefix_len: Some(0)
            })
        );
    }
    assert_eq!(
        RouteTable::of_routes(&routes, ListenerId(1)).choose(&Request::get("", "/").head()),
        None
    );
    assert_eq!(
        RouteTable::of_routes(&[], LISTENER).choose(&Request::get("", "/").head()),
        None
    );
}

#[test]
fn hosts_go_from_exact_over_longer_wildcards_to_none_and_ignore_case_port_and_a_dot_at_the_end() {
    let routes = [
        route(&[], vec![on("/")]),
        route(&["*.example.com"], vec![on("/")]),
        route(&["*.b.example.com"], vec![on("/")]),
        route(&["a.b.example.com", "other"], vec![on("/")]),
    ];
    for (host, expected) in [
        ("", 0),
        ("example.com", 0),
        (".example.com", 0),
        ("xexample.com", 0),
        ("a.example.com", 1),
        ("b.example.com", 1),
        ("x.y.z.example.com", 1),
        ("c.b.example.com", 2),
        ("d.c.b.example.com", 2),
        ("a.b.example.com", 3),
        ("A.B.Example.COM:8443", 3),
        ("C.b.example.com:1", 2),
        ("OTHER", 3),
        ("other.", 3),
        ("C.B.example.com.:1", 2),
        ("example.com.", 0),
        ("[::1]:443", 0),
    ] {
        assert_eq!(
            chosen(&routes, &Request::get(host, "/")),
            Some(expected),
            "{host}"
        );
    }
    let long = format!("{}.example.com", "a.".repeat(200));
    assert_eq!(
        RouteTable::of_routes(&routes, LISTENER)
            .choose(&Request::get(&long, "/").head())
            .unwrap()
            .route
            .0,
        0
    );
}

#[test]
fn a_better_host_without_a_matching_path_falls_through() {
    let routes = [
        route(&["a.example"], vec![on("/a")]),
        route(&["*.example"], vec![on("/b")]),
        route(&[], vec![on("/")]),
    ];
    for (path, expected) in [("/a", 0), ("/b", 1), ("/c", 2)] {
        assert_eq!(
            chosen(&routes, &Request::get("a.example", path)),
            Some(expected),
            "{path}"
        );
    }
    assert_eq!(chosen(&routes[..2], &Request::get("a.example", "/c")), None);
}

#[test]
fn paths_go_from_exact_over_template_regex_and_longer_prefix_to_all() {
    let routes = [
        route(&[], vec![on("/")]),
        route(&[], vec![on("/a")]),
        route(&[], vec![on("/a/b")]),
        route(&[], vec![on("~/a/[bc]/.*")]),
        route(&[], vec![on("~/a/b/[0-9]+/.*")]),
        route(&[], vec![on("/a/{x}/1/z")]),
        route(&[], vec![on("=/a/b/1/z")]),
    ];
    for (path, expected) in [
        ("/", 0),
        ("/ab", 0),
        ("/a", 1),
        ("/a/", 1),
        ("/a/bc", 1),
        ("/a/b", 2),
        ("/a/b/", 3),
        ("/x/a/b/", 0),
        ("/a/c/1", 3),
        ("/a/b/1/", 4),
        ("/a/c/1/z", 5),
        ("/a//1/z", 1),
        ("/a/c/1/z/", 3),
        ("/a/b/1/z", 6),
        ("/A", 0),
    ] {
        assert_eq!(
            chosen(&routes, &Request::get("h", path)),
            Some(expected),
            "{path}"
        );
    }
}

#[test]
fn a_prefix_match_tells_its_length() {
    let table = RouteTable::of_routes(
        &[route(&[], vec![on("/"), on("/a/b"), on("=/a/c")])],
        LISTENER,
    );
    for (path, match_index, prefix_len) in [
        ("/x", 0, Some(0)),
        ("/a/b/c", 1, Some(4)),
        ("/a/c", 2, None),
    ] {
        let choice = table.choose(&Request::get("h", path).head()).unwrap();
        assert_eq!(
            (choice.match_index, choice.prefix_len),
            (match_index, prefix_len),
            "{path}"
        );
    }
}

#[test]
fn then_method_headers_query_and_the_place_in_the_file_decide() {
    let mut method = on("/a");
    method.method = Some(Method::GET);
    let mut two_headers = on("/a");
    two_headers.headers = vec![header("x", exact("1")), header("y", ValueMatch::Present)];
    let mut one_header = on("/a");
    one_header.headers = vec![header("x", exact("1"))];
    let mut query = on("/a");
    query.query_params = vec![QueryMatch::new("q".into(), ValueMatch::Present)];
    let routes = [
        route(&[], vec![on("/a")]),
        route(&[], vec![on("/a")]),
        route(&[], vec![query]),
        route(&[], vec![one_header]),
        route(&[], vec![two_headers]),
        route(&[], vec![method]),
    ];
    let post = |target: &str| Request {
        method: Method::POST,
        ..Request::get("h", target)
    };
    assert_eq!(
        chosen(
            &routes,
            &Request::get("h", "/a?q").with("x", "1").with("y", "")
        ),
        Some(5)
    );
    assert_eq!(
        chosen(&routes, &post("/a?q").with("x", "1").with("y", "")),
        Some(4)
    );
    assert_eq!(chosen(&routes, &post("/a?q").with("x", "1")), Some(3));
    assert_eq!(chosen(&routes, &post("/a?q")), Some(2));
    assert_eq!(chosen(&routes, &post("/a?Q")), Some(0));
    assert_eq!(chosen(&routes[1..], &post("/a")), Some(0));
}

#[test]
fn more_claims_are_more_specific_than_fewer_and_less_than_a_query_parameter() {
    let claims = |count: usize| {
        let mut matched = on("/a");
        let all = [
            claim("plan", exact("beta")),
            claim("tenant", ValueMatch::Present),
        ];
        matched.claims = all[..count].to_vec();
        matched
    };
    let mut query = on("/a");
    query.query_params = vec![QueryMatch::new("q".into(), ValueMatch::Present)];
    let routes = [
        route(&[], vec![on("/a")]),
        route(&[], vec![claims(1)]),
        route(&[], vec![claims(2)]),
        route(&[], vec![query]),
    ];
    let beta = |target| Request::get("h", target).claiming(0, &[("plan", "beta")]);
    assert_eq!(chosen(&routes, &beta("/a")), Some(1));
    assert_eq!(chosen(&routes, &beta("/a?q")), Some(3));
    assert_eq!(
        chosen(&routes, &beta("/a").claiming(1, &[("tenant", "x")])),
        Some(1),
        "of one token"
    );
    let both = Request::get("h", "/a").claiming(0, &[("plan", "beta"), ("tenant", "x")]);
    assert_eq!(chosen(&routes, &both), Some(2));
    assert_eq!(
        chosen(
            &routes,
            &Request::get("h", "/a").claiming(0, &[("plan", "alpha")])
        ),
        Some(0)
    );
    assert_eq!(chosen(&routes, &Request::get("h", "/a")), Some(0));
    let table = RouteTable::of_routes(&routes, LISTENER);
    let no_tokens = Head {
        tokens: None,
        ..both.head()
    };
    assert_eq!(
        table.choose(&no_tokens).map(|choice| choice.route),
        Some(RouteId(0))
    );
    assert!(table.needs_claims() && !RouteTable::of_routes(&routes[..1], LISTENER).needs_claims());
}

#[test]
fn claims_count_only_from_providers_that_the_route_takes() {
    let mut matched = on("/a");
    matched.claims = vec![claim("plan", exact("beta"))];
    let mut of_corp = route(&[], vec![matched.clone()]);
    of_corp.auth = Auth::new(
        Requirement::AnyOf(vec![Credential::Token(ProviderId(1))]),
        Mode::Enforce,
    );
    let routes = [of_corp, route(&[], vec![on("/a")])];
    let beta = |provider| Request::get("h", "/a").claiming(provider, &[("plan", "beta")]);
    assert_eq!(chosen(&routes, &beta(1)), Some(0));
    assert_eq!(chosen(&routes, &beta(0)), Some(1));
    assert_eq!(
        chosen(&[route(&[], vec![matched])], &beta(7)),
        Some(0),
        "an open route takes that of any provider"
    );
}

#[test]
fn a_preflight_is_matched_by_the_method_it_asks_for_without_headers_and_claims() {
    let mut put = on("/a");
    put.method = Some(Method::PUT);
    put.headers = vec![header("x", exact("1"))];
    put.claims = vec![claim("plan", exact("beta"))];
    put.query_params = vec![QueryMatch::new("q".into(), ValueMatch::Present)];
    let mut options = on("/a");
    options.method = Some(Method::OPTIONS);
    let routes = [route(&[], vec![put]), route(&[], vec![options])];
    let asks = |method, preflight, target| Request {
        method,
        preflight,
        ..Request::get("h", target)
    };
    assert_eq!(chosen(&routes, &asks(Method::PUT, true, "/a?q")), Some(0));
    assert_eq!(
        chosen(&routes, &asks(Method::PUT, true, "/a")),
        None,
        "query parameters are its own"
    );
    assert_eq!(chosen(&routes, &asks(Method::PUT, false, "/a?q")), None);
    assert_eq!(
        chosen(&routes, &asks(Method::OPTIONS, false, "/a")),
        Some(1)
    );
}

/// `docs/security.md` 10.
#[test]
fn a_header_condition_sees_all_values_of_the_header() {
    let mut condition = on("/");
    condition.headers = vec![header("x", regex("[0-9]+"))];
    let routes = [route(&[], vec![condition])];
    assert_eq!(
        chosen(
            &routes,
            &Request::get("h", "/").with("x", "a").with("x", "42")
        ),
        Some(0)
    );
    assert_eq!(
        chosen(&routes, &Request::get("h", "/").with("x", "a42")),
        None
    );
    assert_eq!(chosen(&routes, &Request::get("h", "/")), None);
}

#[test]
fn a_query_condition_sees_the_first_value_percent_decoded() {
    let with = |value| {
        let mut condition = on("/");
        condition.query_params = vec![QueryMatch::new("a b".into(), value)];
        [route(&[], vec![condition])]
    };
    for (query, text, pattern) in [
        ("a%20b=x%2By", true, true),
        ("z&a%20b=x+y", false, true),
        ("a%20b=x%2by&a%20b=no", true, true),
        ("a%20b=no&a%20b=x%2By", false, false),
        ("a+b=x%2By", true, true),
        ("a%2Bb=x%2By", false, false),
        ("A%20b=x%2By", false, false),
        ("a%20b=x%ZZ", false, true),
        ("a%20b=x%ff", false, false),
        ("a%20b", false, false),
        ("", false, false),
    ] {
        let request = Request::get("h", &format!("/?{query}"));
        assert_eq!(
            chosen(&with(exact("x+y")), &request).is_some(),
            text,
            "{query}"
        );
        assert_eq!(
            chosen(&with(regex("x.+")), &request).is_some(),
            pattern,
            "{query}"
        );
    }
    assert_eq!(
        chosen(&with(ValueMatch::Present), &Request::get("h", "/?a%20b")),
        Some(0)
    );
}

/// As `application/x-www-form-urlencoded` defines it, which browsers write and apps parse.
#[test]
fn a_plus_in_a_query_is_a_space() {
    let with = |value| {
        let mut condition = on("/");
        condition.query_params = vec![QueryMatch::new("a b".into(), value)];
        [route(&[], vec![condition])]
    };
    for query in ["a+b=x+y", "a%20b=x%20y", "a+b=x%20y", "a%20b=x+y"] {
        let request = Request::get("h", &format!("/?{query}"));
        assert!(chosen(&with(exact("x y")), &request).is_some(), "{query}");
        assert!(chosen(&with(regex(r"x\sy")), &request).is_some(), "{query}");
    }
    let plus = Request::get("h", "/?a+b=x%2By");
    assert!(chosen(&with(exact("x y")), &plus).is_none());
    assert!(chosen(&with(regex("x y")), &plus).is_none());
}

#[test]
fn of_several_templates_the_best_ranked_wins_wherever_it_stands_in_the_tree() {
    let mut with_method = on("/{a}/{b}");
    with_method.method = Some(Method::GET);
    let routes = [
        route(&[], vec![on("/x/{b}")]),
        route(&[], vec![on("/{a}/y")]),
        route(&[], vec![with_method]),
    ];
    assert_eq!(chosen(&routes, &Request::get("h", "/x/y")), Some(2));
    assert_eq!(chosen(&routes[..2], &Request::get("h", "/x/y")), Some(0));
    assert_eq!(chosen(&routes[1..2], &Request::get("h", "/x/y")), Some(0));
    assert_eq!(chosen(&routes[..1], &Request::get("h", "/x/")), None);
}

/// A choice does not depend on the layout of the table: random tables and requests over a small, colliding alphabet.
#[test]
fn the_table_agrees_with_the_reference_on_random_tables_and_requests() {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let mut found = 0;
    for _ in 0..1_500 {
        let routes: Vec<Route> = (0..1 + random.below(12)).map(|_| random.route()).collect();
        let table = RouteTable::of_routes(&routes, LISTENER);
        for _ in 0..40 {
            let request = random.request();
            let expected = reference::choose(&routes, LISTENER, &request.head());
            assert_eq!(
                table.choose(&request.head()),
                expected,
                "{routes:#?} {request:?}"
            );
            let heard = Heard::default();
            let traced = table.choose_and_tell(&request.head(), &heard);
            assert_eq!(traced, expected, "{routes:#?} {request:?}");
            let candidates = heard.candidates.take();
            let won = candidates.iter().filter(|(_, _, lost)| lost.is_none());
            assert_eq!(won.count(), usize::from(expected.is_some()));
            found += usize::from(expected.is_some());
        }
    }
    assert!((10_000..59_000).contains(&found), "{found}");
}

#[test]
fn a_table_can_be_shared_between_threads() {
    fn shared<T: Send + Sync + Clone>() {}
    shared::<RouteTable>();
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % bound
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    fn path(&mut self) -> String {
        let elements = self.below(4);
        (0..=elements)
            .map(|_| format!("/{}", self.one(&["a", "b", "ab", "a", ""])))
            .collect()
    }

    fn value(&mut self) -> ValueMatch {
        let patterns = [
            exact("1"),
            exact("2"),
            ValueMatch::Present,
            regex("[12]"),
            regex("1?"),
        ];
        self.one(&patterns)
    }

    fn route(&mut self) -> Route {
        const HOSTS: [&str; 7] = ["b", "a.b", "c.a.b", "*.b", "*.a.b", "*.c.a.b", "a"];
        let hostnames: Vec<&str> = (0..self.below(3)).map(|_| self.one(&HOSTS)).collect();
        let matches = (0..1 + self.below(3)).map(|_| self.route_match()).collect();
        let mut route = route(&hostnames, matches);
        if self.below(3) == 0 {
            let accepted = vec![
                Credential::Token(ProviderId(self.below(3) as u32)),
                Credential::Mtls,
            ];
            route.auth = Auth::new(Requirement::AnyOf(accepted), Mode::Enforce);
        }
        if self.below(10) == 0 {
            route.listeners = vec![ListenerId(7)];
        }
        route
    }

    fn route_match(&mut self) -> RouteMatch {
        let path = self.path();
        let mut matched = match self.below(6) {
            0 => on(&format!("={path}")),
            1 => on(self.one(&["~/a/.*", "~/[ab]+", "~.*", "~/(a|b)/?.*", "~/ab?/.+"])),
            2 => on(&format!(
                "{}/{{v}}",
                path.replace("/b", "/{u}").replace("/a/", "/{w}/")
            )),
            3 => on("/"),
            _ => on(Some(path.trim_end_matches('/'))
                .filter(|path| !path.is_empty())
                .unwrap_or("/")),
        };
        if self.below(4) == 0 {
            matched.method = Some(self.one(&[Method::GET, Method::POST]));
        }
        if self.below(4) == 0 {
            matched.scheme = Some(self.one(&[Scheme::Http, Scheme::Https]));
        }
        let names = ["x", "y"];
        if self.below(3) == 0 {
            matched.headers = (0..self.below(3))
                .map(|_| header(self.one(&names), self.value()))
                .collect();
        }
        if self.below(3) == 0 {
            let params = (0..self.below(3))
                .map(|_| QueryMatch::new(Arc::from(self.one(&names)), self.value()));
            matched.query_params = params.collect();
        }
        if self.below(4) == 0 {
            matched.claims = (0..self.below(3))
                .map(|_| claim(self.one(&names), self.value()))
                .collect();
        }
        matched
    }

    fn request(&mut self) -> Request {
        const HOSTS: [&str; 9] = [
            "", "b", "a.b", "A.b:80", "c.a.b", "d.c.a.B", ".b", "a", "zb",
        ];
        let query = self.one(&["", "?x=1", "?x=2&y=1", "?y=1&y=2", "?%78=%31", "?y"]);
        let host = self.one(&HOSTS);
        let mut request = Request::get(host, &format!("{}{query}", self.path()));
        request.method = self.one(&[Method::GET, Method::GET, Method::POST, Method::PUT]);
        request.scheme = self.one(&[Scheme::Http, Scheme::Https]);
        for _ in 0..self.below(3) {
            request = request.with(self.one(&["x", "y"]), self.one(&["1", "2", ""]));
        }
        for provider in 0..self.below(3) {
            let claims = [
                (self.one(&["x", "y"]), self.one(&["1", "2", ""])),
                ("y", self.one(&["1", "2"])),
            ];
            request = request.claiming(provider as u32, &claims[..1 + self.below(2)]);
        }
        request.preflight = self.below(10) == 0;
        request
    }
}

/// The rule of `docs/configuration.md` word by word: every pair is tried, the best kept.
mod reference {
    use std::{cell::RefCell, collections::HashMap};

    use regex::Regex;

    use super::*;

    pub(super) fn choose(
        routes: &[Route],
        listener: ListenerId,
        head: &Head<'_>,
    ) -> Option<Choice> {
        let mut candidates = Vec::new();
        for (index, route) in routes
            .iter()
            .enumerate()
            .filter(|(_, route)| route.listeners.contains(&listener))
        {
            let hosts = if route.hostnames.is_empty() {
                vec![(2, Reverse(0))]
            } else {
                route
                    .hostnames
                    .iter()
                    .filter_map(|name| host_rank(name, head.host?))
                    .collect()
            };
            for host in hosts {
                for (match_index, matched) in route.matches.iter().enumerate() {
                    let Some((path, prefix_len)) = path_rank(&matched.path, head.path) else {
                        continue;
                    };
                    if rest_holds(matched, head) && claims_hold(route, matched, head) {
                        let rest = (
                            Reverse(matched.method.is_some()),
                            Reverse(matched.scheme.is_some()),
                            Reverse(matched.headers.len()),
                            Reverse(matched.query_params.len()),
                            Reverse(matched.claims.len()),
                        );
                        candidates.push((host, path, rest, index, match_index, prefix_len));
                    }
                }
            }
        }
        candidates
            .into_iter()
            .min()
            .map(|(.., route, match_index, prefix_len)| Choice {
                route: RouteId(route as u32),
                match_index: match_index as u32,
                prefix_len,
            })
    }

    fn host_rank(name: &Hostname, host: &str) -> Option<(u8, Reverse<usize>)> {
        let host = host.to_ascii_lowercase();
        let host = if host.starts_with('[') {
            &host
        } else {
            host.split(':').next().unwrap()
        };
        let host = host.strip_suffix('.').unwrap_or(host);
        match name {
            Hostname::Exact(name) => (host == &**name).then_some((0, Reverse(0))),
            Hostname::Wildcard(suffix) => (host.len() > suffix.len() && host.ends_with(&**suffix))
                .then_some((1, Reverse(suffix.len()))),
        }
    }

    type PathRank = ((u8, Reverse<usize>), Option<usize>);

    fn path_rank(matched: &PathMatch, path: &str) -> Option<PathRank> {
        match matched {
            PathMatch::Exact(exact) => (path == &**exact).then_some(((0, Reverse(0)), None)),
            PathMatch::Template(template) => {
                let elements: Vec<&str> = path[1..].split('/').collect();
                let fits = elements.len() == template.segments.len()
                    && elements
                        .iter()
                        .zip(&template.segments)
                        .all(|(element, segment)| match segment {
                            TemplateSegment::Literal(text) => *element == &**text,
                            TemplateSegment::Variable(_) => !element.is_empty(),
                        });
                fits.then_some(((1, Reverse(0)), None))
            }
            PathMatch::Regex(pattern) => {
                is_match(pattern, path).then_some(((2, Reverse(pattern.as_str().len())), None))
            }
            PathMatch::Prefix(prefix) if &**prefix == "/" => Some(((3, Reverse(0)), Some(0))),
            PathMatch::Prefix(prefix) => (path == &**prefix
                || path.starts_with(&format!("{prefix}/")))
            .then_some(((3, Reverse(prefix.len())), Some(prefix.len()))),
        }
    }

    fn rest_holds(matched: &RouteMatch, head: &Head<'_>) -> bool {
        matched
            .method
            .as_ref()
            .is_none_or(|method| method == head.method)
            && matched.scheme.is_none_or(|scheme| scheme == head.scheme)
            && matched.headers.iter().all(|condition| {
                let mut values = head.headers.get_all(&condition.name).iter();
                head.preflight
                    || values.any(|value| value_holds(&condition.value, value.as_bytes()))
            })
            && matched.query_params.iter().all(|condition| {
                let pairs = head
                    .query
                    .unwrap_or("")
                    .split('&')
                    .filter(|_| head.query.is_some());
                let mut decoded = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
                let first = decoded.find(|(name, _)| decode(name) == condition.name.as_bytes());
                first.is_some_and(|(_, value)| value_holds(&condition.value, &decode(value)))
            })
    }

    fn claims_hold(route: &Route, matched: &RouteMatch, head: &Head<'_>) -> bool {
        let Some(tokens) = head
            .tokens
            .filter(|_| !head.preflight && !matched.claims.is_empty())
        else {
            return head.preflight || matched.claims.is_empty();
        };
        let providers: Vec<ProviderId> = match &route.auth.requirement {
            Requirement::AnyOf(all) => {
                let of = |one: &Credential| {
                    if let Credential::Token(id) = one {
                        Some(*id)
                    } else {
                        None
                    }
                };
                all.iter().filter_map(of).collect()
            }
            _ => Vec::new(),
        };
        tokens.any(&providers, &mut |token| {
            matched.claims.iter().all(|condition| {
                let value = &condition.any_of[0];
                token.any(&condition.claim, &mut |claimed| {
                    value_holds(value, claimed.as_bytes())
                })
            })
        })
    }

    fn value_holds(matched: &ValueMatch, value: &[u8]) -> bool {
        match matched {
            ValueMatch::Present => true,
            ValueMatch::Exact(text) => value == text.as_bytes(),
            ValueMatch::Regex(pattern) => {
                String::from_utf8(value.to_vec()).is_ok_and(|text| is_match(pattern, &text))
            }
        }
    }

    /// Compiling takes most of the time otherwise.
    fn is_match(pattern: &Pattern, text: &str) -> bool {
        thread_local!(static COMPILED: RefCell<HashMap<Pattern, Regex>> = RefCell::default());
        COMPILED.with_borrow_mut(|compiled| {
            compiled
                .entry(pattern.clone())
                .or_insert_with(|| pattern.compile())
                .is_match(text)
        })
    }

    fn decode(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            let escape = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
            match escape.filter(|hex| hex.bytes().all(|digit| digit.is_ascii_hexdigit())) {
                Some(hex) => {
                    out.push(u8::from_str_radix(hex, 16).unwrap());
                    at += 3;
                }
                None => {
                    out.push(if bytes[at] == b'+' { b' ' } else { bytes[at] });
                    at += 1;
                }
            }
        }
        out
    }
}
