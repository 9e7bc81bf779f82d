//! Reading log entries: one tenant's streams of one version, over head and blocks.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use ephemeris_model::logs::NANOS_PER_MILLI;
use ephemeris_model::{
    CountBy, EntryBuffer, EntryCount, LabelHint, Labels, LogColumns, LogSelect, LogSource, Matcher,
    NanoRange, SourceError, StreamList, StreamSet, Tally, TallyBy, TimeRange, TimestampMs,
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
use crate::encoding::Damage;
use crate::error::{Error, ErrorKind, Result};
use crate::logs::counts::Counts;
use crate::logs::deleted::{self, LogDeleted};
use crate::logs::merge::{self, Loads, Piece, PieceSource, Want, Wanted};
use crate::logs::millis;
use crate::logs::page;
use crate::logs::rows::Rows;
use crate::logs::search::{self, Search};
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
        selection.filter = PageFilter::new(&selection.select.filters.needles());
        if let Some(tenant) = self.tenant {
            selection.list(tenant, self.stop.as_ref()).map_err(source_error)?;
        }
        Ok(Arc::new(selection))
    }

    fn streams(
        &self,
        selectors: &[Vec<Matcher>],
        range: NanoRange,
    ) -> Result<StreamList, SourceError> {
        let range = self.kept_logs(range);
        let all = [Vec::new()];
        let selectors = if selectors.is_empty() { &all } else { selectors };
        let mut found = BTreeSet::new();
        let Some(tenant) = self.tenant else { return Ok(StreamList::default()) };
        let warnings = Mutex::new(BTreeSet::new());
        let mut note = |block: &Block, error: &Error| {
            note_block(&self.catalog, block, error);
            warnings.lock().insert(error.to_string());
        };
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
                        if let LogPart::Block(block, _) = &part {
                            note_block(&self.catalog, block, &error);
                        }
                        warnings.lock().insert(error.to_string());
                    }
                    done => done.map_err(source_error)?,
                }
            }
        }
        let warnings = warnings.into_inner().into_iter().take(WARNINGS_MAX).collect();
        Ok(StreamList { streams: found.into_iter().collect(), warnings })
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

    fn load(&self, piece: &Piece, want: Want<'_>) -> Result<Option<Arc<Rows>>, SourceError> {
        let read = match (want, piece.cuts.is_empty()) {
            (Want::All(columns), _) => self.decode(piece, columns),
            (Want::Found(search), true) => find(piece, search).map(Arc::new),
            // What is deleted is left out before anything is looked for.
            (Want::Found(search), false) => {
                let columns = LogColumns { lines: true, ..search.columns };
                self.decode(piece, columns).map(|rows| Arc::new(picked(&rows, search)))
            }
        };
        self.unless_damaged(piece, read)
    }

    fn decode(&self, piece: &Piece, columns: LogColumns) -> Result<Arc<Rows>> {
        let columns = deleted::columns_for(&piece.cuts, columns);
        let rows = match &piece.source {
            PieceSource::Rows(rows) => return Ok(Arc::clone(rows)),
            PieceSource::Page(page) => page::decode(&page.bytes, columns).map_err(of_head)?,
            PieceSource::Stored { block, page, .. } => block.log_page(page, columns)?,
        };
        Ok(Arc::new(deleted::without(rows, &piece.cuts)))
    }

    /// What was read of a piece; `None` if it is damaged, which is told.
    fn unless_damaged<T>(&self, piece: &Piece, read: Result<T>) -> Result<Option<T>, SourceError> {
        match (read, &piece.source) {
            (Ok(read), _) => Ok(Some(read)),
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

    /// How many entries of a piece, of which nothing is deleted, fulfil a search.
    fn count_found(
        &self,
        piece: &Piece,
        search: &Search<'_>,
    ) -> Result<Option<EntryCount>, SourceError> {
        let counted = match &piece.source {
            PieceSource::Rows(_) => return Ok(None),
            PieceSource::Page(page) => {
                search::count(&page.bytes, search).map(|(count, _)| count).map_err(of_head)
            }
            PieceSource::Stored { block, page, .. } => block.count_log_page(page, search),
        };
        // Of a damaged piece there is nothing to count.
        Ok(Some(self.unless_damaged(piece, counted)?.unwrap_or_default()))
    }

    /// The pieces of a stream that may hold what is looked for.
    fn pieces_to_search(&self, index: usize, range: NanoRange) -> Result<Vec<Piece>, SourceError> {
        let mut pieces = Vec::new();
        for piece in self.pieces(index, range)? {
            // A line that is left out with its page is the repeat of none that is wanted.
            if self.may_match(&piece)? {
                pieces.push(piece);
            }
        }
        Ok(pieces)
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

/// The entries of a piece, of which nothing is deleted, that fulfil a search.
fn find(piece: &Piece, search: &Search<'_>) -> Result<Rows> {
    match &piece.source {
        PieceSource::Rows(rows) => Ok(picked(rows, search)),
        PieceSource::Page(page) => {
            search::search(&page.bytes, search).map(|found| found.rows).map_err(of_head)
        }
        PieceSource::Stored { block, page, .. } => block.search_log_page(page, search),
    }
}

fn picked(rows: &Rows, search: &Search<'_>) -> Rows {
    rows.pick(search::matching(rows, search).into_iter())
}

fn of_head(damage: Damage) -> Error {
    Error::Internal(format!("a page of the head: {}", damage.0))
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
        let pieces = self.pieces_to_search(index, range)?;
        let LogSelect { direction, columns, filters, hints, .. } = &self.select;
        let is_open = |hint: &&LabelHint| self.labels[index].get(&hint.name).is_none();
        let hints = hints.iter().filter(is_open).cloned().collect();
        let (direction, columns, filters) = (*direction, *columns, filters.clone());
        let wanted = Wanted { range, direction, columns, filters, hints };
        let load = |piece: &Piece, want: Want<'_>| self.load(piece, want);
        merge::read(&pieces, &wanted, &load, buffer, visit)
    }

    fn count(&self, index: usize, range: NanoRange) -> Result<EntryCount, SourceError> {
        let range = self.clamp(range);
        let load = |piece: &Piece, want: Want<'_>| self.load(piece, want);
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
        let (direction, filters) = (self.select.direction, self.select.filters.clone());
        let wanted = Wanted { range, direction, columns, filters, hints: Vec::new() };
        let load = |piece: &Piece, want: Want<'_>| self.load(piece, want);
        let counts = |piece: &Piece| self.load_counts(piece);
        let found = |piece: &Piece, search: &Search<'_>| self.count_found(piece, search);
        let loads = Loads { rows: &load, counts: &counts, found: &found };
        let pieces = self.pieces_to_search(index, range)?;
        merge::tally(pieces, &wanted, how, loads, buffer, visit)
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.lock().clone()
    }
}
