//! Who the series are: from raw label bytes to ids, and from ids to labels.
//!
//! Identities outlive generations of chunks, so that a series is resolved by one lookup for as long
//! as it is written. They are swept all at once: a new generation starts with empty identities when
//! most series of the old ones have fallen silent, and those that still live come again.
//!
//! Ids are given in order of arrival and never change meaning. The label bytes of a request are
//! hashed as they came, with a secret of the process, the tenant and the encoding; two series are
//! taken for one only if all 128 bits agree. Only a hash that is not known costs a look at labels.

use std::hash::{BuildHasher, RandomState};
use std::hint::black_box;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use ephemeris_model::{BodyKind, Labels, Matcher};
use hashbrown::HashMap;
use parking_lot::{RwLock, RwLockReadGuard};
use roaring::RoaringBitmap;
use xxhash_rust::xxh3::xxh3_128_with_secret;

use super::maker::Maker;
use super::mix::{Mixer, SymbolHash};
use super::tenant::{LabelsAt, TenantIndex};
use crate::series::TenantId;
use crate::strings::table::TagTable;

/// Ids that lie together: they share a lock and an allocation.
pub(crate) const EXTENT_SERIES: u32 = 4096;
/// Extents of one set of identities, and with it series, at most.
pub(crate) const EXTENTS_MAX: usize = 8192;
/// Series whose places are fetched at once.
const TOUCHED_AHEAD: usize = 32;
const SECRET_BYTES: usize = 192;
/// Senders whose order of labels is not the first one seen; more are looked up by label each time.
const ALIASES_MAX: usize = 1 << 22;

/// Series by hash.
#[derive(Default)]
struct ByHash {
    /// Ids by 32 bits of a hash. A series is found by the hash of the label bytes it came with
    /// first, and by that of its label set, which is mostly the same.
    slots: TagTable,
    /// Hashes of label bytes that differ from the first ones of their series.
    aliases: HashMap<u128, u32>,
}

/// What is known of each series of an extent. Written once, before its id is given out.
struct Records {
    /// Upper and lower half of the hash of the label bytes.
    hashes: Vec<[AtomicU64; 2]>,
    labels: Vec<AtomicU32>,
}

impl Records {
    fn new() -> Self {
        let count = EXTENT_SERIES as usize;
        Self {
            hashes: std::iter::repeat_with(Default::default).take(count).collect(),
            labels: std::iter::repeat_with(AtomicU32::default).take(count).collect(),
        }
    }
}

/// Secret of the process, tenant and encoding: what label bytes are hashed with.
#[derive(Clone, Copy)]
pub(crate) struct Domain(u128);

/// Who the series are.
pub(crate) struct Identity {
    secret: [u8; SECRET_BYTES],
    mixer: Mixer,
    seed: u64,
    by_hash: RwLock<ByHash>,
    records: Vec<OnceLock<Box<Records>>>,
    tenants: RwLock<HashMap<TenantId, Arc<RwLock<TenantIndex>>>>,
    next: AtomicU32,
}

impl Identity {
    /// Series it has room for.
    pub(super) const SERIES_MAX: usize = EXTENTS_MAX * EXTENT_SERIES as usize;

    pub(crate) fn new() -> Self {
        let random = RandomState::new();
        let mut secret = [0; SECRET_BYTES];
        for (i, part) in secret.chunks_exact_mut(8).enumerate() {
            part.copy_from_slice(&random.hash_one(i).to_le_bytes());
        }
        Self {
            secret,
            mixer: Mixer::new(&random),
            seed: random.hash_one("dictionaries"),
            by_hash: RwLock::default(),
            records: std::iter::repeat_with(OnceLock::new).take(EXTENTS_MAX).collect(),
            tenants: RwLock::default(),
            next: AtomicU32::new(0),
        }
    }

    /// What label bytes of this tenant in bodies of this kind are hashed with.
    pub(crate) fn domain(&self, tenant: TenantId, kind: BodyKind) -> Domain {
        let encoding = match kind {
            BodyKind::RemoteWrite1 | BodyKind::RemoteWrite1Plain => 1,
            BodyKind::LokiPush | BodyKind::LokiPushPlain => 2,
            BodyKind::RemoteWrite2 | BodyKind::RemoteWrite2Plain => 3,
            BodyKind::LabelParts => 4,
        };
        let [a, b, c, d] = tenant.0.to_le_bytes();
        Domain(xxh3_128_with_secret(&[encoding, a, b, c, d], &self.secret))
    }

    /// The hash of a series' label bytes.
    #[inline]
    pub(crate) fn hash(&self, domain: Domain, labels: &[u8]) -> u128 {
        xxh3_128_with_secret(labels, &self.secret) ^ domain.0
    }

