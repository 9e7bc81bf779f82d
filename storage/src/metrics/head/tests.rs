//! Head against plain maps.

use std::collections::BTreeMap;
use std::sync::Arc;

use ephemeris_model::{BodyKind, MatchOp, Matcher, TimestampMs};
use proptest::prelude::*;

use super::generation::Generation;
use super::identity::Identity;
use super::maker::{Found, Wanted};
use crate::metrics::samples::SeriesSamples;
use crate::series::TenantId;

const TENANT: TenantId = TenantId(3);

fn create(identity: &Identity, raw: &[u8], labels: &[(&str, &str)]) -> Found {
    let hash = identity.hash(identity.domain(TENANT, BodyKind::RemoteWrite1), raw);
    identity.maker(TENANT, 1_000_000).find_or_create(hash, labels).expect("there is room")
}

fn find(identity: &Identity, raw: &[u8], guess: u32) -> Option<u32> {
    let hash = identity.hash(identity.domain(TENANT, BodyKind::RemoteWrite1), raw);
    identity.finder().find(&[hash], 0, guess)
}

#[test]
fn another_order_of_labels_is_the_same_series() {
    let identity = Identity::new();
    let labels = [("__name__", "up"), ("job", "a")];
    assert_eq!(create(&identity, b"one", &labels), Found { id: 0, created: true });
    assert_eq!(find(&identity, b"two", 0), None);
    assert_eq!(create(&identity, b"two", &labels), Found { id: 0, created: false });
    assert_eq!(find(&identity, b"two", 9), Some(0));
    assert_eq!(find(&identity, b"one", 0), Some(0));
    let other = identity.domain(TenantId(4), BodyKind::RemoteWrite1);
    assert_eq!(identity.finder().find(&[identity.hash(other, b"one")], 0, 0), None);
}

#[test]
fn a_label_set_is_one_series_however_its_bytes_came_first() {
    let labels = [("__name__", "up"), ("job", "a")];
    let mut ordered = Vec::new();
    super::canonical::encode(&labels, &mut ordered);
    for (first, second) in [(&*ordered, &b"other"[..]), (b"other", &ordered), (b"one", b"two")] {
        let identity = Identity::new();
        assert_eq!(create(&identity, first, &labels), Found { id: 0, created: true });
        assert_eq!(create(&identity, second, &labels), Found { id: 0, created: false });
        for raw in [first, second] {
            assert_eq!(find(&identity, raw, 7), Some(0));
        }
        let other = identity.maker(TenantId(4), 10).find_or_create(1, &labels);
        assert_eq!(other, Ok(Found { id: 1, created: true }), "a tenant has its own");
    }
}

#[test]
fn the_limit_refuses_only_what_is_new() {
    let identity = Identity::new();
    create(&identity, b"one", &[("__name__", "a")]);
    let refused = identity.maker(TENANT, 1).find_or_create(9, &[("__name__", "b")]);
    assert!(refused.expect_err("the limit is reached").1.contains("limits.active_series_max"));
    let known = identity.maker(TENANT, 1).find_or_create(9, &[("__name__", "a")]);
    assert_eq!(known, Ok(Found { id: 0, created: false }));
}

#[test]
fn many_series_keep_their_labels() {
    let identity = Identity::new();
    for n in 0..20_000u32 {
        let value = n.to_string();
        let labels =
            [("__name__", "m"), ("half", if n % 2 == 0 { "a" } else { "b" }), ("n", &value)];
        assert_eq!(create(&identity, value.as_bytes(), &labels).id, n);
    }
    identity
        .with_tenant(TENANT, |view| {
            let half = view.select(&[Matcher::equal("half", "b"), Matcher::equal("__name__", "m")]);
            assert_eq!(half.len(), 10_000);
            assert_eq!(view.labels(19_999).get("n"), Some("19999"));
            assert_eq!(view.label_values("n", Some(&half)).len(), 10_000);
        })
        .expect("the tenant has series");
    assert_eq!(find(&identity, b"77", 77), Some(77));
    assert_eq!(find(&identity, b"77", 5), Some(77));
}

