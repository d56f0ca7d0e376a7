//! Single values with their defaults.

use std::time::Duration;

use http::StatusCode;

use crate::block::{At, Flag, Int, Percent, Share, Size, Time, Word, problem::Report};

/// An optional field of a schema block.
pub(crate) type Field<T> = Option<At<T>>;

/// A word, or the default.
pub(crate) fn word<T: Copy>(field: &Field<Word<T>>, default: T) -> T {
    field.as_ref().map_or(default, |word| word.value.0)
}

/// A flag, or the default.
pub(crate) fn flag(field: &Field<Flag>, default: bool) -> bool {
    field.as_ref().map_or(default, |flag| flag.value.0)
}

/// A number, or the default.
pub(crate) fn number<const MIN: u64, const MAX: u64>(
    field: &Field<Int<MIN, MAX>>,
    default: u64,
) -> u64 {
    field.as_ref().map_or(default, |number| number.value.0)
}

/// A number as a narrower type that can hold `MAX`.
pub(crate) fn narrow<T: TryFrom<u64>>(number: u64) -> T {
    T::try_from(number)
        .ok()
        .expect("the schema's range fits the model's type")
}

/// A size within a range, or the default.
pub(crate) fn size_between(
    field: &Field<Size>,
    default: u64,
    (min, max): (u64, u64),
    shown: &str,
    report: &mut Report,
) -> usize {
    let Some(size) = field else {
        return narrow(default);
    };
    if !(min..=max).contains(&size.value.0) {
        let message = "the size is out of range";
        report.error(
            &size.place,
            "out-of-range",
            message,
            format!("write a size of {shown}"),
        );
        return narrow(default);
    }
    narrow(size.value.0)
}

/// A duration, or the default.
pub(crate) fn time(field: &Field<Time>, default: Duration) -> Duration {
    field.as_ref().map_or(default, |time| time.value.0)
}

/// A duration that `0s` switches off.
pub(crate) fn time_or_off(field: &Field<Time>, default: Option<Duration>) -> Option<Duration> {
    match field {
        Some(time) => Some(time.value.0).filter(|time| !time.is_zero()),
        None => default,
    }
}

/// A duration that cannot be switched off.
pub(crate) fn time_over_zero(
    field: &Field<Time>,
    default: Duration,
    report: &mut Report,
) -> Duration {
    if let Some(time) = field.as_ref().filter(|time| time.value.0.is_zero()) {
        let help = "write a duration over 0s, or remove the key for the default";
        report.error(
            &time.place,
            "out-of-range",
            "0s is not allowed here: this cannot be disabled",
            help,
        );
        return default;
    }
    time(field, default)
}

/// A duration for a header that counts seconds.
pub(crate) fn whole_seconds(
    key: &str,
    field: &Field<Time>,
    help: &str,
    report: &mut Report,
) -> Option<Duration> {
    let time = field.as_ref()?;
    if time.value.0.subsec_nanos() != 0 {
        let message = format!("`{key}` must be in whole seconds");
        report.error(&time.place, "out-of-range", message, help);
    }
    Some(time.value.0)
}

/// A share, or the default in parts of a million.
pub(crate) fn share(field: &Field<Share>, default: u32) -> Percent {
    Percent::of_million(field.as_ref().map_or(default, |share| share.value.0))
}

/// A status code whose range was checked.
pub(crate) fn status_code(status: u64) -> StatusCode {
    StatusCode::from_u16(narrow(status)).unwrap_or_default()
}
