//! Entries of one stream from several places, read in order of time, repeats left out.
//!
//! Pieces whose times do not meet are read one after the other; of those that do, no more are held
//! decoded than overlap at one time.

use std::ops::ControlFlow;
use std::sync::Arc;

use ephemeris_model::{
    CountBy, Direction, EntryBuffer, EntryCount, LabelHint, LineSearches, LogColumns, NanoRange,
    SourceError, Tally, TallyBy,
};

use super::block::PagePlace;
use super::counts::Counts;
use super::deleted::Cuts;
use super::page::Page;
use super::rows::{Rows, Seen};
use super::search::{self, Search};
use crate::metrics::block::Block;

/// Bytes of lines handed out at once, about.
const RUN_BYTES: usize = 256 << 10;
/// Columns by which repeats are told.
const ALL: LogColumns = LogColumns { lines: true, metadata: true };

/// A run of entries of one stream, in order of time and without repeats in itself.
pub(crate) struct Piece {
    pub(crate) min: i64,
    /// Inclusive.
    pub(crate) max: i64,
    pub(crate) entries: u64,
    pub(crate) line_bytes: u64,
    pub(crate) source: PieceSource,
    /// Deletions that may be about some of its entries, which it still counts.
    pub(crate) cuts: Cuts,
}

/// Where a piece lies.
pub(crate) enum PieceSource {
    Page(Arc<Page>),
    Rows(Arc<Rows>),
    /// A page of a block, with where its counts are: number of the group, place in it.
    Stored {
        block: Arc<Block>,
        page: PagePlace,
        counts: (u32, usize),
    },
}

impl Piece {
    pub(crate) fn of_page(page: &Arc<Page>) -> Self {
        Self {
            min: page.min,
            max: page.max,
            entries: u64::from(page.entries),
            line_bytes: page.line_bytes,
            source: PieceSource::Page(Arc::clone(page)),
            cuts: Cuts::new(),
        }
    }

    /// Whether all it counts lies inside.
    fn is_counted_in(&self, range: NanoRange) -> bool {
        range.start <= self.min && self.max < range.end && self.cuts.is_empty()
    }
}

/// What is loaded of a piece.
#[derive(Clone, Copy)]
pub(crate) enum Want<'a> {
    /// Columns of all its entries.
    All(LogColumns),
    /// Only what fulfils this.
    Found(&'a Search<'a>),
}

/// Decodes a piece; `None` if it is damaged, which was told.
pub(crate) type Load<'a> = &'a dyn Fn(&Piece, Want<'_>) -> Result<Option<Arc<Rows>>, SourceError>;

/// Is handed runs of entries.
pub(crate) type Visit<'a> = &'a mut dyn FnMut(&EntryBuffer) -> Result<ControlFlow<()>, SourceError>;

/// What is read of the pieces.
pub(crate) struct Wanted {
    pub(crate) range: NanoRange,
    pub(crate) direction: Direction,
    pub(crate) columns: LogColumns,
    /// Only lines that fulfil these.
    pub(crate) filters: LineSearches,
    /// Others that lack these may be left out, which are about entries without such metadata.
    pub(crate) hints: Vec<LabelHint>,
}

impl Wanted {
    fn search(&self, columns: LogColumns) -> Search<'_> {
        Search { filters: &self.filters, hints: &self.hints, range: self.range, columns }
    }
}

/// Reads pieces that are given in order of arrival.
pub(crate) fn read(
    pieces: &[Piece],
    wanted: &Wanted,
    load: Load<'_>,
    buffer: &mut EntryBuffer,
    visit: Visit<'_>,
) -> Result<(), SourceError> {
    let alone = alone(pieces);
    let mut order: Vec<usize> = (0..pieces.len()).collect();
    let forward = wanted.direction == Direction::Forward;
    if forward {
        order.sort_by_key(|&at| (pieces[at].min, at));
    } else {
        order.sort_by_key(|&at| (std::cmp::Reverse(pieces[at].max), at));
    }
    let mut out = Output { buffer, visit, done: false };
    out.buffer.clear();
    let mut pending = Pending::new(pieces.len());
    for at in order {
        let piece = &pieces[at];
        let edge = if forward { piece.min } else { piece.max };
        pending.drain(Some(edge), forward, &mut out)?;
        if out.done {
            return Ok(());
        }
        if alone[at] {
            read_alone(piece, wanted, load, &mut out)?;
            continue;
        }
        let Some(rows) = load(piece, Want::All(ALL))? else { continue };
        if wanted.search(ALL).is_all() {
            let inside = inside(&rows, wanted.range);
            pending.add(at, rows, inside);
        } else {
            let found = search::matching(&rows, &wanted.search(ALL));
            pending.add(at, rows, found.into_iter());
        }
    }
    pending.drain(None, forward, &mut out)?;
    out.flush()
}

