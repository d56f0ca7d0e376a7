//! How endpoints are asked whether they are well.

use std::time::Duration;

use crate::model::ReadinessProbe;

/// How endpoints are asked whether they are well.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HealthCheck {
    /// What is asked.
    pub probe: ReadinessProbe,
    /// How often. Default 10 s.
    pub interval: Duration,
    /// From the start of the connect to the whole answer. Default 1 s.
    pub timeout: Duration,
    /// Good answers in a row that bring an unhealthy endpoint back. Default 2.
    pub healthy_threshold: u32,
    /// Bad ones in a row that take a healthy one out. Default 3.
    pub unhealthy_threshold: u32,
}
