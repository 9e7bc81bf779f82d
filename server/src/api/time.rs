//! Times and durations as API parameters have them. What lies beyond the scale is held at its ends,
//! so that milliseconds given as seconds (the year 58,000) are a time like any other.

use ephemeris_model::TimestampMs;

use crate::config::value::parse_duration_ms;

/// Times are held within ± this many milliseconds (about 285,000 years), so that adding a range
/// or an offset cannot overflow.
const TIME_MS_MAX: i64 = 9_000_000_000_000_000;
/// What Prometheus itself prints for the ends of time.
const EARLIEST: &str = "-292273086-05-16T16:47:06Z";
const LATEST: &str = "292277025-08-18T07:12:54.999999999Z";

/// Reads a time: seconds since the epoch, with decimals, or RFC 3339.
///
/// # Errors
/// If it is neither; the text is that of Prometheus.
pub fn parse_time(text: &str) -> Result<TimestampMs, String> {
    let invalid = || format!("cannot parse {text:?} to a valid timestamp");
    if let Ok(seconds) = text.parse::<f64>() {
        return if seconds.is_nan() { Err(invalid()) } else { Ok(from_seconds(seconds)) };
    }
    if text == EARLIEST {
        return Ok(TimestampMs(-TIME_MS_MAX));
    }
    if text == LATEST || text.strip_prefix('+') == Some(LATEST) {
        return Ok(TimestampMs(TIME_MS_MAX));
    }
    parse_rfc3339(text).map(TimestampMs).ok_or_else(invalid)
}

/// Longest duration, in seconds: about what Prometheus can count in nanoseconds.
const DURATION_S_MAX: f64 = 9.2e9;

/// Reads a positive duration in milliseconds: seconds, with decimals, or as in `1h30m`.
///
/// # Errors
/// If it is neither; the text is that of Prometheus.
pub fn parse_duration(text: &str) -> Result<i64, String> {
    let invalid = || format!("cannot parse {text:?} to a valid duration");
    if let Ok(seconds) = text.parse::<f64>() {
        if seconds.is_nan() {
            return Err(invalid());
        }
        if seconds.abs() > DURATION_S_MAX {
            return Err(format!("{}. It overflows int64", invalid()));
        }
        return Ok(round_ms(seconds));
    }
    let duration_ms = parse_duration_ms(text).map_err(|_| invalid())?;
    if duration_ms > round_ms(DURATION_S_MAX) {
        return Err(format!("{}. It overflows int64", invalid()));
    }
    Ok(duration_ms)
}

fn from_seconds(seconds: f64) -> TimestampMs {
    TimestampMs(round_ms(seconds).clamp(-TIME_MS_MAX, TIME_MS_MAX))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a float too large becomes the largest integer"
)]
fn round_ms(seconds: f64) -> i64 {
    let whole = seconds.trunc();
    let fraction_ms = (seconds.fract() * 1000.0).round();
    ((whole as i64).saturating_mul(1000)).saturating_add(fraction_ms as i64)
}

fn parse_rfc3339(text: &str) -> Option<i64> {
    let (date, rest) = text.split_once('T')?;
    let mut date_parts = date.split('-');
    let year: i64 = digits(date_parts.next()?, 4)?;
    let month = digits(date_parts.next()?, 2)?;
    let day = digits(date_parts.next()?, 2)?;
    if date_parts.next().is_some() || !(1..=12).contains(&month) {
        return None;
    }
    if !(1..=days_in_month(year, month)).contains(&day) {
        return None;
    }
    let zone_at = rest.find(['Z', '+', '-'])?;
    let (clock, zone) = rest.split_at(zone_at);
    let clock_ms = parse_clock(clock)?;
    let offset_ms = parse_zone(zone)?;
    Some(days_from_epoch(year, month, day) * 86_400_000 + clock_ms - offset_ms)
}

fn parse_clock(text: &str) -> Option<i64> {
    let (clock, fraction) = text.split_once('.').map_or((text, None), |(c, f)| (c, Some(f)));
    let mut parts = clock.split(':');
    let hour = digits(parts.next()?, 2).filter(|h| *h < 24)?;
    let minute = digits(parts.next()?, 2).filter(|m| *m < 60)?;
    let second = digits(parts.next()?, 2).filter(|s| *s < 60)?;
    if parts.next().is_some() {
        return None;
    }
    let fraction_ms = match fraction {
        None => 0,
        Some(f) if f.is_empty() || f.len() > 9 => return None,
        Some(f) => digits(&format!("{f:0<3}")[..3], 3).filter(|_| digits(f, f.len()).is_some())?,
    };
    Some(((hour * 60 + minute) * 60 + second) * 1000 + fraction_ms)
}

