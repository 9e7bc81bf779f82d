//! Builds the index of one tenant while its series come in series order.
//!
//! Memory: one run of eight bytes where a label's value changes from one series to the next, and
//! each value once. Runs are few because of the order.

use std::hash::{BuildHasher, RandomState};

use super::columns::{self, Column, PAGE_SERIES, ValueRun};
use super::dictionary::{self, FRAME_LEN};
use super::names::{self, FrameRef, GroupRef, NameParts};
use super::packer::{ItemRef, Packer};
use super::postings::{self, Run};
use crate::encoding::put_varint;
use crate::envelope::{self, Zip, section};
use crate::error::{Error, Result};
use crate::strings::Dictionary;

/// Posting lists in a group, at most.
const GROUP_LEN: usize = 256;
/// A group is closed when it is this long.
const GROUP_BYTES: usize = 8 << 10;
/// No label.
const ABSENT: u32 = u32::MAX;

/// The sections indexes are written to, tenant after tenant.
pub struct IndexSections {
    /// Sealed label pages, numbered from 0.
    pub label_pages: Vec<Vec<u8>>,
    /// Posting lists.
    pub postings: Packer,
    /// Dictionaries and tables of names.
    pub dictionaries: Packer,
}

impl Default for IndexSections {
    fn default() -> Self {
        Self {
            label_pages: Vec::new(),
            postings: Packer::new(section::POSTINGS),
            dictionaries: Packer::new(section::DICTIONARIES),
        }
    }
}

/// Where a tenant's index was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexPlace {
    /// Number of series.
    pub series_count: u32,
    /// Its first label page.
    pub first_label_page: u32,
    /// Its table of names.
    pub names: ItemRef,
}

/// The labels of one tenant's series.
#[derive(Default)]
pub struct IndexBuilder {
    series_count: u32,
    names: Vec<NameColumn>,
    by_name: hashbrown::HashMap<String, usize>,
    /// Names of the series before, in order.
    previous: Vec<usize>,
    current: Vec<usize>,
    random: RandomState,
}

/// All that is known of one name.
struct NameColumn {
    name: String,
    /// Values by temporary number, in order of arrival.
    values: Dictionary,
    /// Where the value changes: first series and temporary number.
    runs: Vec<ValueRun>,
    /// Temporary number at the series before.
    value: u32,
    /// The first series after the last one that has the label.
    seen: u32,
}

impl IndexBuilder {
    /// Adds the next series, with labels sorted by name.
    ///
    /// # Errors
    /// If there are more series than ids.
    pub fn push(&mut self, labels: &[(&str, &str)]) -> Result<()> {
        let id = self.series_count;
        self.series_count = id
            .checked_add(1)
            .filter(|count| *count < u32::MAX)
            .ok_or_else(|| Error::Limit(format!("a block has {id} series; more have no id")))?;
        self.current.clear();
        for (i, (name, value)) in labels.iter().enumerate() {
            let at = match self.previous.get(i) {
                Some(&at) if self.names[at].name == *name => at,
                _ => self.name(name),
            };
            self.names[at].set(id, value)?;
            self.current.push(at);
        }
        for &at in &self.previous {
            self.names[at].end_if_absent(id);
        }
        std::mem::swap(&mut self.previous, &mut self.current);
        Ok(())
    }

    fn name(&mut self, name: &str) -> usize {
        let next = self.names.len();
        let at = *self.by_name.entry_ref(name).or_insert(next);
        if at == next {
            let seed = self.random.hash_one(name);
            self.names.push(NameColumn::new(name, seed));
        }
        at
    }

    /// Number of series so far.
    #[must_use]
    pub const fn series_count(&self) -> u32 {
        self.series_count
    }

    /// Writes the index.
    ///
    /// # Errors
    /// If a part is over the limit of a value.
    pub fn finish(mut self, out: &mut IndexSections) -> Result<IndexPlace> {
        self.names.sort_by(|a, b| a.name.cmp(&b.name));
        let mut rows = Vec::new();
        for column in &mut self.names {
            column.finish(self.series_count, out, &mut rows)?;
        }
        let table = names::seal_table(self.names.len(), &rows)?;
        let first_label_page = u32::try_from(out.label_pages.len()).unwrap_or(u32::MAX);
        self.put_label_pages(&mut out.label_pages)?;
        Ok(IndexPlace {
            series_count: self.series_count,
            first_label_page,
            names: out.dictionaries.add(&table)?,
        })
    }

