//! Reading log entries: one tenant's streams of one version, over head and blocks.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use ephemeris_model::logs::NANOS_PER_MILLI;
use ephemeris_model::{
    CountBy, EntryBuffer, EntryCount, Labels, LogColumns, LogSelect, LogSource, Matcher, NanoRange,
    SourceError, StreamSet, Tally, TallyBy, TimeRange, TimestampMs,
};
use hashbrown::HashMap;
use parking_lot::Mutex;
use roaring::RoaringBitmap;
use rustc_hash::FxBuildHasher;

use super::grams::PageFilter;
use super::part::VisitLabels;
use super::stop::{Stop, select_all};
use super::{Reader, source_error};
use crate::catalog::Catalog;
use crate::error::{Error, ErrorKind, Result};
use crate::logs::counts::Counts;
use crate::logs::deleted::{self, LogDeleted};
use crate::logs::merge::{self, Piece, PieceSource, Wanted};
use crate::logs::millis;
use crate::logs::page;
use crate::logs::rows::Rows;
use crate::metrics::block::Block;
use crate::metrics::head::generation::Generation;
use crate::series::TenantId;

/// Warnings of one selection at most.
const WARNINGS_MAX: usize = 20;

/// A part of a version. Ids of streams mean something only inside of it.
enum LogPart {
    Head(Arc<Generation>),
    Block(Arc<Block>, LogDeleted),
}

/// Selected streams over all parts.
struct Selection {
    catalog: Arc<Catalog>,
    select: LogSelect,
    labels: Vec<Labels>,
    /// For each stream, the parts that have it, in order of arrival, with its id there.
    places: Vec<Vec<(usize, u32)>>,
    parts: Vec<LogPart>,
    /// Needles that all wanted lines hold, and which pages may hold them.
    filter: Option<PageFilter>,
    warnings: Mutex<Vec<String>>,
}

impl Reader {
    /// The parts that may have an entry inside `range`, oldest first. A block of which it cannot
    /// be told what is deleted is handed to `damaged` instead.
    fn log_parts(
        &self,
        range: NanoRange,
        damaged: &mut dyn FnMut(&Block, &Error),
    ) -> Result<Vec<LogPart>> {
        if range.start >= range.end {
            return Ok(Vec::new());
        }
        let (start, last) = (millis(range.start), millis(range.end - 1));
        let mut blocks: Vec<&Arc<Block>> = self.version.log_blocks.iter().collect();
        blocks.retain(|block| block.row().min_time <= last && start <= block.row().max_time);
        blocks.sort_by_key(|block| block.row().arrival);
        let generations = self.version.generations().filter(|generation| {
            let times = generation.logs().times();
            times.is_some_and(|(min, max)| min < range.end && range.start <= max)
        });
        let mut parts = Vec::new();
        for block in blocks {
            match LogDeleted::of(block, &self.version.log_tombstones, self.tenant) {
                Ok(deleted) => parts.push(LogPart::Block(Arc::clone(block), deleted)),
                Err(error) if error.kind() == ErrorKind::Corrupt => damaged(block, &error),
                Err(error) => return Err(error),
            }
        }
        parts.extend(generations.map(|g| LogPart::Head(Arc::clone(g))));
        Ok(parts)
    }

    /// The range without what is past the retention.
    fn kept_logs(&self, range: NanoRange) -> NanoRange {
        let oldest = self.oldest.0.saturating_mul(NANOS_PER_MILLI);
        NanoRange { start: range.start.max(oldest), end: range.end }
    }
}

impl LogPart {
    fn select(
        &self,
        tenant: TenantId,
        (matchers, stop): (&[Matcher], Option<&Stop>),
        range: NanoRange,
    ) -> Result<RoaringBitmap> {
        select_all(matchers, stop, |few| self.select_few(tenant, few, range))
    }

