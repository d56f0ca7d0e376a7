//! RFC 3339 in UTC with milliseconds, `2026-01-02T03:04:05.678Z`, without a calendar library.

use std::time::{SystemTime, UNIX_EPOCH};

/// Writes 24 characters; a time before 1970 is written as 1970, one after 9999 with more digits.
pub(super) fn push_rfc3339(out: &mut Vec<u8>, time: SystemTime) {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs();
    let (year, month, day) = civil(seconds / 86_400);
    let of_day = seconds % 86_400;
    push_digits::<4>(out, year);
    out.push(b'-');
    push_digits::<2>(out, month);
    out.push(b'-');
    push_digits::<2>(out, day);
    out.push(b'T');
    push_digits::<2>(out, of_day / 3_600);
    out.push(b':');
    push_digits::<2>(out, of_day / 60 % 60);
    out.push(b':');
    push_digits::<2>(out, of_day % 60);
    out.push(b'.');
    push_digits::<3>(out, u64::from(since.subsec_millis()));
    out.push(b'Z');
}

/// Year, month and day of a day since 1970-01-01: Howard Hinnant's `civil_from_days`, whose years
/// begin in March so that the leap day is the last day.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

fn push_digits<const N: usize>(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [b'0'; N];
    for digit in digits.iter_mut().rev() {
        *digit += (number % 10) as u8;
        number /= 10;
    }
    out.extend_from_slice(&digits);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_time_is_written_as_utc_with_milliseconds() {
        for (millis, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_164_800_001, "2024-02-29T00:00:00.001Z"),
            (1_735_689_599_000, "2024-12-31T23:59:59.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (1_767_323_045_678, "2026-01-02T03:04:05.678Z"),
        ] {
            let mut out = Vec::new();
            push_rfc3339(&mut out, UNIX_EPOCH + Duration::from_millis(millis));
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
        let mut out = Vec::new();
        push_rfc3339(&mut out, UNIX_EPOCH - Duration::from_secs(1));
        assert_eq!(out, b"1970-01-01T00:00:00.000Z");
    }
}
