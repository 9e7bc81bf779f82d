//! Finds the entries of a page whose lines fulfil conditions. Lines that have their digits apart are
//! looked at without them, and get them back only where the digits decide or the lines are wanted.

use std::borrow::Cow;

use ephemeris_model::{Digits, EntryCount, LabelHint, LineSearches, Lines, LogColumns, NanoRange};

use super::page::{MISFIT, Parts};
use super::rows::{Column, Rows};
use super::text::{self, Form, Masked, Text};
use crate::encoding::Damage;

/// With more lines than every so-manieth to give their digits, all get them at once.
const FEW: usize = 4;
/// So many digits one after the other are in few pages, so it is looked for them first.
const RARE_DIGITS: usize = 5;

/// What is looked for in a page.
#[derive(Clone, Copy, Debug)]
pub struct Search<'a> {
    /// What lines fulfil.
    pub filters: &'a LineSearches,
    /// What lines fulfil too, of entries without metadata of that name.
    pub hints: &'a [LabelHint],
    /// Where entries lie in time.
    pub range: NanoRange,
    /// What is wanted of those found. Without the lines, each has its length.
    pub columns: LogColumns,
}

/// What was found in a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The entries found.
    pub rows: Rows,
    /// Number of all entries of the page.
    pub of: usize,
}

impl<'a> Search<'a> {
    /// Whether nothing but time is asked for.
    #[must_use]
    pub const fn is_all(&self) -> bool {
        self.filters.is_empty() && self.hints.is_empty()
    }

    /// What lines fulfil where metadata has these names.
    fn conditions<'n>(&self, names: impl Fn() -> Vec<&'n str>) -> Cow<'a, LineSearches> {
        if self.hints.is_empty() {
            return Cow::Borrowed(self.filters);
        }
        let names = names();
        let applies = |hint: &&LabelHint| !names.contains(&hint.name.as_str());
        let lines = self.hints.iter().filter(applies).map(|hint| hint.line.clone());
        Cow::Owned(self.filters.with(lines))
    }
}

/// Lines that are found: their places in a text that has what is wanted of them.
struct Hits<'a> {
    rows: Vec<usize>,
    text: Text<'a>,
}

/// The entries of a page that fulfil all of it.
///
/// # Errors
/// If the bytes are no page.
pub fn search(bytes: &[u8], search: &Search<'_>) -> Result<Found, Damage> {
    let parts = Parts::open(bytes)?;
    let of = parts.times.len();
    let Hits { rows: found, text } = hits(&parts, search)?;
    if found.is_empty() {
        return Ok(Found { rows: Rows::default(), of });
    }
    let (mut lines, mut ends) = (Vec::new(), Vec::with_capacity(found.len()));
    let place = |row: usize| place(&parts.ends, row);
    let mut end = |lines: &Vec<u8>| ends.push(u32::try_from(lines.len()).unwrap_or(u32::MAX));
    match &text {
        Text::Masked(masked) if search.columns.lines => {
            let mut masked = masked.parts()?;
            for &row in &found {
                masked.put(place(row), &mut lines)?;
                end(&lines);
            }
        }
        Text::Masked(Masked { text, .. }) | Text::Whole(text) => {
            for &row in &found {
                lines.extend_from_slice(text.get(place(row)).ok_or(MISFIT)?);
                end(&lines);
            }
        }
    }
    let times = found.iter().map(|&row| parts.times[row]).collect();
    let columns = if search.columns.metadata { parts.columns()? } else { Vec::new() };
    let columns = columns.iter().map(|column| column.pick(&found)).collect();
    let rows = Rows::from_parts(times, lines, ends, columns).ok_or(MISFIT)?;
    Ok(Found { rows, of })
}

