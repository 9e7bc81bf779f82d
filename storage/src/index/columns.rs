//! Label columns: for a page of 4,096 series, each label name's value numbers in series order,
//! run after run.
//!
//! ```text
//! page   := name count varint, column ×
//! column := name number step varint, run count varint, ( length varint, value zigzag ) ×
//! ```
//! A value is the difference from the run before it, of value number + 1; 0 is no label.

use crate::encoding::{Damage, Input, put_varint, put_zigzag};

/// Series in a page.
pub(super) const PAGE_SERIES: u32 = 4096;

/// Consecutive series with the same value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ValueRun {
    /// First series, from the start of the page.
    pub start: u32,
    /// Value number + 1; 0 if these series lack the label.
    pub value: u32,
}

/// The column of one name in a page.
#[derive(Debug)]
pub(super) struct Column {
    /// Number of the name.
    pub name: u32,
    /// Runs, the first at 0.
    pub runs: Vec<ValueRun>,
}

/// Appends a column; `previous_name` is the number of the one before, if there is one.
pub(super) fn put_column(
    column: &Column,
    previous_name: Option<u32>,
    series_count: u32,
    out: &mut Vec<u8>,
) {
    put_varint(out, u64::from(column.name - previous_name.unwrap_or(0)));
    put_varint(out, column.runs.len() as u64);
    let mut last = 0;
    for (i, run) in column.runs.iter().enumerate() {
        let end = column.runs.get(i + 1).map_or(series_count, |next| next.start);
        put_varint(out, u64::from(end - run.start));
        put_zigzag(out, i64::from(run.value) - last);
        last = i64::from(run.value);
    }
}

/// Reads a page of `series_count` series.
pub(super) fn read_page(bytes: &[u8], series_count: u32) -> Result<Vec<Column>, Damage> {
    let mut input = Input::new(bytes);
    let count = input.count()?;
    let mut columns: Vec<Column> = Vec::with_capacity(count);
    for _ in 0..count {
        let step = input.varint_u32()?;
        let name = match columns.last() {
            None => Some(step),
            Some(last) if step > 0 => last.name.checked_add(step),
            Some(_) => None,
        };
        let name = name.ok_or(Damage("label names are out of order"))?;
        columns.push(Column { name, runs: read_runs(&mut input, series_count)? });
    }
    input.end()?;
    Ok(columns)
}

fn read_runs(input: &mut Input<'_>, series_count: u32) -> Result<Vec<ValueRun>, Damage> {
    const WRONG: Damage = Damage("the runs of a label column do not cover its page");
    let count = input.count()?;
    let mut runs = Vec::with_capacity(count);
    let (mut start, mut last) = (0u32, 0i64);
    for _ in 0..count {
        let length = input.varint_u32()?;
        last = last.checked_add(input.zigzag()?).ok_or(WRONG)?;
        runs.push(ValueRun { start, value: u32::try_from(last).map_err(|_| WRONG)? });
        start = start
            .checked_add(length)
            .filter(|end| length > 0 && *end <= series_count)
            .ok_or(WRONG)?;
    }
    if start == series_count { Ok(runs) } else { Err(WRONG) }
}
