//! Numbers, durations and sizes from their text, by Go's rules and with its error texts.

use crate::promql::parse::parse_duration as parse_prometheus_duration;
use crate::promql::text::quote;

/// Nanoseconds of the units Go knows.
const UNITS: [(&str, f64); 8] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("\u{b5}s", 1e3),
    ("\u{3bc}s", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3600e9),
];

/// A duration as a query may write it, in nanoseconds: Prometheus' form or Go's.
pub(super) fn parse_query_duration(text: &str) -> Result<i64, String> {
    match parse_prometheus_duration(text) {
        Ok(ms) => ms.checked_mul(1_000_000).ok_or_else(|| "duration out of range".to_owned()),
        Err(_) => {
            parse_go_duration(text).map_err(|error| error.trim_start_matches("time: ").to_owned())
        }
    }
}

/// A duration in Go's form, `1h2.5s`, in nanoseconds.
pub(super) fn parse_go_duration(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {}", quote(text));
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = 0_i64;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        let (number, behind) = rest.split_at(digits);
        let value = number_of(number).ok_or_else(invalid)?;
        let letters = behind.find(|c: char| c.is_ascii_digit() || c == '.');
        let (unit, behind) = behind.split_at(letters.unwrap_or(behind.len()));
        if unit.is_empty() {
            return Err(format!("time: missing unit in duration {}", quote(text)));
        }
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(|| {
            format!("time: unknown unit {} in duration {}", quote(unit), quote(text))
        })?;
        let part = scaled(&value, *factor).ok_or_else(invalid)?;
        total = total.checked_add(part).ok_or_else(invalid)?;
        rest = behind;
    }
    Ok(if negative { -total } else { total })
}

/// The digits before the point, and the digits behind it as a fraction.
fn number_of(text: &str) -> Option<(i64, f64)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let fraction = if fraction.is_empty() { 0.0 } else { format!("0.{fraction}").parse().ok()? };
    Some((whole, fraction))
}

#[expect(clippy::cast_possible_truncation, reason = "units are whole; a fraction is cut as in Go")]
fn scaled((whole, fraction): &(i64, f64), factor: f64) -> Option<i64> {
    whole.checked_mul(factor as i64)?.checked_add((fraction * factor).round() as i64)
}

