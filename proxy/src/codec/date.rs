//! The Date header of responses without one (RFC 9110 section 6.6.1), formatted once per second.

use std::{
    cell::{Cell, RefCell},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::HeaderValue;

/// Bytes of a date.
const BYTES: usize = 29;

/// The date as text, formatted once per second.
#[derive(Debug)]
pub(crate) struct Today {
    text: RefCell<[u8; BYTES]>,
    second: Cell<u64>,
}

impl Default for Today {
    fn default() -> Self {
        Self {
            text: RefCell::new([0; BYTES]),
            second: Cell::new(u64::MAX),
        }
    }
}

impl Today {
    /// The text as in a header.
    pub(crate) fn now(&self) -> [u8; BYTES] {
        let second = second();
        if self.second.replace(second) != second
            && let Ok(text) = text(second).as_bytes().try_into()
        {
            self.text.replace(text);
        }
        *self.text.borrow()
    }
}

thread_local! {
    static VALUE: RefCell<(u64, HeaderValue)> = const { RefCell::new((u64::MAX, HeaderValue::from_static(""))) };
}

/// As a header value; the values of one second on one worker share their bytes.
pub(crate) fn value() -> HeaderValue {
    let second = second();
    VALUE.with_borrow_mut(|(known, value)| {
        if *known != second
            && let Ok(fresh) = HeaderValue::try_from(text(second))
        {
            (*known, *value) = (second, fresh);
        }
        value.clone()
    })
}

fn second() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

fn text(second: u64) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_is_that_of_now() {
        let text = String::from_utf8(Today::default().now().to_vec()).unwrap();
        let parsed = httpdate::parse_http_date(&text).unwrap();
        let ago = SystemTime::now().duration_since(parsed).unwrap();
        assert!(ago < Duration::from_secs(60), "{text}");
        assert_eq!(value(), text);
    }
}
