//! Range aggregations: one pass over the entries of each stream.
//!
//! What is counted (entries, bytes) is added where a window starts to see an entry and taken away
//! where it no longer does, in whole numbers, so that the length of a window costs nothing. For
//! everything else values are kept and each window is a slice of them.

use std::ops::{ControlFlow, Range};

use ephemeris_model::log_batch::DETECTED_LEVEL;
use ephemeris_model::logs::{
    CountBy, Direction, EntryBuffer, LogColumns, LogSelect, StreamSet, Tally, TallyBy,
};
use ephemeris_model::{LineSearches, MatchOp, Matcher};

use super::gather::Accumulated;
use super::grid::{Grid, Windows};
use super::over_time;
use super::read::{Context, on_all_cores};
use super::{Series, nothing};
use crate::budget::Load;
use crate::logs::ast::{
    Conversion, Grouping, GroupingKind, RangeAggregation, RangeOp, Stage, Unwrap,
    VectorAggregation, VectorOp,
};
use crate::logs::error::LogQueryError;
use crate::logs::labels::LabelSet;
use crate::logs::pipeline::{ERROR, ERROR_DETAILS, EntryState, Hints, Pipeline};
use crate::logs::units::{parse_bytes, parse_float, parse_go_duration};

/// The error of an entry whose label is no number.
const EXTRACTION_ERROR: &str = "SampleExtractionErr";

/// Whether entries can be put into the groups of an outer sum right away.
pub(super) fn takes_grouping(outer: &VectorAggregation, inner: &RangeAggregation) -> bool {
    let adds_up = matches!(
        inner.op,
        RangeOp::Bytes | RangeOp::BytesRate | RangeOp::Sum | RangeOp::Rate | RangeOp::Count
    );
    outer.op == VectorOp::Sum && adds_up && inner.grouping.is_none()
}

/// The grouping that leaves no label.
pub(super) const fn into_one() -> Grouping {
    Grouping { kind: GroupingKind::By, names: Vec::new() }
}

/// Evaluates a range aggregation at each step.
pub(super) fn evaluate(
    context: &Context<'_>,
    aggregation: &RangeAggregation,
    grouping: Option<&Grouping>,
    grid: &Grid,
) -> Result<Vec<Series>, LogQueryError> {
    let range = &aggregation.range;
    let windows = Windows::new(grid, range.range_ns, range.offset_ns);
    let job = Job::new(aggregation, grouping, windows)?;
    let set = context.select(&job.select(&range.log.matchers))?;
    let parts = on_all_cores(set.len(), |streams| job.run(context, &*set, streams))?;
    context.warn(&*set);
    let mut all = Accumulated::default();
    for part in parts {
        all.merge(part);
    }
    if let Some(labels) = all.failed() {
        return Err(pipeline_error(labels));
    }
    let series = all.finish(aggregation, &windows);
    if aggregation.op == RangeOp::Absent {
        return Ok(vec![absent(&range.log.matchers, &series, &windows)]);
    }
    Ok(series)
}

/// What Loki says of an entry that failed.
fn pipeline_error(labels: &LabelSet) -> LogQueryError {
    let error = labels.get(ERROR).unwrap_or_default();
    LogQueryError::execution(format!(
        "pipeline error: '{error}' for series: '{labels}'.\n\
         Use a label filter to intentionally skip this error. (e.g | __error__!=\"{error}\").\n\
         To skip all potential errors you can match empty errors.(e.g __error__=\"\")\n\
         The label filter can also be specified after unwrap. \
         (e.g | unwrap latency | __error__=\"\" )\n"
    ))
}

/// One where no series has a value, with the labels the selector asks for.
fn absent(matchers: &[Matcher], series: &[Series], windows: &Windows) -> Series {
    let name_once =
        |matcher: &Matcher| matchers.iter().filter(|m| m.name == matcher.name).count() == 1;
    let wanted = |matcher: &&Matcher| matcher.op == MatchOp::Equal && name_once(matcher);
    let pairs = matchers.iter().filter(wanted).map(|m| (m.name.as_str(), m.value.as_str()));
    let is_there = |k: usize| series.iter().any(|one| !ephemeris_model::is_stale(one.values[k]));
    let values = (0..windows.count()).map(|k| if is_there(k) { nothing() } else { 1.0 }).collect();
    Series { labels: LabelSet::from_pairs(pairs), values }
}

