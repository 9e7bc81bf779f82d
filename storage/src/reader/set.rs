//! The series of one selection, joined by label set over all parts, and their samples.

use std::ops::Range;
use std::sync::Arc;

use ephemeris_model::{
    Labels, Matcher, ReadStats, SampleBuffer, SeriesSet, SourceError, TimeRange,
};
use hashbrown::HashMap;
use parking_lot::Mutex;
use rustc_hash::FxBuildHasher;
use std::hash::{BuildHasher, RandomState};
use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::part::{Part, Since};
use super::{ReadLimits, Stop, WARNINGS_MAX, source_error};
use crate::catalog::Catalog;
use crate::deleted::Deleted;
use crate::encoding::put_bytes;
use crate::error::{Error, ErrorKind, Result};
use crate::metrics::block;
use crate::metrics::samples::{SeriesSamples, Wanted};
use crate::series::TenantId;

/// Series whose samples are joined at once.
const BATCH_SERIES: usize = 64;
/// Series whose labels are looked up before it is asked whether to stop.
const STOP_SERIES: usize = 256;

/// Is handed the place of a series and its samples.
type VisitSamples<'a> = &'a mut dyn FnMut(usize, &SampleBuffer) -> Result<(), SourceError>;

/// Selected series over all parts.
pub(super) struct Selection {
    catalog: Arc<Catalog>,
    range: TimeRange,
    labels: Vec<Labels>,
    /// Places of the series in `labels` by keyed hash of their label set. 128 bits of it are taken
    /// for the label set, as the head does.
    /// Empty if there is one part only.
    places: HashMap<u128, u32, FxBuildHasher>,
    joined: Joined,
    seed: u64,
    parts: Vec<Selected>,
    warnings: Mutex<Vec<String>>,
    read: Mutex<ReadStats>,
    stop: Option<Stop>,
    limits: ReadLimits,
}

/// What one part has of the selected series.
struct Selected {
    part: Part,
    /// Place in `labels` and id in the part, by place.
    series: Vec<(u32, u32)>,
    deleted: Deleted,
}

/// Whether series of several parts have to be joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Joined {
    ByLabels,
    /// There is one part, whose series are all different.
    Not,
}

impl Selection {
    /// A selection of no series yet, of `part_count` parts, each of at most so many series.
    pub(super) fn new(
        catalog: Arc<Catalog>,
        range: TimeRange,
        (stop, limits): (Option<Stop>, ReadLimits),
        part_count: usize,
    ) -> Self {
        Self {
            catalog,
            range,
            labels: Vec::new(),
            places: HashMap::default(),
            joined: if part_count > 1 { Joined::ByLabels } else { Joined::Not },
            seed: RandomState::new().hash_one("selection"),
            parts: Vec::new(),
            warnings: Mutex::default(),
            read: Mutex::default(),
            stop,
            limits,
        }
    }

    /// Counts samples that were read for a batch.
    fn count(&self, read: &mut usize, samples: &SeriesSamples) -> Result<()> {
        *read = read.saturating_add(samples.timestamps.len());
        let most = self.limits.samples_max;
        if *read > most {
            return Err(Error::Limit(format!("a batch has {read} samples; limit is {most}")));
        }
        Ok(())
    }

    /// Takes note of what the answer lacks.
    pub(super) fn warn(&self, text: String) {
        let mut warnings = self.warnings.lock();
        if warnings.len() < WARNINGS_MAX && !warnings.contains(&text) {
            warnings.push(text);
        }
    }

