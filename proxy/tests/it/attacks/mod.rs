//! `docs/security.md` 17 and 18: attacks that cost the attacker little and should cost us no more.

mod http2;

use outrigger_loadtest::origin::Origin;

use crate::support::{Proxy, origin, wait_for};

/// A proxy under attack.
struct Siege {
    proxy: Proxy,
    origin: Origin,
}

impl Siege {
    /// One worker, so that attackers and others share it, and one listener with these keys.
    fn new(keys: &str) -> Self {
        let origin = origin();
        let yaml = format!(
            "workers: 1\napp: {{ port: {} }}\nlisteners: [{{ port: 0{keys} }}]\n",
            origin.address().port()
        );
        Self { proxy: Proxy::start(&yaml), origin }
    }

    fn rejected(&self, reason: &str) -> f64 {
        self.proxy.metric(&format!("outrigger_downstream_rejected_total{{reason=\"{reason}\"}}"))
    }

    /// Waits until that many were refused for this reason, and no more.
    fn wait_rejected(&self, reason: &str, count: f64) {
        wait_for(reason, || (self.rejected(reason) >= count).then_some(()));
        assert_eq!(self.rejected(reason), count, "{reason}");
    }
}
