//! Reads a block: its manifest when it is opened, everything else when it is asked for.

use std::borrow::Cow;
use std::sync::Arc;

use ephemeris_model::{Exemplar, Matcher, TimeRange, TimestampMs};
use roaring::RoaringBitmap;

use super::caches::BlockCaches;
use super::directory::{GROUP_SERIES, Group, HAS_EXEMPLARS};
use super::exemplars;
use super::manifest::{Manifest, TenantPlace};
use super::page::PageReader;
use super::read::{NewestOfVectors, SampleReader};
use super::touched;
use crate::catalog::BlockRow;
use crate::encoding::Input;
use crate::envelope::{self, section};
use crate::error::{AtPlace, Error, ErrorKind, Result};
use crate::index::{Reading, TenantIndex, ValueSource};
use crate::metrics::samples::{Newest, SeriesSamples, Wanted};
use crate::rocks::{Rocks, Value};
use crate::series::TenantId;

pub use crate::index::LabelVisitor;

/// Takes a series' id and its samples.
pub type SampleVisitor<'a> = dyn FnMut(u32, &SeriesSamples) -> Result<()> + 'a;

/// Frames of dictionaries a merge keeps of each block.
const MERGE_FRAMES_BYTES: usize = 32 << 20;

/// An open block. Threads share it.
pub struct Block {
    rocks: Arc<Rocks>,
    row: BlockRow,
    manifest: Manifest,
}

impl ValueSource for Block {
    fn with_body(
        &self,
        section: u8,
        number: u32,
        read: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let value = self.value(section, number)?;
        read(&self.open_value(section, number, &value)?)
    }

    fn place(&self, section: u8, number: u32) -> String {
        format!("value {section}/{number} of block {}", self.row.id.0)
    }
}

impl Block {
    /// Opens the block of `row`, which was ingested.
    ///
    /// # Errors
    /// If its manifest is damaged, or needs a newer version.
    pub fn open(rocks: &Arc<Rocks>, row: BlockRow) -> Result<Arc<Self>> {
        let manifest = Manifest {
            payload: row.payload,
            range: row.range,
            min_time: row.min_time,
            max_time: row.max_time,
            level: row.level,
            series_count: 0,
            sample_count: 0,
            histogram_count: 0,
            value_page_count: 0,
            time_vector_count: 0,
            tenants: Vec::new(),
        };
        let mut block = Self { rocks: Arc::clone(rocks), row, manifest };
        let place = || block.place(section::MANIFEST, 0);
        let mut read = None;
        block.with_body(section::MANIFEST, 0, &mut |body| {
            read = Some(Manifest::decode(body).at(place)?);
            Ok(())
        })?;
        let manifest = read.ok_or_else(|| Error::corrupt(place(), "it is missing"))?;
        let row = &block.row;
        let agrees = manifest.payload == row.payload
            && manifest.range == row.range
            && (manifest.min_time, manifest.max_time) == (row.min_time, row.max_time)
            && u64::from(manifest.series_count) == row.series_count
            && manifest.sample_count == row.sample_count;
        if !agrees {
            return Err(Error::corrupt(place(), "it does not agree with the catalog"));
        }
        block.manifest = manifest;
        Ok(Arc::new(block))
    }

    /// What the catalog knows of it.
    #[must_use]
    pub const fn row(&self) -> &BlockRow {
        &self.row
    }

    /// Decoded parts of blocks kept in memory.
    pub(crate) fn caches(&self) -> &BlockCaches {
        self.rocks.caches()
    }

    /// The manifest.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The tenants of the block with the range of their series ids.
    pub fn tenants(&self) -> impl Iterator<Item = (TenantId, std::ops::Range<u32>)> {
        self.manifest.tenants.iter().map(|place| (place.tenant, place.series()))
    }

    /// Part of the tenant and its index.
    fn tenant(&self, tenant: TenantId) -> Result<Option<(TenantPlace, Arc<TenantIndex>)>> {
        let tenants = &self.manifest.tenants;
        let Ok(at) = tenants.binary_search_by_key(&tenant, |place| place.tenant) else {
            return Ok(None);
        };
        Ok(Some((tenants[at], self.index(&tenants[at])?)))
    }

