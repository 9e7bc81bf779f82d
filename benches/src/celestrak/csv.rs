//! CSV with a header and without quotes, which is all the elements need.

use std::str::FromStr;

use crate::{BenchError, Result, fail};

/// A table in memory.
pub(super) struct Table<'a> {
    header: Vec<&'a str>,
    pub(super) rows: Vec<Row<'a>>,
}

/// A line of a table.
pub(super) struct Row<'a> {
    line: usize,
    cells: Vec<&'a str>,
}

/// A column by name; whether there is one is seen when it is read.
pub(super) struct Column {
    name: &'static str,
    at: usize,
}

impl<'a> Table<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self> {
        let mut lines = text.lines().enumerate();
        let header = lines.next().map(|(_, line)| line.split(',').collect()).unwrap_or_default();
        let mut rows = Vec::new();
        for (i, line) in lines {
            if line.contains('"') {
                return fail(format!("line {} has quotes, which are not read", i + 1));
            }
            rows.push(Row { line: i + 1, cells: line.split(',').collect() });
        }
        Ok(Self { header, rows })
    }

    pub(super) fn column(&self, name: &'static str) -> Column {
        let at = self.header.iter().position(|column| *column == name).unwrap_or(usize::MAX);
        Column { name, at }
    }
}

impl<'a> Row<'a> {
    pub(super) fn text(&self, column: &Column) -> Result<&'a str> {
        match self.cells.get(column.at) {
            Some(cell) => Ok(cell),
            None => fail(format!("line {} has no column {}", self.line, column.name)),
        }
    }

    pub(super) fn number<N: FromStr>(&self, column: &Column) -> Result<N> {
        let cell = self.text(column)?;
        cell.parse().map_err(|_| {
            let (line, name) = (self.line, column.name);
            BenchError(format!("line {line}: {name} is {cell:?}, expected a number"))
        })
    }
}