#[test]
fn a_sample_weeks_after_the_one_before_is_found() {
    let generation = Generation::new(1, Arc::new(Identity::new()), TimestampMs(0));
    let weeks_later = 40 * 24 * 3_600_000;
    let mut appender = generation.appender();
    appender.push(5, 0, 1.0, 0);
    appender.push(5, weeks_later, 2.0, 0);
    appender.finish();
    let ids = [5].into_iter().collect();
    assert_eq!(generation.filled(&ids, TimestampMs(weeks_later)).len(), 1);
    assert_eq!(generation.filled(&ids, TimestampMs(weeks_later + 1)).len(), 0);
    let mut found = SeriesSamples::default();
    generation.read(5, &mut Vec::new(), &mut found);
    assert_eq!(found.timestamps, [0, weeks_later]);
}

fn label_sets() -> impl Strategy<Value = Vec<Vec<(&'static str, &'static str)>>> {
    let names = ["__name__", "a", "b"];
    let value = proptest::sample::select(vec!["", "x", "y", "xy", "z"]);
    let set = proptest::collection::vec(value, names.len()).prop_map(move |values| {
        names.into_iter().zip(values).filter(|(_, value)| !value.is_empty()).collect()
    });
    proptest::collection::vec(set, 0..30)
}

fn matchers() -> impl Strategy<Value = Vec<Matcher>> {
    let op = proptest::sample::select(vec![
        MatchOp::Equal,
        MatchOp::NotEqual,
        MatchOp::Regex,
        MatchOp::NotRegex,
    ]);
    let name = proptest::sample::select(vec!["__name__", "a", "b", "c"]);
    let value = proptest::sample::select(vec!["", "x", "x.*", "y|z", ".+", ".*"]);
    let one = (op, name, value)
        .prop_map(|(op, name, value)| Matcher::new(op, name, value).expect("the pattern is valid"));
    proptest::collection::vec(one, 0..4)
}

#[test]
fn threads_that_bring_the_same_series_make_each_once() {
    let identity = Identity::new();
    let values: Vec<String> = (0..500).map(|n: u32| (n / 3).to_string()).collect();
    let sets: Vec<_> = (0..).zip(&values).map(|(n, v)| labels_of(n, v)).collect();
    let bring = |skip: usize| {
        let mut maker = identity.maker(TENANT, 1_000);
        let sets: Vec<_> = sets.iter().skip(skip).chain(&sets).collect();
        let mut created = 0;
        for part in sets.chunks(30) {
            let group: Vec<_> = part.iter().map(|labels| wanted(&identity, labels)).collect();
            let made = maker.find_or_create_group(&group);
            assert_eq!(made.len(), part.len());
            for (made, labels) in made.into_iter().zip(part) {
                let Found { id, created: new } = made.expect("there is room");
                created += usize::from(new);
                let own = identity.with_tenant(TENANT, |view| view.labels(id)).expect("a tenant");
                assert!(own.iter().eq(labels.iter().copied()), "{id}: {own:?}");
            }
        }
        created
    };
    let created: usize = std::thread::scope(|scope| {
        let threads = [0, 77, 250, 499].map(|skip| scope.spawn(move || bring(skip)));
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    });
    assert_eq!((created, identity.series_count()), (500, 500));
}

fn labels_of(n: u32, value: &str) -> Vec<(&str, &str)> {
    let name = ["a", "b", "c"][n as usize % 3];
    // Labels come in another place, new names appear on the way.
    let own = if n < 250 { "early" } else { "late" };
    let mut labels = vec![("__name__", name), (own, value), ("value", value)];
    labels.truncate(if n.is_multiple_of(2) { 2 } else { 3 });
    labels
}