/// What is done with each entry.
struct Job<'a> {
    op: RangeOp,
    /// What the source does of the pipeline.
    filters: LineSearches,
    pipeline: Pipeline,
    unwrap: Option<(&'a Unwrap, Pipeline)>,
    hints: Hints,
    /// Whether only labels that are named somewhere count, but for entries that failed.
    is_lean: bool,
    key: Key<'a>,
    windows: Windows,
}

/// Which labels name a series.
enum Key<'a> {
    All,
    None,
    By(Vec<&'a str>),
    Without(Vec<&'a str>),
}

impl<'a> Job<'a> {
    fn new(
        aggregation: &'a RangeAggregation,
        grouping: Option<&'a Grouping>,
        windows: Windows,
    ) -> Result<Self, LogQueryError> {
        let compile = |stages: &[Stage]| Pipeline::new(stages).map_err(LogQueryError::execution);
        let mut pipeline = compile(&aggregation.range.log.stages)?;
        let filters = pipeline.take_filters();
        let unwrap = match &aggregation.range.unwrap {
            Some(unwrap) => {
                let filters: Vec<Stage> =
                    unwrap.filters.iter().cloned().map(Stage::Label).collect();
                Some((unwrap, compile(&filters)?))
            }
            None => None,
        };
        let mut key = Key::of(grouping);
        if let Some((unwrap, _)) = &unwrap {
            key.leave_out(&unwrap.label);
        }
        let hints = match &key {
            Key::None | Key::By(_) => {
                let mut names = pipeline.label_names();
                if let Key::By(wanted) = &key {
                    names.extend(wanted);
                }
                if let Some((unwrap, filters)) = &unwrap {
                    names.push(&unwrap.label);
                    names.extend(filters.label_names());
                }
                Hints::only(names)
            }
            Key::All | Key::Without(_) => Hints::default(),
        };
        let is_lean = matches!(key, Key::None | Key::By(_)) && !pipeline.formats();
        let op = aggregation.op;
        Ok(Self { op, filters, pipeline, unwrap, hints, is_lean, key, windows })
    }

    /// Whether metadata of this name can change what comes out.
    fn needs(&self, name: &str) -> bool {
        !self.is_lean || self.hints.needs(name) || name.starts_with("__")
    }

    fn counts_entries(&self) -> bool {
        self.unwrap.is_none() && matches!(self.op, RangeOp::Count | RangeOp::Rate | RangeOp::Absent)
    }

    fn counts_bytes(&self) -> bool {
        matches!(self.op, RangeOp::Bytes | RangeOp::BytesRate)
    }

    fn select(&self, matchers: &[Matcher]) -> LogSelect {
        let columns = LogColumns {
            lines: self.pipeline.uses_lines(),
            metadata: !(matches!(self.key, Key::None) && self.pipeline.label_names().is_empty())
                || self.unwrap.is_some(),
        };
        LogSelect {
            matchers: matchers.to_vec(),
            range: self.windows.covered(),
            direction: Direction::Forward,
            columns,
            filters: self.filters.clone(),
            hints: self.pipeline.label_hints(),
        }
    }

    fn run(
        &self,
        context: &Context<'_>,
        set: &dyn StreamSet,
        streams: Range<usize>,
    ) -> Result<Accumulated, LogQueryError> {
        let mut all = Accumulated::default();
        let mut state = EntryState::default();
        let mut buffer = EntryBuffer::default();
        for index in streams {
            let labels = LabelSet::from(&set.labels(index));
            let by = self.tally_by(&labels);
            state.set_stream(labels);
            if let Some(by) = by {
                let scratch = (&mut state, &mut buffer);
                self.tally(context, (set, index), by, scratch, &mut all)?;
                continue;
            }
            // The series of entries that change no label; found once a stream.
            let mut plain = None;
            let range = self.windows.covered();
            context.read(set, index, range, &mut buffer, &mut |run| {
                self.visit(context, run, &mut state, &mut plain, &mut all)?;
                Ok(ControlFlow::Continue(()))
            })?;
        }
        Ok(all)
    }

    /// Whether a stream's entries need not be read one by one, and what they are counted by then:
    /// only their number counts, and their series depends on nothing but their stream and level.
    fn tally_by(&self, labels: &LabelSet) -> Option<CountBy> {
        let mut names = self.pipeline.label_names();
        match &self.key {
            Key::None => {}
            Key::By(wanted) => names.extend(wanted),
            Key::All | Key::Without(_) => return None,
        }
        names.retain(|name| labels.get(name).is_none());
        let counts = self.counts_entries() || self.counts_bytes();
        if !counts || !self.pipeline.matches_labels_only() {
            return None;
        }
        match names.as_slice() {
            [] => Some(CountBy::Stream),
            names if names.iter().all(|name| *name == DETECTED_LEVEL) => Some(CountBy::Level),
            _ => None,
        }
    }

    fn tally(
        &self,
        context: &Context<'_>,
        (set, index): (&dyn StreamSet, usize),
        by: CountBy,
        (state, buffer): (&mut EntryState, &mut EntryBuffer),
        all: &mut Accumulated,
    ) -> Result<(), LogQueryError> {
        // Series made here; `visit` holds for those it makes.
        let mut new_series = 0;
        let mut plain = None;
        // The series of each level, nothing if the pipeline drops it; found once a stream.
        let mut found: Vec<(String, Option<usize>)> = Vec::new();
        let is_whole = |range| self.windows.is_whole(range);
        let how = TallyBy { by, is_whole: &is_whole };
        let covered = (index, self.windows.covered());
        context.tally(set, covered, how, buffer, &mut |tally| {
            let (range, level, count) = match tally {
                Tally::Entries(run) => return self.visit(context, run, state, &mut plain, all),
                Tally::Counted { range, level, count } => (range, level, count),
            };
            let steps = self.windows.steps(range.start);
            if steps.is_empty() {
                return Ok(());
            }
            let at = found.iter().position(|(known, _)| known == level).unwrap_or_else(|| {
                let before = all.series.len();
                found.push((level.to_owned(), self.series_of(level, state, all)));
                new_series += (all.series.len() - before) as u64;
                found.len() - 1
            });
            let Some(id) = found[at].1 else { return Ok(()) };
            context.count_kept(count.entries);
            let amount = if self.counts_bytes() { count.bytes } else { count.entries };
            let entries = count.entries.cast_signed();
            all.series[id].counts(self.windows.count()).add(steps, entries, amount.cast_signed());
            Ok(())
        })?;
        let bytes = new_series.saturating_mul(self.series_bytes());
        context.budget.hold(Load { samples: new_series, bytes })?;
        Ok(())
    }

    /// The series of entries of which only the level counts, if the pipeline keeps them.
    fn series_of(
        &self,
        level: &str,
        state: &mut EntryState,
        all: &mut Accumulated,
    ) -> Option<usize> {
        state.reset();
        if !level.is_empty() {
            state.add_metadata(DETECTED_LEVEL, level);
        }
        self.pipeline.process(0, b"", state, &self.hints)?;
        Some(self.key.find(state, all))
    }

    fn visit(
        &self,
        context: &Context<'_>,
        run: &EntryBuffer,
        state: &mut EntryState,
        plain: &mut Option<usize>,
        all: &mut Accumulated,
    ) -> Result<(), LogQueryError> {
        let (held, series) = (all.held, all.series.len());
        let mut kept = 0;
        for (i, at) in run.timestamps().iter().enumerate() {
            let steps = self.windows.steps(*at);
            if steps.is_empty() {
                continue;
            }
            state.reset();
            for (name, value) in run.metadata(i).filter(|(name, _)| self.needs(name)) {
                state.add_metadata(name, value);
            }
            let mut sample = self.sample(*at, run.line(i), state);
            if self.is_lean && sample.is_some() && !state.error().is_empty() {
                // An entry that failed shows all its labels.
                state.reset();
                run.metadata(i).for_each(|(name, value)| state.add_metadata(name, value));
                sample = self.sample(*at, run.line(i), state);
            }
            let Some((value, bytes)) = sample else { continue };
            kept += 1;
            let id = match *plain {
                Some(id) if state.is_untouched() => id,
                _ => {
                    let id = self.key.find(state, all);
                    if state.is_untouched() {
                        *plain = Some(id);
                    }
                    id
                }
            };
            if self.counts_entries() || self.counts_bytes() {
                let amount = if self.counts_bytes() { bytes } else { 1 };
                all.series[id].counts(self.windows.count()).add(steps, 1, amount);
            } else {
                all.series[id].push(*at, value);
                all.held.samples += 1;
            }
        }
        context.count_kept(kept);
        let samples = all.held.samples - held.samples;
        let new_series = (all.series.len() - series) as u64;
        let bytes = new_series.saturating_mul(self.series_bytes()) + samples * 16;
        context.budget.hold(Load { samples: samples + new_series, bytes })?;
        Ok(())
    }

    /// About what a series takes while it is gathered.
    fn series_bytes(&self) -> u64 {
        let steps =
            if self.counts_entries() || self.counts_bytes() { self.windows.count() } else { 0 };
        512 + 16 * steps as u64
    }

    /// The value of an entry and the bytes of its line, if it is not dropped.
    fn sample(&self, at: i64, line: &[u8], state: &mut EntryState) -> Option<(f64, i64)> {
        let line = self.pipeline.process(at, line, state, &self.hints)?;
        let bytes = i64::try_from(line.len()).unwrap_or(i64::MAX);
        let Some((unwrap, filters)) = &self.unwrap else { return Some((0.0, bytes)) };
        let text = state.get(&unwrap.label).filter(|text| !text.is_empty())?;
        let value = match convert(unwrap.conversion, text) {
            Ok(value) => value,
            Err(error) => {
                state.fail(EXTRACTION_ERROR, &error);
                0.0
            }
        };
        filters.process(at, &line, state, &self.hints)?;
        Some((value, bytes))
    }
}

fn convert(conversion: Conversion, text: &str) -> Result<f64, String> {
    match conversion {
        Conversion::Number => parse_float(text),
        Conversion::Bytes => parse_bytes(text).map(|bytes| bytes as f64),
        Conversion::Duration | Conversion::DurationSeconds => {
            parse_go_duration(text).map(over_time::seconds)
        }
    }
}

impl<'a> Key<'a> {
    fn of(grouping: Option<&'a Grouping>) -> Self {
        let Some(Grouping { kind, names }) = grouping else { return Self::All };
        let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        match kind {
            GroupingKind::By if names.is_empty() => Self::None,
            GroupingKind::By => Self::By(names),
            GroupingKind::Without if names.is_empty() => Self::All,
            GroupingKind::Without => Self::Without(names),
        }
    }

    /// The label values come from names no series, unless it is asked for.
    fn leave_out(&mut self, label: &'a str) {
        match self {
            Self::All => *self = Self::Without(vec![label]),
            Self::Without(names) => names.push(label),
            Self::None | Self::By(_) => {}
        }
    }

    /// The series an entry belongs to.
    fn find(&self, state: &EntryState, all: &mut Accumulated) -> usize {
        let mut pairs: Vec<(&str, &str)> = match self {
            // An error must not get lost in a group.
            _ if !state.error().is_empty() => state.all().collect(),
            Self::None => Vec::new(),
            Self::All => state.all().collect(),
            Self::By(names) => {
                names.iter().filter_map(|name| Some((*name, state.get(name)?))).collect()
            }
            Self::Without(names) => state.all().filter(|(name, _)| !names.contains(name)).collect(),
        };
        if state.error().is_empty() {
            pairs.retain(|(name, _)| *name != ERROR_DETAILS);
        }
        pairs.sort_unstable();
        all.find(&pairs, state.is_preserved())
    }
}
