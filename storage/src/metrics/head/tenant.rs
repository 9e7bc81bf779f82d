//! The head's index of one tenant: labels of series, and from labels back to series.

use ephemeris_model::MatchOp;
use ephemeris_model::Matcher;
use hashbrown::HashTable;
use roaring::RoaringBitmap;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::dictionary::Dictionary;
use super::postings::Posting;
use crate::encoding::{Input, put_varint};

/// Bytes of a slab of label sets.
const SLAB_BYTES: usize = 64 << 10;
/// Below this many candidates for each value, a matcher reads labels instead of posting lists.
const CANDIDATES_PER_VALUE: u64 = 4;

/// Where the label set of a series lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LabelsAt(pub(super) u32);

/// Values of one label name.
struct Name {
    values: Dictionary,
    /// Series by number of the value.
    postings: Vec<Posting>,
    /// Bytes the posting lists have of their own.
    posting_bytes: usize,
}

impl Name {
    /// A value has no list if its first series found no room.
    fn posting(&self, value: u32) -> Option<&Posting> {
        self.postings.get(value as usize)
    }
}

/// The index of one tenant.
pub(super) struct TenantIndex {
    seed: u64,
    names: Dictionary,
    by_name: Vec<Name>,
    /// Label sets: id, number of labels, number of name and number of value of each.
    slabs: Vec<Vec<u8>>,
    /// Label sets by hash of their numbers.
    known: HashTable<LabelsAt>,
    all: Posting,
}

/// What a label set was found to be.
pub(super) enum Known {
    /// A series that is there.
    Series(u32),
    /// None.
    No,
}