fn inside(rows: &Rows, range: NanoRange) -> std::ops::Range<usize> {
    let times = rows.times();
    let end = times.partition_point(|&t| t < range.end);
    times.partition_point(|&t| t < range.start).min(end)..end
}

/// Hands out what is wanted of a piece that meets no other, as a run of its own so that a reader
/// with a limit ends early. Of one that was searched in vain the run is empty.
fn read_alone(
    piece: &Piece,
    wanted: &Wanted,
    load: Load<'_>,
    out: &mut Output<'_>,
) -> Result<(), SourceError> {
    let search = wanted.search(wanted.columns);
    let is_search = !search.is_all();
    let want = if is_search { Want::Found(&search) } else { Want::All(wanted.columns) };
    let Some(rows) = load(piece, want)? else { return Ok(()) };
    let inside = inside(&rows, wanted.range);
    match wanted.direction {
        Direction::Forward => inside.into_iter().try_for_each(|row| out.push(&rows, row))?,
        Direction::Backward => inside.rev().try_for_each(|row| out.push(&rows, row))?,
    }
    if is_search { out.end_search() } else { out.flush() }
}

/// Counts what pieces hold inside `range`; only those that cross a border or meet are decoded.
pub(crate) fn count(
    pieces: Vec<Piece>,
    range: NanoRange,
    load: Load<'_>,
) -> Result<EntryCount, SourceError> {
    let mut alone = alone(&pieces).into_iter();
    let mut total = EntryCount::default();
    let mut rest = Vec::new();
    for piece in pieces {
        if alone.next() == Some(true) && piece.is_counted_in(range) {
            total.entries += piece.entries;
            total.bytes += piece.line_bytes;
        } else {
            rest.push(piece);
        }
    }
    let columns = LogColumns { lines: false, metadata: false };
    let (filters, hints) = (LineSearches::default(), Vec::new());
    let wanted = Wanted { range, direction: Direction::Forward, columns, filters, hints };
    read(&rest, &wanted, load, &mut EntryBuffer::default(), &mut |run| {
        total.entries += run.len() as u64;
        total.bytes += run.all_lines().len() as u64;
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(total)
}

/// The counts of a piece; `None` if it has none.
pub(crate) type LoadCounts<'a> = &'a dyn Fn(&Piece) -> Result<Option<Counts>, SourceError>;
/// Counts what fulfils a search in a piece; `None` if it is to be read instead.
pub(crate) type CountFound<'a> =
    &'a dyn Fn(&Piece, &Search<'_>) -> Result<Option<EntryCount>, SourceError>;

/// Ways to learn of a piece.
#[derive(Clone, Copy)]
pub(crate) struct Loads<'a> {
    pub(crate) rows: Load<'a>,
    pub(crate) counts: LoadCounts<'a>,
    pub(crate) found: CountFound<'a>,
}

