//! The head's index of one tenant: labels of series, and from labels back to series.

use std::hint::black_box;

use ephemeris_model::{Labels, MatchOp, Matcher};
use hashbrown::HashMap;
use roaring::RoaringBitmap;
use rustc_hash::FxBuildHasher;

use super::postings::Postings;
use crate::encoding::{Input, put_varint};
use crate::strings::{Dictionary, Tag};

/// Bytes of a slab of label sets.
const SLAB_BYTES: usize = 16 << 10;
/// Below this many candidates for each value, a matcher reads labels instead of posting lists.
const CANDIDATES_PER_VALUE: u64 = 4;
/// The only list of [`TenantIndex::all`].
const ALL: u32 = 0;

/// Name and value of a label.
pub(super) type Pair<'a> = (&'a str, &'a str);

/// Where the label set of a series lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LabelsAt(pub(super) u32);

/// Values of one label name.
#[derive(Default)]
struct Name {
    values: Dictionary,
    /// Series by number of the value.
    postings: Postings,
}

/// The index of one tenant.
pub(super) struct TenantIndex {
    seed: u64,
    names: Dictionary,
    by_name: Vec<Name>,
    /// Label sets: id, number of labels, number of name and number of value of each.
    slabs: Vec<Vec<u8>>,
    /// All series, in one list.
    all: Postings,
}

/// What is known of a label. A name or a value that is not there yet has what it is found by.
#[derive(Clone, Copy)]
pub(super) enum Known {
    /// Numbers of name and value.
    Both(u32, u32),
    /// Number of the name.
    Name(u32, Tag),
    Neither(Tag),
}