impl TenantIndex {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            names: Dictionary::new(seed),
            by_name: Vec::new(),
            slabs: Vec::new(),
            known: HashTable::new(),
            all: Posting::Empty,
        }
    }

    /// Number of series.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Bytes it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        let of_name = |name: &Name| {
            name.values.bytes()
                + name.postings.capacity() * size_of::<Posting>()
                + name.posting_bytes
        };
        self.names.bytes()
            + self.by_name.iter().map(of_name).sum::<usize>()
            + self.slabs.len() * SLAB_BYTES
            + self.known.allocation_size()
            + self.all.bytes()
    }

    /// The series with this label set, sorted by name.
    pub(super) fn find(&self, labels: &[(&str, &str)]) -> Known {
        let mut numbers = Vec::with_capacity(32);
        put_varint(&mut numbers, labels.len() as u64);
        for (name, value) in labels {
            let Some(name) = self.names.number(name) else { return Known::No };
            let Some(value) = self.by_name[name as usize].values.number(value) else {
                return Known::No;
            };
            put_varint(&mut numbers, u64::from(name));
            put_varint(&mut numbers, u64::from(value));
        }
        let hash = xxh3_64_with_seed(&numbers, self.seed);
        let found = self.known.find(hash, |&at| self.parts(at).1.starts_with(&numbers));
        found.map_or(Known::No, |&at| Known::Series(self.parts(at).0))
    }

    /// Adds the series `id`, above all that are there, with a label set that is not there, sorted
    /// by name. `None` if there is no room.
    pub(super) fn insert(&mut self, id: u32, labels: &[(&str, &str)]) -> Option<LabelsAt> {
        let mut numbers = Vec::with_capacity(32);
        put_varint(&mut numbers, labels.len() as u64);
        let mut places = Vec::with_capacity(labels.len());
        for (name, value) in labels {
            let name = self.names.intern(name)?;
            if name as usize == self.by_name.len() {
                let values = Dictionary::new(self.seed ^ u64::from(name + 1));
                self.by_name.push(Name { values, postings: Vec::new(), posting_bytes: 0 });
            }
            let value = self.by_name[name as usize].values.intern(value)?;
            put_varint(&mut numbers, u64::from(name));
            put_varint(&mut numbers, u64::from(value));
            places.push((name, value));
        }
        let at = self.store(id, &numbers)?;
        for (name, value) in places {
            let name = &mut self.by_name[name as usize];
            if value as usize >= name.postings.len() {
                name.postings.resize_with(value as usize + 1, Posting::default);
            }
            let posting = &mut name.postings[value as usize];
            let before = posting.bytes();
            posting.push(id);
            name.posting_bytes += posting.bytes() - before;
        }
        self.all.push(id);
        let hash = xxh3_64_with_seed(&numbers, self.seed);
        let (slabs, seed) = (&self.slabs, self.seed);
        self.known.insert_unique(hash, at, |&at| {
            let (_, rest) = parts_of(slabs, at);
            xxh3_64_with_seed(&rest[..numbers_len(rest)], seed)
        });
        Some(at)
    }

    fn store(&mut self, id: u32, numbers: &[u8]) -> Option<LabelsAt> {
        let mut entry = Vec::with_capacity(numbers.len() + 5);
        put_varint(&mut entry, u64::from(id));
        entry.extend_from_slice(numbers);
        let full = |slab: &Vec<u8>| slab.len() + entry.len() > SLAB_BYTES;
        if self.slabs.last().is_none_or(full) {
            // A label set of the largest size allowed is far smaller than a slab.
            self.slabs.push(Vec::with_capacity(SLAB_BYTES.max(entry.len())));
        }
        let slab = self.slabs.len() - 1;
        let at = u32::try_from(slab * SLAB_BYTES + self.slabs[slab].len()).ok()?;
        self.slabs[slab].extend_from_slice(&entry);
        Some(LabelsAt(at))
    }

    /// The id of a label set, and its numbers, with what lies behind them.
    fn parts(&self, at: LabelsAt) -> (u32, &[u8]) {
        parts_of(&self.slabs, at)
    }

    /// Number of name and number of value of each label, by name.
    fn numbers(&self, at: LabelsAt) -> impl Iterator<Item = (u32, u32)> {
        let mut input = Input::new(self.parts(at).1);
        let count = input.varint_u32().unwrap_or(0);
        (0..count).map_while(move |_| Some((input.varint_u32().ok()?, input.varint_u32().ok()?)))
    }

    /// Names and values of a label set, by name.
    pub(super) fn labels(&self, at: LabelsAt) -> impl Iterator<Item = (&str, &str)> {
        self.numbers(at).map(|(name, value)| {
            (self.names.get(name), self.by_name[name as usize].values.get(value))
        })
    }

    /// All series.
    fn all(&self) -> RoaringBitmap {
        self.all.to_bitmap()
    }

    /// The values of a label name, with the series of each, in order of arrival.
    pub(super) fn series_by_value(
        &self,
        name: &str,
    ) -> impl Iterator<Item = (&str, RoaringBitmap)> {
        let found = self.names.number(name).map(|number| &self.by_name[number as usize]);
        found.into_iter().flat_map(|name| {
            let lists = name.postings.iter().map(Posting::to_bitmap);
            name.values.iter().map(|(_, value)| value).zip(lists)
        })
    }

    /// The series that satisfy all matchers. `labels_of` finds the label set of a series.
    pub(super) fn select(
        &self,
        matchers: &[Matcher],
        labels_of: impl Fn(u32) -> Option<LabelsAt>,
    ) -> RoaringBitmap {
        let mut matchers: Vec<&Matcher> = matchers.iter().collect();
        matchers.sort_by_key(|m| self.cost(m));
        let mut found: Option<RoaringBitmap> = None;
        for matcher in matchers {
            let within = match &found {
                Some(set) if self.reads_labels(matcher, set.len()) => {
                    self.filter(matcher, set, &labels_of)
                }
                Some(set) => set & self.matching(matcher),
                None => self.matching(matcher),
            };
            if within.is_empty() {
                return within;
            }
            found = Some(within);
        }
        found.unwrap_or_else(|| self.all())
    }

    /// Equalities first, the rarest first of all; then what looks at many values.
    fn cost(&self, matcher: &Matcher) -> (u8, usize) {
        let Some(name) = self.names.number(&matcher.name) else { return (0, 0) };
        let name = &self.by_name[name as usize];
        if matcher.op == MatchOp::Equal && !matcher.value.is_empty() {
            let value = name.values.number(&matcher.value);
            return (0, value.and_then(|value| name.posting(value)).map_or(0, Posting::len));
        }
        (1 + u8::from(matcher.matches_empty()), name.values.len())
    }

    fn reads_labels(&self, matcher: &Matcher, candidates: u64) -> bool {
        let values = self
            .names
            .number(&matcher.name)
            .map_or(0, |number| self.by_name[number as usize].values.len() as u64);
        (matcher.op != MatchOp::Equal || matcher.value.is_empty())
            && candidates < values.saturating_mul(CANDIDATES_PER_VALUE)
    }

    fn filter(
        &self,
        matcher: &Matcher,
        candidates: &RoaringBitmap,
        labels_of: &impl Fn(u32) -> Option<LabelsAt>,
    ) -> RoaringBitmap {
        let wanted = self.names.number(&matcher.name);
        let value_of = |id: u32| {
            let name = wanted?;
            let (_, value) = self.numbers(labels_of(id)?).find(|(n, _)| *n == name)?;
            Some(self.by_name[name as usize].values.get(value))
        };
        candidates.iter().filter(|&id| matcher.matches(value_of(id).unwrap_or(""))).collect()
    }

    fn matching(&self, matcher: &Matcher) -> RoaringBitmap {
        let Some(number) = self.names.number(&matcher.name) else {
            return if matcher.matches_empty() { self.all() } else { RoaringBitmap::new() };
        };
        let name = &self.by_name[number as usize];
        if matcher.op == MatchOp::Equal && !matcher.value.is_empty() {
            let value = name.values.number(&matcher.value);
            let posting = value.and_then(|value| name.posting(value));
            return posting.map_or_else(RoaringBitmap::new, Posting::to_bitmap);
        }
        // Where the empty value matches, so do series without the label: then what does not match
        // is taken away.
        let keep = !matcher.matches_empty();
        let mut set = RoaringBitmap::new();
        for ((_, value), posting) in name.values.iter().zip(&name.postings) {
            if matcher.matches(value) == keep {
                posting.add_to(&mut set);
            }
        }
        if keep { set } else { self.all() - set }
    }

    /// Sorted label names of all series, or of those at `among`.
    pub(super) fn label_names(
        &self,
        among: Option<&mut dyn Iterator<Item = LabelsAt>>,
    ) -> Vec<String> {
        let mut names: Vec<&str> = match among {
            None => self.names.iter().map(|(_, name)| name).collect(),
            Some(places) => {
                let mut numbers = RoaringBitmap::new();
                for at in places {
                    numbers.extend(self.numbers(at).map(|(name, _)| name));
                }
                numbers.iter().map(|number| self.names.get(number)).collect()
            }
        };
        names.sort_unstable();
        names.into_iter().map(str::to_owned).collect()
    }

    /// Sorted values of a label of all series, or of those at `among`.
    pub(super) fn label_values(
        &self,
        name: &str,
        among: Option<&mut dyn Iterator<Item = LabelsAt>>,
    ) -> Vec<String> {
        let Some(number) = self.names.number(name) else { return Vec::new() };
        let values = &self.by_name[number as usize].values;
        let mut found: Vec<&str> = match among {
            None => values.iter().map(|(_, value)| value).collect(),
            Some(places) => {
                let mut numbers = RoaringBitmap::new();
                for at in places {
                    let value = self.numbers(at).find(|(name, _)| *name == number);
                    numbers.extend(value.map(|(_, value)| value));
                }
                numbers.iter().map(|value| values.get(value)).collect()
            }
        };
        found.sort_unstable();
        found.into_iter().map(str::to_owned).collect()
    }
}

fn parts_of(slabs: &[Vec<u8>], at: LabelsAt) -> (u32, &[u8]) {
    let at = at.0 as usize;
    let mut input = Input::new(&slabs[at / SLAB_BYTES][at % SLAB_BYTES..]);
    let id = input.varint_u32().unwrap_or(u32::MAX);
    (id, input.rest())
}

/// Bytes of the numbers at the front of `bytes`.
fn numbers_len(bytes: &[u8]) -> usize {
    let mut input = Input::new(bytes);
    let count = input.varint_u32().unwrap_or(0);
    for _ in 0..2 * count {
        if input.varint_u32().is_err() {
            break;
        }
    }
    bytes.len() - input.len()
}
