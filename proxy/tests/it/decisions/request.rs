//! Random requests, as bytes for the proxy and as a head for an evaluation.

use fastrand::Rng;
use http::{Method, request::Parts};

use super::{
    configuration::{chance, path, pick},
    tokens::Issuers,
};

/// One request.
#[derive(Debug)]
pub struct Asked {
    pub method: Method,
    pub target: String,
    pub fields: Vec<(&'static str, String)>,
    pub body: &'static str,
}

impl Asked {
    pub fn random(random: &mut Rng, issuers: &Issuers) -> Self {
        let methods = ["GET", "GET", "GET", "POST", "PUT", "DELETE", "OPTIONS"];
        let method: Method = pick(random, &methods).parse().unwrap();
        let has_body = matches!(method, Method::POST | Method::PUT) && random.bool();
        let mut asked = Self {
            target: target(random, &method),
            method,
            fields: Vec::new(),
            body: if has_body { "abc" } else { "" },
        };
        let hosts = [
            "a.example",
            "B.Example",
            "x.a.example:80",
            "y.x.a.example.",
            "other",
        ];
        asked.add("host", pick(random, &hosts));
        asked.describe(random);
        asked.speak_for_another(random);
        asked.cross_origins(random);
        asked.show_tokens(random, issuers);
        if has_body {
            asked.add("content-length", "3");
        }
        asked
    }

    fn add(&mut self, name: &'static str, value: impl Into<String>) {
        self.fields.push((name, value.into()));
    }

    /// Adds one of the values in so many of ten cases.
    fn maybe(&mut self, random: &mut Rng, of_ten: u8, name: &'static str, values: &[&str]) {
        if chance(random, of_ten) {
            self.add(name, pick(random, values));
        }
    }

    fn describe(&mut self, random: &mut Rng) {
        self.maybe(random, 4, "x-env", &["prod", "test", "a.example", ""]);
        self.maybe(random, 4, "x-tenant", &["t1", "t2", "t3"]);
        self.maybe(random, 1, "x-tenant", &["t1", "t4"]);
        self.maybe(random, 2, "accept", &["*/*"]);
        self.maybe(random, 1, "x-user", &["mallory"]);
        self.maybe(random, 1, "x_user", &["mallory"]);
        self.maybe(random, 1, "my_header", &["1"]);
        self.maybe(random, 1, "cookie", &["a=b", "a=b; c=d"]);
        self.maybe(random, 1, "te", &["trailers", "gzip"]);
        self.maybe(
            random,
            1,
            "connection",
            &["x-env", "x-tenant, accept", "x-request-id"],
        );
    }

    /// What only a trusted peer may say.
    fn speak_for_another(&mut self, random: &mut Rng) {
        let hops = [
            "10.1.1.1",
            "192.0.2.1",
            "192.0.2.1, 10.1.1.1",
            "2001:db8::1, 127.0.0.1",
            "?",
        ];
        self.maybe(random, 4, "x-forwarded-for", &hops);
        self.maybe(random, 1, "x-forwarded-for", &hops);
        self.maybe(random, 3, "x-forwarded-proto", &["https", "http", "WSS"]);
        self.maybe(
            random,
            2,
            "x-forwarded-host",
            &["b.example", "A.example:443"],
        );
        self.maybe(random, 1, "x-forwarded-port", &["8443"]);
        self.maybe(
            random,
            3,
            "x-request-id",
            &["id-1", "id with space", "id-2"],
        );
        self.maybe(random, 1, "forwarded", &["for=1.1.1.1"]);
    }

    fn cross_origins(&mut self, random: &mut Rng) {
        let origins = ["https://shop.example", "https://evil.test", "null"];
        self.maybe(random, 3, "origin", &origins);
        if self.method == Method::OPTIONS && chance(random, 7) {
            self.maybe(random, 5, "origin", &origins);
            self.add(
                "access-control-request-method",
                pick(random, &["GET", "PUT", "DELETE"]),
            );
            self.maybe(
                random,
                5,
                "access-control-request-headers",
                &["x-env", "a b"],
            );
        }
    }

    fn show_tokens(&mut self, random: &mut Rng, issuers: &Issuers) {
        if chance(random, 7) {
            let scheme = pick(random, &["Bearer", "bearer", "Bearer", "Bearer", "Basic"]);
            let token = issuers.token(random);
            self.add("authorization", format!("{scheme} {token}"));
        }
        if chance(random, 1) && chance(random, 2) {
            self.add("authorization", "Basic YTpi");
        }
    }

    /// As it is sent.
    pub fn text(&self) -> String {
        let mut text = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        for (name, value) in &self.fields {
            text += &format!("{name}: {value}\r\n");
        }
        text + "\r\n" + self.body
    }

    /// As the proxy's codec reads it.
    pub fn head(&self) -> Parts {
        let mut request = http::Request::builder()
            .method(self.method.clone())
            .uri(&self.target);
        for (name, value) in &self.fields {
            request = request.header(*name, value);
        }
        request.body(()).unwrap().into_parts().0
    }
}

fn target(random: &mut Rng, method: &Method) -> String {
    if *method == Method::OPTIONS && chance(random, 1) {
        return "*".to_owned();
    }
    let mut target = match random.u8(..20) {
        0 => "/".to_owned(),
        _ => path(random, false),
    };
    if chance(random, 2) {
        let twists = [
            "/", "//b", "/%61", "/%2fa", "/..", "/./a", "/%zz", "/a;b", "/a%5cb", "/%c3%a9",
        ];
        target += pick(random, &twists);
    }
    if chance(random, 1) && chance(random, 3) {
        target += "/a-path-that-is-longer-than-the-least-limit-of-a-listener-allows-it";
    }
    if chance(random, 3) {
        target += pick(
            random,
            &["?v=1", "?v=a+b", "?v=a%20b&w=2", "?w=1", "?v=2&v=1", "?"],
        );
    }
    target
}
