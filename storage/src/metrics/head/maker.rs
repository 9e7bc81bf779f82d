//! The way of new series into the head: label sets of a request, many at a time.
//!
//! What costs most is memory that is not in the caches. So all label sets of a group are looked up
//! before the first is made, under a lock that others hold as well, and what is found then is
//! found again in the cache by the one who makes series. The lock for that is taken once for a
//! group: their ids follow one another, which keeps posting lists short.

use std::ops::Range;
use std::sync::Arc;

use ephemeris_model::{BodyKind, RejectReason};
use parking_lot::RwLock;

use super::canonical;
use super::identity::{Domain, Identity};
use super::tenant::{Known, Pair, TenantIndex};
use crate::series::TenantId;

/// Label sets to look up at once. Making so many takes some ten microseconds, for which others wait.
pub(crate) const GROUP: usize = 128;

/// The labels of the set before, and where what is known of them begins.
type Before<'a> = (&'a [Pair<'a>], usize);

/// A label set and where it came from.
pub(crate) struct Wanted<'a> {
    /// Hash of the label bytes as received.
    pub(crate) hash: u128,
    /// The labels, sorted by name.
    pub(crate) labels: Vec<Pair<'a>>,
}

/// The series a hash stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) id: u32,
    /// Whether it was not there before.
    pub(crate) created: bool,
}

/// Id of a series, or why it is refused.
pub(crate) type Made = Result<Found, (RejectReason, String)>;

/// Makes the series a request brings for the first time.
pub(crate) struct Maker<'a> {
    identity: &'a Identity,
    index: Arc<RwLock<TenantIndex>>,
    /// What the bytes of label sets are hashed with.
    domain: Domain,
    series_max: u64,
    /// Of the label sets of a group: their hashes, and what is known of their labels, set after
    /// set.
    sets: Vec<u128>,
    known: Vec<Known>,
    /// Bytes of a label set.
    scratch: Vec<u8>,
}

impl<'a> Maker<'a> {
    /// Makes series of a tenant, which has at most `series_max`.
    pub(super) fn new(identity: &'a Identity, tenant: TenantId, series_max: u64) -> Self {
        Self {
            identity,
            index: identity.index_or_create(tenant),
            domain: identity.domain(tenant, BodyKind::RemoteWrite1),
            series_max,
            sets: Vec::new(),
            known: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// As [`Maker::find_or_create_group`], of one.
    ///
    /// # Errors
    /// If the tenant has as many series as it may, or there is no room for more.
    pub(crate) fn find_or_create(&mut self, hash: u128, labels: &[Pair<'_>]) -> Made {
        let group = [Wanted { hash, labels: labels.to_vec() }];
        let mut made = self.find_or_create_group(&group);
        made.pop().expect("one for each of the group")
    }

    /// The series with these labels, in the order of `group`; those that are not there are made.
    pub(crate) fn find_or_create_group(&mut self, group: &[Wanted<'_>]) -> Vec<Made> {
        self.look_at(group);
        let index = Arc::clone(&self.index);
        {
            let index = index.read();
            walk(group, |_, wanted, before, mine| self.look_up(&index, wanted, before, mine));
        }
        let mut made = Vec::with_capacity(group.len());
        let mut index = index.write();
        walk(group, |at, wanted, before, mine| {
            self.look_up(&index, wanted, before, mine.clone());
            made.push(self.make(&mut index, wanted, self.sets[at], mine));
        });
        made
    }

    /// What can be told of a group without looking anything up; and has fetched what that needs.
    fn look_at(&mut self, group: &[Wanted<'_>]) {
        self.sets.clear();
        self.known.clear();
        for wanted in group {
            canonical::encode(&wanted.labels, &mut self.scratch);
            self.sets.push(self.identity.hash(self.domain, &self.scratch));
        }
        let index = self.index.read();
        walk(group, |_, wanted, before, _| {
            index.look_at(&wanted.labels, before, &mut self.known);
        });
        index.touch(&self.known);
    }

    /// Looks up the labels of one set; `mine` is what is known of them.
    fn look_up(
        &mut self,
        index: &TenantIndex,
        wanted: &Wanted<'_>,
        before: Option<Before<'_>>,
        mine: Range<usize>,
    ) {
        let (earlier, known) = self.known.split_at_mut(mine.start);
        let same = before.map(|(labels, first)| (labels, &earlier[first..]));
        index.look_up(&wanted.labels, same, &mut known[..mine.len()]);
    }

    /// One series; `mine` is what is known of its labels, in the index as it is now.
    fn make(
        &mut self,
        index: &mut TenantIndex,
        wanted: &Wanted<'_>,
        set: u128,
        mine: Range<usize>,
    ) -> Made {
        let identity = self.identity;
        let known = &mut self.known[mine];
        let encoded = &mut self.scratch;
        if Known::encode(known, encoded)
            && let Some(id) = identity.find_set(set, index, encoded)
        {
            if identity.hash_of(id) != Some(wanted.hash) {
                identity.add_alias(wanted.hash, id);
            }
            return Ok(Found { id, created: false });
        }
        let refuse = |text| Err((RejectReason::SeriesLimit, text));
        let (count, limit) = (index.len(), self.series_max);
        if count as u64 >= limit {
            return refuse(format!(
                "tenant has {count} active series; limit is {limit} (limits.active_series_max)"
            ));
        }
        let Some(id) = identity.next_id() else {
            let all = Identity::SERIES_MAX;
            return refuse(format!("there are {all} active series, the most the store can hold"));
        };
        let Some(at) = index.insert(id, &wanted.labels, known, encoded) else {
            return refuse("the labels of the tenant's series have no room left".to_owned());
        };
        identity.publish(id, at, wanted.hash);
        if set != wanted.hash {
            identity.insert_slot(set, id);
        }
        Ok(Found { id, created: true })
    }
}

/// Hands on each set of a group with its place, the set before, and where what is known of its
/// labels lies.
fn walk<'a>(
    group: &'a [Wanted<'a>],
    mut visit: impl FnMut(usize, &'a Wanted<'a>, Option<Before<'a>>, Range<usize>),
) {
    let (mut before, mut first) = (None, 0);
    for (at, wanted) in group.iter().enumerate() {
        let mine = first..first + wanted.labels.len();
        visit(at, wanted, before, mine.clone());
        (before, first) = (Some((&*wanted.labels, mine.start)), mine.end);
    }
}
