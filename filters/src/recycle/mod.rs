//! What the next request uses again: memory, header names, and timers. Every device here has a figure in
//! `docs/recycling.md`; a device that saves less than 1 % of the instructions of its best request is removed.
//!
//! All of it belongs to one thread, and each device has a limit. A build with `OUTRIGGER_WITHOUT=<device>` in its environment
//! leaves one device out, so that its figure can be measured again.

mod alarm;
pub mod heads;
pub mod line;
pub mod maps;
pub mod names;
mod pool;
mod slots;

pub use alarm::Alarm;
pub use pool::Pool;
pub use slots::{Recycle, Slot, Slots, Stored};

/// The most items of a device: none where the build leaves the device out.
pub const fn limit(device: &str, most: usize) -> usize {
    if is_left_out(device) { 0 } else { most }
}

const fn is_left_out(device: &str) -> bool {
    let Some(left_out) = option_env!("OUTRIGGER_WITHOUT") else {
        return false;
    };
    let (a, b) = (device.as_bytes(), left_out.as_bytes());
    let mut equal = 0;
    while equal < a.len() && equal < b.len() && a[equal] == b[equal] {
        equal += 1;
    }
    equal == a.len() && equal == b.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_normal_build_has_every_device() {
        if option_env!("OUTRIGGER_WITHOUT").is_some() {
            return eprintln!("SKIPPED: this build leaves a device out");
        }
        for device in ["slots", "heads", "maps", "rooms", "names", "alarm"] {
            assert_eq!(limit(device, 7), 7, "{device}");
        }
    }
}