    fn select_few(
        &self,
        tenant: TenantId,
        matchers: &[Matcher],
        range: NanoRange,
    ) -> Result<RoaringBitmap> {
        match self {
            Self::Block(block, deleted) => left(block, deleted, block.select(tenant, matchers)?),
            Self::Head(generation) => {
                let logs = generation.logs();
                let ids = logs.identity().with_tenant(tenant, |view| view.select(matchers));
                Ok(logs.filled(&ids.unwrap_or_default(), range))
            }
        }
    }

    fn labels(&self, tenant: TenantId, ids: &RoaringBitmap, visit: VisitLabels<'_>) -> Result<()> {
        match self {
            Self::Block(block, _) => block.series_labels(ids, visit),
            Self::Head(generation) => {
                generation.logs().identity().with_tenant(tenant, |view| {
                    let mut pairs = Vec::with_capacity(16);
                    for id in ids {
                        pairs.clear();
                        pairs.extend(view.pairs(id));
                        visit(id, &pairs);
                    }
                });
                Ok(())
            }
        }
    }

    fn pieces(&self, id: u32, range: NanoRange) -> Result<Vec<Piece>> {
        match self {
            Self::Block(block, deleted) => block.log_pieces(id, range, deleted),
            Self::Head(generation) => Ok(generation.logs().pieces(id, range)),
        }
    }
}

/// The streams of which something may be left.
fn left(block: &Arc<Block>, deleted: &LogDeleted, ids: RoaringBitmap) -> Result<RoaringBitmap> {
    const ALL: NanoRange = NanoRange { start: i64::MIN, end: i64::MAX };
    let mut left = ids;
    for id in deleted.touched() {
        if left.contains(id) && block.log_pieces(id, ALL, deleted)?.is_empty() {
            left.remove(id);
        }
    }
    Ok(left)
}

impl LogSource for Reader {
    fn select_streams(&self, select: &LogSelect) -> Result<Arc<dyn StreamSet + '_>, SourceError> {
        let range = self.kept_logs(select.range);
        let select = LogSelect { range, ..select.clone() };
        let mut selection = Selection {
            catalog: Arc::clone(&self.catalog),
            select,
            labels: Vec::new(),
            places: Vec::new(),
            parts: Vec::new(),
            filter: None,
            warnings: Mutex::default(),
        };
        let inclusive_end = TimestampMs(millis(range.end).0.saturating_add(1));
        let touched = TimeRange::new(millis(range.start), inclusive_end);
        self.catalog.missing(touched).into_iter().for_each(|text| selection.warn(text));
        let mut damages = Vec::new();
        let mut note = |block: &Block, error: &Error| {
            note_block(&self.catalog, block, error);
            damages.push(error.to_string());
        };
        selection.parts = self.log_parts(range, &mut note).map_err(source_error)?;
        damages.into_iter().for_each(|text| selection.warn(text));
        selection.filter = PageFilter::new(&selection.select.needles);
        if let Some(tenant) = self.tenant {
            selection.list(tenant, self.stop.as_ref()).map_err(source_error)?;
        }
        Ok(Arc::new(selection))
    }

    fn streams(
        &self,
        selectors: &[Vec<Matcher>],
        range: NanoRange,
    ) -> Result<Vec<Labels>, SourceError> {
        let range = self.kept_logs(range);
        let all = [Vec::new()];
        let selectors = if selectors.is_empty() { &all } else { selectors };
        let mut found = BTreeSet::new();
        let Some(tenant) = self.tenant else { return Ok(Vec::new()) };
        let mut note = |block: &Block, error: &Error| note_block(&self.catalog, block, error);
        for part in self.log_parts(range, &mut note).map_err(source_error)? {
            for matchers in selectors {
                let listed =
                    part.select(tenant, (matchers, self.stop.as_ref()), range).and_then(|ids| {
                        part.labels(tenant, &ids, &mut |_, pairs| {
                            found.insert(Labels::from_sorted(pairs.iter().copied()));
                        })
                    });
                match listed {
                    Err(error) if error.kind() == ErrorKind::Corrupt => {
                        tracing::warn!(%error, "part of the index of logs could not be read");
                    }
                    done => done.map_err(source_error)?,
                }
            }
        }
        Ok(found.into_iter().collect())
    }
}

