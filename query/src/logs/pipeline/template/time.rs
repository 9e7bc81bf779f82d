//! Moments and Go's layouts for them: `2006-01-02T15:04:05.000Z07:00`.
//!
//! Zones are UTC and fixed offsets: names of zones need a database that is not carried along.

use std::fmt::Write;

const NANOS: i64 = 1_000_000_000;
const DAY_SECONDS: i64 = 86_400;
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// A moment and the offset of the zone it is shown in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment {
    /// Seconds since the epoch.
    seconds: i64,
    /// Below a second.
    nanos: i64,
    offset_seconds: i64,
}

/// A date and a time of day.
struct Civil {
    year: i64,
    month: i64,
    day: i64,
    weekday: usize,
    year_day: i64,
    hour: i64,
    minute: i64,
    second: i64,
}

impl Moment {
    pub(super) const fn from_nanos(ns: i64) -> Self {
        let (seconds, nanos) = (ns.div_euclid(NANOS), ns.rem_euclid(NANOS));
        Self { seconds, nanos, offset_seconds: 0 }
    }

    pub(super) const fn from_seconds(seconds: i64) -> Self {
        Self { seconds, nanos: 0, offset_seconds: 0 }
    }

    /// Go's moment of no time: the start of the year 1.
    pub(super) const fn zero() -> Self {
        Self::from_seconds(-62_135_596_800)
    }

    pub(super) const fn seconds(self) -> i64 {
        self.seconds
    }

    pub(super) const fn millis(self) -> i64 {
        self.seconds.wrapping_mul(1000).wrapping_add(self.nanos / 1_000_000)
    }

    pub(super) const fn nanos(self) -> i64 {
        self.seconds.wrapping_mul(NANOS).wrapping_add(self.nanos)
    }

    pub(super) const fn utc(self) -> Self {
        Self { offset_seconds: 0, ..self }
    }

    fn civil(self) -> Civil {
        let local = self.seconds.saturating_add(self.offset_seconds);
        let (days, rest) = (local.div_euclid(DAY_SECONDS), local.rem_euclid(DAY_SECONDS));
        let (year, month, day) = date_of(days);
        let weekday = usize::try_from((days + 4).rem_euclid(7)).unwrap_or(0);
        let year_day = days - days_of(year, 1, 1) + 1;
        let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
        Civil { year, month, day, weekday, year_day, hour, minute, second }
    }

    /// As Go prints a time.
    pub(super) fn print(self) -> String {
        let zone = if self.offset_seconds == 0 { " +0000 UTC" } else { " -0700 -0700" };
        let fraction = if self.nanos == 0 { "" } else { ".999999999" };
        self.format(&format!("2006-01-02 15:04:05{fraction}{zone}"))
    }

    /// Written by a layout.
    pub(super) fn format(self, layout: &str) -> String {
        let civil = self.civil();
        let mut out = String::new();
        let mut rest = layout;
        while !rest.is_empty() {
            let (part, length) = part_at(rest);
            if let Part::Literal = part {
                out.push_str(&rest[..length]);
            } else {
                self.push_part(&mut out, part, &civil);
            }
            rest = &rest[length..];
        }
        out
    }

