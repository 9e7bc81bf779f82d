//! Reads samples: directory, time vector, page of values, page of histograms.

use std::ops::Range;
use std::sync::Arc;

use ephemeris_model::{Histogram, TimeRange};
use rustc_hash::FxHashMap;

use super::Block;
use super::directory::{GROUP_SERIES, Group, HAS_HISTOGRAMS, NEVER_STALE};
use super::exemplars;
use super::page::{self, PageReader, Payload};
use super::reader::{SampleVisitor, note};
use super::time_vectors::{self, VECTORS_PER_VALUE};
use crate::encoding::{Damage, Input};
use crate::envelope::section;
use crate::error::{AtPlace, Error, Result};
use crate::index::ValueSource as _;
use crate::metrics::codec::histograms::{self, LayoutTable};
use crate::metrics::codec::times;
use crate::metrics::samples::{Newest, SeriesSamples, Wanted};

/// The newest time of each time vector inside the range of a reader, if there is one.
pub(super) type NewestOfVectors = FxHashMap<u32, Option<i64>>;

/// Reads the samples of one range from a block.
pub(super) struct SampleReader<'a> {
    block: &'a Block,
    range: TimeRange,
    which: Wanted,
    /// The value of time vectors read last; neighbours are mostly in one.
    vectors: Option<(u32, Arc<Vec<u8>>)>,
    /// The vector decoded last, and which of its times lie inside the range.
    vector: Option<u32>,
    times: Vec<i64>,
    wanted: Range<usize>,
    samples: SeriesSamples,
    /// Number and body of the page of histograms read last; neighbours share it.
    histogram_page: Option<(u32, Vec<u8>)>,
}

impl<'a> SampleReader<'a> {
    pub(super) fn new(block: &'a Block, range: TimeRange, which: Wanted) -> Self {
        Self {
            block,
            range,
            which,
            vectors: None,
            vector: None,
            times: Vec::new(),
            wanted: 0..0,
            samples: SeriesSamples::default(),
            histogram_page: None,
        }
    }

    /// Reads series of one group.
    pub(super) fn read_group(
        &mut self,
        number: u32,
        group: &Group,
        ids: &[u32],
        damage: &mut Vec<String>,
        visit: &mut SampleVisitor<'_>,
    ) -> Result<()> {
        let first = number * GROUP_SERIES;
        let mut rest = ids;
        while let Some(&id) = rest.first() {
            let within = u16::try_from(id - first).unwrap_or(u16::MAX);
            let found = group.value_pages.find(within, group.series_count());
            let Some((page, page_first, end)) = found.filter(|(_, _, end)| *end > within) else {
                let place = self.block.place(section::DIRECTORY, number);
                return note(Error::corrupt(place, format!("it lacks series {id}")), damage);
            };
            let count = rest.partition_point(|id| *id < first + u32::from(end));
            let (in_page, others) = rest.split_at(count);
            let page =
                Page { number: page, first: first + u32::from(page_first), group_first: first };
            // What the visitor answers is no damage of the page.
            let mut visited = Ok(());
            let mut visit_once = |id, samples: &SeriesSamples| {
                visited = visit(id, samples);
                visited.is_ok()
            };
            let mut noted = Vec::new();
            let read = self.read_page(&page, group, in_page, &mut noted, &mut visit_once);
            visited?;
            damage.append(&mut noted);
            if let Err(error) = read {
                note(error, damage)?;
            }
            rest = others;
        }
        Ok(())
    }

