//! An entry of `jwtProviders`.

use crate::{
    block::{At, Entries, Flag, OneOrMany, Time, Word, block},
    model::{JwtAlgorithm, TokenBinding},
    schema::SecretSpec,
};

block! {
    /// Who issues tokens, and what its tokens must be like. Without `jwks` and `secret` its keys are found by OpenID Connect discovery.
    JwtProviderBlock {
        /// `iss` of its tokens, byte by byte; unique among providers, which are told apart by it.
        "issuer" issuer: String,
        /// What `aud` of a token may be: one of these must stand in it.
        "audiences" audiences: Vec<At<String>>,
        /// Signature algorithms it may use. Default: all asymmetric ones (each fits one type of key only); HS256 with `secret`.
        "algorithms" algorithms: Vec<At<Word<JwtAlgorithm>>>,
        /// Where its public keys are. Default: where `issuer` + `/.well-known/openid-configuration` says.
        "jwks" jwks: JwksBlock,
        /// The shared secret for HS256, HS384 and HS512, as long as the hash at least (32, 48, 64 bytes).
        "secret" secret: SecretSpec,
        /// What `typ` of a token may be, whatever the case; a token without `typ` passes. Default `[JWT, at+jwt]`.
        "tokenTypes" token_types: Vec<At<String>>,
        /// How far `exp`, `nbf` and `iat` may be off, at most 300s. Default 30s.
        "clockSkew" clock_skew: Time,
        /// The longest time from `iat` to `exp`; a token without `iat` is then refused. Default 0s, which is off.
        "maxLifetime" max_lifetime: Time,
        /// Whether a token is bound to the client's certificate by `cnf` (RFC 8705): `never` (not looked at), `whenPresent` or `required`. Default whenPresent.
        "binding" binding: Word<TokenBinding>,
        /// Where a token may stand; the first place that is present decides. Default the Authorization header with the scheme Bearer.
        "from" from: Vec<At<TokenLocationBlock>>,
        /// Whether the token is sent on to the app. Default false.
        "forwardToken" forward_token: Flag,
        /// Headers towards the app and the claims that they carry, such as `x-tenant: org.tenant`; taken away from every client, on every route. A name with dots is written `'["a.b"]'`.
        "claimHeaders" claim_headers: Entries<OneOrMany<String>>,
    }
    required ["issuer", "audiences"]
}

block! {
    /// Where a provider's public keys are: at most one of `url`, `file` and `inline`; without them discovery finds them.
    JwksBlock {
        /// URL of the key set (JWKS), https unless `allowInsecure`.
        "url" url: String,
        /// Path of a file that holds the key set, relative to this file. Read again when it changes.
        "file" file: String,
        /// The key set itself, as JSON text.
        "inline" inline: String,
        /// How often keys are fetched again, from 1s, give or take a tenth. Default 10m.
        "refresh" refresh: Time,
        /// From the start of the connect to the whole answer, over 0 and at most 5s. Default 2s.
        "timeout" timeout: Time,
        /// How long keys are used after the last fetch that worked, at least `refresh`. Default 24h.
        "maxStale" max_stale: Time,
        /// PEM files with the CAs that sign the certificate of the server that is asked. Default: the system's roots.
        "caFiles" ca_files: Vec<At<String>>,
        /// What is sent along with a fetch; never over http.
        "credentials" credentials: CredentialsBlock,
        /// Whether http is allowed: whoever sits on the way can then replace the keys. Default false.
        "allowInsecure" allow_insecure: Flag,
    }
}

block! {
    /// What proves who asks.
    CredentialsBlock {
        /// A bearer token, one word of visible ASCII. What its file holds now is what is sent.
        "bearerToken" bearer_token: SecretSpec,
    }
    required ["bearerToken"]
}

block! {
    /// Where a token may stand.
    TokenLocationBlock {
        /// A header.
        "header" header: String,
        /// The word in front of the token in that header, whatever its case. Default Bearer in Authorization, none elsewhere.
        "scheme" scheme: String,
        /// A cookie by name.
        "cookie" cookie: String,
    }
    one_of ["header", "cookie"]
}