impl Selection {
    fn warn(&self, text: String) {
        let mut warnings = self.warnings.lock();
        if warnings.len() < WARNINGS_MAX && !warnings.contains(&text) {
            warnings.push(text);
        }
    }

    /// Finds the streams of all parts, joined by label set.
    fn list(&mut self, tenant: TenantId, stop: Option<&Stop>) -> Result<()> {
        let Self { select, labels, places, parts, .. } = self;
        let mut known: HashMap<Labels, usize, FxBuildHasher> = HashMap::default();
        let mut damages = Vec::new();
        for (at, part) in parts.iter().enumerate() {
            let listed =
                part.select(tenant, (&select.matchers, stop), select.range).and_then(|ids| {
                    part.labels(tenant, &ids, &mut |id, pairs| {
                        let set = Labels::from_sorted(pairs.iter().copied());
                        let place = *known.entry(set).or_insert_with_key(|set| {
                            labels.push(set.clone());
                            places.push(Vec::new());
                            labels.len() - 1
                        });
                        places[place].push((at, id));
                    })
                });
            match listed {
                Err(error) if error.kind() == ErrorKind::Corrupt => damages.push((at, error)),
                done => done?,
            }
        }
        for (at, error) in damages {
            self.note(Some(&self.parts[at]), &error);
        }
        Ok(())
    }

    /// Tells of damage, and remembers it so that the block is left as it is.
    fn note(&self, part: Option<&LogPart>, error: &Error) {
        if let Some(LogPart::Block(block, _)) = part {
            note_block(&self.catalog, block, error);
        }
        self.warn(error.to_string());
    }

    fn pieces(&self, index: usize, range: NanoRange) -> Result<Vec<Piece>, SourceError> {
        let mut pieces = Vec::new();
        for &(at, id) in &self.places[index] {
            match self.parts[at].pieces(id, range) {
                Ok(found) => pieces.extend(found),
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    self.note(self.parts.get(at), &error);
                }
                Err(error) => return Err(source_error(error)),
            }
        }
        Ok(pieces)
    }

    /// Whether a piece may hold all needles.
    fn may_match(&self, piece: &Piece) -> Result<bool, SourceError> {
        let (Some(filter), PieceSource::Stored { block, counts, .. }) =
            (&self.filter, &piece.source)
        else {
            return Ok(true);
        };
        match filter.may_hold(block, *counts) {
            // The page is read instead, so nothing is missing in the answer.
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                note_block(&self.catalog, block, &error);
                Ok(true)
            }
            found => found.map_err(source_error),
        }
    }

    fn load(&self, piece: &Piece, columns: LogColumns) -> Result<Option<Arc<Rows>>, SourceError> {
        let columns = deleted::columns_for(&piece.cuts, columns);
        let decoded = match &piece.source {
            PieceSource::Rows(rows) => return Ok(Some(Arc::clone(rows))),
            PieceSource::Page(page) => page::decode(&page.bytes, columns)
                .map_err(|damage| Error::Internal(format!("a page of the head: {}", damage.0))),
            PieceSource::Stored { block, page, .. } => block.log_page(page, columns),
        };
        match (decoded, &piece.source) {
            (Ok(rows), _) => Ok(Some(Arc::new(deleted::without(rows, &piece.cuts)))),
            (Err(error), PieceSource::Stored { block, .. })
                if error.kind() == ErrorKind::Corrupt =>
            {
                note_block(&self.catalog, block, &error);
                self.warn(error.to_string());
                Ok(None)
            }
            (Err(error), _) => Err(source_error(error)),
        }
    }

    /// The counts of a piece that agree with what the directory tells; else it is read.
    fn load_counts(&self, piece: &Piece) -> Result<Option<Counts>, SourceError> {
        let found = match &piece.source {
            PieceSource::Rows(_) => Ok(None),
            PieceSource::Page(page) if page.counts.is_empty() => Ok(None),
            PieceSource::Page(page) => Counts::decode(&page.counts).map(Some).map_err(|damage| {
                Error::Internal(format!("counts of a page of the head: {}", damage.0))
            }),
            PieceSource::Stored { block, counts, .. } => block.log_counts(*counts),
        };
        let total = EntryCount { entries: piece.entries, bytes: piece.line_bytes };
        match (found, &piece.source) {
            (Ok(counts), _) => Ok(counts.filter(|counts| counts.total() == total)),
            // The page itself tells the same, so nothing is missing in the answer.
            (Err(error), PieceSource::Stored { block, .. })
                if error.kind() == ErrorKind::Corrupt =>
            {
                note_block(&self.catalog, block, &error);
                Ok(None)
            }
            (Err(error), _) => Err(source_error(error)),
        }
    }

    fn clamp(&self, range: NanoRange) -> NanoRange {
        let own = self.select.range;
        NanoRange { start: range.start.max(own.start), end: range.end.min(own.end) }
    }
}

