//! Counts series without reading their samples: the head knows the last sample of each chunk, a
//! block the times of its series and which of them never went stale. Where that does not tell, the
//! samples of these series are read; where it does not tell of many, the caller has to read all.

use std::hash::{BuildHasher, RandomState};

use ephemeris_model::{Labels, SeriesCount, SeriesCounts, TimeRange};
use hashbrown::HashMap;
use roaring::RoaringBitmap;
use rustc_hash::FxBuildHasher;
use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::Reader;
use super::part::Part;
use crate::encoding::put_bytes;
use crate::error::{Error, Result};
use crate::metrics::samples::Newest;
use crate::series::TenantId;

/// Series of a part whose samples are read; with more it is cheaper to read all on all cores.
const READ_MAX: usize = 2048;
/// Series that are grouped, or joined by label set: what that holds is no part of what a query may
/// hold, so for more of them the caller reads all, which is.
const JOINED_MAX: usize = 1 << 20;

/// A series with a sample in the window.
#[derive(Clone, Copy)]
struct Seen {
    id: u32,
    /// Whether the newest one is a staleness marker.
    stale: bool,
    /// Time of the newest one.
    time: i64,
}

/// The series a part has seen, by id.
struct SeenPart {
    part: Part,
    series: Vec<Seen>,
}

impl Reader {
    /// Counts series; `None` if samples have to be read.
    pub(super) fn count(&self, count: &SeriesCount) -> Result<Option<SeriesCounts>> {
        let window = self.kept(count.window);
        if !self.catalog.missing(window).is_empty() {
            return Ok(None);
        }
        let Some((tenant, parts)) = self.parts(window) else {
            return Ok(Some(SeriesCounts::default()));
        };
        let mut looked_at = 0;
        let mut seen = Vec::with_capacity(parts.len());
        for part in parts {
            let ids = part.select(tenant, &count.matchers, self.since(window))?;
            looked_at = ids.len().max(looked_at);
            let Some(series) = see(&part, tenant, &ids, window)? else { return Ok(None) };
            if self.stop.as_ref().is_some_and(|stop| stop()) {
                return Err(Error::Canceled);
            }
            if !series.is_empty() {
                seen.push(SeenPart { part, series });
            }
        }
        let joins = !count.by.is_empty() || seen.len() > 1;
        if joins && seen.iter().map(|part| part.series.len()).sum::<usize>() > JOINED_MAX {
            return Ok(None);
        }
        let groups = match seen.as_slice() {
            [] => Vec::new(),
            [one] => one.groups(tenant, &count.by)?,
            many => joined(many, tenant, &count.by)?,
        };
        Ok(Some(SeriesCounts { groups, looked_at }))
    }
}

/// The series `ids` that have a sample in the window; `None` if many would have to be read.
fn see(
    part: &Part,
    tenant: TenantId,
    ids: &RoaringBitmap,
    window: TimeRange,
) -> Result<Option<Vec<Seen>>> {
    let deleted = part.deleted(tenant)?;
    let mut series = Vec::with_capacity(usize::try_from(ids.len()).unwrap_or(0));
    let mut unknown = Vec::new();
    let mut take = |id, newest| match newest {
        Newest::At { time, stale } => series.push(Seen { id, stale, time }),
        Newest::Unknown => unknown.push(id),
        Newest::None => {}
    };
    let mut unknown_count = 0;
    part.newest(ids, window, &mut |id, newest| {
        let newest =
            if newest != Newest::None && deleted.touches(id) { Newest::Unknown } else { newest };
        unknown_count += usize::from(newest == Newest::Unknown);
        take(id, newest);
        unknown_count <= READ_MAX
    })?;
    if unknown_count > READ_MAX {
        return Ok(None);
    }
    part.newest_read(&unknown, window, &deleted, &mut |id, newest| {
        if let Newest::At { time, stale } = newest {
            series.push(Seen { id, stale, time });
        }
    })?;
    if !unknown.is_empty() {
        series.sort_unstable_by_key(|one| one.id);
    }
    Ok(Some(series))
}

