//! Parts of a date: days, months and years of the proleptic Gregorian calendar in UTC.

use super::Function;

const DAY_SECONDS: i64 = 86_400;

/// A moment as the calendar names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Date {
    year: i64,
    /// 1 to 12
    month: i64,
    /// 1 to 31
    day: i64,
}

/// The value of a date function for a moment in seconds since the epoch; fractions are cut off.
/// None if `function` is not one of them.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "parts of a date are small; moments beyond the calendar stay at its ends"
)]
pub(super) fn call(function: Function, seconds: f64) -> Option<f64> {
    let seconds = seconds as i64;
    let days = seconds.div_euclid(DAY_SECONDS);
    let second_of_day = seconds.rem_euclid(DAY_SECONDS);
    let value = match function {
        Function::Minute => second_of_day / 60 % 60,
        Function::Hour => second_of_day / 3600,
        // The epoch was a Thursday.
        Function::DayOfWeek => (days + 4).rem_euclid(7),
        Function::DayOfMonth => date(days).day,
        Function::DayOfYear => days - days_since_epoch(date(days).year, 1, 1) + 1,
        Function::DaysInMonth => {
            let Date { year, month, .. } = date(days);
            days_in_month(year, month)
        }
        Function::Month => date(days).month,
        Function::Year => date(days).year,
        _ => return None,
    };
    Some(value as f64)
}

/// The date `days` after the epoch. Years are counted from March, so that the leap day is the
/// last of a year; 400 years have 146,097 days.
const fn date(days: i64) -> Date {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + (month <= 2) as i64;
    Date { year, month, day }
}

const fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let from_march = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

const fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year.rem_euclid(4) == 0
            && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0) =>
        {
            29
        }
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        let cases = [
            (Function::Year, 1_136_239_445.0, 2006.0),
            (Function::Month, 1_136_239_445.0, 1.0),
            (Function::DayOfMonth, 1_136_239_445.0, 2.0),
            (Function::DayOfYear, 1_136_239_445.0, 2.0),
            (Function::DayOfWeek, 1_136_239_445.0, 1.0),
            (Function::Hour, 1_136_239_445.0, 22.0),
            (Function::Minute, 1_136_239_445.0, 4.0),
            (Function::DayOfWeek, 0.0, 4.0),
            (Function::Year, 1_230_767_999.0, 2008.0),
            (Function::Year, 1_230_768_000.0, 2009.0),
            (Function::DayOfMonth, 1_456_790_399.0, 29.0),
            (Function::DayOfMonth, 1_456_790_400.0, 1.0),
            (Function::DayOfYear, 1_483_191_420.0, 366.0),
            (Function::DayOfYear, 1_672_493_820.0, 365.0),
            (Function::DaysInMonth, 1_454_284_800.0, 29.0),
            (Function::DaysInMonth, 1_485_907_200.0, 28.0),
            (Function::Year, -1.0, 1969.0),
            (Function::Hour, -1.0, 23.0),
        ];
        for (function, seconds, wanted) in cases {
            assert_eq!(call(function, seconds), Some(wanted), "{} {seconds}", function.name());
        }
    }

    #[test]
    fn days_and_dates_agree_over_centuries() {
        for days in (-800_000..800_000).step_by(37) {
            let Date { year, month, day } = date(days);
            assert_eq!(days_since_epoch(year, month, day), days);
            assert!((1..=12).contains(&month) && (1..=days_in_month(year, month)).contains(&day));
        }
    }

    #[test]
    fn moments_beyond_all_calendars_do_not_panic() {
        for seconds in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, -1e300] {
            for function in [Function::Year, Function::DayOfYear, Function::DaysInMonth] {
                assert!(call(function, seconds).is_some());
            }
        }
    }
}
