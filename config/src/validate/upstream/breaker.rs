//! `circuitBreaker` of an upstream.

use crate::{
    block::{
        At,
        field::{narrow, number},
    },
    model::CircuitBreaker,
    schema::CircuitBreakerBlock,
    validate::defaults,
};

/// The limits, with their defaults.
pub(crate) fn circuit_breaker(block: Option<&At<CircuitBreakerBlock>>) -> CircuitBreaker {
    let none = CircuitBreakerBlock::default();
    let block = block.map_or(&none, |block| &block.value);
    CircuitBreaker {
        max_connections: narrow(number(&block.max_connections, defaults::BREAKER)),
        max_requests: narrow(number(&block.max_requests, defaults::BREAKER)),
        max_pending_requests: narrow(number(&block.max_pending_requests, defaults::BREAKER)),
    }
}