/// A duration as Go writes it: `1h30m0s`, `250ms`.
pub(super) fn format_go_duration(ns: i64) -> String {
    let sign = if ns < 0 { "-" } else { "" };
    let ns = ns.unsigned_abs();
    let decimal = |unit: u64| {
        let text = format!("{}.{:0width$}", ns / unit, ns % unit, width = unit.ilog10() as usize);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match ns {
        0 => "0s".to_owned(),
        1..1_000 => format!("{sign}{ns}ns"),
        1_000..1_000_000 => format!("{sign}{}\u{b5}s", decimal(1_000)),
        1_000_000..1_000_000_000 => format!("{sign}{}ms", decimal(1_000_000)),
        _ => {
            let minutes = ns / 60_000_000_000;
            let rest = ns % 60_000_000_000;
            let seconds = format!("{}.{:09}", rest / 1_000_000_000, rest % 1_000_000_000);
            let seconds = seconds.trim_end_matches('0').trim_end_matches('.');
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{sign}{seconds}s"),
                (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
                (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}

/// A size, `1.5KiB`; without a unit bytes.
pub(super) fn parse_bytes(text: &str) -> Result<u64, String> {
    let digits = |c: char| c.is_ascii_digit() || c == '.' || c == ',';
    let end = text.find(|c| !digits(c)).unwrap_or(text.len());
    let number = parse_float(&text[..end].replace(',', ""))?;
    let unit = text[end..].trim().to_lowercase();
    let factor = byte_factor(&unit).ok_or_else(|| format!("unhandled size name: {unit}"))?;
    let bytes = number * factor;
    if bytes >= 18_446_744_073_709_551_615.0 {
        return Err(format!("too large: {text}"));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "digits give no sign, and the bound is checked above"
    )]
    Ok(bytes as u64)
}

fn byte_factor(unit: &str) -> Option<f64> {
    let prefix = unit.strip_suffix('b').unwrap_or(unit);
    let (letter, base) = match prefix.strip_suffix('i') {
        Some(letter) if !letter.is_empty() => (letter, 1024_f64),
        _ => (prefix, 1000_f64),
    };
    let power = ["", "k", "m", "g", "t", "p", "e"].iter().position(|name| *name == letter)?;
    Some(base.powi(i32::try_from(power).ok()?))
}

/// A number by the rules of Go's `ParseFloat`.
pub(super) fn parse_float(text: &str) -> Result<f64, String> {
    let invalid = || format!("strconv.ParseFloat: parsing {}: invalid syntax", quote(text));
    let (sign, rest) = match text.as_bytes().first() {
        Some(b'-') => (-1.0, &text[1..]),
        Some(b'+') => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    let lower = rest.to_ascii_lowercase();
    match lower.as_str() {
        "inf" | "infinity" => return Ok(sign * f64::INFINITY),
        "nan" => return Ok(f64::NAN),
        _ => {}
    }
    if let Some(hex) = lower.strip_prefix("0x") {
        return parse_hex_float(hex).map(|value| sign * value).ok_or_else(invalid);
    }
    let is_number = lower.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && lower.bytes().all(|b| b.is_ascii_digit() || b"+-.e".contains(&b));
    let value: f64 = lower.parse().ok().filter(|_| is_number).ok_or_else(invalid)?;
    if value.is_infinite() {
        return Err(format!("strconv.ParseFloat: parsing {}: value out of range", quote(text)));
    }
    Ok(sign * value)
}

/// `1.8p3`, what stands behind `0x`; the exponent is not optional.
fn parse_hex_float(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once('p')?;
    let exponent: i32 = exponent.parse().ok().filter(|e: &i32| e.abs() < 5000)?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut value = 0.0;
    for c in whole.chars().chain(fraction.chars()) {
        value = value * 16.0 + f64::from(c.to_digit(16)?);
    }
    let shift = i32::try_from(fraction.len()).ok()?.checked_mul(4)?;
    Some(value * 2_f64.powi(exponent - shift))
}

/// A number as Go's `%v` writes it.
pub(super) fn format_float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let exponent = if value == 0.0 { 0.0 } else { value.abs().log10().floor() };
    if (-4.0..21.0).contains(&exponent) {
        return format!("{value}");
    }
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{digits:0>2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written() {
        for (text, ns) in [
            ("1h30m", 5_400_000_000_000),
            ("1.5s", 1_500_000_000),
            ("250ms", 250_000_000),
            ("-5m", -300_000_000_000),
            ("1d", 86_400_000_000_000),
            ("3\u{b5}s", 3_000),
        ] {
            assert_eq!(parse_query_duration(text), Ok(ns), "{text}");
            assert_eq!(parse_go_duration(&format_go_duration(ns)), Ok(ns), "{text}");
        }
        assert_eq!(format_go_duration(5_400_000_000_000), "1h30m0s");
        assert_eq!(format_go_duration(1_050_000), "1.05ms");
    }

    #[test]
    fn what_is_wrong_is_said_as_go_does() {
        for (text, error) in [
            ("5minutes", "unknown unit \"minutes\" in duration \"5minutes\""),
            ("5", "missing unit in duration \"5\""),
            ("oops", "invalid duration \"oops\""),
            ("", "invalid duration \"\""),
        ] {
            assert_eq!(parse_query_duration(text), Err(error.to_owned()), "{text}");
        }
        let empty = "strconv.ParseFloat: parsing \"\": invalid syntax";
        assert_eq!(parse_bytes("oops"), Err(empty.to_owned()));
    }

    #[test]
    fn sizes_and_numbers() {
        assert_eq!(parse_bytes("1.5KiB"), Ok(1536));
        assert_eq!(parse_bytes("3mb"), Ok(3_000_000));
        assert_eq!(parse_bytes("42"), Ok(42));
        assert_eq!(parse_bytes("1,000 B"), Ok(1000));
        assert_eq!(parse_float("0x1.8p3"), Ok(12.0));
        assert!(parse_float("0x1A").is_err() && parse_float("0b1").is_err());
        assert_eq!(format_float(1e21), "1e+21");
        assert_eq!(format_float(0.00001), "1e-05");
    }
}
