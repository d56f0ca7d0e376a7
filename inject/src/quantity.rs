//! Compares Kubernetes quantities.

/// A quantity in billionths, such as `20m`, `64Mi` or `0.5`; `None` if it is not valid.
pub(crate) fn parse(text: &str) -> Option<u128> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || whole.len() > 15 || fraction.len() > 9 {
        return None;
    }
    let fraction = format!("{fraction:0<9}").parse::<u128>().ok()?;
    let billionths = whole.parse::<u128>().ok()? * 1_000_000_000 + fraction;
    let (up, down): (u128, u128) = match unit {
        "n" => (1, 1_000_000_000),
        "u" => (1, 1_000_000),
        "m" => (1, 1_000),
        "" => (1, 1),
        "k" => (1_000, 1),
        "M" => (1_000_000, 1),
        "G" => (1_000_000_000, 1),
        "T" => (1_000_000_000_000, 1),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (1 << 30, 1),
        "Ti" => (1 << 40, 1),
        _ => return None,
    };
    billionths.checked_mul(up).map(|all| all / down)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn quantities_compare_over_their_units() {
        assert!(parse("20m") < parse("0.1") && parse("100m") == parse("0.1"));
        assert!(parse("64Mi") > parse("64M") && parse("1Gi") == parse("1024Mi"));
        for none in [
            "",
            "m",
            "1.2.3",
            "-1",
            "1 Mi",
            "1mi",
            "x",
            "1234567890123456",
        ] {
            assert_eq!(parse(none), None, "{none}");
        }
    }
}
