//! The words of the vocabulary and what they mean.

use crate::{
    block::words,
    model::{
        AccessLogFormat, ClientAuthMode, Direction, GrpcCode, JwtAlgorithm, LoadBalancerPolicy, Protocol,
        RetryCondition, RuleAction, TlsVersion, TokenBinding, UnderscoreHeaders,
    },
};

/// What is looked up in DNS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DnsType {
    A,
    Srv,
}

/// Where the access log may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    Stdout,
}

/// What a rate limit may count by without further words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PlainKey {
    ClientAddress,
    Global,
    SubjectAltName,
}

/// Where a limit may be kept beside the pod itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SharedStore {
    Redis,
}

words! {
    Protocol { "auto" => Auto, "http1" => Http1, "h2c" => H2c }
    Direction { "inbound" => Inbound, "outbound" => Outbound }
    TlsVersion { "1.2" => Tls12, "1.3" => Tls13 }
    ClientAuthMode { "required" => Required, "optional" => Optional }
    UnderscoreHeaders { "reject" => Reject, "drop" => Drop, "keep" => Keep }
    LoadBalancerPolicy {
        "leastRequest" => LeastRequest, "peakEwma" => PeakEwma, "roundRobin" => RoundRobin, "random" => Random,
        "consistentHash" => ConsistentHash,
    }
    AccessLogFormat { "json" => Json, "ecs" => Ecs, "text" => Text }
    DnsType { "A" => A, "SRV" => Srv }
    Output { "stdout" => Stdout }
    JwtAlgorithm {
        "RS256" => Rs256, "RS384" => Rs384, "RS512" => Rs512, "PS256" => Ps256, "PS384" => Ps384, "PS512" => Ps512,
        "ES256" => Es256, "ES384" => Es384, "EdDSA" => EdDsa, "HS256" => Hs256, "HS384" => Hs384, "HS512" => Hs512,
    }
    TokenBinding { "never" => Never, "whenPresent" => WhenPresent, "required" => Required }
    RuleAction { "allow" => Allow, "deny" => Deny }
    PlainKey { "clientIP" => ClientAddress, "global" => Global, "subjectAltName" => SubjectAltName }
    SharedStore { "redis" => Redis }
    RetryCondition {
        "connectFailure" => ConnectFailure, "refusedStream" => RefusedStream, "reset" => Reset, "timeout" => Timeout,
    }
    GrpcCode {
        "cancelled" => Cancelled, "unknown" => Unknown, "invalidArgument" => InvalidArgument,
        "deadlineExceeded" => DeadlineExceeded, "notFound" => NotFound, "alreadyExists" => AlreadyExists,
        "permissionDenied" => PermissionDenied, "resourceExhausted" => ResourceExhausted,
        "failedPrecondition" => FailedPrecondition, "aborted" => Aborted, "outOfRange" => OutOfRange,
        "unimplemented" => Unimplemented, "internal" => Internal, "unavailable" => Unavailable,
        "dataLoss" => DataLoss, "unauthenticated" => Unauthenticated,
    }
}