    fn push_part(self, out: &mut String, part: Part, civil: &Civil) {
        let name = |names: &[&'static str], at: i64| {
            usize::try_from(at).ok().and_then(|at| names.get(at)).copied().unwrap_or_default()
        };
        let hour12 = if civil.hour % 12 == 0 { 12 } else { civil.hour % 12 };
        let month = name(&MONTHS, civil.month - 1);
        let day = DAYS.get(civil.weekday).copied().unwrap_or_default();
        let written = match part {
            Part::Literal => Ok(()),
            Part::Year => write!(out, "{:04}", civil.year),
            Part::ShortYear => write!(out, "{:02}", civil.year.rem_euclid(100)),
            Part::MonthName => out.write_str(month),
            Part::ShortMonth => out.write_str(&month[..month.len().min(3)]),
            Part::Number(field, pad) => {
                let value = match field {
                    Field::Month => civil.month,
                    Field::Day => civil.day,
                    Field::YearDay => civil.year_day,
                    Field::Hour => civil.hour,
                    Field::Hour12 => hour12,
                    Field::Minute => civil.minute,
                    Field::Second => civil.second,
                };
                match pad {
                    Pad::None => write!(out, "{value}"),
                    Pad::Space => write!(out, "{value:2}"),
                    Pad::Zero(width) => write!(out, "{value:0width$}"),
                }
            }
            Part::DayName => out.write_str(day),
            Part::ShortDay => out.write_str(&day[..day.len().min(3)]),
            Part::Noon(lower) => {
                let text = if civil.hour < 12 { "AM" } else { "PM" };
                out.write_str(&if lower { text.to_lowercase() } else { text.to_owned() })
            }
            Part::Fraction { digits, trims, mark } => {
                let text = format!("{:09}", self.nanos);
                let text = &text[..digits.min(9)];
                let text = if trims { text.trim_end_matches('0') } else { text };
                if text.is_empty() { Ok(()) } else { write!(out, "{mark}{text}") }
            }
            Part::Zone { zulu, colon, short } => {
                let offset = self.offset_seconds;
                if zulu && offset == 0 {
                    out.write_str("Z")
                } else {
                    let sign = if offset < 0 { '-' } else { '+' };
                    let (hours, minutes) = (offset.abs() / 3600, offset.abs() / 60 % 60);
                    let colon = if colon { ":" } else { "" };
                    match short {
                        true => write!(out, "{sign}{hours:02}"),
                        false => write!(out, "{sign}{hours:02}{colon}{minutes:02}"),
                    }
                }
            }
            Part::ZoneName if self.offset_seconds == 0 => out.write_str("UTC"),
            Part::ZoneName => {
                let sign = if self.offset_seconds < 0 { '-' } else { '+' };
                write!(out, "{sign}{:02}", self.offset_seconds.abs() / 3600)
            }
        };
        debug_assert!(written.is_ok(), "writing to a String cannot fail");
    }

    /// Read by a layout.
    pub(super) fn parse(layout: &str, text: &str) -> Option<Self> {
        let mut read = Read::default();
        let (mut layout, mut text) = (layout, text);
        while !layout.is_empty() {
            let (part, length) = part_at(layout);
            text = match part {
                Part::Literal => text.strip_prefix(&layout[..length])?,
                part => read.part(part, text)?,
            };
            layout = &layout[length..];
            // A fraction may follow seconds without the layout saying so.
            let after_seconds = matches!(part, Part::Number(Field::Second, _));
            if after_seconds && !layout.starts_with(['.', ',']) && text.starts_with('.') {
                text = read.fraction(text)?;
            }
        }
        if text.is_empty() { read.moment() } else { None }
    }
}

/// What was read of a time.
#[derive(Default)]
struct Read {
    year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    hour: i64,
    minute: i64,
    second: i64,
    nanos: i64,
    afternoon: Option<bool>,
    offset: i64,
}

