//! `loadBalancer` of an upstream.

use super::super::{Int, Word, block::block};
use crate::model::LoadBalancerPolicy;

block! {
    /// How an endpoint is chosen.
    LoadBalancerBlock {
        /// `leastRequest` (the less busy of two drawn at random), `roundRobin` or `random`. Default leastRequest.
        "policy" policy: Word<LoadBalancerPolicy>,
        /// When fewer endpoints than this share are well, all are used: those that are left would fail next. 0 to 100. Default 50; 0 never.
        "panicPercent" panic_percent: Int<0, 100>,
    }
    later ["slowStart", "hashOn"]
}
