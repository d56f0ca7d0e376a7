//! When a record happened, from what the app wrote.
//!
//! Rules (`docs/logs.md`): a number is an epoch in seconds, milliseconds, microseconds or nanoseconds, by its size; RFC 3339 and its
//! usual variants need no format; others are given as for `strptime`. A time without a zone is in the zone of the source.
//! In the gap of a change to summer time it moves on by the gap; of two equal times in autumn it is the first. Without a
//! year it is the latest that lies at most a day ahead. Second 60 counts as 59.

use jiff::{
    Timestamp,
    civil::{Date, DateTime, Time},
    fmt::strtime::BrokenDownTime,
    tz::{Offset, TimeZone},
};
use serde_json::Value;

const SECOND: i64 = 1_000_000_000;

/// A clock that is a little ahead is no reason to be a year behind.
const AHEAD: i64 = 24 * 3600 * SECOND;

/// No zone has this name.
#[derive(Debug, thiserror::Error)]
#[error("there is no time zone {0:?}")]
pub struct UnknownZone(String);

/// How times are read.
#[derive(Debug, Clone)]
pub struct Timestamps {
    formats: Vec<String>,
    zone: TimeZone,
}

impl Default for Timestamps {
    fn default() -> Self {
        Self {
            formats: Vec::new(),
            zone: TimeZone::UTC,
        }
    }
}

impl Timestamps {
    /// With formats of the user's own, tried in order before the usual ones, and the zone of times that name none.
    ///
    /// # Errors
    /// There is no such zone.
    pub fn new(formats: Vec<String>, zone: Option<&str>) -> Result<Self, UnknownZone> {
        let zone = match zone {
            None => TimeZone::UTC,
            Some(name) => TimeZone::get(name).map_err(|_| UnknownZone(name.to_owned()))?,
        };
        Ok(Self { formats, zone })
    }

    /// Whether a format can be used at all.
    pub fn is_format(format: &str) -> bool {
        // What is wrong in a format shows when it writes.
        let sample = Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC);
        format.contains('%') && jiff::fmt::strtime::format(format, &sample).is_ok()
    }

    /// Nanoseconds since 1970; `None` when it cannot be read. `now` helps where there is no year.
    pub fn read(&self, value: &Value, now: i64) -> Option<i64> {
        match value {
            Value::Number(number) => number
                .as_i64()
                .and_then(epoch)
                .or_else(|| number.as_f64().and_then(float_epoch)),
            Value::String(text) => self.read_text(text.trim(), now),
            _ => None,
        }
    }

    fn read_text(&self, text: &str, now: i64) -> Option<i64> {
        let formatted = |format: &String| self.formatted(format, text, now);
        self.formats
            .iter()
            .find_map(formatted)
            .or_else(|| self.iso(text))
            .or_else(|| text.parse().ok().and_then(epoch))
            .or_else(|| text.parse().ok().and_then(float_epoch))
            .or_else(|| rfc2822(text))
    }

    fn formatted(&self, format: &str, text: &str, now: i64) -> Option<i64> {
        let mut parts = BrokenDownTime::parse(format, text).ok()?;
        if let Some(time) = parts.timestamp() {
            return nanos(time);
        }
        if parts.year().is_some() {
            return self.instant(&parts);
        }
        let year = Timestamp::from_nanosecond(i128::from(now))
            .ok()?
            .to_zoned(self.zone.clone())
            .year();
        let candidates = [year + 1, year, year - 1].into_iter().filter_map(|year| {
            parts.set_year(Some(year)).ok()?;
            self.instant(&parts)
        });
        candidates.into_iter().find(|time| *time <= now + AHEAD)
    }

    fn instant(&self, parts: &BrokenDownTime) -> Option<i64> {
        if parts.offset().is_some() {
            return nanos(parts.to_timestamp().ok()?);
        }
        let date = parts.to_date().ok()?;
        let time = parts.to_time().unwrap_or(Time::midnight());
        self.in_zone(date.to_datetime(time))
    }

    fn in_zone(&self, civil: DateTime) -> Option<i64> {
        nanos(civil.to_zoned(self.zone.clone()).ok()?.timestamp())
    }

    fn iso(&self, text: &str) -> Option<i64> {
        let (civil, zone) = iso(text)?;
        match zone {
            Some(offset) => nanos(offset.to_timestamp(civil).ok()?),
            None => self.in_zone(civil),
        }
    }
}

