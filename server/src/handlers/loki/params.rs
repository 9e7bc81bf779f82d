//! Parameters of Loki's API: times in three forms, ranges, steps, limits.

use ephemeris_model::{Direction, NanoRange};

use super::error::LokiError;
use crate::api::Form;
use crate::api::time::{parse_duration, parse_time};

const SECOND: i64 = 1_000_000_000;
const MILLI: i64 = 1_000_000;
/// The longest integer that is seconds; longer ones are nanoseconds.
const SECONDS_DIGITS_MAX: usize = 10;
/// How far back a range goes that has no start.
const SINCE_DEFAULT: i64 = 3600 * SECOND;
/// Entries of an answer, where nothing is asked for.
const LIMIT_DEFAULT: usize = 100;
/// Entries of an answer, at most.
pub(super) const LIMIT_MAX: usize = 5000;
/// Points of a series, at most.
const POINTS_MAX: i64 = 11_000;

/// Reads a time in nanoseconds: seconds with decimals, up to ten digits of seconds, nanoseconds, or
/// RFC 3339.
pub(super) fn parse_ns(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        let number: i64 = text.parse().ok()?;
        return if digits.len() <= SECONDS_DIGITS_MAX {
            number.checked_mul(SECOND)
        } else {
            Some(number)
        };
    }
    let millis = |text: &str| Some(parse_time(text).ok()?.0.saturating_mul(MILLI));
    if text.parse::<f64>().is_ok() {
        return millis(text);
    }
    let Some((whole, rest)) = text.split_once('.') else { return millis(text) };
    let end = rest.find(|c: char| !c.is_ascii_digit())?;
    let (fraction, zone) = rest.split_at(end);
    let digits: String = fraction.chars().chain(std::iter::repeat('0')).take(9).collect();
    Some(millis(&format!("{whole}{zone}"))?.saturating_add(digits.parse().ok()?))
}

/// The time `name`, if it is given.
pub(super) fn time(form: &Form, name: &str) -> Result<Option<i64>, LokiError> {
    let parse = |text| {
        let parsed = parse_ns(text);
        parsed
            .ok_or_else(|| LokiError::bad(format!("could not parse '{name}' parameter: {text:?}")))
    };
    form.get(name).map(parse).transpose()
}

/// The duration `name` in nanoseconds, if it is given.
fn duration(form: &Form, name: &str) -> Result<Option<i64>, LokiError> {
    let parse = |text| match parse_duration(text) {
        Ok(ms) => Ok(ms.saturating_mul(MILLI)),
        Err(cause) => Err(LokiError::bad(cause)),
    };
    form.get(name).map(parse).transpose()
}

/// Start and end, by default the last hour.
pub(super) fn range(form: &Form, now_ns: i64) -> Result<NanoRange, LokiError> {
    let since = duration(form, "since")?.unwrap_or(SINCE_DEFAULT);
    let end = time(form, "end")?;
    let start = time(form, "start")?;
    let end = end.unwrap_or(now_ns);
    let start = start.unwrap_or_else(|| end.min(now_ns).saturating_sub(since));
    if end < start {
        return Err(LokiError::bad("end timestamp must not be before or equal to start time"));
    }
    Ok(NanoRange { start, end })
}

/// The step of a range, above 0; by default a 250th of it, at least a second.
pub(super) fn step(form: &Form, range: NanoRange) -> Result<i64, LokiError> {
    let length = range.end.saturating_sub(range.start);
    let default = || (length / SECOND / 250).max(1) * SECOND;
    let step = duration(form, "step")?.unwrap_or_else(default);
    if step <= 0 {
        return Err(LokiError::bad(
            "zero or negative query resolution step widths are not accepted. \
             Try a positive integer",
        ));
    }
    if length / step > POINTS_MAX {
        return Err(LokiError::bad(
            "exceeded maximum resolution of 11,000 points per time series. \
             Try increasing the value of the step parameter",
        ));
    }
    Ok(step)
}

/// Least distance of entries in nanoseconds.
pub(super) fn interval(form: &Form) -> Result<i64, LokiError> {
    match duration(form, "interval")?.unwrap_or(0) {
        interval if interval < 0 => Err(LokiError::bad("interval must be >= 0")),
        interval => Ok(interval),
    }
}

/// Entries asked for.
pub(super) fn limit(form: &Form) -> Result<usize, LokiError> {
    let limit = count(form, "limit")?.unwrap_or(LIMIT_DEFAULT);
    if limit > LIMIT_MAX {
        return Err(LokiError::bad(format!(
            "max entries limit per query exceeded, limit > max_entries_limit_per_query \
             ({limit} > {LIMIT_MAX})"
        )));
    }
    Ok(limit)
}

/// A positive count, if it is given.
pub(super) fn count(form: &Form, name: &str) -> Result<Option<usize>, LokiError> {
    let Some(text) = form.get(name) else { return Ok(None) };
    match text.parse::<i64>() {
        Err(_) => Err(LokiError::bad(format!("could not parse '{name}' parameter: {text:?}"))),
        Ok(count) if count <= 0 => Err(LokiError::bad("limit must be a positive value")),
        Ok(count) => Ok(Some(usize::try_from(count).unwrap_or(usize::MAX))),
    }
}

/// Newest or oldest first.
pub(super) fn direction(form: &Form) -> Result<Direction, LokiError> {
    let text = form.get("direction").unwrap_or("backward");
    match text.to_ascii_lowercase().as_str() {
        "backward" => Ok(Direction::Backward),
        "forward" => Ok(Direction::Forward),
        _ => Err(LokiError::bad(format!("invalid direction '{text}'"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_in_three_forms() {
        for (text, want) in [
            ("4000000000", 4_000_000_000 * SECOND),
            ("12345678901", 12_345_678_901),
            ("1.5", 1_500_000_000),
            ("1970-01-01T00:00:02Z", 2_000_000_000),
            ("1970-01-01T00:00:02.123456789Z", 2_123_456_789),
            ("1970-01-01T01:00:02.5+01:00", 2_500_000_000),
            ("1700000000000000001", 1_700_000_000_000_000_001),
        ] {
            assert_eq!(parse_ns(text), Some(want), "{text}");
        }
        for text in ["", "x", "1970-13-01T00:00:00Z", "99999999999999999999"] {
            assert_eq!(parse_ns(text), None, "{text}");
        }
    }

    #[test]
    fn ranges_and_steps_have_lokis_defaults() {
        let form = |url: &str| Form::new(b"", url.as_bytes());
        let now = 10_000 * SECOND;
        let hour = range(&form(""), now).expect("defaults");
        assert_eq!(hour, NanoRange { start: now - SINCE_DEFAULT, end: now });
        assert_eq!(step(&form(""), hour).expect("a step"), 14 * SECOND);
        assert_eq!(step(&form("step=15000ms"), hour).expect("a step"), 15 * SECOND);
        assert!(range(&form("start=5&end=4"), now).is_err());
        assert!(step(&form("step=0"), hour).is_err());
        assert!(step(&form("step=100ms"), hour).is_err());
        assert!(limit(&form("limit=5001")).is_err());
        assert!(direction(&form("direction=up")).is_err());
        assert_eq!(limit(&form("")).ok(), Some(100));
    }
}