    /// Adds what a part has.
    pub(super) fn add(&mut self, part: Part, tenant: TenantId, matchers: &[Matcher]) -> Result<()> {
        let mut series = Vec::new();
        let mut deleted = Deleted::default();
        let listed = part.deleted(tenant).and_then(|found| {
            deleted = found;
            self.list(&part, tenant, matchers, &mut series)
        });
        match listed {
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                part.note_damage(&self.catalog, &error.to_string());
                self.warn(error.to_string());
            }
            done => done?,
        }
        if !series.is_empty() {
            if !series.is_sorted() {
                series.sort_unstable();
            }
            self.parts.push(Selected { part, series, deleted });
        }
        Ok(())
    }

    fn list(
        &mut self,
        part: &Part,
        tenant: TenantId,
        matchers: &[Matcher],
        series: &mut Vec<(u32, u32)>,
    ) -> Result<()> {
        let since = Since { start: self.range.start, stop: self.stop.as_ref() };
        let ids = part.select(tenant, matchers, since)?;
        let most = self.limits.series_max;
        if ids.len() > most {
            let text = format!("a selection finds {} series; limit is {most}", ids.len());
            return Err(Error::Limit(text));
        }
        series.reserve(usize::try_from(ids.len()).unwrap_or(0));
        let Self { labels, places, seed, joined, .. } = self;
        // There are never as many series in memory.
        let next = |labels: &Vec<Labels>| u32::try_from(labels.len()).unwrap_or(u32::MAX);
        let mut stops = Stops { stop: since.stop, asked: 0, stopped: false };
        if *joined == Joined::Not {
            part.series_labels(tenant, &ids, &mut |id, pairs| {
                if !stops.now() {
                    series.push((next(labels), id));
                    labels.push(Labels::from_sorted_slice(pairs));
                }
            })?;
            return stops.result();
        }
        let mut bytes = Vec::with_capacity(256);
        part.series_labels(tenant, &ids, &mut |id, pairs| {
            if stops.now() {
                return;
            }
            bytes.clear();
            for (name, value) in pairs {
                put_bytes(&mut bytes, name.as_bytes());
                put_bytes(&mut bytes, value.as_bytes());
            }
            let place = *places.entry(xxh3_128_with_seed(&bytes, *seed)).or_insert_with(|| {
                let place = next(labels);
                labels.push(Labels::from_sorted_slice(pairs));
                place
            });
            series.push((place, id));
        })?;
        stops.result()
    }

    /// Joins the samples of the series `indices` in `out`, one after the other.
    fn load(&self, indices: &Range<usize>, which: Wanted, out: &mut [SeriesSamples]) -> Result<()> {
        out.iter_mut().for_each(SeriesSamples::clear);
        // What another query left uncounted on this thread.
        block::take_read();
        let (mut scratch, mut samples) = (Vec::new(), SeriesSamples::default());
        let mut read = 0;
        for Selected { part, series, deleted } in &self.parts {
            let before = |end: usize| series.partition_point(|(place, _)| (*place as usize) < end);
            let wanted = &series[before(indices.start)..before(indices.end)];
            let slot = |place: u32| place as usize - indices.start;
            match part {
                Part::Head(generation) => {
                    for &(place, id) in wanted {
                        match which {
                            Wanted::All => generation.read(id, &mut scratch, &mut samples),
                            Wanted::Newest => {
                                generation.read_newest(id, self.range, &mut scratch, &mut samples);
                            }
                        }
                        self.count(&mut read, &samples)?;
                        join(&mut out[slot(place)], &mut samples);
                    }
                }
                Part::Block(block, _) => {
                    let mut by_id: Vec<(u32, u32)> =
                        wanted.iter().map(|&(place, id)| (id, place)).collect();
                    by_id.sort_unstable();
                    let ids: Vec<u32> = by_id.iter().map(|(id, _)| *id).collect();
                    let mut damage = Vec::new();
                    // The newest sample may be one that is deleted.
                    let which = if deleted.is_empty() { which } else { Wanted::All };
                    let wanted = (self.range, which);
                    block.read_wanted(&ids, wanted, &mut damage, &mut |id, found| {
                        self.count(&mut read, found)?;
                        if let Ok(at) = by_id.binary_search_by_key(&id, |(id, _)| *id) {
                            let out = &mut out[slot(by_id[at].1)];
                            if deleted.touches(id) {
                                let mut left = found.clone();
                                deleted.remove_from(id, &mut left);
                                out.merge(&left);
                            } else {
                                out.merge(found);
                            }
                        }
                        Ok(())
                    })?;
                    for text in damage {
                        part.note_damage(&self.catalog, &text);
                        self.warn(text);
                    }
                }
            }
        }
        *self.read.lock() += block::take_read();
        Ok(())
    }
}

/// Asks now and then whether to stop, which also lets others have the processor.
struct Stops<'a> {
    stop: Option<&'a Stop>,
    /// How often it was to be asked.
    asked: usize,
    stopped: bool,
}

impl Stops<'_> {
    /// Whether to stop; asks for one series of so many.
    fn now(&mut self) -> bool {
        self.asked += 1;
        if self.asked.is_multiple_of(STOP_SERIES) && !self.stopped {
            self.stopped = self.stop.is_some_and(|stop| stop());
        }
        self.stopped
    }

    const fn result(&self) -> Result<()> {
        if self.stopped { Err(Error::Canceled) } else { Ok(()) }
    }
}

/// Takes `samples` in, by the conflict rule; without a copy where there is nothing yet.
fn join(into: &mut SeriesSamples, samples: &mut SeriesSamples) {
    if into.is_empty() {
        std::mem::swap(into, samples);
    } else {
        into.merge(samples);
    }
}

impl SeriesSet for Selection {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn labels(&self, index: usize) -> Labels {
        self.labels[index].clone()
    }

    fn read(
        &self,
        indices: Range<usize>,
        buffer: &mut SampleBuffer,
        visit: VisitSamples<'_>,
    ) -> Result<(), SourceError> {
        self.read_wanted(indices, Wanted::All, buffer, visit)
    }

    fn read_newest(
        &self,
        indices: Range<usize>,
        buffer: &mut SampleBuffer,
        visit: VisitSamples<'_>,
    ) -> Result<(), SourceError> {
        self.read_wanted(indices, Wanted::Newest, buffer, visit)
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.lock().clone()
    }

    fn read_stats(&self) -> ReadStats {
        *self.read.lock()
    }
}

impl Selection {
    fn read_wanted(
        &self,
        indices: Range<usize>,
        which: Wanted,
        buffer: &mut SampleBuffer,
        visit: VisitSamples<'_>,
    ) -> Result<(), SourceError> {
        let mut loaded = vec![SeriesSamples::default(); BATCH_SERIES.min(indices.len())];
        for start in indices.clone().step_by(BATCH_SERIES) {
            let batch = start..(start + BATCH_SERIES).min(indices.end);
            let loaded = &mut loaded[..batch.len()];
            self.load(&batch, which, loaded).map_err(source_error)?;
            for (index, samples) in batch.zip(loaded) {
                buffer.clear();
                samples.move_range_to(self.range, buffer);
                visit(index, buffer)?;
            }
        }
        Ok(())
    }
}
