//! Random configurations: few names and paths, so that requests meet them, and every condition and change that a route can have.

use fastrand::Rng;
use serde_json::json;

use super::tokens::Issuers;

/// How many upstreams there are.
pub const UPSTREAMS: usize = 3;

/// One of these.
pub fn pick<'a, T: ?Sized>(random: &mut Rng, all: &[&'a T]) -> &'a T {
    all[random.usize(..all.len())]
}

/// Whether something happens that happens in so many of ten cases.
pub fn chance(random: &mut Rng, of_ten: u8) -> bool {
    random.u8(..10) < of_ten
}

/// A path of a few elements; a template where `variables` may stand in it.
pub fn path(random: &mut Rng, variables: bool) -> String {
    let names: &[&str] = match variables {
        true => &["a", "b", "{}"],
        false => &["a", "b", "api"],
    };
    let elements = (0..random.usize(1..=3)).map(|place| match pick(random, names) {
        "{}" => format!("/{{x{place}}}"),
        name => format!("/{name}"),
    });
    elements.collect()
}

/// The YAML of one configuration; `number` stands in the names of its limits, so that no reload goes on with those of another.
pub fn yaml(random: &mut Rng, number: usize, ports: &[u16], issuers: &Issuers) -> String {
    let mut file = format!(
        "workers: 1\nlisteners:\n- {}\nupstreams:\n",
        listener(random)
    );
    for (index, port) in ports.iter().enumerate() {
        let url = format!("http://127.0.0.1:{port}");
        file += &format!("  u{index}: {{ endpoints: [{{ url: \"{url}\" }}] }}\n");
    }
    let has_tokens = chance(random, 6);
    if has_tokens {
        file += &issuers.yaml(random);
    }
    let limits = random.usize(..4);
    if limits > 0 {
        file += "rateLimits:\n";
    }
    for index in 0..limits {
        file += &format!("  l{number}-{index}: {}\n", limit(random, has_tokens));
    }
    file += "routes:\n";
    for index in 0..random.usize(2..9) {
        let limits: Vec<String> = (0..limits)
            .filter(|_| chance(random, 4))
            .map(|index| format!("l{number}-{index}"))
            .collect();
        let mut block = json!({ "name": format!("r{index}"), "rateLimits": limits });
        Route { random, has_tokens }.fill(&mut block);
        file += &format!("- {block}\n");
    }
    file
}

fn listener(random: &mut Rng) -> String {
    let trusted = pick(random, &["", "127.0.0.0/8", "127.0.0.1/32, 10.0.0.0/8"]);
    format!(
        "{{ name: in, port: 0, underscoreHeaders: {}, clientAddress: {{ trustedCIDRs: [{trusted}] }}, paths: {{ \
         encodedSlash: {}, mergeSlashes: {} }}, limits: {{ targetBytes: {} }} }}",
        pick(random, &["reject", "drop", "keep"]),
        pick(random, &["reject", "keep"]),
        random.bool(),
        pick(random, &["16KiB", "64B"]),
    )
}

fn limit(random: &mut Rng, has_tokens: bool) -> String {
    let keys = [
        "clientIP",
        "global",
        "{ header: x-tenant }",
        "{ claim: sub }",
    ];
    let keys = &keys[..if has_tokens { 4 } else { 3 }];
    // No token comes back while the test runs.
    format!(
        "{{ requests: 1, per: 24h, burst: {}, key: {}, mode: {} }}",
        random.u8(1..25),
        pick(random, keys),
        pick(random, &["enforce", "enforce", "report"]),
    )
}

/// A route in the making.
struct Route<'a> {
    random: &'a mut Rng,
    has_tokens: bool,
}

