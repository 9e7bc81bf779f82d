//! Numbers and durations from their text.

use crate::promql::text::quote;

/// Largest duration in seconds: what 64-bit nanoseconds hold, as in Prometheus.
const DURATION_SECONDS_MAX: f64 = 9_223_372_036.854_775;

/// Whether `seconds` is too long for a duration.
pub(super) fn is_out_of_range(seconds: f64) -> bool {
    !(-DURATION_SECONDS_MAX..=DURATION_SECONDS_MAX).contains(&seconds)
}

/// Seconds, which must not be out of range, as milliseconds.
#[expect(clippy::cast_possible_truncation, reason = "in range by the condition above")]
pub(super) fn seconds_to_ms(seconds: f64) -> i64 {
    // By way of nanoseconds, so that 0.3 s does not come out as 299 ms.
    ((seconds * 1e9).round() / 1e6).trunc() as i64
}

/// A duration in Prometheus' form, `1h30m`, in milliseconds.
///
/// # Errors
/// What is wrong with it, in Prometheus' words.
pub fn parse_duration(text: &str) -> Result<i64, String> {
    const UNITS: [(&str, i64); 7] = [
        ("y", 365 * 24 * 3_600_000),
        ("w", 7 * 24 * 3_600_000),
        ("d", 24 * 3_600_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1000),
        ("ms", 1),
    ];
    match text {
        "" => return Err("empty duration string".to_owned()),
        "0" => return Ok(0),
        _ => {}
    }
    let invalid = || format!("not a valid duration string: {}", quote(text));
    let out_of_range = || "duration out of range".to_owned();
    let mut rest = text;
    let mut units = UNITS.iter();
    let mut total = 0_i64;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, behind) = rest.split_at(digits);
        let letters = behind.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, behind) = behind.split_at(letters);
        // Units come in this order, each at most once.
        let (_, factor) = units.find(|(name, _)| *name == unit).ok_or_else(invalid)?;
        if number.is_empty() {
            return Err(invalid());
        }
        let number: i64 = number.parse().map_err(|_| out_of_range())?;
        total = number
            .checked_mul(*factor)
            .and_then(|ms| total.checked_add(ms))
            .filter(|ms| *ms <= i64::MAX / 1_000_000)
            .ok_or_else(out_of_range)?;
        rest = behind;
    }
    Ok(total)
}

/// A number as written, without a sign: decimal, octal with a leading 0, hexadecimal, `Inf`,
/// `NaN`.
///
/// # Errors
/// What is wrong with it, in Prometheus' words.
#[expect(clippy::cast_precision_loss, reason = "a number in a query is a float")]
pub fn parse_number(text: &str) -> Result<f64, String> {
    let failed = |what: &str| {
        Err(format!("error parsing number: strconv.ParseFloat: parsing {}: {what}", quote(text)))
    };
    match text.to_ascii_lowercase().as_str() {
        "inf" => return Ok(f64::INFINITY),
        "nan" => return Ok(f64::NAN),
        _ => {}
    }
    if !underscores_separate_digits(text) {
        return failed("invalid syntax");
    }
    let plain = text.replace('_', "");
    if let Some(hex) = plain.strip_prefix("0x").or_else(|| plain.strip_prefix("0X")) {
        return match i64::from_str_radix(hex, 16) {
            Ok(value) => Ok(value as f64),
            Err(_) => failed("invalid syntax"),
        };
    }
    if plain.len() > 1
        && plain.starts_with('0')
        && let Ok(value) = i64::from_str_radix(&plain, 8)
    {
        return Ok(value as f64);
    }
    match plain.parse::<f64>() {
        Ok(value) if value.is_infinite() => failed("value out of range"),
        Ok(value) => Ok(value),
        Err(_) => failed("invalid syntax"),
    }
}

/// Each `_` stands between digits, or behind `0x`.
fn underscores_separate_digits(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.iter().enumerate().filter(|(_, b)| **b == b'_').all(|(at, _)| {
        let before = at.checked_sub(1).and_then(|at| bytes.get(at));
        let after = bytes.get(at + 1);
        before.is_some_and(|b| b.is_ascii_hexdigit() || matches!(b, b'x' | b'X'))
            && after.is_some_and(u8::is_ascii_hexdigit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(parse_duration("1y1w1d1h1m1s1ms"), Ok(32_230_861_001));
        assert_eq!(parse_duration("0"), Ok(0));
        assert_eq!(parse_duration("5m"), Ok(300_000));
        for bad in ["", "5", "5mm", "m", "5m5m", "5s5m", "1.5h", "-5m", "5hs", "5m1"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_duration("300y"), Err("duration out of range".to_owned()));
        assert_eq!(
            parse_duration("99999999999999999999s"),
            Err("duration out of range".to_owned())
        );
    }

    #[test]
    fn numbers() {
        for (text, value) in [
            ("0x2A", 42.0),
            ("0755", 493.0),
            ("0899", 899.0),
            ("1_000", 1000.0),
            ("1e-3", 0.001),
            (".5", 0.5),
            ("2.", 2.0),
            ("Inf", f64::INFINITY),
            ("0x_1f", 31.0),
        ] {
            assert_eq!(parse_number(text), Ok(value), "{text}");
        }
        assert!(parse_number("nan").unwrap().is_nan());
        for bad in ["1e999", "0x", "1e", "1__0", "0xffffffffffffffffff"] {
            assert!(parse_number(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn seconds_become_whole_milliseconds() {
        assert_eq!(seconds_to_ms(0.3), 300);
        assert_eq!(seconds_to_ms(-4.0), -4000);
        assert!(is_out_of_range(1e300) && is_out_of_range(f64::NAN) && !is_out_of_range(9e9));
    }
}
