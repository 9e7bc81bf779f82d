//! Values of settings: durations as Prometheus writes them, sizes in bytes.

use std::time::Duration;

const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 24 * 3_600_000),
    ("w", 7 * 24 * 3_600_000),
    ("d", 24 * 3_600_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// Reads `1h30m`, `400d`, `15s`, `0`: numbers with units from years down to milliseconds, each unit
/// once and in this order.
///
/// # Errors
/// If it is something else, or more than fits.
pub fn parse_duration_ms(text: &str) -> Result<i64, String> {
    let invalid = || format!("{text:?} is no duration; write 15s, 1h30m, 400d or 0");
    if text == "0" {
        return Ok(0);
    }
    let (mut rest, mut unit_from, mut total) = (text, 0, 0_u64);
    if rest.is_empty() {
        return Err(invalid());
    }
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(invalid)?;
        let (number, tail) = rest.split_at(number_end);
        let unit_end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let at = UNITS.iter().position(|(name, _)| *name == unit).ok_or_else(invalid)?;
        let number: u64 = number.parse().map_err(|_| invalid())?;
        if at < unit_from {
            return Err(invalid());
        }
        unit_from = at + 1;
        let part = number.checked_mul(UNITS[at].1).ok_or_else(invalid)?;
        total = total.checked_add(part).ok_or_else(invalid)?;
        rest = tail;
    }
    i64::try_from(total).map_err(|_| invalid())
}

/// As [`parse_duration_ms`], for settings that are lengths of time.
///
/// # Errors
/// If it is no duration.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    Ok(Duration::from_millis(parse_duration_ms(text)?.unsigned_abs()))
}

/// A duration in the form [`parse_duration_ms`] reads.
#[must_use]
pub fn format_duration_ms(duration_ms: u64) -> String {
    let mut rest = duration_ms;
    let mut text = String::new();
    for (at, (unit, length)) in UNITS.iter().enumerate() {
        // Years and weeks only where they are exact: 400 days stay `400d`.
        if rest >= *length && (at > 2 || rest.is_multiple_of(*length)) {
            text.push_str(&format!("{}{unit}", rest / length));
            rest %= length;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// Reads a size: a number of bytes, with `KiB`, `MiB`, `GiB`, `TiB` or `kB`, `MB`, `GB`, `TB`
/// behind it if wished.
///
/// # Errors
/// If it is something else, or more than fits.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let invalid = || format!("{text:?} is no size; write a number of bytes, or 512MiB, 4GB");
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor: u64 = match unit.trim() {
        "" | "B" => 1,
        "kB" | "KB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        "KiB" | "k" | "K" => 1 << 10,
        "MiB" | "M" => 1 << 20,
        "GiB" | "G" => 1 << 30,
        "TiB" | "T" => 1 << 40,
        _ => return Err(invalid()),
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(factor).ok_or_else(invalid);
    }
    let number: f64 = number.parse().map_err(|_| invalid())?;
    scale(number, factor).ok_or_else(invalid)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a size written with decimals is rounded to a byte"
)]
fn scale(number: f64, factor: u64) -> Option<u64> {
    let bytes = number * factor as f64;
    (0.0..9e18).contains(&bytes).then_some(bytes as u64)
}

/// A size in the largest unit that divides it.
#[must_use]
pub fn format_bytes(bytes: u64) -> String {
    for (unit, factor) in [("TiB", 1_u64 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1024)]
    {
        if bytes >= factor && bytes.is_multiple_of(factor) {
            return format!("{}{unit}", bytes / factor);
        }
    }
    bytes.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_back() {
        for text in ["15s", "1h30m", "400d", "2m", "1y", "1ms", "1h1ms", "60s"] {
            let ms = parse_duration_ms(text).expect("a duration");
            let printed = format_duration_ms(ms.unsigned_abs());
            assert_eq!(parse_duration_ms(&printed), Ok(ms), "{text} {printed}");
        }
        assert_eq!(format_duration_ms(400 * 24 * 3_600_000), "400d");
        assert_eq!(parse_duration_ms("0"), Ok(0));
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["", "1", "s", "1x", "-1s", "1s1h", "1s1s", "1.5h", "99999999999999999999y"] {
            assert!(parse_duration_ms(text).is_err(), "{text}");
        }
        assert!(parse_duration_ms("999999999999y").is_err());
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(parse_bytes("1024"), Ok(1024));
        assert_eq!(parse_bytes("512MiB"), Ok(512 << 20));
        assert_eq!(parse_bytes("1.5KiB"), Ok(1536));
        assert_eq!(parse_bytes("4GB"), Ok(4_000_000_000));
        for text in ["", "x", "1Q", "-1", "99999999999999999999"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
        assert_eq!(format_bytes(32 << 20), "32MiB");
        assert_eq!(format_bytes(1025), "1025");
    }
}