fn note_block(catalog: &Catalog, block: &Block, error: &Error) {
    let id = block.row().id;
    if let Err(failed) = catalog.note_damage(id, &error.to_string()) {
        tracing::warn!(block = id.0, error = %failed, "damage could not be noted");
    }
}

impl StreamSet for Selection {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn labels(&self, index: usize) -> Labels {
        self.labels[index].clone()
    }

    fn read(
        &self,
        index: usize,
        range: NanoRange,
        buffer: &mut EntryBuffer,
        visit: &mut dyn FnMut(&EntryBuffer) -> Result<ControlFlow<()>, SourceError>,
    ) -> Result<(), SourceError> {
        let range = self.clamp(range);
        let mut pieces = Vec::new();
        for piece in self.pieces(index, range)? {
            // A line that is left out with its page is the repeat of none that is wanted.
            if self.may_match(&piece)? {
                pieces.push(piece);
            }
        }
        let (direction, columns) = (self.select.direction, self.select.columns);
        let mut needles = self.select.needles.clone();
        needles.retain(|needle| !needle.is_empty());
        // The longest is looked for first, as it is the rarest as a rule.
        needles.sort_by_key(|needle| std::cmp::Reverse(needle.len()));
        let wanted = Wanted { range, direction, columns, needles };
        let load = |piece: &Piece, columns: LogColumns| self.load(piece, columns);
        merge::read(&pieces, &wanted, &load, buffer, visit)
    }

    fn count(&self, index: usize, range: NanoRange) -> Result<EntryCount, SourceError> {
        let range = self.clamp(range);
        let load = |piece: &Piece, columns: LogColumns| self.load(piece, columns);
        merge::count(self.pieces(index, range)?, range, &load)
    }

    fn tally(
        &self,
        index: usize,
        range: NanoRange,
        how: TallyBy<'_>,
        buffer: &mut EntryBuffer,
        visit: &mut dyn FnMut(Tally<'_>) -> Result<ControlFlow<()>, SourceError>,
    ) -> Result<(), SourceError> {
        let range = self.clamp(range);
        let columns = match how.by {
            CountBy::Stream => LogColumns { lines: false, metadata: false },
            CountBy::Level => LogColumns { lines: false, metadata: true },
        };
        let direction = self.select.direction;
        let wanted = Wanted { range, direction, columns, needles: Vec::new() };
        let load = |piece: &Piece, columns: LogColumns| self.load(piece, columns);
        let counts = |piece: &Piece| self.load_counts(piece);
        let pieces = self.pieces(index, range)?;
        merge::tally(pieces, &wanted, how, (&load, &counts), buffer, visit)
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.lock().clone()
    }
}