impl Read {
    fn part<'a>(&mut self, part: Part, text: &'a str) -> Option<&'a str> {
        let (value, rest) = match part {
            Part::Year => digits(text, 4, 4)?,
            Part::ShortYear => digits(text, 2, 2)?,
            Part::Number(_, Pad::Zero(width)) => digits(text, width, width)?,
            Part::Number(..) => digits(text.trim_start(), 1, 2)?,
            _ => (0, text),
        };
        match part {
            Part::Year => self.year = Some(value),
            Part::ShortYear => self.year = Some(if value >= 69 { 1900 } else { 2000 } + value),
            Part::Number(Field::Month, _) => self.month = Some(value),
            Part::Number(Field::Day, _) => self.day = Some(value),
            Part::Number(Field::YearDay, _) => {
                self.month = Some(1);
                self.day = Some(value);
            }
            Part::Number(Field::Hour | Field::Hour12, _) => self.hour = value,
            Part::Number(Field::Minute, _) => self.minute = value,
            Part::Number(Field::Second, _) => self.second = value,
            Part::MonthName | Part::ShortMonth => {
                let (month, rest) = named(text, &MONTHS, part == Part::ShortMonth)?;
                self.month = Some(month + 1);
                return Some(rest);
            }
            Part::DayName | Part::ShortDay => {
                return named(text, &DAYS, part == Part::ShortDay).map(|(_, rest)| rest);
            }
            Part::Noon(_) => {
                let noon = text.get(..2)?;
                self.afternoon = Some(noon.eq_ignore_ascii_case("pm"));
                return text.get(2..);
            }
            Part::Fraction { .. } => {
                return if text.starts_with(['.', ',']) { self.fraction(text) } else { Some(text) };
            }
            Part::Zone { zulu, colon, short } => return self.zone(text, zulu, colon, short),
            Part::ZoneName => {
                let end = text.find(|c: char| !c.is_ascii_uppercase()).unwrap_or(text.len());
                return Some(&text[end..]);
            }
            Part::Literal => {}
        }
        Some(rest)
    }

    fn fraction<'a>(&mut self, text: &'a str) -> Option<&'a str> {
        let count = text[1..].bytes().take_while(u8::is_ascii_digit).count();
        let padded = format!("{:0<9}", &text[1..=count]);
        self.nanos = padded.get(..9)?.parse().ok()?;
        Some(&text[count + 1..])
    }

    fn zone<'a>(&mut self, text: &'a str, zulu: bool, colon: bool, short: bool) -> Option<&'a str> {
        if let Some(rest) = text.strip_prefix('Z').filter(|_| zulu) {
            return Some(rest);
        }
        let sign = match text.as_bytes().first()? {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        let (hours, mut rest) = digits(&text[1..], 2, 2)?;
        let mut minutes = 0;
        if !short {
            if colon {
                rest = rest.strip_prefix(':')?;
            }
            (minutes, rest) = digits(rest, 2, 2)?;
        }
        self.offset = sign * (hours * 3600 + minutes * 60);
        Some(rest)
    }

    fn moment(&self) -> Option<Moment> {
        let hour = match self.afternoon {
            Some(true) if self.hour < 12 => self.hour + 12,
            Some(false) if self.hour == 12 => 0,
            _ => self.hour,
        };
        let month = self.month.unwrap_or(1);
        let in_range = (1..=12).contains(&month) && hour < 24 && self.minute < 60;
        if !in_range || self.second > 59 {
            return None;
        }
        let days = days_of(self.year.unwrap_or(0), month, 1) + self.day.unwrap_or(1) - 1;
        let seconds = days * DAY_SECONDS + hour * 3600 + self.minute * 60 + self.second;
        Some(Moment {
            seconds: seconds - self.offset,
            nanos: self.nanos,
            offset_seconds: self.offset,
        })
    }
}

/// Between `least` and `most` digits at the start of `text`.
fn digits(text: &str, least: usize, most: usize) -> Option<(i64, &str)> {
    let count = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(count);
    (count >= least).then_some(())?;
    Some((number.parse().ok()?, rest))
}

fn named<'a>(text: &'a str, names: &[&str], short: bool) -> Option<(i64, &'a str)> {
    let length = |name: &str| if short { 3 } else { name.len() };
    let found = names.iter().position(|name| {
        let wanted = &name[..length(name)];
        text.get(..wanted.len()).is_some_and(|start| start.eq_ignore_ascii_case(wanted))
    })?;
    Some((i64::try_from(found).ok()?, &text[length(names[found])..]))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Month,
    Day,
    YearDay,
    Hour,
    Hour12,
    Minute,
    Second,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pad {
    None,
    Space,
    Zero(usize),
}

/// A part of a layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Literal,
    Year,
    ShortYear,
    MonthName,
    ShortMonth,
    DayName,
    ShortDay,
    Number(Field, Pad),
    Noon(bool),
    Fraction { digits: usize, trims: bool, mark: char },
    Zone { zulu: bool, colon: bool, short: bool },
    ZoneName,
}

