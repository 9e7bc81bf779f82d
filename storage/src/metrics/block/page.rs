//! A page of values: the columns of a run of neighbouring series.
//!
//! ```text
//! page   := series count varint, payload length varint ×, payload ×
//! payload:= positions of histograms if flagged, float column, start column if flagged
//! positions := run count varint, ( gap varint, length − 1 varint ) ×
//! ```
//! A float column holds the samples that are no histograms. Pages of histograms have the same
//! frame after their table of layouts.

use std::ops::Range;

use crate::encoding::{Damage, Input, put_varint};
use crate::metrics::codec::{floats, integers};
use crate::metrics::samples::SeriesSamples;

use super::directory::{HAS_HISTOGRAMS, HAS_STARTS};

/// The payloads of a page being filled.
#[derive(Default)]
pub(super) struct PageBuilder {
    lengths: Vec<u8>,
    payloads: Vec<u8>,
    series_count: u32,
}

impl PageBuilder {
    /// Adds the payload of the next series; answers its bytes.
    pub(super) fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> &[u8] {
        let start = self.payloads.len();
        write(&mut self.payloads);
        put_varint(&mut self.lengths, (self.payloads.len() - start) as u64);
        self.series_count += 1;
        &self.payloads[start..]
    }

    /// Bytes so far.
    #[must_use]
    pub(super) fn bytes(&self) -> usize {
        self.payloads.len()
    }

    /// Number of series so far.
    #[must_use]
    pub(super) const fn series_count(&self) -> u32 {
        self.series_count
    }

    /// Appends the page and starts the next one.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        put_varint(out, u64::from(self.series_count));
        out.extend_from_slice(&self.lengths);
        out.extend_from_slice(&self.payloads);
        self.lengths.clear();
        self.payloads.clear();
        self.series_count = 0;
    }
}

/// The payloads of a page.
pub(super) struct PageReader<'a> {
    payloads: &'a [u8],
    /// End of each payload.
    ends: Vec<usize>,
}

impl<'a> PageReader<'a> {
    /// Reads the frame of a page.
    ///
    /// # Errors
    /// If it is damaged.
    pub(super) fn open(mut input: Input<'a>) -> Result<Self, Damage> {
        let count = input.count()?;
        let mut ends = Vec::with_capacity(count);
        let mut end = 0usize;
        for _ in 0..count {
            end = end.saturating_add(input.count_up_to(usize::MAX)?);
            ends.push(end);
        }
        if end != input.len() {
            return Err(Damage("the payloads of a page do not fill it"));
        }
        Ok(Self { payloads: input.rest(), ends })
    }

    /// The payload at `position`.
    ///
    /// # Errors
    /// If there is none.
    pub(super) fn payload(&self, position: usize) -> Result<&'a [u8], Damage> {
        let start =
            position.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied());
        start
            .zip(self.ends.get(position).copied())
            .and_then(|(start, end)| self.payloads.get(start..end))
            .ok_or(Damage("a series lies outside its page"))
    }
}

/// Writes the payload of a series.
pub(super) fn put_payload(samples: &SeriesSamples, floats: &[f64], flags: u8, out: &mut Vec<u8>) {
    if flags & HAS_HISTOGRAMS != 0 {
        put_positions(&samples.histograms, out);
    }
    floats::encode(floats, out);
    if flags & HAS_STARTS != 0 {
        integers::encode(&samples.start_timestamps, out);
    }
}

fn put_positions<T>(histograms: &[(u32, T)], out: &mut Vec<u8>) {
    let runs = histograms.chunk_by(|a, b| a.0 + 1 == b.0);
    put_varint(out, runs.clone().count() as u64);
    let mut last = 0;
    for run in runs {
        let length = u32::try_from(run.len()).unwrap_or(u32::MAX);
        put_varint(out, u64::from(run[0].0 - last));
        put_varint(out, u64::from(length - 1));
        last = run[0].0 + length;
    }
}

/// Positions of the histograms of a series, as runs.
fn read_positions(input: &mut Input<'_>, len: usize) -> Result<Vec<Range<usize>>, Damage> {
    let count = input.count()?;
    let mut runs: Vec<Range<usize>> = Vec::with_capacity(count);
    let mut last = 0usize;
    for _ in 0..count {
        let start = last + input.count_up_to(len - last)?;
        let end = start + 1 + input.count_up_to(len)?;
        if end > len {
            return Err(Damage("a histogram lies outside its series"));
        }
        runs.push(start..end);
        last = end;
    }
    Ok(runs)
}

/// What a payload says about the samples wanted, the histograms themselves missing.
pub(super) struct Payload {
    /// Positions of histograms among all samples, as runs.
    pub(super) histogram_runs: Vec<Range<usize>>,
}

impl Payload {
    /// Number of histograms of the whole series.
    #[must_use]
    pub(super) fn histogram_count(&self) -> usize {
        self.histogram_runs.iter().map(Range::len).sum()
    }

    /// Number of histograms before `position`.
    #[must_use]
    pub(super) fn histograms_before(&self, position: usize) -> usize {
        let before = |run: &Range<usize>| run.end.min(position).saturating_sub(run.start);
        self.histogram_runs.iter().map(before).sum()
    }
}

/// Reads the samples at `wanted` of a series that has `len`: values (NaN for a histogram) and start
/// timestamps into `out`, whose timestamps are there already.
///
/// # Errors
/// If the payload is damaged.
pub(super) fn read_payload(
    bytes: &[u8],
    flags: u8,
    len: usize,
    wanted: Range<usize>,
    out: &mut SeriesSamples,
) -> Result<Payload, Damage> {
    let mut input = Input::new(bytes);
    let histogram_runs =
        if flags & HAS_HISTOGRAMS == 0 { Vec::new() } else { read_positions(&mut input, len)? };
    let payload = Payload { histogram_runs };
    let float_count = len - payload.histogram_count();
    let float_at = |position| position - payload.histograms_before(position);
    let floats = float_at(wanted.start)..float_at(wanted.end);
    floats::decode(&mut input, float_count, floats, &mut out.values)?;
    if !payload.histogram_runs.is_empty() {
        spread(&payload.histogram_runs, &wanted, &mut out.values);
    }
    if flags & HAS_STARTS != 0 {
        integers::decode(&mut input, len, wanted, &mut out.start_timestamps)?;
    }
    input.end()?;
    Ok(payload)
}

/// Makes room for histograms among the floats.
fn spread(runs: &[Range<usize>], wanted: &Range<usize>, values: &mut Vec<f64>) {
    let mut floats = std::mem::take(values).into_iter();
    let mut runs = runs.iter().peekable();
    values.extend(wanted.clone().map(|position| {
        while runs.next_if(|run| run.end <= position).is_some() {}
        if runs.peek().is_some_and(|run| run.start <= position) {
            return f64::NAN;
        }
        floats.next().unwrap_or(f64::NAN)
    }));
}
