//! Two issuers, and tokens of theirs that are good, or wrong in some way.

use fastrand::Rng;
use serde_json::{Value, json};

use super::configuration::pick;
use crate::support::tokens::{ISSUER, Signer, claims_of, jwks};

const PARTNER: &str = "https://partner.example.com/";

/// Who signs, and what is signed.
pub struct Issuers {
    corp: Signer,
    partner: Signer,
    tokens: Vec<String>,
}

impl Issuers {
    /// With keys of their own.
    pub fn new() -> Self {
        let (corp, partner) = (Signer::new("corp"), Signer::new("partner"));
        let stranger = Signer::new("corp"); // another key under that name
        let with = |issuer: &str, more: Value| {
            let mut claims = claims_of(issuer);
            for (name, value) in more.as_object().unwrap() {
                claims[name] = value.clone();
            }
            claims["exp"] = json!(claims["exp"].as_u64().unwrap() + 3600);
            claims
        };
        let admin = with(ISSUER, json!({ "role": "admin", "scope": "read write" }));
        let user = with(ISSUER, json!({ "role": ["user", "guest"], "sub": "bob" }));
        let expired = {
            let mut claims = admin.clone();
            claims["exp"] = json!(1_000_000);
            claims
        };
        let foreign = with("https://stranger.example.com/", json!({}));
        let partners = with(PARTNER, json!({ "role": "admin", "scope": "read" }));
        let misdirected = with(ISSUER, json!({ "aud": "another-api" }));
        let tokens = vec![
            corp.token(&admin),
            corp.token(&admin),
            corp.token(&user),
            corp.token(&user),
            partner.token(&partners),
            partner.token(&partners),
            corp.token(&expired),
            corp.token(&misdirected),
            corp.token(&foreign),
            stranger.token(&admin),
            Signer::new("unknown").token(&admin),
            "no.token".to_owned(),
        ];
        Self {
            corp,
            partner,
            tokens,
        }
    }

    /// `jwtProviders`.
    pub fn yaml(&self, random: &mut Rng) -> String {
        let one = |name: &str, issuer: &str, signer: &Signer, more: &str| {
            format!(
                "  {name}:\n    issuer: {issuer}\n    audiences: [orders-api]\n    jwks: {{ inline: '{}' }}\n{more}",
                jwks(&[signer])
            )
        };
        let forwards = format!("    forwardToken: {}\n", random.bool());
        let headers = "    claimHeaders: { x-user: sub, x-role: role }\n";
        let corp = one("corp", ISSUER, &self.corp, headers);
        let partner = one("partner", PARTNER, &self.partner, &forwards);
        format!("jwtProviders:\n{corp}{partner}")
    }

    /// One of the tokens.
    pub fn token(&self, random: &mut Rng) -> &str {
        let all: Vec<&str> = self.tokens.iter().map(String::as_str).collect();
        pick(random, &all)
    }
}