    fn put_label_pages(&self, pages: &mut Vec<Vec<u8>>) -> Result<()> {
        // How far each column was written.
        let mut positions = vec![0usize; self.names.len()];
        let mut start = 0;
        while start < self.series_count {
            let end = self.series_count.min(start.saturating_add(PAGE_SERIES));
            let (mut columns, mut count, mut previous) = (Vec::new(), 0u64, None);
            for (number, column) in self.names.iter().enumerate() {
                let runs = column.runs_within(start, end, &mut positions[number]);
                if runs.iter().all(|run| run.value == 0) {
                    continue;
                }
                let name = u32::try_from(number).unwrap_or(u32::MAX);
                let column = Column { name, runs };
                columns::put_column(&column, previous, end - start, &mut columns);
                previous = Some(name);
                count += 1;
            }
            let mut body = Vec::with_capacity(columns.len() + 4);
            put_varint(&mut body, count);
            body.extend_from_slice(&columns);
            let number = u32::try_from(pages.len()).unwrap_or(u32::MAX);
            pages.push(envelope::seal(section::LABELS, number, &body, Zip::IfSmaller)?);
            start = end;
        }
        Ok(())
    }
}

impl NameColumn {
    fn new(name: &str, seed: u64) -> Self {
        Self {
            name: name.to_owned(),
            values: Dictionary::new(seed),
            runs: Vec::new(),
            value: ABSENT,
            seen: 0,
        }
    }

    /// Series `id` has `value`.
    fn set(&mut self, id: u32, value: &str) -> Result<()> {
        self.seen = id + 1;
        if self.value != ABSENT && self.values.get(self.value) == value {
            return Ok(());
        }
        let tag = self.values.tag(value);
        let found = self.values.find(tag, value);
        let number = found.or_else(|| self.values.insert(tag, value));
        self.value = number.ok_or_else(|| {
            let (name, count) = (&self.name, self.values.len());
            Error::Limit(format!("{count} values of label {name:?} take 4 GiB; more have no place"))
        })?;
        self.runs.push(ValueRun { start: id, value: self.value });
        Ok(())
    }

    /// Ends the run if series `id` lacks the label.
    fn end_if_absent(&mut self, id: u32) {
        if self.seen <= id && self.value != ABSENT {
            self.value = ABSENT;
            self.runs.push(ValueRun { start: id, value: ABSENT });
        }
    }

    /// Writes dictionary and posting lists, appends the row of the table of names, and turns the
    /// temporary numbers of the runs into ranks + 1, absence into 0.
    fn finish(
        &mut self,
        series_count: u32,
        out: &mut IndexSections,
        rows: &mut Vec<u8>,
    ) -> Result<()> {
        let value_count = self.values.len();
        let mut order: Vec<u32> = (0..).take(value_count).collect();
        order.sort_unstable_by(|&a, &b| self.values.get(a).cmp(self.values.get(b)));
        let frames = self.put_frames(&order, out)?;
        // What is done is freed: with many values each step takes as much memory as the one before.
        self.values = Dictionary::default();
        let mut ranks = vec![0u32; value_count];
        order.iter().zip(1..).for_each(|(&number, rank)| ranks[number as usize] = rank);
        drop(order);
        for run in &mut self.runs {
            run.value = ranks.get(run.value as usize).copied().unwrap_or(0);
        }
        drop(ranks);
        let groups = self.put_postings(value_count, series_count, out)?;
        let mut series = Vec::new();
        postings::put(&self.present(series_count), &mut series);
        let parts = NameParts {
            name: &self.name,
            value_count: u32::try_from(value_count).unwrap_or(u32::MAX),
            series: &series,
            frames: &frames,
            groups: &groups,
        };
        names::put_name(&parts, rows);
        Ok(())
    }