/// How many entries of a page fulfil the conditions, and the bytes of their lines; with the number of
/// all its entries.
///
/// # Errors
/// If the bytes are no page.
pub fn count(bytes: &[u8], search: &Search<'_>) -> Result<(EntryCount, usize), Damage> {
    let parts = Parts::open(bytes)?;
    let found = hits(&parts, search)?.rows;
    let line_bytes: usize = found.iter().map(|&row| place(&parts.ends, row).len()).sum();
    Ok((EntryCount { entries: found.len() as u64, bytes: line_bytes as u64 }, parts.times.len()))
}

/// The rows that fulfil the conditions, of those that are decoded.
#[must_use]
pub fn matching(rows: &Rows, search: &Search<'_>) -> Vec<usize> {
    let Some(lines) = Lines::new(rows.text(), rows.ends()) else { return Vec::new() };
    let names = || rows.columns().iter().map(Column::name).collect();
    let found = search.conditions(names).find(lines, Digits::There).into_iter();
    let found = found.map(|(row, _)| row);
    found.filter(|&row| is_inside(rows.times(), row, search.range)).collect()
}

fn hits<'a>(parts: &Parts<'a>, search: &Search<'_>) -> Result<Hits<'a>, Damage> {
    if !parts.times.is_sorted() {
        return Err(MISFIT);
    }
    let names = if search.hints.is_empty() { Vec::new() } else { parts.names()? };
    let filters = search.conditions(|| names.clone());
    let digits = filters.digits();
    let rare = parts.form == Form::DigitsApart && digits.len() >= RARE_DIGITS;
    if rare && !text::has_digits(parts.text, digits)? {
        return Ok(Hits { rows: Vec::new(), text: Text::Whole(Cow::Borrowed(&[])) });
    }
    let text = match Text::open(parts.text, parts.form)? {
        Text::Masked(masked) if !filters.rule_out() => Text::Whole(masked.whole()?.into()),
        text => text,
    };
    let (bytes, digits) = match &text {
        Text::Whole(text) => (text, Digits::There),
        Text::Masked(masked) => (&masked.text, Digits::Masked),
    };
    let lines = Lines::new(bytes, &parts.ends).ok_or(MISFIT)?;
    let mut found = filters.find(lines, digits);
    found.retain(|&(row, _)| is_inside(&parts.times, row, search.range));
    let open = found.iter().filter(|(_, is_open)| *is_open).count();
    let Text::Masked(masked) = text else {
        return Ok(Hits { rows: found.into_iter().map(|(row, _)| row).collect(), text });
    };
    let to_join = if search.columns.lines { found.len() } else { open };
    if to_join * FEW > parts.ends.len() {
        let whole = masked.whole()?;
        let keeps = |row: usize| whole.get(place(&parts.ends, row)).map(|l| filters.keep(l));
        let mut rows = Vec::with_capacity(found.len());
        for (row, is_open) in found {
            if !is_open || keeps(row).ok_or(MISFIT)? {
                rows.push(row);
            }
        }
        return Ok(Hits { rows, text: Text::Whole(whole.into()) });
    }
    let mut rows = Vec::with_capacity(found.len());
    if open == 0 {
        rows.extend(found.into_iter().map(|(row, _)| row));
    } else {
        let (mut with_digits, mut line) = (masked.parts()?, Vec::new());
        for (row, is_open) in found {
            if is_open {
                line.clear();
                with_digits.put(place(&parts.ends, row), &mut line)?;
                if !filters.keep(&line) {
                    continue;
                }
            }
            rows.push(row);
        }
    }
    Ok(Hits { rows, text: Text::Masked(masked) })
}

fn is_inside(times: &[i64], row: usize, range: NanoRange) -> bool {
    times.get(row).is_some_and(|&time| range.start <= time && time < range.end)
}

fn place(ends: &[u32], row: usize) -> std::ops::Range<usize> {
    let start = row.checked_sub(1).map_or(0, |before| ends[before] as usize);
    start..ends[row] as usize
}

#[cfg(test)]
mod tests;
