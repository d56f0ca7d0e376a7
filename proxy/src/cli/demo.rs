//! `outrigger demo`.

pub(super) fn demo() -> u8 {
    super::FAILED
}