    /// Hands each of `ids`, all of one group, to `visit` with its newest sample inside the range, as
    /// far as directory and time vectors tell; `false` ends the walk, which is answered.
    pub(super) fn newest_in_group(
        &mut self,
        group: &Group,
        ids: impl Iterator<Item = u32>,
        newest_of: &mut NewestOfVectors,
        visit: &mut dyn FnMut(u32, Newest) -> bool,
    ) -> Result<bool> {
        for id in ids {
            let within = (id % GROUP_SERIES) as usize;
            let found = group.vectors.get(within).zip(group.flags.get(within));
            let (&vector, &flags) = found.ok_or_else(|| {
                let place = self.block.place(section::DIRECTORY, id / GROUP_SERIES);
                Error::corrupt(place, format!("it lacks series {id}"))
            })?;
            let newest = match newest_of.get(&vector) {
                Some(newest) => *newest,
                None => {
                    self.load_vector(vector)?;
                    let newest = self.wanted.clone().last().map(|at| self.times[at]);
                    newest_of.insert(vector, newest);
                    newest
                }
            };
            let newest = match newest {
                None => Newest::None,
                Some(time) if flags & NEVER_STALE != 0 => Newest::At { time, stale: false },
                Some(_) => Newest::Unknown,
            };
            if !visit(id, newest) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads series of one page. Damage of one series is noted; that of the page is the error.
    fn read_page(
        &mut self,
        page: &Page,
        group: &Group,
        ids: &[u32],
        noted: &mut Vec<String>,
        visit: &mut dyn FnMut(u32, &SeriesSamples) -> bool,
    ) -> Result<()> {
        let block = self.block;
        let place = || block.place(section::VALUES, page.number);
        block.with_page(page.number, &mut |body| {
            let reader = PageReader::open(Input::new(body)).at(place)?;
            for &id in ids {
                let payload = reader.payload((id - page.first) as usize).at(place)?;
                match self.read_series(page, group, id, payload) {
                    Ok(()) if self.samples.is_empty() => {}
                    Ok(()) => {
                        if !visit(id, &self.samples) {
                            break;
                        }
                    }
                    Err(error) => note(error, noted)?,
                }
            }
            Ok(())
        })
    }

    /// Reads one series into `self.samples`.
    fn read_series(&mut self, page: &Page, group: &Group, id: u32, payload: &[u8]) -> Result<()> {
        self.samples.clear();
        let within = (id - page.group_first) as usize;
        let missing = || {
            Error::corrupt(
                self.block.place(section::DIRECTORY, id / GROUP_SERIES),
                "a series is missing",
            )
        };
        let vector = *group.vectors.get(within).ok_or_else(missing)?;
        let flags = *group.flags.get(within).ok_or_else(missing)?;
        self.load_vector(vector)?;
        if self.wanted.is_empty() {
            return Ok(());
        }
        let wanted = self.wanted.clone();
        self.samples.timestamps.extend_from_slice(&self.times[wanted.clone()]);
        let place = || self.block.place(section::VALUES, page.number);
        let found =
            page::read_payload(payload, flags, self.times.len(), wanted.clone(), &mut self.samples)
                .at(place)?;
        if flags & HAS_HISTOGRAMS != 0 {
            let within = u16::try_from(within).unwrap_or(u16::MAX);
            self.read_histograms(group, within, id, &found)?;
        }
        if self.samples.values.len() != wanted.len() {
            return Err(Error::corrupt(place(), format!("series {id} lacks values")));
        }
        Ok(())
    }

    /// Decodes a time vector, unless it is the one before.
    fn load_vector(&mut self, vector: u32) -> Result<()> {
        if self.vector == Some(vector) {
            return Ok(());
        }
        self.vector = None;
        let number = vector / VECTORS_PER_VALUE;
        let place = || self.block.place(section::TIMES, number);
        let body = match self.vectors.take() {
            Some((kept, body)) if kept == number => body,
            _ => self.block.times(number)?,
        };
        let bytes = time_vectors::vector(&body, (vector % VECTORS_PER_VALUE) as usize).at(place)?;
        // A vector belongs to a series, so it has no more times than the block has samples.
        let len_max = usize::try_from(self.block.manifest().sample_count).unwrap_or(usize::MAX);
        times::decode(bytes, len_max, &mut self.times).at(place)?;
        let before = |at: i64| self.times.partition_point(|&t| t < at);
        let start = before(self.range.start.0);
        let end = before(self.range.end.0).max(start);
        self.wanted = match self.which {
            Wanted::All => start..end,
            Wanted::Newest => end.saturating_sub(1).max(start)..end,
        };
        self.vector = Some(vector);
        self.vectors = Some((number, body));
        Ok(())
    }

    /// Reads the histograms among the samples wanted.
    fn read_histograms(
        &mut self,
        group: &Group,
        within: u16,
        id: u32,
        payload: &Payload,
    ) -> Result<()> {
        let first = payload.histograms_before(self.wanted.start);
        let wanted = first..payload.histograms_before(self.wanted.end);
        if wanted.is_empty() {
            return Ok(());
        }
        let found = group.histogram_pages.find(within, group.series_count());
        let directory = || self.block.place(section::DIRECTORY, id / GROUP_SERIES);
        let (number, ..) = found.ok_or_else(|| Error::corrupt(directory(), "a page is missing"))?;
        let place = || self.block.place(section::HISTOGRAMS, number);
        let body = match self.histogram_page.take() {
            Some((kept, body)) if kept == number => body,
            _ => {
                let mut copy = Vec::new();
                self.block.with_body(section::HISTOGRAMS, number, &mut |body| {
                    copy.extend_from_slice(body);
                    Ok(())
                })?;
                copy
            }
        };
        let count = payload.histogram_count();
        let histograms = decode_histograms(&body, within, count, wanted.clone()).at(place)?;
        self.histogram_page = Some((number, body));
        if histograms.len() != wanted.len() {
            return Err(Error::corrupt(place(), "a histogram is missing"));
        }
        let start = self.wanted.start;
        let inside = |run: &Range<usize>| run.start.max(start)..run.end.min(self.wanted.end);
        let positions = payload.histogram_runs.iter().flat_map(inside).map(|at| at - start);
        let numbered = positions.zip(histograms);
        self.samples
            .histograms
            .extend(numbered.map(|(at, h)| (u32::try_from(at).unwrap_or(u32::MAX), h)));
        Ok(())
    }
}

/// The histograms at `wanted` of the series `within` its group, which has `count`.
fn decode_histograms(
    body: &[u8],
    within: u16,
    count: usize,
    wanted: Range<usize>,
) -> Result<Vec<Arc<Histogram>>, Damage> {
    let mut input = Input::new(body);
    let layouts = LayoutTable::read(&mut input)?;
    let series = exemplars::read_series(&mut input)?;
    let page = PageReader::open(input)?;
    let at = series.binary_search(&within).map_err(|_| Damage("a series is missing"))?;
    let mut histograms = Vec::new();
    histograms::decode(
        &layouts,
        &mut Input::new(page.payload(at)?),
        count,
        wanted,
        &mut histograms,
    )?;
    Ok(histograms)
}

/// A page of values.
struct Page {
    number: u32,
    /// Its first series.
    first: u32,
    /// The first series of its group.
    group_first: u32,
}