/// Goes through what pieces hold: counted where that is known and wanted, read elsewhere.
pub(crate) fn tally(
    pieces: Vec<Piece>,
    wanted: &Wanted,
    how: TallyBy<'_>,
    loads: Loads<'_>,
    buffer: &mut EntryBuffer,
    visit: &mut dyn FnMut(Tally<'_>) -> Result<ControlFlow<()>, SourceError>,
) -> Result<(), SourceError> {
    let mut alone = alone(&pieces).into_iter();
    let mut rest = Vec::new();
    for piece in pieces {
        let is_countable = alone.next() == Some(true) && piece.is_counted_in(wanted.range);
        let all = NanoRange { start: piece.min, end: piece.max.saturating_add(1) };
        if !wanted.filters.is_empty() {
            let is_countable = is_countable && how.by == CountBy::Stream && (how.is_whole)(all);
            let search = wanted.search(wanted.columns);
            let count = if is_countable { (loads.found)(&piece, &search)? } else { None };
            match count {
                Some(count) => {
                    if visit(Tally::Counted { range: all, level: "", count })?.is_break() {
                        return Ok(());
                    }
                }
                None => rest.push(piece),
            }
            continue;
        }
        if is_countable && how.by == CountBy::Stream && (how.is_whole)(all) {
            let count = EntryCount { entries: piece.entries, bytes: piece.line_bytes };
            if visit(Tally::Counted { range: all, level: "", count })?.is_break() {
                return Ok(());
            }
            continue;
        }
        let counted = if is_countable { (loads.counts)(&piece)? } else { None };
        // A cell holds nothing outside of its page's times.
        let cut = |range: NanoRange| NanoRange {
            start: range.start.max(all.start),
            end: range.end.min(all.end),
        };
        let is_whole =
            |counts: &Counts| counts.cells().all(|(range, ..)| (how.is_whole)(cut(range)));
        let Some(counted) = counted.filter(is_whole) else {
            rest.push(piece);
            continue;
        };
        for (range, level, count) in counted.cells() {
            let level = if how.by == CountBy::Level { level } else { "" };
            if visit(Tally::Counted { range: cut(range), level, count })?.is_break() {
                return Ok(());
            }
        }
    }
    read(&rest, wanted, loads.rows, buffer, &mut |run| visit(Tally::Entries(run)))
}

/// For each piece, whether its times meet those of no other.
fn alone(pieces: &[Piece]) -> Vec<bool> {
    let mut order: Vec<usize> = (0..pieces.len()).collect();
    order.sort_by_key(|&at| pieces[at].min);
    let mut alone = vec![true; pieces.len()];
    let mut latest: Option<(i64, usize)> = None;
    for at in order {
        if let Some((max, other)) = latest
            && pieces[at].min <= max
        {
            alone[at] = false;
            alone[other] = false;
        }
        if latest.is_none_or(|(max, _)| pieces[at].max > max) {
            latest = Some((pieces[at].max, at));
        }
    }
    alone
}

/// Rows of pieces that meet, not handed out yet.
struct Pending {
    /// Decoded pieces by number, with the rows left of each.
    pieces: Vec<Option<(Arc<Rows>, usize)>>,
    /// Time, piece and row, ascending.
    rows: Vec<(i64, usize, usize)>,
}

impl Pending {
    fn new(count: usize) -> Self {
        Self { pieces: vec![None; count], rows: Vec::new() }
    }

    fn add(&mut self, piece: usize, rows: Arc<Rows>, some: impl ExactSizeIterator<Item = usize>) {
        let count = some.len();
        if count == 0 {
            return;
        }
        self.rows.extend(some.map(|row| (rows.times()[row], piece, row)));
        self.rows.sort_unstable();
        self.pieces[piece] = Some((rows, count));
    }

    /// Hands out what lies before a piece that begins at `edge`, seen in the direction of reading;
    /// everything, if there is none.
    fn drain(
        &mut self,
        edge: Option<i64>,
        forward: bool,
        out: &mut Output<'_>,
    ) -> Result<(), SourceError> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let ready: Vec<(i64, usize, usize)> = match (edge, forward) {
            (None, _) => std::mem::take(&mut self.rows),
            (Some(edge), true) => {
                let count = self.rows.partition_point(|(time, ..)| *time < edge);
                self.rows.drain(..count).collect()
            }
            (Some(edge), false) => {
                let at = self.rows.partition_point(|(time, ..)| *time <= edge);
                self.rows.split_off(at)
            }
        };
        let mut seen = Seen::default();
        let fresh = |&(_, piece, row): &(i64, usize, usize)| {
            let rows = self.pieces[piece].as_ref();
            rows.is_some_and(|(rows, _)| seen.is_new(rows, row))
        };
        let mut kept: Vec<(i64, usize, usize)> = ready.iter().copied().filter(fresh).collect();
        if !forward {
            kept.reverse();
        }
        for (_, piece, row) in kept {
            if let Some((rows, _)) = &self.pieces[piece] {
                out.push(rows, row)?;
            }
        }
        for (_, piece, _) in ready {
            if let Some((_, left)) = &mut self.pieces[piece] {
                *left -= 1;
                if *left == 0 {
                    self.pieces[piece] = None;
                }
            }
        }
        out.flush()
    }
}

struct Output<'a> {
    buffer: &'a mut EntryBuffer,
    visit: Visit<'a>,
    done: bool,
}

impl Output<'_> {
    fn push(&mut self, rows: &Rows, row: usize) -> Result<(), SourceError> {
        if self.done {
            return Ok(());
        }
        self.buffer.push(rows.times()[row], rows.line(row), rows.metadata(row));
        if self.buffer.all_lines().len() >= RUN_BYTES { self.flush() } else { Ok(()) }
    }

    /// Hands out what was found, or nothing: who waits for it may have to stop.
    fn end_search(&mut self) -> Result<(), SourceError> {
        if !self.done && self.buffer.is_empty() {
            self.done = (self.visit)(self.buffer)?.is_break();
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<(), SourceError> {
        if !self.done && !self.buffer.is_empty() {
            self.done = (self.visit)(self.buffer)?.is_break();
        }
        self.buffer.clear();
        Ok(())
    }
}
