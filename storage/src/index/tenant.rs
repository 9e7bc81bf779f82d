//! The index of one tenant, open for reading.

use std::ops::Range;
use std::sync::Arc;

use hashbrown::HashMap;
use roaring::RoaringBitmap;

use super::builder::IndexPlace;
use super::columns::{self, Column, PAGE_SERIES};
use super::dictionary::{FRAME_LEN, Frame};
use super::names::{self, Name};
use super::packer::{ItemRef, ValueSource};
use crate::cache::Cache;
use crate::catalog::BlockId;
use crate::envelope::section;
use crate::error::{AtPlace, Error, Result};

/// Names a decoded frame: the block, and the frame in its dictionaries.
type FrameKey = (BlockId, ItemRef);

/// Decoded parts of the indexes of all blocks.
pub struct IndexCaches {
    frames: Cache<FrameKey, Arc<Frame>>,
    /// By block and number.
    label_pages: Cache<(BlockId, u32), Arc<Vec<Column>>>,
}

impl IndexCaches {
    /// Caches of up to `bytes_max` each.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self { frames: Cache::new(bytes_max), label_pages: Cache::new(bytes_max) }
    }
}

/// Takes a series' id and its label set.
pub type LabelVisitor<'a> = dyn FnMut(u32, &[(&str, &str)]) + 'a;

/// The index of one tenant. Its table of names is in memory, the rest is read when asked for.
pub struct TenantIndex {
    block: BlockId,
    place: IndexPlace,
    pub(super) names: Vec<Name>,
}

/// What a call reads from.
#[derive(Clone, Copy)]
pub struct Reading<'a> {
    /// The block's values.
    pub source: &'a dyn ValueSource,
    /// Where decoded parts are kept.
    pub caches: &'a IndexCaches,
}