impl TenantIndex {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            names: Dictionary::new(seed),
            by_name: Vec::new(),
            slabs: Vec::new(),
            all: Postings::default(),
        }
    }

    /// Number of series.
    pub(super) fn len(&self) -> usize {
        self.all.len(ALL)
    }

    /// Bytes it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        let of_name = |name: &Name| name.values.bytes() + name.postings.bytes();
        self.names.bytes()
            + self.by_name.iter().map(of_name).sum::<usize>()
            + self.slabs.iter().map(Vec::capacity).sum::<usize>()
            + self.all.bytes()
    }

    /// Appends to `known` what a set has in common with `before`, a set that was looked at with
    /// where it begins there, and of its other labels what they are found by.
    pub(super) fn look_at(
        &self,
        labels: &[(&str, &str)],
        before: Option<(&[Pair<'_>], usize)>,
        known: &mut Vec<Known>,
    ) {
        for (at, &(name, value)) in labels.iter().enumerate() {
            let same = before.and_then(|(labels, first)| {
                let (other, all) = (labels.get(at)?, known.get(first + at)?);
                (other.0 == name).then_some((other.1, *all))
            });
            known.push(match same {
                Some((other, all)) if other == value => all,
                Some((_, Known::Both(number, _) | Known::Name(number, _))) => {
                    self.tagged(number, value)
                }
                Some((_, neither)) => neither,
                None => {
                    let tag = self.names.tag(name);
                    let found = self.names.find(tag, name);
                    found.map_or(Known::Neither(tag), |number| self.tagged(number, value))
                }
            });
        }
    }

    fn tagged(&self, name: u32, value: &str) -> Known {
        Known::Name(name, self.by_name[name as usize].values.tag(value))
    }

    /// Has the memory fetched that looking them up will need: all at once, which is faster.
    pub(super) fn touch(&self, known: &[Known]) {
        let touched = known.iter().map(|known| match *known {
            Known::Name(name, tag) => self.by_name[name as usize].values.touch(tag),
            Known::Both(..) | Known::Neither(_) => 0,
        });
        black_box(touched.fold(0, u32::wrapping_add));
    }

    /// Looks up what is not known of a set, or was not when it was looked up before. `before` is a
    /// set that was looked up now.
    pub(super) fn look_up(
        &self,
        labels: &[(&str, &str)],
        before: Option<(&[Pair<'_>], &[Known])>,
        known: &mut [Known],
    ) {
        for (at, (label, known)) in labels.iter().zip(known).enumerate() {
            let (name, tag) = match *known {
                Known::Both(..) => continue,
                Known::Neither(tag) => {
                    let Some(number) = self.names.find(tag, label.0) else { continue };
                    (number, self.by_name[number as usize].values.tag(label.1))
                }
                Known::Name(name, tag) => (name, tag),
            };
            let same = before.and_then(|(labels, known)| {
                labels.get(at).filter(|other| *other == label).and(known.get(at))
            });
            *known = match same {
                Some(found @ (Known::Both(..) | Known::Name(..))) => *found,
                _ => match self.by_name[name as usize].values.find(tag, label.1) {
                    Some(value) => Known::Both(name, value),
                    None => Known::Name(name, tag),
                },
            };
        }
    }

    /// Whether `at` is where series `id` has its label set, and that is the one of these numbers.
    /// `at` may be a place in the index of another tenant.
    pub(super) fn is_at(&self, at: LabelsAt, id: u32, encoded: &[u8]) -> bool {
        let place = at.0 as usize;
        let slab = self.slabs.get(place / SLAB_BYTES);
        let Some(bytes) = slab.and_then(|slab| slab.get(place % SLAB_BYTES..)) else {
            return false;
        };
        let mut input = Input::new(bytes);
        // The bytes of a place of another tenant may be anything, but ids are those of one.
        input.varint_u32().is_ok_and(|own| own == id) && input.rest().starts_with(encoded)
    }

    /// Adds the series `id`, above all that are there, with a label set that is not there. What is
    /// known of its labels is so now, and afterwards all is; `encoded` is for its numbers. `None`
    /// if there is no room.
    pub(super) fn insert(
        &mut self,
        id: u32,
        labels: &[(&str, &str)],
        known: &mut [Known],
        encoded: &mut Vec<u8>,
    ) -> Option<LabelsAt> {
        for ((name, value), known) in labels.iter().zip(&mut *known) {
            let (number, tag) = match *known {
                Known::Both(..) => continue,
                Known::Name(number, tag) => (number, tag),
                Known::Neither(tag) => {
                    let number = self.add_name(tag, name)?;
                    (number, self.by_name[number as usize].values.tag(value))
                }
            };
            let value = self.by_name[number as usize].values.insert(tag, value)?;
            *known = Known::Both(number, value);
        }
        // All of them are known now.
        let at = Known::encode(known, encoded).then(|| self.store(id, encoded))??;
        for known in known {
            if let Known::Both(name, value) = *known {
                self.by_name[name as usize].postings.push(value, id);
            }
        }
        self.all.push(ALL, id);
        Some(at)
    }

    fn add_name(&mut self, tag: Tag, name: &str) -> Option<u32> {
        let number = self.names.insert(tag, name)?;
        let values = Dictionary::new(self.seed ^ u64::from(number + 1));
        self.by_name.push(Name { values, ..Name::default() });
        Some(number)
    }

    fn store(&mut self, id: u32, numbers: &[u8]) -> Option<LabelsAt> {
        let mut prefix = Vec::with_capacity(5);
        put_varint(&mut prefix, u64::from(id));
        let bytes = prefix.len() + numbers.len();
        let full = |slab: &Vec<u8>| slab.len() + bytes > SLAB_BYTES;
        if self.slabs.last().is_none_or(full) {
            // A label set of the largest size allowed is smaller than a slab, and one that is not
            // has a slab of its own. The first one grows, so that a tenant with few series takes
            // little.
            let capacity = if self.slabs.is_empty() { 0 } else { SLAB_BYTES };
            self.slabs.push(Vec::with_capacity(capacity.max(bytes)));
        }
        let slab = self.slabs.len() - 1;
        let at = u32::try_from(slab * SLAB_BYTES + self.slabs[slab].len()).ok()?;
        self.slabs[slab].extend_from_slice(&prefix);
        self.slabs[slab].extend_from_slice(numbers);
        Some(LabelsAt(at))
    }

    /// The numbers of a label set, with what lies behind them.
    fn encoded(&self, at: LabelsAt) -> &[u8] {
        let at = at.0 as usize;
        let mut input = Input::new(&self.slabs[at / SLAB_BYTES][at % SLAB_BYTES..]);
        // The id comes first; it is whole.
        let _ = input.varint_u32();
        input.rest()
    }

    /// Number of name and number of value of each label, by name.
    fn numbers(&self, at: LabelsAt) -> impl Iterator<Item = (u32, u32)> {
        let mut input = Input::new(self.encoded(at));
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
        self.all.to_bitmap(ALL)
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
            return (0, value.map_or(0, |value| name.postings.len(value)));
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
            return value.map_or_else(RoaringBitmap::new, |value| name.postings.to_bitmap(value));
        }
        // Where the empty value matches, so do series without the label: then what does not match
        // is taken away.
        let keep = !matcher.matches_empty();
        let mut set = RoaringBitmap::new();
        for (number, value) in name.values.iter() {
            if matcher.matches(value) == keep {
                name.postings.add_to(number, &mut set);
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

impl Known {
    /// Number of labels, then number of name and of value of each, in place of what `out` has;
    /// answers whether all of them are known, without which the set is new.
    pub(super) fn encode(known: &[Self], out: &mut Vec<u8>) -> bool {
        out.clear();
        put_varint(out, known.len() as u64);
        for known in known {
            let Self::Both(name, value) = *known else { return false };
            put_varint(out, u64::from(name));
            put_varint(out, u64::from(value));
        }
        true
    }
}
