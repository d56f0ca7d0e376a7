//! Properties of a certificate, as text for messages.

use std::time::{Duration, SystemTime};

use x509_parser::{
    prelude::{FromDer as _, X509Certificate},
    time::ASN1Time,
    x509::X509Name,
};

/// A certificate in DER, without trailing bytes.
pub(crate) fn parse(der: &[u8]) -> Option<X509Certificate<'_>> {
    X509Certificate::from_der(der)
        .ok()
        .filter(|(rest, _)| rest.is_empty())
        .map(|(_, certificate)| certificate)
}

/// A name in quotes, on one line and of limited length, for names with arbitrary content.
pub(crate) fn shown(name: &X509Name<'_>) -> String {
    const LONGEST: usize = 100;
    let text: String = name.to_string().chars().take(LONGEST).collect();
    if text.is_empty() {
        "without a subject".to_owned()
    } else {
        format!("{text:?}")
    }
}

/// A time in readable form.
pub(crate) fn date(time: ASN1Time) -> String {
    let time = time.to_datetime();
    let (year, month, day) = (time.year(), u8::from(time.month()), time.day());
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02} UTC",
        time.hour(),
        time.minute()
    )
}

/// The same time as a number; a time before 1970 is 1970.
pub(crate) fn system_time(time: ASN1Time) -> SystemTime {
    SystemTime::UNIX_EPOCH
        + Duration::from_secs(u64::try_from(time.timestamp()).unwrap_or_default())
}

/// Validity of a certificate or list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Age {
    /// Not valid yet.
    NotYet,
    /// Valid for more than a week.
    Good,
    /// Expires within a week.
    Ending,
    /// Expired.
    Ended,
}

/// One week is enough to find out why a rotation did not happen.
const NOTICE: i64 = 7 * 24 * 3600;

/// The validity at `now` of an item valid from `from` to `until`, both included.
pub(crate) fn age(from: ASN1Time, until: ASN1Time, now: SystemTime) -> Age {
    let now = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let (from, until) = (from.timestamp(), until.timestamp());
    match () {
        () if now > until => Age::Ended,
        () if now < from => Age::NotYet,
        () if until - now < NOTICE => Age::Ending,
        () => Age::Good,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validity_periods() {
        let at = |seconds| ASN1Time::from_timestamp(seconds).unwrap();
        let now = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let week = 7 * 24 * 3600;
        for (seconds, expected) in [
            (99, Age::NotYet),
            (100, Age::Good),
            (1_000_000 - week, Age::Good),
            (1_000_001 - week, Age::Ending),
            (1_000_000, Age::Ending),
            (1_000_001, Age::Ended),
        ] {
            assert_eq!(
                age(at(100), at(1_000_000), now(seconds)),
                expected,
                "{seconds}"
            );
        }
    }

    #[test]
    fn times_are_rendered_to_the_minute() {
        assert_eq!(
            date(ASN1Time::from_timestamp(1_577_836_859).unwrap()),
            "2020-01-01 00:00 UTC"
        );
        assert_eq!(
            system_time(ASN1Time::from_timestamp(-5).unwrap()),
            SystemTime::UNIX_EPOCH
        );
    }
}