impl TenantIndex {
    /// Reads the table of names.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn open(source: &dyn ValueSource, block: BlockId, place: IndexPlace) -> Result<Self> {
        let bytes = source.item(section::DICTIONARIES, place.names)?;
        let names = names::read_table(&bytes, place.series_count)
            .at(|| source.place(section::DICTIONARIES, place.names.number))?;
        Ok(Self { block, place, names })
    }

    /// Number of series.
    #[must_use]
    pub const fn series_count(&self) -> u32 {
        self.place.series_count
    }

    /// Bytes of memory, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let one = |name: &Name| {
            name.series.serialized_size() + 64 * name.frames.len() + 20 * name.groups.len() + 200
        };
        self.names.iter().map(one).sum()
    }

    pub(super) fn name(&self, name: &str) -> Option<&Name> {
        self.names.binary_search_by(|n| (*n.name).cmp(name)).ok().map(|at| &self.names[at])
    }

    /// Sorted names of the labels of all series, or of the series `among`.
    #[must_use]
    pub fn label_names(&self, among: Option<&RoaringBitmap>) -> Vec<String> {
        let used = |name: &&Name| among.is_none_or(|ids| !name.series.is_disjoint(ids));
        self.names.iter().filter(used).map(|name| name.name.to_string()).collect()
    }

    /// Sorted values of label `name` of all series, or of the series `among`.
    ///
    /// # Errors
    /// If the index is damaged.
    pub fn label_values(
        &self,
        reading: Reading<'_>,
        name: &str,
        among: Option<&RoaringBitmap>,
    ) -> Result<Vec<String>> {
        let Some(at) = self.names.iter().position(|n| *n.name == *name) else {
            return Ok(Vec::new());
        };
        let name = &self.names[at];
        let numbers: Box<dyn Iterator<Item = u32>> = match among {
            Some(ids) if !name.series.is_subset(ids) => {
                Box::new(self.values_among(reading, at, &(ids & &name.series))?.into_iter())
            }
            _ => Box::new(0..name.value_count),
        };
        let mut values = Vec::new();
        let mut texts = Texts::new(self, reading, 0);
        for number in numbers {
            values.push(texts.get(name, number)?.to_owned());
        }
        Ok(values)
    }

    /// Numbers of the values series `ids` have for the name at `at`.
    pub(super) fn values_among(
        &self,
        reading: Reading<'_>,
        at: usize,
        ids: &RoaringBitmap,
    ) -> Result<RoaringBitmap> {
        let mut numbers = RoaringBitmap::new();
        for page in self.pages_of(ids) {
            let columns = self.label_page(reading, page)?;
            let Some(column) = columns.iter().find(|c| c.name as usize == at) else { continue };
            let first = page * PAGE_SERIES;
            for (i, run) in column.runs.iter().enumerate().filter(|(_, run)| run.value > 0) {
                let end = column.runs.get(i + 1).map_or(PAGE_SERIES, |next| next.start);
                if ids.range_cardinality(first + run.start..first + end) > 0 {
                    numbers.insert(run.value - 1);
                }
            }
        }
        Ok(numbers)
    }

    /// The label pages `ids` lie in.
    fn pages_of(&self, ids: &RoaringBitmap) -> impl Iterator<Item = u32> + use<> {
        let last = self.place.series_count.div_ceil(PAGE_SERIES);
        let ids = ids.clone();
        (0..last).filter(move |page| {
            let first = page * PAGE_SERIES;
            ids.range_cardinality(first..first.saturating_add(PAGE_SERIES)) > 0
        })
    }

    /// The columns of a label page.
    pub(super) fn label_page(&self, reading: Reading<'_>, page: u32) -> Result<Arc<Vec<Column>>> {
        let number = self.place.first_label_page.saturating_add(page);
        let key = (self.block, number);
        if let Some(found) = reading.caches.label_pages.get(&key) {
            return Ok(found);
        }
        let place = || reading.source.place(section::LABELS, number);
        let series_count = PAGE_SERIES.min(self.place.series_count - page * PAGE_SERIES);
        let mut found = Vec::new();
        reading.source.with_body(section::LABELS, number, &mut |body| {
            found = columns::read_page(body, series_count).at(place)?;
            Ok(())
        })?;
        let known = found.iter().all(|column| {
            let name = self.names.get(column.name as usize);
            name.is_some_and(|name| column.runs.iter().all(|run| run.value <= name.value_count))
        });
        if !known {
            return Err(Error::corrupt(place(), "a label is not known"));
        }
        let bytes = found.iter().map(|column| size_of_val(&column.runs[..]) + 32).sum();
        let found = Arc::new(found);
        reading.caches.label_pages.insert(key, Arc::clone(&found), bytes);
        Ok(found)
    }

    /// Hands the label sets of `ids` to `visit`, ascending by id.
    ///
    /// # Errors
    /// If the index is damaged.
    pub fn labels(
        &self,
        reading: Reading<'_>,
        ids: &RoaringBitmap,
        visit: &mut LabelVisitor<'_>,
    ) -> Result<()> {
        self.labels_with(&mut Texts::new(self, reading, 0), ids, visit)
    }

    /// As [`TenantIndex::labels`], for many series one after the other: frames of dictionaries are
    /// kept meanwhile, up to `keep_bytes_max`.
    ///
    /// # Errors
    /// If the index is damaged.
    pub fn labels_of_many(
        &self,
        reading: Reading<'_>,
        ids: &RoaringBitmap,
        keep_bytes_max: usize,
        visit: &mut LabelVisitor<'_>,
    ) -> Result<()> {
        self.labels_with(&mut Texts::new(self, reading, keep_bytes_max), ids, visit)
    }

    fn labels_with(
        &self,
        texts: &mut Texts<'_>,
        ids: &RoaringBitmap,
        visit: &mut LabelVisitor<'_>,
    ) -> Result<()> {
        let reading = texts.reading;
        let mut rows = Rows::default();
        for page in self.pages_of(ids) {
            let columns = self.label_page(reading, page)?;
            let first = page * PAGE_SERIES;
            let within: Vec<u32> =
                ids.range(first..first.saturating_add(PAGE_SERIES)).map(|id| id - first).collect();
            rows.fill(self, &columns, &within, texts)?;
            rows.visit(self, first, &within, visit);
        }
        Ok(())
    }

    /// A decoded frame of a dictionary.
    pub(super) fn frame(
        &self,
        reading: Reading<'_>,
        name: &Name,
        frame: usize,
    ) -> Result<Arc<Frame>> {
        let place = || format!("the dictionary of label {:?}", name.name);
        let item =
            name.frames.get(frame).ok_or_else(|| Error::corrupt(place(), "ends early"))?.item;
        let key = (self.block, item);
        if let Some(found) = reading.caches.frames.get(&key) {
            return Ok(found);
        }
        let bytes = reading.source.item(section::DICTIONARIES, item)?;
        let decoded = Arc::new(Frame::read(&bytes).at(place)?);
        let expected = FRAME_LEN.min((name.value_count as usize).saturating_sub(frame * FRAME_LEN));
        if decoded.len() != expected {
            let detail = format!("{expected} values expected, {} found", decoded.len());
            return Err(Error::corrupt(place(), detail));
        }
        reading.caches.frames.insert(key, Arc::clone(&decoded), decoded.bytes());
        Ok(decoded)
    }
}

