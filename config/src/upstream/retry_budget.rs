//! `retryBudget` of an upstream: limit on its retries.

use crate::block::{
    At, Int, Percent, Share, block,
    field::{narrow, number, share},
};

block! {
    /// Limit on the retries of an upstream, over all routes and causes, hedging included.
    RetryBudgetBlock {
        /// Retries as a percentage of requests. Default 20.
        "percent" percent: Share,
        /// Retries per second that are always allowed, 0 to 100000. Default 10.
        "minPerSecond" min_per_second: Int<0, 100_000>,
    }
    shown_as RetryBudget
}

/// `retryBudget` of an upstream: limit on its retries, over all routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryBudget {
    /// Retries as a percentage of requests. Default 20.
    pub percent: Percent,
    /// Retries per second that are always allowed. Default 10.
    pub min_per_second: u32,
}

impl RetryBudget {
    /// A budget.
    pub fn new(percent: Percent, min_per_second: u32) -> Self {
        Self {
            percent,
            min_per_second,
        }
    }
}

/// 20 %, as in Finagle, linkerd and Envoy: a failing upstream gets at most 1.2 times its load.
const PER_MILLION: u32 = 200_000;

/// With little traffic, 20 % of it would allow no retry.
const MINIMUM: u64 = 10;

/// The budget of an upstream.
pub(crate) fn accept(block: Option<&At<RetryBudgetBlock>>) -> RetryBudget {
    let none = RetryBudgetBlock::default();
    let block = block.map_or(&none, |block| &block.value);
    RetryBudget {
        percent: share(&block.percent, PER_MILLION),
        min_per_second: narrow(number(&block.min_per_second, MINIMUM)),
    }
}