    /// Hashes of the symbols of a request, each looked at once; their place is kept in `out`.
    pub(crate) fn hash_symbols(&self, symbols: &[&[u8]], out: &mut Vec<SymbolHash>) {
        out.clear();
        out.extend(symbols.iter().map(|text| {
            let hash = xxh3_128_with_secret(text, &self.secret);
            SymbolHash([high_half(hash), low_half(hash)])
        }));
    }

    /// The hash of label bytes that are numbers of symbols, from the hashes of those.
    #[inline]
    pub(crate) fn hash_numbers(
        &self,
        domain: Domain,
        numbers: &[u8],
        symbols: &[SymbolHash],
    ) -> u128 {
        self.mixer.mix(numbers, symbols) ^ domain.0
    }

    /// Looks up many series.
    pub(crate) const fn finder(&self) -> Finder<'_> {
        Finder { identity: self, by_hash: None, failed: None, touched: 0 }
    }

    fn records(&self, id: u32) -> Option<(&Records, usize)> {
        let records = self.records.get((id / EXTENT_SERIES) as usize)?.get()?;
        Some((records, (id % EXTENT_SERIES) as usize))
    }

    pub(super) fn hash_of(&self, id: u32) -> Option<u128> {
        let (records, at) = self.records(id)?;
        let [high, low] = &records.hashes[at];
        // Written last, so with it all else of the record is there.
        let low = low.load(Ordering::Acquire);
        Some(u128::from(high.load(Ordering::Relaxed)) << 64 | u128::from(low))
    }

    fn labels_at(&self, id: u32) -> Option<LabelsAt> {
        let (records, at) = self.records(id)?;
        Some(LabelsAt(records.labels[at].load(Ordering::Relaxed)))
    }

    /// Makes series of a tenant, which has at most `series_max`.
    pub(crate) fn maker(&self, tenant: TenantId, series_max: u64) -> Maker<'_> {
        Maker::new(self, tenant, series_max)
    }

    /// The series with a label set: `set` is the hash of its bytes, `encoded` what it is in the
    /// index of its tenant.
    pub(super) fn find_set(&self, set: u128, index: &TenantIndex, encoded: &[u8]) -> Option<u32> {
        let same = |id: u32| self.labels_at(id).is_some_and(|at| index.is_at(at, id, encoded));
        self.by_hash.read().slots.find(tag(set), same)
    }

    /// The next id, if there is room for one.
    pub(super) fn next_id(&self) -> Option<u32> {
        let next = |id: u32| ((id as usize) < Self::SERIES_MAX).then_some(id + 1);
        self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).ok()
    }

    pub(super) fn publish(&self, id: u32, labels: LabelsAt, hash: u128) {
        let extent =
            self.records[(id / EXTENT_SERIES) as usize].get_or_init(|| Box::new(Records::new()));
        let at = (id % EXTENT_SERIES) as usize;
        extent.labels[at].store(labels.0, Ordering::Relaxed);
        let [high, low] = &extent.hashes[at];
        high.store(high_half(hash), Ordering::Relaxed);
        low.store(low_half(hash), Ordering::Release);
        self.insert_slot(hash, id);
    }

    pub(super) fn insert_slot(&self, hash: u128, id: u32) {
        self.by_hash.write().slots.insert(tag(hash), id);
    }

    pub(super) fn add_alias(&self, hash: u128, id: u32) {
        let aliases = &mut self.by_hash.write().aliases;
        if aliases.len() < ALIASES_MAX {
            aliases.insert(hash, id);
        }
    }

    pub(super) fn index_or_create(&self, tenant: TenantId) -> Arc<RwLock<TenantIndex>> {
        if let Some(index) = self.index(tenant) {
            return index;
        }
        let seed = self.seed ^ u64::from(tenant.0);
        let new = || Arc::new(RwLock::new(TenantIndex::new(seed)));
        Arc::clone(self.tenants.write().entry(tenant).or_insert_with(new))
    }

    fn index(&self, tenant: TenantId) -> Option<Arc<RwLock<TenantIndex>>> {
        self.tenants.read().get(&tenant).cloned()
    }

    /// Number of series ever made.
    pub(crate) fn series_count(&self) -> u32 {
        self.next.load(Ordering::Relaxed)
    }

    /// Series of the tenant that has most of them.
    pub(crate) fn series_of_largest_tenant(&self) -> u64 {
        let indexes: Vec<_> = self.tenants.read().values().cloned().collect();
        indexes.iter().map(|index| index.read().len() as u64).max().unwrap_or(0)
    }

    /// Bytes it takes in memory.
    pub(crate) fn bytes(&self) -> u64 {
        let indexes: Vec<_> = self.tenants.read().values().cloned().collect();
        let by_hash = {
            let by_hash = self.by_hash.read();
            by_hash.slots.bytes() + by_hash.aliases.allocation_size()
        };
        let extents = self.records.iter().filter(|extent| extent.get().is_some()).count();
        let bytes = indexes.iter().map(|index| index.read().bytes()).sum::<usize>()
            + by_hash
            + extents * EXTENT_SERIES as usize * 20;
        bytes as u64
    }

    /// The tenants with series, ascending.
    pub(crate) fn tenants(&self) -> Vec<TenantId> {
        let mut tenants: Vec<_> = self.tenants.read().keys().copied().collect();
        tenants.sort_unstable();
        tenants
    }

    /// Looks into the index of one tenant; `None` if it has no series.
    pub(crate) fn with_tenant<T>(
        &self,
        tenant: TenantId,
        look: impl FnOnce(&TenantView<'_>) -> T,
    ) -> Option<T> {
        let index = self.index(tenant)?;
        let view = TenantView { identity: self, index: index.read() };
        Some(look(&view))
    }
}