impl Route<'_> {
    fn fill(mut self, route: &mut serde_json::Value) {
        if self.chance(4) {
            let names = ["a.example", "b.example", "*.example", "*.a.example"];
            let count = self.random.usize(1..3);
            route["hostnames"] = (0..count).map(|_| self.pick(&names)).collect();
        }
        let only_prefixes = self.chance(3);
        let matches = self.random.usize(1..4);
        let mut matches: Vec<_> = (0..matches).map(|_| self.a_match(only_prefixes)).collect();
        if self.chance(2) {
            matches.push(json!({ "path": "/" }));
        }
        route["matches"] = matches.into();
        if self.has_tokens {
            self.protect(route);
        }
        if self.chance(2) {
            route["authorize"] = self.authorize();
        }
        if self.chance(3) {
            route["cors"] = self.cors();
        }
        self.act(route, only_prefixes);
        if self.chance(3) {
            route["responseHeaders"] = self.changes();
        }
    }

    fn pick<'t>(&mut self, all: &[&'t str]) -> &'t str {
        pick(self.random, all)
    }

    fn chance(&mut self, of_ten: u8) -> bool {
        chance(self.random, of_ten)
    }

    fn a_match(&mut self, only_prefix: bool) -> serde_json::Value {
        let kind = match only_prefix {
            true => "prefix",
            false => self.pick(&["prefix", "exact", "template", "regex", "all"]),
        };
        let mut one = match kind {
            "all" => json!({ "path": "/" }),
            "regex" => {
                let end = self.pick(&["/.*", "/[a-c]+", "(/v[0-9])?"]);
                json!({ "path": { "regex": path(self.random, false) + end } })
            }
            "template" => json!({ "path": { "template": path(self.random, true) } }),
            kind => json!({ "path": { kind: path(self.random, false) } }),
        };
        if self.chance(2) {
            one["method"] = self.pick(&["GET", "POST", "PUT"]).into();
        }
        if self.chance(1) {
            one["scheme"] = self.pick(&["http", "https"]).into();
        }
        if self.chance(2) {
            let name = self.pick(&["x-env", "x-forwarded-proto", "host"]);
            one["headers"] = json!({ name: self.condition(&["prod", "https", "a.example"]) });
        }
        if self.chance(2) {
            one["queryParams"] = json!({ "v": self.condition(&["1", "a b"]) });
        }
        if self.has_tokens && self.chance(2) {
            one["claims"] = json!({ "role": self.condition(&["admin", "user"]) });
        }
        one
    }

    fn condition(&mut self, values: &[&str]) -> serde_json::Value {
        match self.random.u8(..3) {
            0 => json!({ "present": true }),
            1 => json!({ "regex": "[a-p].*|1" }),
            _ => self.pick(values).into(),
        }
    }

    /// Without `auth`, a route asks for a token of any provider.
    fn protect(&mut self, route: &mut serde_json::Value) {
        let mode = self.pick(&["enforce", "enforce", "report"]);
        match self.random.u8(..8) {
            0 => {}
            1 => route["auth"] = json!({ "anyOf": ["corp"], "mode": mode }),
            2 => route["auth"] = json!({ "anyOf": ["partner", "corp"], "mode": mode }),
            3 => route["auth"] = json!({ "allOf": ["corp", "partner"], "mode": mode }),
            4 | 5 => route["auth"] = json!({ "optional": ["corp", "partner"], "mode": mode }),
            _ => route["auth"] = "none".into(),
        }
    }

    fn authorize(&mut self) -> serde_json::Value {
        let count = self.random.usize(1..4);
        let rules: Vec<_> = (0..count).map(|index| self.rule(index)).collect();
        json!({ "mode": self.pick(&["enforce", "enforce", "report"]), "rules": rules })
    }

    fn rule(&mut self, index: usize) -> serde_json::Value {
        let mut when = json!({});
        if self.chance(4) {
            when["methods"] = json!([self.pick(&["GET", "POST", "DELETE"])]);
        }
        if self.chance(4) {
            when["sourceCIDRs"] = json!([self.pick(&["127.0.0.0/8", "10.0.0.0/8", "::/0"])]);
        }
        if self.has_tokens && self.chance(4) {
            when["claims"] = json!({ "role": self.condition(&["admin", "user"]) });
        }
        if self.has_tokens && self.chance(3) {
            when["scopes"] = json!([self.pick(&["read", "write"])]);
        }
        let action = self.pick(&["allow", "deny"]);
        json!({ "name": format!("rule{index}"), "action": action, "when": when })
    }

    fn cors(&mut self) -> serde_json::Value {
        let origin = self.pick(&["https://shop.example", "https://*.example", "*"]);
        let mut cors = json!({ "allowOrigins": [origin] });
        if self.chance(5) {
            cors["allowMethods"] = json!(["GET", "PUT"]);
            cors["maxAge"] = "1m".into();
        }
        if self.chance(5) {
            cors["allowHeaders"] = json!(["x-env"]);
            cors["exposeHeaders"] = json!(["x-set"]);
        }
        if origin != "*" {
            cors["allowCredentials"] = self.random.bool().into();
        }
        cors
    }

    fn changes(&mut self) -> serde_json::Value {
        let mut changes = json!({});
        if self.chance(5) {
            changes["set"] = json!({ "x-set": "1", "x-env": "set" });
        }
        if self.chance(5) {
            changes["add"] = json!({ "x-added": "2", "x-tenant": "added" });
        }
        if self.chance(5) {
            changes["remove"] = json!([self.pick(&["x-env", "x-tenant", "accept"])]);
        }
        changes
    }

    fn path_change(&mut self, only_prefixes: bool) -> serde_json::Value {
        match only_prefixes && self.random.bool() {
            true => json!({ "replacePrefixMatch": self.pick(&["/new", "/"]) }),
            false => json!({ "replaceFull": self.pick(&["/whole", "/a/b"]) }),
        }
    }

    fn act(&mut self, route: &mut serde_json::Value, only_prefixes: bool) {
        match self.random.u8(..6) {
            0 => {
                let status = [301, 302, 308][self.random.usize(..3)];
                let mut redirect = json!({ "statusCode": status });
                if self.chance(5) {
                    redirect["path"] = self.path_change(only_prefixes);
                }
                if self.chance(5) {
                    redirect["scheme"] = self.pick(&["http", "https"]).into();
                }
                if self.chance(3) {
                    redirect["port"] = 8443.into();
                }
                route["requestRedirect"] = redirect;
            }
            1 => {
                let status = [200, 418, 503][self.random.usize(..3)];
                route["directResponse"] = json!({ "status": status, "body": "own" });
            }
            _ => self.forward(route, only_prefixes),
        }
    }

    fn forward(&mut self, route: &mut serde_json::Value, only_prefixes: bool) {
        let mut backends: Vec<_> = (0..UPSTREAMS).collect();
        self.random.shuffle(&mut backends);
        backends.truncate(self.random.usize(1..=UPSTREAMS));
        let refs = backends
            .iter()
            .map(|index| json!({ "name": format!("u{index}"), "weight": self.random.u8(1..4) }));
        route["backendRefs"] = refs.collect();
        if self.chance(2) {
            route["hashOn"] = json!({ "header": "x-tenant" });
        }
        if self.chance(3) {
            let mut rewrite = json!({ "path": self.path_change(only_prefixes) });
            if self.chance(5) {
                rewrite["hostname"] = "inner.example".into();
            }
            route["urlRewrite"] = rewrite;
        }
        if self.chance(4) {
            route["requestHeaders"] = self.changes();
        }
        if self.chance(2) {
            route["retry"] = json!({ "attempts": 1 });
        }
    }
}