/// Parts by how they are written, longer ones first.
const PARTS: [(&str, Part); 32] = [
    ("January", Part::MonthName),
    ("Jan", Part::ShortMonth),
    ("Monday", Part::DayName),
    ("Mon", Part::ShortDay),
    ("MST", Part::ZoneName),
    ("2006", Part::Year),
    ("002", Part::Number(Field::YearDay, Pad::Zero(3))),
    ("01", Part::Number(Field::Month, Pad::Zero(2))),
    ("02", Part::Number(Field::Day, Pad::Zero(2))),
    ("03", Part::Number(Field::Hour12, Pad::Zero(2))),
    ("04", Part::Number(Field::Minute, Pad::Zero(2))),
    ("05", Part::Number(Field::Second, Pad::Zero(2))),
    ("06", Part::ShortYear),
    ("15", Part::Number(Field::Hour, Pad::Zero(2))),
    ("-07:00", Part::Zone { zulu: false, colon: true, short: false }),
    ("-0700", Part::Zone { zulu: false, colon: false, short: false }),
    ("-07", Part::Zone { zulu: false, colon: false, short: true }),
    ("Z07:00", Part::Zone { zulu: true, colon: true, short: false }),
    ("Z0700", Part::Zone { zulu: true, colon: false, short: false }),
    ("Z07", Part::Zone { zulu: true, colon: false, short: true }),
    ("_2006", Part::Literal),
    ("__2", Part::Number(Field::YearDay, Pad::Space)),
    ("_2", Part::Number(Field::Day, Pad::Space)),
    ("PM", Part::Noon(false)),
    ("pm", Part::Noon(true)),
    ("1", Part::Number(Field::Month, Pad::None)),
    ("2", Part::Number(Field::Day, Pad::None)),
    ("3", Part::Number(Field::Hour12, Pad::None)),
    ("4", Part::Number(Field::Minute, Pad::None)),
    ("5", Part::Number(Field::Second, Pad::None)),
    ("", Part::Literal),
    ("", Part::Literal),
];

/// The part a layout starts with, and its length.
fn part_at(layout: &str) -> (Part, usize) {
    let literal = (Part::Literal, layout.chars().next().map_or(0, char::len_utf8));
    if layout.starts_with("_2006") {
        return (Part::Literal, 1);
    }
    if layout.starts_with(['.', ',']) {
        let mark = if layout.starts_with('.') { '.' } else { ',' };
        for (digit, trims) in [(b'0', false), (b'9', true)] {
            let digits = layout[1..].bytes().take_while(|b| *b == digit).count();
            let ends = !layout[1 + digits..].starts_with(|c: char| c.is_ascii_digit());
            if digits > 0 && ends {
                return (Part::Fraction { digits, trims, mark }, digits + 1);
            }
        }
        return literal;
    }
    let found = PARTS.iter().find(|(text, _)| !text.is_empty() && layout.starts_with(text));
    found.map_or(literal, |(text, part)| (*part, text.len()))
}

/// Year, month and day of a number of days since the epoch.
fn date_of(days: i64) -> (i64, i64, i64) {
    // Counted from the first of March of the year 0, in eras of 400 years.
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (year + era * 400 + later, month, day)
}

/// Days since the epoch.
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let month = (month + 9) % 12;
    let day = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + day - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_write_and_read() {
        let moment = Moment::from_nanos(1_136_214_245_123_456_789);
        for (layout, text) in [
            ("2006-01-02T15:04:05.000Z07:00", "2006-01-02T15:04:05.123Z"),
            ("Mon Jan _2 3:04:05PM 06", "Mon Jan  2 3:04:05PM 06"),
            ("Monday, January 2 2006 at 15h", "Monday, January 2 2006 at 15h"),
            ("02/01/2006 -0700 MST", "02/01/2006 +0000 UTC"),
        ] {
            assert_eq!(moment.format(layout), text);
            assert!(Moment::parse(layout, text).is_some(), "{layout}");
        }
        let parsed = Moment::parse("2006-01-02 15:04:05 -07:00", "2021-11-02 10:00:00 +02:00");
        assert_eq!(parsed.map(Moment::seconds), Some(1_635_840_000));
        assert_eq!(Moment::parse("2006-01-02", "x"), None);
        assert_eq!(Moment::zero().format("2006-01-02"), "0001-01-01");
    }
}