/// Looks up series one after the other. Until it is dropped none can be made.
pub(crate) struct Finder<'a> {
    identity: &'a Identity,
    /// Held from the first guess that failed.
    by_hash: Option<RwLockReadGuard<'a, ByHash>>,
    /// Place of the last guess that failed.
    failed: Option<usize>,
    /// Places before this one have their memory fetched.
    touched: usize,
}

impl Finder<'_> {
    /// The series with the hash at place `at`. `guess` is tried first: series come in the same
    /// order again.
    #[inline]
    pub(crate) fn find(&mut self, hashes: &[u128], at: usize, guess: u32) -> Option<u32> {
        let hash = hashes[at];
        if self.identity.hash_of(guess) == Some(hash) {
            return Some(guess);
        }
        let by_hash = self.by_hash.get_or_insert_with(|| self.identity.by_hash.read());
        let before = self.failed.replace(at);
        if at >= self.touched && before.is_some_and(|before| before + 1 == at) {
            // Where two guesses fail others do. Memory for all of them at once comes faster.
            let ahead = &hashes[at..hashes.len().min(at + TOUCHED_AHEAD)];
            self.touched = at + ahead.len();
            let touch = |hash: &u128| by_hash.slots.touch(tag(*hash));
            black_box(ahead.iter().map(touch).fold(0, u32::wrapping_add));
        }
        let found = by_hash.slots.find(tag(hash), |id| self.identity.hash_of(id) == Some(hash));
        found.or_else(|| by_hash.aliases.get(&hash).copied())
    }
}

/// The index of one tenant, held still.
pub(crate) struct TenantView<'a> {
    identity: &'a Identity,
    index: RwLockReadGuard<'a, TenantIndex>,
}

impl TenantView<'_> {
    /// The series that satisfy all matchers.
    pub(crate) fn select(&self, matchers: &[Matcher]) -> RoaringBitmap {
        self.index.select(matchers, |id| self.identity.labels_at(id))
    }

    /// Names and values of a series of this tenant, by name.
    pub(crate) fn pairs(&self, id: u32) -> impl Iterator<Item = (&str, &str)> {
        self.identity.labels_at(id).into_iter().flat_map(|at| self.index.labels(at))
    }

    /// The label set of a series of this tenant.
    pub(crate) fn labels(&self, id: u32) -> Labels {
        Labels::from_sorted(self.pairs(id))
    }

    /// Counts series of this tenant by their values of the labels `by`.
    pub(crate) fn count_by(
        &self,
        by: &[String],
        ids: impl Iterator<Item = u32>,
    ) -> Vec<(Labels, u64)> {
        self.index.count_by(by, ids.filter_map(|id| self.identity.labels_at(id)))
    }

    /// Sorted label names of all series, or of `among`.
    pub(crate) fn label_names(&self, among: Option<&RoaringBitmap>) -> Vec<String> {
        let mut places = among.into_iter().flatten().filter_map(|id| self.identity.labels_at(id));
        self.index.label_names(among.is_some().then_some(&mut places as _))
    }

    /// Sorted values of a label of all series, or of `among`.
    pub(crate) fn label_values(&self, name: &str, among: Option<&RoaringBitmap>) -> Vec<String> {
        let mut places = among.into_iter().flatten().filter_map(|id| self.identity.labels_at(id));
        self.index.label_values(name, among.is_some().then_some(&mut places as _))
    }
}

/// The part of a hash a series is found by.
#[expect(clippy::cast_possible_truncation, reason = "a part of the hash is meant")]
const fn tag(hash: u128) -> u32 {
    (hash >> 64) as u32
}

const fn high_half(hash: u128) -> u64 {
    (hash >> 64) as u64
}

const fn low_half(hash: u128) -> u64 {
    hash as u64
}