fn parse_zone(text: &str) -> Option<i64> {
    if text == "Z" {
        return Some(0);
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let (hour, minute) = text.get(1..)?.split_once(':')?;
    let hour = digits(hour, 2).filter(|h| *h < 24)?;
    let minute = digits(minute, 2).filter(|m| *m < 60)?;
    Some(sign * (hour * 60 + minute) * 60_000)
}

fn digits(text: &str, length: usize) -> Option<i64> {
    let all_digits = text.len() == length && text.bytes().all(|b| b.is_ascii_digit());
    all_digits.then(|| text.parse().ok()).flatten()
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar; years are counted from March, so that
/// a leap day is the last of its year.
fn days_from_epoch(year: i64, month: i64, day: i64) -> i64 {
    let march_year = if month <= 2 { year - 1 } else { year };
    let march_month = (month + 9) % 12;
    let day_of_year = (153 * march_month + 2) / 5 + day - 1;
    let (era, year_of_era) = (march_year.div_euclid(400), march_year.rem_euclid(400));
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// `timestamp_ms` as RFC 3339 in UTC with milliseconds: `2026-11-23T01:02:03.004Z`.
#[must_use]
pub fn format_rfc3339(timestamp_ms: i64) -> String {
    let (year, month, day) = date_from_days(timestamp_ms.div_euclid(86_400_000));
    let of_day = timestamp_ms.rem_euclid(86_400_000);
    let (hour, minute) = (of_day / 3_600_000, of_day / 60_000 % 60);
    let (second, ms) = (of_day / 1000 % 60, of_day % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

fn date_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_every_form() {
        let cases = [
            ("0", 0),
            ("4", 4000),
            ("1732312345.123", 1_732_312_345_123),
            ("-0.001", -1),
            ("1e3", 1_000_000),
            ("1700000000123", 1_700_000_000_123_000),
            ("1970-01-01T00:00:00Z", 0),
            ("2015-06-03T13:21:58.555Z", 1_433_337_718_555),
            ("2015-06-03T14:21:58.555555555+01:00", 1_433_337_718_555),
            ("2024-02-29T00:00:00-00:30", 1_709_166_600_000),
            ("1969-12-31T23:59:59.9Z", -100),
            ("1e300", TIME_MS_MAX),
            ("-Inf", -TIME_MS_MAX),
            (EARLIEST, -TIME_MS_MAX),
            (LATEST, TIME_MS_MAX),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_time(text), Ok(TimestampMs(expected)), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_named() {
        for text in ["", "x", "NaN", "2023-02-29T00:00:00Z", "2023-01-01", "2023-01-01T24:00:00Z"] {
            let expected = format!("cannot parse {text:?} to a valid timestamp");
            assert_eq!(parse_time(text), Err(expected));
        }
        assert!(parse_time("2023-01-01T00:00:00.Z").is_err());
        assert!(parse_time("2023-01-01T00:00:00é").is_err());
        assert!(parse_time("2023-01-01T00:00:00+é:00").is_err());
    }

    #[test]
    fn durations_are_seconds_or_words() {
        assert_eq!(parse_duration("15"), Ok(15_000));
        assert_eq!(parse_duration("0.5"), Ok(500));
        assert_eq!(parse_duration("1h30m"), Ok(5_400_000));
        assert_eq!(parse_duration("-1"), Ok(-1000));
        let text = "cannot parse \"1x\" to a valid duration";
        assert_eq!(parse_duration("1x"), Err(text.to_owned()));
        for text in ["1e300", "9223372036854775807ms", "292y"] {
            let refused = parse_duration(text).is_err_and(|text| text.contains("overflows"));
            assert!(refused, "{text}");
        }
        assert!(parse_duration("291y").is_ok());
    }

    #[test]
    fn a_printed_time_reads_back() {
        for ms in [0, -1, 1_433_337_718_555, 951_782_400_000, -62_135_596_800_000] {
            assert_eq!(parse_time(&format_rfc3339(ms)), Ok(TimestampMs(ms)));
        }
    }
}