fn wanted<'a>(identity: &Identity, labels: &[(&'a str, &'a str)]) -> Wanted<'a> {
    let raw = format!("{labels:?}");
    let domain = identity.domain(TENANT, BodyKind::RemoteWrite1);
    Wanted { hash: identity.hash(domain, raw.as_bytes()), labels: labels.to_vec() }
}

#[test]
fn a_group_is_made_up_to_the_limit_and_the_rest_refused() {
    let identity = Identity::new();
    let values: Vec<String> = (0..9).map(|n| n.to_string()).collect();
    let sets: Vec<_> = values.iter().map(|v| vec![("__name__", "m"), ("n", v.as_str())]).collect();
    let mut group: Vec<_> = sets.iter().map(|labels| wanted(&identity, labels)).collect();
    group.push(wanted(&identity, &sets[0]));
    let made = identity.maker(TENANT, 6).find_or_create_group(&group);
    let ids: Vec<_> = made.iter().map(|made| made.as_ref().ok().map(|found| found.id)).collect();
    assert_eq!(
        ids,
        [0, 1, 2, 3, 4, 5]
            .map(Some)
            .into_iter()
            .chain([None, None, None, Some(0)])
            .collect::<Vec<_>>()
    );
    let made = identity.maker(TENANT, 9).find_or_create_group(&group);
    let ids: Vec<_> = made.into_iter().map(|made| made.expect("there is room")).collect();
    assert_eq!(ids[8], Found { id: 8, created: true });
    assert_eq!(ids[9], Found { id: 0, created: false });
}

proptest! {
    #[test]
    fn select_finds_what_matchers_say(sets in label_sets(), matchers in matchers()) {
        let identity = Identity::new();
        let mut ids = BTreeMap::new();
        for set in &sets {
            let found = create(&identity, format!("{set:?}").as_bytes(), set);
            prop_assert_eq!(*ids.entry(set.clone()).or_insert(found.id), found.id);
        }
        let matches = |set: &[(&str, &str)]| {
            let value = |name: &str| set.iter().find(|(n, _)| *n == name).map_or("", |(_, v)| *v);
            matchers.iter().all(|m| m.matches(value(&m.name)))
        };
        let wanted: Vec<u32> = {
            let mut ids: Vec<_> =
                ids.iter().filter(|(set, _)| matches(set)).map(|(_, &id)| id).collect();
            ids.sort_unstable();
            ids
        };
        let found = identity.with_tenant(TENANT, |view| view.select(&matchers));
        prop_assert_eq!(found.unwrap_or_default().iter().collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn a_generation_gives_back_what_it_got_in_any_order(
        rows in proptest::collection::vec((0u32..4, 0i64..40, -3i32..3, 0i64..3), 0..120)
    ) {
        let generation = Generation::new(1, Arc::new(Identity::new()), TimestampMs(0));
        let mut wanted: BTreeMap<u32, SeriesSamples> = BTreeMap::new();
        for chunk in rows.chunks(7) {
            let mut appender = generation.appender();
            for &(series, time, value, start) in chunk {
                // Ids of two extents.
                let id = series * 3000;
                let value = if value == -3 { ephemeris_model::stale_nan() } else { f64::from(value) };
                appender.push(id, time, value, start);
                let samples = wanted.entry(id).or_default();
                samples.push(time, value);
                samples.set_last_start(start);
            }
            appender.finish();
        }
        let (mut scratch, mut found) = (Vec::new(), SeriesSamples::default());
        for (&id, samples) in &mut wanted {
            samples.sort_and_dedup();
            generation.read(id, &mut scratch, &mut found);
            let rows = |s: &SeriesSamples| {
                s.iter().map(|r| (r.timestamp, r.value.to_bits(), r.start)).collect::<Vec<_>>()
            };
            prop_assert_eq!(rows(&found), rows(samples));
        }
        let filled: Vec<u32> = generation.all_filled().iter().collect();
        prop_assert_eq!(filled, wanted.keys().copied().collect::<Vec<_>>());
    }
}
