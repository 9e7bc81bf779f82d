//! Series of the head in the order blocks keep them in.
//!
//! Whoever makes a series waits while labels of its tenant are looked at, so they are looked at a
//! few at a time, and sorted in between.

use std::collections::BTreeMap;

use roaring::RoaringBitmap;

use crate::metrics::head::identity::Identity;
use crate::series::{TenantId, leading_key, order_key};

/// Series whose labels are looked at before others may be made.
const LOOKED_AT_ONCE: usize = 512;
/// More series are sorted group by group, which bounds the memory for their keys.
const SORTED_AT_ONCE: u64 = 1 << 16;

/// Sorts series of one tenant.
#[derive(Clone, Copy)]
pub(super) struct SeriesOrder<'a> {
    pub(super) identity: &'a Identity,
    pub(super) tenant: TenantId,
}

impl SeriesOrder<'_> {
    /// Cuts series of one metric into groups of which each sorts behind the one before.
    pub(super) fn groups(&self, ids: RoaringBitmap) -> Vec<RoaringBitmap> {
        if ids.len() <= SORTED_AT_ONCE {
            return vec![ids];
        }
        self.groups_by_lead(&ids)
    }

    fn groups_by_lead(&self, ids: &RoaringBitmap) -> Vec<RoaringBitmap> {
        let mut groups: BTreeMap<Vec<u8>, RoaringBitmap> = BTreeMap::new();
        let mut key = Vec::new();
        self.look(ids, |id, pairs| {
            key.clear();
            leading_key(pairs, &mut key);
            match groups.get_mut(&key) {
                Some(group) => {
                    group.insert(id);
                }
                None => drop(groups.insert(key.clone(), RoaringBitmap::from_iter([id]))),
            }
        });
        groups.into_values().collect()
    }

    /// The series in order.
    pub(super) fn sort(&self, ids: &RoaringBitmap) -> Vec<u32> {
        let mut keys = Vec::new();
        let mut places: Vec<(u32, std::ops::Range<usize>)> = Vec::new();
        self.look(ids, |id, pairs| {
            let start = keys.len();
            order_key(pairs, &mut keys);
            places.push((id, start..keys.len()));
        });
        places.sort_unstable_by(|(_, a), (_, b)| keys[a.clone()].cmp(&keys[b.clone()]));
        places.into_iter().map(|(id, _)| id).collect()
    }

    fn look(&self, ids: &RoaringBitmap, mut see: impl FnMut(u32, &[(&str, &str)])) {
        let mut ids = ids.iter();
        loop {
            let some: Vec<u32> = ids.by_ref().take(LOOKED_AT_ONCE).collect();
            if some.is_empty() {
                return;
            }
            self.identity.with_tenant(self.tenant, |view| {
                let mut pairs = Vec::with_capacity(16);
                for id in some {
                    pairs.clear();
                    pairs.extend(view.pairs(id));
                    see(id, &pairs);
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::metrics::head::maker::Found;
    use crate::series::series_order;

    #[test]
    fn a_tenant_without_series_has_none_in_order() {
        let identity = Identity::new();
        let order = SeriesOrder { identity: &identity, tenant: TenantId(1) };
        // Ids that are no longer there end the look at them all the same.
        assert_eq!(order.sort(&RoaringBitmap::from_iter(0..2000)), Vec::<u32>::new());
        assert_eq!(order.groups(RoaringBitmap::new()).len(), 1);
    }

    fn borrowed(labels: &[(String, String)]) -> Vec<(&str, &str)> {
        labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    proptest! {
        #[test]
        fn groups_one_behind_the_other_are_the_order(
            sets in proptest::collection::vec((0..3u8, 0..4u8, 0..3u8, 0..3u8), 1..60),
        ) {
            let identity = Identity::new();
            let tenant = TenantId(1);
            let mut maker = identity.maker(tenant, u64::MAX);
            let mut wanted = Vec::new();
            for (job, instance, cpu, zone) in sets {
                let text = [job, instance, cpu, zone].map(|n| n.to_string());
                let names = ["cpu", "instance", "job", "zone"];
                let values = [&text[2], &text[1], &text[0], &text[3]];
                let mut labels = vec![("__name__", "m")];
                // A value of 0 is a label that is not there.
                let given = names.into_iter().zip(values).filter(|(_, value)| *value != "0");
                labels.extend(given.map(|(name, value)| (name, value.as_str())));
                let hash = identity.hash(
                    identity.domain(tenant, ephemeris_model::BodyKind::RemoteWrite1),
                    format!("{labels:?}").as_bytes(),
                );
                let found = maker.find_or_create(hash, &labels).expect("there is room");
                let Found { id, created: true } = found else { continue };
                let owned = |(n, v): &(&str, &str)| ((*n).to_owned(), (*v).to_owned());
                wanted.push((labels.iter().map(owned).collect::<Vec<_>>(), id));
            }
            wanted.sort_by(|(a, _), (b, _)| series_order(&borrowed(a), &borrowed(b)));
            let wanted: Vec<u32> = wanted.into_iter().map(|(_, id)| id).collect();
            let order = SeriesOrder { identity: &identity, tenant };
            let all = RoaringBitmap::from_iter(wanted.iter().copied());
            prop_assert_eq!(order.sort(&all), wanted.clone());
            let groups = order.groups_by_lead(&all);
            let found: Vec<u32> = groups.iter().flat_map(|group| order.sort(group)).collect();
            prop_assert_eq!(found, wanted);
        }
    }
}