    fn index(&self, place: &TenantPlace) -> Result<Arc<TenantIndex>> {
        let key = (self.row.id, place.tenant);
        let indexes = &self.rocks.caches().indexes;
        if let Some(found) = indexes.get(&key) {
            return Ok(found);
        }
        let index = Arc::new(TenantIndex::open(self, self.row.id, place.index)?);
        indexes.insert(key, Arc::clone(&index), index.bytes());
        Ok(index)
    }

    fn reading(&self) -> Reading<'_> {
        Reading { source: self, caches: &self.rocks.caches().index_parts }
    }

    /// The series of `tenant` that satisfy all matchers, as ids of this block. Ids ascend in
    /// series order.
    ///
    /// # Errors
    /// If the index is damaged.
    pub fn select(&self, tenant: TenantId, matchers: &[Matcher]) -> Result<RoaringBitmap> {
        let Some((place, index)) = self.tenant(tenant)? else { return Ok(RoaringBitmap::new()) };
        Ok(shift_up(index.select(self.reading(), matchers)?, place.first_series))
    }

    /// Hands the label sets of `ids` to `visit`, ascending by id.
    ///
    /// # Errors
    /// If the index is damaged.
    pub fn series_labels(&self, ids: &RoaringBitmap, visit: &mut LabelVisitor<'_>) -> Result<()> {
        for place in &self.manifest.tenants {
            let wanted = shift_down(ids, place);
            if !wanted.is_empty() {
                let first = place.first_series;
                self.index(place)?.labels(self.reading(), &wanted, &mut |id, labels| {
                    visit(first + id, labels);
                })?;
            }
        }
        Ok(())
    }

    /// As [`Block::series_labels`], for a merge: it wants those of many series, which are looked
    /// for together.
    ///
    /// # Errors
    /// If the index is damaged.
    pub fn labels_of_many(&self, ids: &RoaringBitmap, visit: &mut LabelVisitor<'_>) -> Result<()> {
        for place in &self.manifest.tenants {
            let wanted = shift_down(ids, place);
            if !wanted.is_empty() {
                let first = place.first_series;
                let mut visit = |id: u32, labels: &[(&str, &str)]| visit(first + id, labels);
                let index = self.index(place)?;
                index.labels_of_many(self.reading(), &wanted, MERGE_FRAMES_BYTES, &mut visit)?;
            }
        }
        Ok(())
    }

    /// Hands the samples inside `range` of the series `ids` (ascending) to `visit`; a series
    /// without one is left out. A damaged page costs its series, with a text in `damage`.
    ///
    /// # Errors
    /// What `visit` returns, or if reading fails for another reason than damage.
    pub fn read(
        &self,
        ids: &[u32],
        range: TimeRange,
        damage: &mut Vec<String>,
        visit: &mut SampleVisitor<'_>,
    ) -> Result<()> {
        self.read_wanted(ids, (range, Wanted::All), damage, visit)
    }

    /// The same of all samples inside the range or of the newest.
    ///
    /// # Errors
    /// As [`Block::read`].
    pub(crate) fn read_wanted(
        &self,
        ids: &[u32],
        (range, which): (TimeRange, Wanted),
        damage: &mut Vec<String>,
        visit: &mut SampleVisitor<'_>,
    ) -> Result<()> {
        let mut reader = SampleReader::new(self, range, which);
        let mut rest = ids;
        while let Some(&first) = rest.first() {
            let group = first / GROUP_SERIES;
            let count = rest.partition_point(|id| id / GROUP_SERIES <= group);
            let (within, others) = rest.split_at(count);
            match self.group(group) {
                Ok(directory) => reader.read_group(group, &directory, within, damage, visit)?,
                Err(error) => note(error, damage)?,
            }
            rest = others;
        }
        Ok(())
    }

    /// Hands each of `ids` (ascending) to `visit` with its newest sample inside `window`, as far as
    /// directory and time vectors tell; `false` ends the walk.
    ///
    /// # Errors
    /// If directory or times are damaged.
    pub(crate) fn newest(
        &self,
        ids: &RoaringBitmap,
        window: TimeRange,
        visit: &mut dyn FnMut(u32, Newest) -> bool,
    ) -> Result<()> {
        let mut reader = SampleReader::new(self, window, Wanted::Newest);
        let mut newest_of = NewestOfVectors::default();
        let mut ids = ids.iter().peekable();
        while let Some(&first) = ids.peek() {
            let number = first / GROUP_SERIES;
            let group = self.group(number)?;
            let within = std::iter::from_fn(|| ids.next_if(|id| id / GROUP_SERIES == number));
            if !reader.newest_in_group(&group, within, &mut newest_of, visit)? {
                break;
            }
        }
        Ok(())
    }

    /// The series ids that share a page of values with `id`, from `id` on: what is best read
    /// together.
    ///
    /// # Errors
    /// If the directory is damaged.
    pub fn page_of(&self, id: u32) -> Result<std::ops::Range<u32>> {
        let number = id / GROUP_SERIES;
        let group = self.group(number)?;
        let within = u16::try_from(id % GROUP_SERIES).unwrap_or(u16::MAX);
        let found = group.value_pages.find(within, group.series_count());
        let (_, _, end) = found.filter(|(_, _, end)| *end > within).ok_or_else(|| {
            Error::corrupt(self.place(section::DIRECTORY, number), "a series is missing")
        })?;
        Ok(id..number * GROUP_SERIES + u32::from(end))
    }

    /// Hands the body of a value that not every block has to `read`; answers whether it is there.
    ///
    /// # Errors
    /// If it is damaged, or what `read` returns.
    pub(crate) fn with_body_if_there(
        &self,
        section: u8,
        number: u32,
        read: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<bool> {
        let Some(value) = self.rocks.get(self.row.id, section, number)? else { return Ok(false) };
        read(&self.open_value(section, number, &value)?)?;
        Ok(true)
    }

    fn value(&self, section: u8, number: u32) -> Result<Value<'_>> {
        let found = self.rocks.get(self.row.id, section, number)?;
        found.ok_or_else(|| Error::corrupt(self.place(section, number), "it is missing"))
    }

    fn open_value<'a>(&self, section: u8, number: u32, value: &'a [u8]) -> Result<Cow<'a, [u8]>> {
        envelope::open(section, number, value).map_err(|error| match error {
            Error::Corrupt { detail, .. } => Error::corrupt(self.place(section, number), detail),
            other => other,
        })
    }

    /// Hands the body of a page of values to `read`. Queries read a page in parts, so an unzipped
    /// body is kept for a while.
    pub(super) fn with_page(
        &self,
        number: u32,
        read: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let key = (self.row.id, number);
        let pages = &self.rocks.caches().pages;
        if let Some(body) = pages.get(&key) {
            touched::page(body.len());
            return read(&body);
        }
        let value = self.value(section::VALUES, number)?;
        match self.open_value(section::VALUES, number, &value)? {
            Cow::Borrowed(body) => {
                touched::page(body.len());
                read(body)
            }
            Cow::Owned(body) => {
                touched::page(body.len());
                let body = Arc::new(body);
                pages.insert(key, Arc::clone(&body), body.len() + 64);
                read(&body)
            }
        }
    }

    /// A group of the directory.
    pub(super) fn group(&self, number: u32) -> Result<Arc<Group>> {
        let key = (self.row.id, number);
        let groups = &self.rocks.caches().groups;
        if let Some(found) = groups.get(&key) {
            return Ok(found);
        }
        let mut group = Group::default();
        let place = || self.place(section::DIRECTORY, number);
        self.with_body(section::DIRECTORY, number, &mut |body| {
            group = Group::decode(body).at(place)?;
            Ok(())
        })?;
        let first = number.saturating_mul(GROUP_SERIES);
        let expected = GROUP_SERIES.min(self.manifest.series_count.saturating_sub(first));
        if u32::from(group.series_count()) != expected {
            let detail = format!("{expected} series expected, {} found", group.series_count());
            return Err(Error::corrupt(place(), detail));
        }
        let group = Arc::new(group);
        groups.insert(key, Arc::clone(&group), group.bytes());
        Ok(group)
    }

    /// The body of a value of time vectors.
    pub(super) fn times(&self, number: u32) -> Result<Arc<Vec<u8>>> {
        let key = (self.row.id, number);
        let times = &self.rocks.caches().times;
        if let Some(found) = times.get(&key) {
            return Ok(found);
        }
        let mut bytes = Vec::new();
        self.with_body(section::TIMES, number, &mut |body| {
            bytes.extend_from_slice(body);
            Ok(())
        })?;
        let body = Arc::new(bytes);
        times.insert(key, Arc::clone(&body), body.len() + 64);
        Ok(body)
    }

    /// Sorted label names of a tenant, or of the series `among`.
    ///
    /// # Errors
    /// If the index is damaged.
    pub fn label_names(
        &self,
        tenant: TenantId,
        among: Option<&RoaringBitmap>,
    ) -> Result<Vec<String>> {
        let Some((place, index)) = self.tenant(tenant)? else { return Ok(Vec::new()) };
        Ok(index.label_names(among.map(|ids| shift_down(ids, &place)).as_ref()))
    }

    /// Sorted values of label `name` of a tenant, or of the series `among`.
    ///
    /// # Errors
    /// If the index is damaged.
    pub fn label_values(
        &self,
        tenant: TenantId,
        name: &str,
        among: Option<&RoaringBitmap>,
    ) -> Result<Vec<String>> {
        let Some((place, index)) = self.tenant(tenant)? else { return Ok(Vec::new()) };
        let among = among.map(|ids| shift_down(ids, &place));
        index.label_values(self.reading(), name, among.as_ref())
    }

    /// Exemplars of the series `ids` (ascending) inside `range`, ascending in time. Series
    /// without one are left out.
    ///
    /// # Errors
    /// If they are damaged.
    pub fn exemplars(&self, ids: &[u32], range: TimeRange) -> Result<Vec<(u32, Vec<Exemplar>)>> {
        let mut found = Vec::new();
        let mut ids = ids.iter().copied().peekable();
        while let Some(&first) = ids.peek() {
            let number = first / GROUP_SERIES;
            let group = self.group(number)?;
            let within = |id: u32| u16::try_from(id % GROUP_SERIES).unwrap_or(u16::MAX);
            let has = |id: u32| {
                let flags = group.flags.get(usize::from(within(id))).copied().unwrap_or(0);
                flags & HAS_EXEMPLARS != 0
            };
            let mut wanted = Vec::new();
            while let Some(id) = ids.next_if(|id| id / GROUP_SERIES == number) {
                if has(id) {
                    wanted.push(within(id));
                }
            }
            let mut wanted = wanted.into_iter().peekable();
            while let Some(&series) = wanted.peek() {
                let (value, _, end) = group
                    .exemplars
                    .find(series, group.series_count())
                    .ok_or_else(|| self.missing(number))?;
                let mut in_page = Vec::new();
                while let Some(series) = wanted.next_if(|series| *series < end) {
                    in_page.push(series);
                }
                self.read_exemplars(value, number * GROUP_SERIES, &in_page, range, &mut found)?;
            }
        }
        Ok(found)
    }

    fn missing(&self, group: u32) -> Error {
        Error::corrupt(self.place(section::DIRECTORY, group), "a series is missing")
    }

    fn read_exemplars(
        &self,
        number: u32,
        first: u32,
        wanted: &[u16],
        range: TimeRange,
        found: &mut Vec<(u32, Vec<Exemplar>)>,
    ) -> Result<()> {
        let place = || self.place(section::EXEMPLARS, number);
        self.with_body(section::EXEMPLARS, number, &mut |body| {
            let mut input = Input::new(body);
            let series = exemplars::read_series(&mut input).at(place)?;
            let page = PageReader::open(input).at(place)?;
            for id in wanted {
                let at = series.binary_search(id);
                let at = at.map_err(|_| Error::corrupt(place(), "a series is missing"))?;
                let mut all = exemplars::read(page.payload(at).at(place)?).at(place)?;
                all.retain(|exemplar| range.contains(TimestampMs(exemplar.timestamp_ms)));
                if !all.is_empty() {
                    found.push((first + u32::from(*id), all));
                }
            }
            Ok(())
        })
    }
}

impl TenantPlace {
    fn series(&self) -> std::ops::Range<u32> {
        self.first_series..self.first_series + self.index.series_count
    }
}

/// Notes damage; other errors go on.
pub(super) fn note(error: Error, damage: &mut Vec<String>) -> Result<()> {
    if error.kind() != ErrorKind::Corrupt {
        return Err(error);
    }
    damage.push(error.to_string());
    Ok(())
}

/// Ids of a tenant as ids of the block.
fn shift_up(ids: RoaringBitmap, by: u32) -> RoaringBitmap {
    if by == 0 { ids } else { ids.iter().map(|id| id + by).collect() }
}

/// Ids of the block that are the tenant's, as ids of the tenant.
fn shift_down(ids: &RoaringBitmap, place: &TenantPlace) -> RoaringBitmap {
    let series = place.series();
    ids.range(series.clone()).map(|id| id - series.start).collect()
}
