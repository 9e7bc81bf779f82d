//! The head's index of one tenant: labels of series, and from labels back to series.

use ephemeris_model::{Labels, MatchOp, Matcher};
use hashbrown::{HashMap, HashTable};
use roaring::RoaringBitmap;
use rustc_hash::FxBuildHasher;
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

    fn push(&mut self, value: u32, id: u32) {
        if value as usize >= self.postings.len() {
            self.postings.resize_with(value as usize + 1, Posting::default);
        }
        let posting = &mut self.postings[value as usize];
        let before = posting.bytes();
        posting.push(id);
        self.posting_bytes += posting.bytes() - before;
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
    known: HashTable<KnownSet>,
    all: Posting,
}

/// A label set by 32 bits of the hash of its numbers, so that the table grows without a look at
/// label sets.
#[derive(Clone, Copy)]
struct KnownSet {
    tag: u32,
    at: LabelsAt,
}

/// Where a tag lies in a table: spread over 64 bits, as the table looks at both ends.
pub(super) const fn place(tag: u32) -> u64 {
    (tag as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// What is known of a label set.
pub(super) struct LookedUp {
    /// Numbers of the name and of the value of each label, where it has them.
    numbers: Vec<(Option<u32>, Option<u32>)>,
    /// The series with this label set, if there is one.
    pub(super) series: Option<u32>,
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

    /// Looks up each label of a set sorted by name, and the set.
    pub(super) fn find(&self, labels: &[(&str, &str)]) -> LookedUp {
        let mut numbers = Vec::with_capacity(labels.len());
        for (name, value) in labels {
            let name = self.names.number(name);
            let values = name.map(|name| &self.by_name[name as usize].values);
            numbers.push((name, values.and_then(|values| values.number(value))));
        }
        let encoded: Option<Vec<(u32, u32)>> =
            numbers.iter().map(|&(name, value)| Some((name?, value?))).collect();
        let series = encoded.and_then(|pairs| {
            let bytes = encode(&pairs);
            let tag = self.tag(&bytes);
            let same =
                |known: &KnownSet| known.tag == tag && self.parts(known.at).1.starts_with(&bytes);
            self.known.find(place(tag), same).map(|known| self.parts(known.at).0)
        });
        LookedUp { numbers, series }
    }

    fn tag(&self, numbers: &[u8]) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "a part of the hash is meant")]
        return xxh3_64_with_seed(numbers, self.seed) as u32;
    }

    /// Adds the series `id`, above all that are there, with a label set that was looked up and is
    /// not there. `None` if there is no room.
    pub(super) fn insert(
        &mut self,
        id: u32,
        labels: &[(&str, &str)],
        found: &LookedUp,
    ) -> Option<LabelsAt> {
        let mut pairs = Vec::with_capacity(labels.len());
        for ((name, value), numbers) in labels.iter().zip(&found.numbers) {
            let number = match numbers.0 {
                Some(number) => number,
                None => self.add_name(name)?,
            };
            let value = match numbers.1 {
                Some(value) => value,
                None => self.by_name[number as usize].values.intern(value)?,
            };
            pairs.push((number, value));
        }
        let bytes = encode(&pairs);
        let at = self.store(id, &bytes)?;
        for (name, value) in pairs {
            self.by_name[name as usize].push(value, id);
        }
        self.all.push(id);
        let tag = self.tag(&bytes);
        self.known.insert_unique(place(tag), KnownSet { tag, at }, |known| place(known.tag));
        Some(at)
    }

    fn add_name(&mut self, name: &str) -> Option<u32> {
        let number = self.names.intern(name)?;
        if number as usize == self.by_name.len() {
            let values = Dictionary::new(self.seed ^ u64::from(number + 1));
            self.by_name.push(Name { values, postings: Vec::new(), posting_bytes: 0 });
        }
        Some(number)
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

    /// Counts the label sets at `places` by their values of the labels `by`.
    pub(super) fn count_by(
        &self,
        by: &[String],
        places: impl Iterator<Item = LabelsAt>,
    ) -> Vec<(Labels, u64)> {
        let wanted: Vec<u32> = by.iter().filter_map(|name| self.names.number(name)).collect();
        let mut counts: HashMap<Vec<(u32, u32)>, u64, FxBuildHasher> = HashMap::default();
        let mut key = Vec::with_capacity(wanted.len());
        for at in places {
            key.clear();
            key.extend(self.numbers(at).filter(|(name, _)| wanted.contains(name)));
            match counts.get_mut(key.as_slice()) {
                Some(count) => *count += 1,
                None => drop(counts.insert(key.clone(), 1)),
            }
        }
        let labels = |key: Vec<(u32, u32)>| {
            let pairs = key.into_iter().map(|(name, value)| {
                (self.names.get(name), self.by_name[name as usize].values.get(value))
            });
            Labels::from_sorted(pairs)
        };
        counts.into_iter().map(|(key, count)| (labels(key), count)).collect()
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

/// Number of labels, then number of name and of value of each.
fn encode(pairs: &[(u32, u32)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(4 * pairs.len());
    put_varint(&mut out, pairs.len() as u64);
    for &(name, value) in pairs {
        put_varint(&mut out, u64::from(name));
        put_varint(&mut out, u64::from(value));
    }
    out
}