/// Finds the text of values; neighbours are in one frame.
struct Texts<'a> {
    index: &'a TenantIndex,
    reading: Reading<'a>,
    last: Option<(ItemRef, Arc<Frame>)>,
    /// Frames beside those that all readers share: a few values of each may be wanted, all over a
    /// large dictionary, and again in the next page.
    kept: HashMap<ItemRef, Arc<Frame>>,
    kept_bytes: usize,
    keep_bytes_max: usize,
}

impl<'a> Texts<'a> {
    fn new(index: &'a TenantIndex, reading: Reading<'a>, keep_bytes_max: usize) -> Self {
        Self { index, reading, last: None, kept: HashMap::new(), kept_bytes: 0, keep_bytes_max }
    }

    fn frame(&mut self, name: &Name, at: usize, item: ItemRef) -> Result<Arc<Frame>> {
        if let Some(frame) = self.kept.get(&item) {
            return Ok(Arc::clone(frame));
        }
        let frame = self.index.frame(self.reading, name, at)?;
        if self.keep_bytes_max > 0 {
            if self.kept_bytes + frame.bytes() > self.keep_bytes_max {
                self.kept.clear();
                self.kept_bytes = 0;
            }
            self.kept_bytes += frame.bytes();
            self.kept.insert(item, Arc::clone(&frame));
        }
        Ok(frame)
    }

    fn get(&mut self, name: &Name, number: u32) -> Result<&str> {
        let missing =
            || Error::corrupt(format!("the dictionary of label {:?}", name.name), "ends early");
        let at = number as usize / FRAME_LEN;
        let item = name.frames.get(at).ok_or_else(missing)?.item;
        if self.last.as_ref().is_none_or(|(last, _)| *last != item) {
            self.last = Some((item, self.frame(name, at, item)?));
        }
        let frame = self.last.as_ref().map(|(_, frame)| frame);
        frame.and_then(|frame| frame.get(number as usize % FRAME_LEN)).ok_or_else(missing)
    }
}

/// The labels of the series wanted of one page.
#[derive(Default)]
struct Rows {
    text: String,
    columns: Vec<RowColumn>,
}

/// The runs of a column that hold a wanted series.
struct RowColumn {
    name: u32,
    /// First series, and where the value is in the text.
    runs: Vec<(u32, Range<usize>)>,
}

impl Rows {
    /// Finds the values of the series `within` (ascending, from the page's start).
    fn fill(
        &mut self,
        index: &TenantIndex,
        columns: &[Column],
        within: &[u32],
        texts: &mut Texts<'_>,
    ) -> Result<()> {
        self.text.clear();
        self.columns.clear();
        for column in columns {
            let name = &index.names[column.name as usize];
            let mut wanted = within.iter().peekable();
            let (mut runs, mut values) = (Vec::new(), Vec::new());
            for (i, run) in column.runs.iter().enumerate() {
                let end = column.runs.get(i + 1).map_or(u32::MAX, |next| next.start);
                if wanted.next_if(|id| **id < end).is_none() {
                    continue;
                }
                while wanted.next_if(|id| **id < end).is_some() {}
                if run.value > 0 {
                    values.push((run.value - 1, runs.len()));
                }
                runs.push((run.start, 0..0));
            }
            // By value, so that a frame of the dictionary is decoded once.
            values.sort_unstable();
            for (value, at) in values {
                let start = self.text.len();
                self.text.push_str(texts.get(name, value)?);
                runs[at].1 = start..self.text.len();
            }
            self.columns.push(RowColumn { name: column.name, runs });
        }
        Ok(())
    }

    fn visit(&self, index: &TenantIndex, first: u32, within: &[u32], visit: &mut LabelVisitor<'_>) {
        let mut positions = vec![0usize; self.columns.len()];
        let mut labels: Vec<(&str, &str)> = Vec::with_capacity(self.columns.len());
        for &id in within {
            labels.clear();
            for (column, position) in self.columns.iter().zip(&mut positions) {
                let runs = &column.runs;
                while runs.get(*position + 1).is_some_and(|(start, _)| *start <= id) {
                    *position += 1;
                }
                if let Some((_, text)) = runs.get(*position)
                    && !text.is_empty()
                {
                    labels
                        .push((&index.names[column.name as usize].name, &self.text[text.clone()]));
                }
            }
            visit(first + id, &labels);
        }
    }
}