impl SeenPart {
    /// Counts what is not stale.
    fn groups(&self, tenant: TenantId, by: &[String]) -> Result<Vec<(Labels, u64)>> {
        let live = self.series.iter().filter(|one| !one.stale).map(|one| one.id);
        if by.is_empty() {
            let count = live.count() as u64;
            return Ok(if count > 0 { vec![(Labels::empty(), count)] } else { Vec::new() });
        }
        if let Part::Head(generation) = &self.part {
            let counted = generation.identity().with_tenant(tenant, |view| view.count_by(by, live));
            return Ok(counted.unwrap_or_default());
        }
        let mut groups = Groups::new(by);
        let ids: RoaringBitmap = live.collect();
        self.part.series_labels(tenant, &ids, &mut |_, pairs| {
            let group = groups.number(pairs);
            groups.counts[group as usize] += 1;
        })?;
        Ok(groups.finish())
    }
}

/// Counts what is not stale where several parts have some of the series. The newest sample of all
/// parts counts; at one time a sample beats a staleness marker.
fn joined(parts: &[SeenPart], tenant: TenantId, by: &[String]) -> Result<Vec<(Labels, u64)>> {
    let seed = RandomState::new().hash_one("count");
    let mut groups = Groups::new(by);
    // By hash of the label set: newest time, whether it is a sample, group.
    let mut series: HashMap<u128, (i64, bool, u32), FxBuildHasher> = HashMap::default();
    let mut bytes = Vec::with_capacity(256);
    for SeenPart { part, series: seen } in parts {
        let ids: RoaringBitmap = seen.iter().map(|one| one.id).collect();
        let mut seen = seen.iter();
        part.series_labels(tenant, &ids, &mut |_, pairs| {
            let Some(one) = seen.next() else { return };
            bytes.clear();
            for (name, value) in pairs {
                put_bytes(&mut bytes, name.as_bytes());
                put_bytes(&mut bytes, value.as_bytes());
            }
            let here = (one.time, !one.stale);
            series
                .entry(xxh3_128_with_seed(&bytes, seed))
                .and_modify(|known| {
                    if here > (known.0, known.1) {
                        (known.0, known.1) = here;
                    }
                })
                .or_insert_with(|| (here.0, here.1, groups.number(pairs)));
        })?;
    }
    for (_, live, group) in series.into_values() {
        groups.counts[group as usize] += u64::from(live);
    }
    Ok(groups.finish())
}

/// Groups by number.
struct Groups<'a> {
    by: &'a [String],
    numbers: HashMap<Vec<u8>, u32, FxBuildHasher>,
    labels: Vec<Labels>,
    counts: Vec<u64>,
    key: Vec<u8>,
}

impl<'a> Groups<'a> {
    fn new(by: &'a [String]) -> Self {
        let (numbers, key) = (HashMap::default(), Vec::new());
        Self { by, numbers, labels: Vec::new(), counts: Vec::new(), key }
    }

    /// The number of the group a label set belongs to.
    fn number(&mut self, pairs: &[(&str, &str)]) -> u32 {
        let by = self.by;
        let of_key =
            || pairs.iter().filter(|(name, _)| by.iter().any(|wanted| wanted == name)).copied();
        self.key.clear();
        for (name, value) in of_key() {
            put_bytes(&mut self.key, name.as_bytes());
            put_bytes(&mut self.key, value.as_bytes());
        }
        if let Some(number) = self.numbers.get(self.key.as_slice()) {
            return *number;
        }
        // There are never as many groups in memory.
        let number = u32::try_from(self.labels.len()).unwrap_or(u32::MAX);
        self.numbers.insert(self.key.clone(), number);
        self.labels.push(Labels::from_sorted(of_key()));
        self.counts.push(0);
        number
    }

    fn finish(self) -> Vec<(Labels, u64)> {
        let groups = self.labels.into_iter().zip(self.counts);
        groups.filter(|(_, count)| *count > 0).collect()
    }
}
