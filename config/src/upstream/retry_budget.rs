//! `retryBudget` of an upstream: how much it is sent a second time.

use crate::block::{
    At, Int, Percent, Share, block,
    field::{narrow, number, share},
};

block! {
    /// How much an upstream is sent a second time, by all routes and for whatever reason.
    RetryBudgetBlock {
        /// So many of 100 requests. Default 20.
        "percent" percent: Share,
        /// So many in a second in any case, 0 to 100000. Default 10.
        "minPerSecond" min_per_second: Int<0, 100_000>,
    }
    shown_as RetryBudget
}

/// `retryBudget` of an upstream: all that is sent to it a second time, by all routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryBudget {
    /// So many of 100 requests may go again. Default 20.
    pub percent: Percent,
    /// So many in a second may go again in any case. Default 10.
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

/// A fifth, as in Finagle, linkerd and Envoy: a failing upstream gets 1.2 times its load and no more.
const PER_MILLION: u32 = 200_000;

/// With little traffic a fifth of it is nothing.
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
