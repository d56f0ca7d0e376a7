//! `loadBalancer` of an upstream.

use super::super::{
    defaults,
    value::{narrow, number, word},
};
use crate::{
    model::{LoadBalancer, LoadBalancerPolicy},
    schema::{At, LoadBalancerBlock},
};

/// The choice, with its defaults.
pub(super) fn load_balancer(block: Option<&At<LoadBalancerBlock>>) -> LoadBalancer {
    let none = LoadBalancerBlock::default();
    let block = block.map_or(&none, |block| &block.value);
    LoadBalancer {
        policy: word(&block.policy, LoadBalancerPolicy::LeastRequest),
        panic_percent: narrow(number(&block.panic_percent, defaults::PANIC_PERCENT)),
    }
}