    fn put_frames(&self, order: &[u32], out: &mut IndexSections) -> Result<Vec<FrameRef>> {
        let mut frames = Vec::new();
        for numbers in order.chunks(FRAME_LEN) {
            let values: Vec<&str> = numbers.iter().map(|&n| self.values.get(n)).collect();
            let mut bytes = Vec::new();
            dictionary::put_frame(&values, &mut bytes)?;
            let item = out.dictionaries.add(&bytes)?;
            frames.push(FrameRef { item, first_value: values[0].into() });
        }
        Ok(frames)
    }

    /// Runs with their end, the absent ones left out.
    fn present_runs(&self, series_count: u32) -> impl Iterator<Item = (u32, Run)> {
        self.runs.iter().enumerate().filter(|(_, run)| run.value != 0).map(move |(i, run)| {
            let end = self.runs.get(i + 1).map_or(series_count, |next| next.start);
            (run.value, Run { start: run.start, end })
        })
    }

    /// The series that have the label, as runs that do not touch.
    fn present(&self, series_count: u32) -> Vec<Run> {
        let mut joined: Vec<Run> = Vec::new();
        for (_, run) in self.present_runs(series_count) {
            match joined.last_mut() {
                Some(last) if last.end == run.start => last.end = run.end,
                _ => joined.push(run),
            }
        }
        joined
    }

    fn put_postings(
        &self,
        value_count: usize,
        series_count: u32,
        out: &mut IndexSections,
    ) -> Result<Vec<GroupRef>> {
        // By value, each in order of series: a stable sort by counting. There are no more runs than
        // series.
        let mut ends = vec![0u32; value_count + 1];
        self.present_runs(series_count).for_each(|(rank, _)| ends[rank as usize] += 1);
        let mut sum = 0;
        for end in &mut ends {
            sum += *end;
            *end = sum;
        }
        let mut places = ends.clone();
        let mut sorted = vec![Run { start: 0, end: 0 }; sum as usize];
        for (rank, run) in self.present_runs(series_count) {
            let place = &mut places[rank as usize - 1];
            sorted[*place as usize] = run;
            *place += 1;
        }
        let lists = ends.windows(2).map(|pair| &sorted[pair[0] as usize..pair[1] as usize]);
        put_groups(lists, out)
    }

    /// Runs of the series `start..end`, with starts counted from `start`. `position` is the run
    /// `start` lies in, or the first one after it.
    fn runs_within(&self, start: u32, end: u32, position: &mut usize) -> Vec<ValueRun> {
        let mut runs = Vec::new();
        if self.runs.get(*position).is_none_or(|run| run.start > start) {
            runs.push(ValueRun { start: 0, value: 0 });
        }
        while let Some(run) = self.runs.get(*position).filter(|run| run.start < end) {
            runs.push(ValueRun { start: run.start.saturating_sub(start), value: run.value });
            // The last run may go on in the next page.
            if self.runs.get(*position + 1).is_none_or(|next| next.start > end) {
                break;
            }
            *position += 1;
        }
        runs
    }
}

/// Writes posting lists in groups.
fn put_groups<'a>(
    lists: impl Iterator<Item = &'a [Run]>,
    out: &mut IndexSections,
) -> Result<Vec<GroupRef>> {
    let mut groups = Vec::new();
    let (mut lengths, mut bodies) = (Vec::new(), Vec::new());
    let (mut first, mut end) = (0u32, 0u32);
    let mut lists = lists.peekable();
    while let Some(list) = lists.next() {
        let before = bodies.len();
        postings::put(list, &mut bodies);
        put_varint(&mut lengths, (bodies.len() - before) as u64);
        end += 1;
        let full = (end - first) as usize >= GROUP_LEN || bodies.len() >= GROUP_BYTES;
        if full || lists.peek().is_none() {
            lengths.extend_from_slice(&bodies);
            let item = out.postings.add(&lengths)?;
            groups.push(GroupRef { item, first, end });
            lengths.clear();
            bodies.clear();
            first = end;
        }
    }
    Ok(groups)
}
