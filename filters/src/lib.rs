//! The filters of the request chain. Each has a pure decision core and a thin [`step`], or a tower
//! layer if it lasts as long as the call. A filter never imports another filter; shared parts are
//! [`service`], [`step`], [`error`], [`context`], [`identity`], [`claims`], [`host`], [`path`] and
//! [`recycle`].

pub mod access_log;
pub mod authorize;
pub mod claim_headers;
pub mod claims;
pub mod client_address;
pub mod concurrency;
pub mod context;
pub mod cookie;
pub mod cors;
pub mod error;
pub mod ext_auth;
pub mod fault;
pub mod framing;
pub mod grpc;
pub mod headers;
pub mod hedge;
pub mod hop_by_hop;
pub mod host;
pub mod identity;
pub mod jwt;
pub mod maintenance;
pub mod owned_headers;
pub mod path;
pub mod proxy_protocol;
pub mod rate_limit;
pub mod reason;
pub mod recycle;
pub mod redirect;
pub mod request_id;
pub mod retry;
pub mod rewrite;
pub mod service;
pub mod step;
pub mod timeout;
pub mod trailers;
