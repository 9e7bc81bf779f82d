//! A generation: the samples and log entries written between two rotations, with the WAL file they are safe in.
//!
//! It is filled while it is open, then sealed into blocks, then dropped whole.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use ephemeris_model::batch::HistogramSample;
use ephemeris_model::{Exemplar, TimeRange, TimestampMs};
use parking_lot::{Mutex, MutexGuard};
use roaring::RoaringBitmap;

use super::chunk;
use super::extent::{Extent, ExtentBytes, Float};
use super::identity::{EXTENT_SERIES, EXTENTS_MAX, Identity};
use crate::logs::head::LogHead;
use crate::metrics::samples::{Newest, SeriesSamples};

/// Samples written between two rotations.
pub(crate) struct Generation {
    number: u64,
    identity: Arc<Identity>,
    logs: LogHead,
    created: TimestampMs,
    extents: Vec<OnceLock<Box<Mutex<Extent>>>>,
    chunk_bytes: AtomicU64,
    late_bytes: AtomicU64,
    min_time: AtomicI64,
    max_time: AtomicI64,
}

impl Generation {
    /// An empty generation of series known by `identity`.
    pub(crate) fn new(number: u64, identity: Arc<Identity>, created: TimestampMs) -> Self {
        Self {
            number,
            identity,
            logs: LogHead::new(),
            created,
            extents: std::iter::repeat_with(OnceLock::new).take(EXTENTS_MAX).collect(),
            chunk_bytes: AtomicU64::new(0),
            late_bytes: AtomicU64::new(0),
            min_time: AtomicI64::new(i64::MAX),
            max_time: AtomicI64::new(i64::MIN),
        }
    }

    /// Its number, which is that of its WAL file.
    pub(crate) const fn number(&self) -> u64 {
        self.number
    }

    /// Who its series are.
    pub(crate) const fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    /// Its log entries.
    pub(crate) const fn logs(&self) -> &LogHead {
        &self.logs
    }

    /// Whether nothing was written to it.
    pub(crate) fn is_empty(&self) -> bool {
        self.times().is_none() && self.logs.times().is_none()
    }

    /// Bytes of all it holds.
    pub(crate) fn bytes(&self) -> u64 {
        self.chunk_bytes() + self.late_bytes() + self.logs.bytes()
    }

    /// When it was opened.
    pub(crate) const fn created(&self) -> TimestampMs {
        self.created
    }

    /// Bytes of chunks, histograms and exemplars.
    pub(crate) fn chunk_bytes(&self) -> u64 {
        self.chunk_bytes.load(Ordering::Relaxed)
    }

    /// Bytes of out-of-order samples.
    pub(crate) fn late_bytes(&self) -> u64 {
        self.late_bytes.load(Ordering::Relaxed)
    }

    /// Times of the earliest and of the latest sample or exemplar, if there is one.
    pub(crate) fn times(&self) -> Option<(TimestampMs, TimestampMs)> {
        let min = self.min_time.load(Ordering::Relaxed);
        let max = self.max_time.load(Ordering::Relaxed);
        (min <= max).then_some((TimestampMs(min), TimestampMs(max)))
    }

    /// Number of samples, counted now; repeats that were not noticed count as well.
    pub(crate) fn count_samples(&self) -> u64 {
        let filled = self.extents.iter().filter_map(OnceLock::get);
        filled.map(|extent| extent.lock().sample_count()).sum()
    }