/// A time of RFC 3339, which has a zone.
pub(super) fn rfc3339(text: &str) -> Option<i64> {
    let (civil, zone) = iso(text)?;
    nanos(zone?.to_timestamp(civil).ok()?)
}

fn nanos(time: Timestamp) -> Option<i64> {
    i64::try_from(time.as_nanosecond()).ok()
}

/// The unit is the one that puts the time between 1973 and 5138.
fn epoch(number: i64) -> Option<i64> {
    let unit = match number.unsigned_abs() {
        0..100_000_000_000 => SECOND,
        100_000_000_000..100_000_000_000_000 => 1_000_000,
        100_000_000_000_000..100_000_000_000_000_000 => 1_000,
        _ => 1,
    };
    number.checked_mul(unit)
}

fn float_epoch(number: f64) -> Option<i64> {
    let unit = match number.abs() {
        size if size < 1e11 => 1e9,
        size if size < 1e14 => 1e6,
        size if size < 1e17 => 1e3,
        size if size < 9e18 => 1.0,
        _ => return None, // also what is no number
    };
    let nanos = number * unit;
    // Microseconds are what a float of today's epoch can hold.
    (nanos.abs() < 9e18).then(|| ((nanos / 1e3).round() as i64).saturating_mul(1_000))
}

fn rfc2822(text: &str) -> Option<i64> {
    let zoned = jiff::fmt::rfc2822::parse(text).ok()?;
    nanos(zoned.timestamp())
}

/// Takes decimal digits from the front.
fn digits<const N: usize>(text: &mut &[u8]) -> Option<i32> {
    let (head, rest) = text.split_at_checked(N)?;
    let number = head.iter().try_fold(0_i32, |number, byte| {
        byte.is_ascii_digit()
            .then(|| number * 10 + i32::from(byte - b'0'))
    })?;
    *text = rest;
    Some(number)
}

fn one_of(text: &mut &[u8], allowed: &[u8]) -> Option<u8> {
    let (first, rest) = text.split_first()?;
    allowed.contains(first).then(|| {
        *text = rest;
        *first
    })
}

/// ISO 8601 as loggers write it: `T` or a space between date and time, `.` or `,` before the fraction, and a zone as `Z`, `+02`,
/// `+0200`, `+02:00` or none, maybe after a space.
fn iso(text: &str) -> Option<(DateTime, Option<Offset>)> {
    let rest = &mut text.as_bytes();
    let year = digits::<4>(rest)?;
    one_of(rest, b"-/")?;
    let month = digits::<2>(rest)?;
    one_of(rest, b"-/")?;
    let day = digits::<2>(rest)?;
    one_of(rest, b"Tt _")?;
    let hour = digits::<2>(rest)?;
    one_of(rest, b":")?;
    let minute = digits::<2>(rest)?;
    let second = match one_of(rest, b":") {
        Some(_) => digits::<2>(rest)?,
        None => 0,
    };
    let fraction = match one_of(rest, b".,") {
        Some(_) => fraction(rest)?,
        None => 0,
    };
    let narrow = |number: i32| i8::try_from(number).ok();
    let second = if second == 60 { 59 } else { second };
    let date = Date::new(i16::try_from(year).ok()?, narrow(month)?, narrow(day)?).ok()?;
    let time = Time::new(narrow(hour)?, narrow(minute)?, narrow(second)?, fraction).ok()?;
    Some((date.to_datetime(time), zone(rest)?))
}

fn fraction(text: &mut &[u8]) -> Option<i32> {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(length);
    *text = rest;
    let mut nanos = 0;
    for at in 0..9 {
        nanos = nanos * 10 + digits.get(at).map_or(0, |digit| i32::from(digit - b'0'));
    }
    (length > 0).then_some(nanos)
}

/// `None` when what is left is no zone.
fn zone(text: &mut &[u8]) -> Option<Option<Offset>> {
    one_of(text, b" ");
    if text.is_empty() {
        return Some(None);
    }
    if **text == *b"Z" || **text == *b"z" || **text == *b"UTC" {
        return Some(Some(Offset::UTC));
    }
    let sign = one_of(text, b"+-")?;
    let hours = digits::<2>(text)?;
    one_of(text, b":");
    let minutes = if text.is_empty() {
        0
    } else {
        digits::<2>(text)?
    };
    let seconds = hours * 3600 + minutes * 60;
    let seconds = if sign == b'-' { -seconds } else { seconds };
    (text.is_empty() && minutes < 60)
        .then(|| Offset::from_seconds(seconds).ok())
        .flatten()
        .map(Some)
}