    /// Opens the generation to what one request brings.
    pub(crate) fn appender(&self) -> Appender<'_> {
        Appender { generation: self, open: None, min: i64::MAX, max: i64::MIN, late: 0 }
    }

    fn extent(&self, id: u32) -> Option<&Mutex<Extent>> {
        self.extents.get((id / EXTENT_SERIES) as usize)?.get().map(|extent| &**extent)
    }

    /// Those of `ids` that may have a sample or an exemplar at or after `start`.
    pub(crate) fn filled(&self, ids: &RoaringBitmap, start: TimestampMs) -> RoaringBitmap {
        let mut locked: Option<(u32, MutexGuard<'_, Extent>)> = None;
        let mut holds = |id: u32| {
            let number = id / EXTENT_SERIES;
            if locked.as_ref().is_none_or(|(open, _)| *open != number) {
                drop(locked.take());
                locked = self.extent(id).map(|extent| (number, extent.lock()));
            }
            locked.as_ref().is_some_and(|(_, extent)| extent.holds(place(id), start.0))
        };
        ids.iter().filter(|&id| holds(id)).collect()
    }

    /// Hands each of `ids` (ascending) to `visit` with its newest sample inside `window`; `false`
    /// ends the walk.
    pub(crate) fn newest(
        &self,
        ids: &RoaringBitmap,
        window: TimeRange,
        visit: &mut dyn FnMut(u32, Newest) -> bool,
    ) {
        let mut ids = ids.iter().peekable();
        while let Some(&first) = ids.peek() {
            let number = first / EXTENT_SERIES;
            let extent = self.extent(first).map(Mutex::lock);
            while let Some(id) = ids.next_if(|id| id / EXTENT_SERIES == number) {
                let newest = match &extent {
                    Some(extent) => extent.newest(place(id), window),
                    None => Newest::None,
                };
                if !visit(id, newest) {
                    return;
                }
            }
        }
    }

    /// All series that have anything here.
    pub(crate) fn all_filled(&self) -> RoaringBitmap {
        let mut set = RoaringBitmap::new();
        for (number, extent) in (0u32..).zip(&self.extents) {
            if let Some(extent) = extent.get() {
                let places = extent.lock().filled();
                set.extend(places.into_iter().map(|at| number * EXTENT_SERIES + u32::from(at)));
            }
        }
        set
    }

    /// All samples of a series, in order. `scratch` is for bytes.
    pub(crate) fn read(&self, id: u32, scratch: &mut Vec<u8>, out: &mut SeriesSamples) {
        out.clear();
        let Some(extent) = self.extent(id) else { return };
        let mut extent = extent.lock();
        match extent.gather(place(id), scratch) {
            None => extent.read(place(id), scratch, out),
            Some(count) => {
                drop(extent);
                chunk::decode(scratch, count, out);
            }
        }
    }

    /// The newest sample of a series inside `window`, and maybe others. `scratch` is for bytes.
    pub(crate) fn read_newest(
        &self,
        id: u32,
        window: TimeRange,
        scratch: &mut Vec<u8>,
        out: &mut SeriesSamples,
    ) {
        match self.extent(id) {
            Some(extent) => extent.lock().read_newest(place(id), window, scratch, out),
            None => out.clear(),
        }
    }

    /// Exemplars of a series, by time.
    pub(crate) fn exemplars(&self, id: u32) -> Vec<Exemplar> {
        self.extent(id).map(|extent| extent.lock().exemplars(place(id))).unwrap_or_default()
    }
}

/// Place of a series in its extent.
fn place(id: u32) -> u16 {
    u16::try_from(id % EXTENT_SERIES).unwrap_or(0)
}

/// Appends what one request brings; holds the lock of one extent at a time.
pub(crate) struct Appender<'a> {
    generation: &'a Generation,
    open: Option<OpenExtent<'a>>,
    min: i64,
    max: i64,
    late: u64,
}

struct OpenExtent<'a> {
    number: u32,
    extent: MutexGuard<'a, Extent>,
    /// What it took when it was locked.
    before: ExtentBytes,
}

impl Appender<'_> {
    fn extent(&mut self, id: u32) -> &mut Extent {
        let number = id / EXTENT_SERIES;
        if self.open.as_ref().is_none_or(|open| open.number != number) {
            self.close_extent();
            let new = || Box::new(Mutex::new(Extent::default()));
            let slot = &self.generation.extents[number as usize];
            let extent = slot.get_or_init(new).lock();
            self.open = Some(OpenExtent { number, before: extent.bytes(), extent });
        }
        // It was opened above.
        &mut self.open.as_mut().expect("the extent is open").extent
    }

    fn close_extent(&mut self) {
        let Some(open) = self.open.take() else { return };
        let after = open.extent.bytes();
        // Sorting may free late rows, so the difference can be of either sign.
        let add = |total: &AtomicU64, before: usize, after: usize| {
            total.fetch_add((after as u64).wrapping_sub(before as u64), Ordering::Relaxed);
        };
        add(&self.generation.chunk_bytes, open.before.chunks, after.chunks);
        add(&self.generation.late_bytes, open.before.late, after.late);
    }

    #[inline]
    fn see(&mut self, time: i64) {
        self.min = self.min.min(time);
        self.max = self.max.max(time);
    }

    /// Adds a float sample of series `id`; a start timestamp of 0 is unknown.
    #[inline]
    pub(crate) fn push(&mut self, id: u32, time: i64, value: f64, start: i64) {
        self.see(time);
        let late = self.extent(id).push(place(id), Float { time, value, start });
        self.late += u64::from(late);
    }

    /// Adds a histogram of series `id`.
    pub(crate) fn push_histogram(&mut self, id: u32, sample: &HistogramSample) {
        self.see(sample.timestamp_ms);
        self.extent(id).push_histogram(place(id), sample);
    }

    /// Adds an exemplar of series `id`.
    pub(crate) fn push_exemplar(&mut self, id: u32, exemplar: &Exemplar) {
        self.see(exemplar.timestamp_ms);
        self.extent(id).push_exemplar(place(id), exemplar);
    }

    /// Ends the request; answers how many samples were out of order.
    pub(crate) fn finish(mut self) -> u64 {
        self.close_extent();
        self.generation.min_time.fetch_min(self.min, Ordering::Relaxed);
        self.generation.max_time.fetch_max(self.max, Ordering::Relaxed);
        self.late
    }
}
