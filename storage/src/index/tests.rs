//! The index against brute force: every matcher over random label sets.

use std::collections::BTreeSet;

use ephemeris_model::{MatchOp, Matcher};
use proptest::prelude::*;
use roaring::RoaringBitmap;

use super::*;
use crate::catalog::BlockId;
use crate::envelope::{self, section};
use crate::error::{Error, Result};
use crate::series::series_order;

type LabelSet = Vec<(String, String)>;

/// Sections in memory.
struct Memory {
    labels: Vec<Vec<u8>>,
    postings: Vec<Vec<u8>>,
    dictionaries: Vec<Vec<u8>>,
}

impl ValueSource for Memory {
    fn with_body(
        &self,
        section: u8,
        number: u32,
        read: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let values = match section {
            section::LABELS => &self.labels,
            section::POSTINGS => &self.postings,
            _ => &self.dictionaries,
        };
        let bytes = values.get(number as usize);
        let bytes = bytes.ok_or_else(|| Error::corrupt(self.place(section, number), "missing"))?;
        read(&envelope::open(section, number, bytes)?)
    }

    fn place(&self, section: u8, number: u32) -> String {
        format!("value {section}/{number}")
    }
}

fn borrowed(labels: &LabelSet) -> Vec<(&str, &str)> {
    labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

fn build(series: &[LabelSet]) -> (Memory, IndexPlace) {
    let mut builder = IndexBuilder::default();
    for labels in series {
        builder.push(&borrowed(labels)).expect("there are few");
    }
    let mut sections = IndexSections::default();
    let place = builder.finish(&mut sections).expect("it is small");
    let memory = Memory {
        labels: sections.label_pages,
        postings: sections.postings.finish().expect("it is small"),
        dictionaries: sections.dictionaries.finish().expect("it is small"),
    };
    (memory, place)
}

fn sorted(series: BTreeSet<LabelSet>) -> Vec<LabelSet> {
    let mut series: Vec<LabelSet> = series.into_iter().collect();
    series.sort_by(|a, b| series_order(&borrowed(a), &borrowed(b)));
    series
}

fn label_set() -> impl Strategy<Value = LabelSet> {
    let values = proptest::option::of("(a|b|ab|node-|é)[0-9]{0,2}");
    proptest::collection::vec(values, 5).prop_map(|values| {
        let names = ["__name__", "cpu", "instance", "job", "z"];
        let pairs = names.into_iter().zip(values);
        pairs.filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    })
}

fn matcher() -> impl Strategy<Value = Matcher> {
    let names = vec!["__name__", "cpu", "instance", "job", "z", "missing"];
    let values = vec![
        "",
        "a",
        "b1",
        "node-7",
        "none",
        ".*",
        ".+",
        "a.*",
        "node-.*",
        ".*1",
        "a|b",
        "a1|",
        "[ab]+",
        "(?i)A.",
        "node-[0-4]?",
        "é.*",
        "|",
        "b?",
    ];
    let ops = vec![MatchOp::Equal, MatchOp::NotEqual, MatchOp::Regex, MatchOp::NotRegex];
    let select = proptest::sample::select::<MatchOp>;
    (select(ops), proptest::sample::select(names), proptest::sample::select(values))
        .prop_map(|(op, name, value)| Matcher::new(op, name, value).expect("it is valid"))
}

fn satisfies(labels: &LabelSet, matchers: &[Matcher]) -> bool {
    matchers.iter().all(|matcher| {
        let value = labels.iter().find(|(name, _)| *name == matcher.name);
        matcher.matches(value.map_or("", |(_, value)| value))
    })
}

proptest! {
    #[test]
    fn select_agrees_with_testing_each_series(
        series in proptest::collection::btree_set(label_set(), 1..120),
        matchers in proptest::collection::vec(matcher(), 0..4),
    ) {
        let series = sorted(series);
        let (memory, place) = build(&series);
        let caches = IndexCaches::new(1 << 20);
        let reading = Reading { source: &memory, caches: &caches };
        let index = TenantIndex::open(&memory, BlockId(1), place).expect("it was written");
        let ids = index.select(reading, &matchers).expect("it was written");
        let expected: Vec<u32> =
            (0u32..).zip(&series).filter(|(_, s)| satisfies(s, &matchers)).map(|(i, _)| i).collect();
        prop_assert_eq!(ids.iter().collect::<Vec<u32>>(), expected);
        let mut found = Vec::new();
        index.labels(reading, &ids, &mut |id, labels| {
            let labels: LabelSet =
                labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            found.push((id, labels));
        }).expect("it was written");
        prop_assert_eq!(found.len() as u64, ids.len());
        for (id, labels) in &found {
            prop_assert_eq!(labels, &series[*id as usize]);
        }
        check_names_and_values(&index, reading, &ids, &found)?;
    }
}

fn check_names_and_values(
    index: &TenantIndex,
    reading: Reading<'_>,
    ids: &RoaringBitmap,
    found: &[(u32, LabelSet)],
) -> Result<(), TestCaseError> {
    let pairs = || found.iter().flat_map(|(_, labels)| labels);
    let names: BTreeSet<&String> = pairs().map(|(name, _)| name).collect();
    prop_assert!(index.label_names(Some(ids)).iter().eq(names.iter().copied()));
    for name in ["__name__", "cpu", "z", "missing"] {
        let expected: BTreeSet<&String> =
            pairs().filter(|(n, _)| n == name).map(|(_, value)| value).collect();
        let values = index.label_values(reading, name, Some(ids)).expect("it was written");
        prop_assert!(values.iter().eq(expected));
    }
    Ok(())
}

/// More than one label page, frame and group, and an automaton that is worth building.
#[test]
fn a_large_index_agrees_too() {
    let mut series = BTreeSet::new();
    for i in 0..9000u32 {
        let metric = format!("m{}", i % 3);
        let mut labels = vec![("__name__".to_owned(), metric)];
        if i % 5 != 0 {
            labels
                .push(("instance".to_owned(), format!("ut{:08x}", i.wrapping_mul(2_654_435_761))));
        }
        labels.push(("seq".to_owned(), i.to_string()));
        series.insert(labels);
    }
    let series = sorted(series);
    let (memory, place) = build(&series);
    assert!(memory.labels.len() == 3 && memory.dictionaries.len() > 1);
    let caches = IndexCaches::new(1 << 20);
    let reading = Reading { source: &memory, caches: &caches };
    let index = TenantIndex::open(&memory, BlockId(1), place).expect("it was written");
    let cases: [&[(MatchOp, &str, &str)]; 9] = [
        &[(MatchOp::Equal, "__name__", "m1"), (MatchOp::Regex, "instance", "ut.*beef.*")],
        &[(MatchOp::Regex, "instance", ".*[a-c]{2}.*")],
        &[(MatchOp::NotRegex, "instance", "ut0.*")],
        &[(MatchOp::NotRegex, "instance", "ut[0-9a-e].*"), (MatchOp::NotEqual, "instance", "")],
        &[(MatchOp::Regex, "seq", "12.*"), (MatchOp::Equal, "instance", "")],
        &[(MatchOp::Regex, "seq", "1|22|333|4444|none")],
        &[(MatchOp::Regex, "seq", "[0-9]+")],
        &[(MatchOp::Regex, "seq", "(1|2).{3}"), (MatchOp::NotEqual, "__name__", "m2")],
        &[(MatchOp::Regex, "instance", "(ut1.*)?")],
    ];
    for case in cases {
        let matchers: Vec<Matcher> = case
            .iter()
            .map(|(op, name, value)| Matcher::new(*op, *name, *value).expect("it is valid"))
            .collect();
        let ids = index.select(reading, &matchers).expect("it was written");
        let expected = (0u32..).zip(&series).filter(|(_, s)| satisfies(s, &matchers));
        let expected: Vec<u32> = expected.map(|(i, _)| i).collect();
        assert_eq!(ids.iter().collect::<Vec<u32>>(), expected, "{matchers:?}");
        index
            .labels(reading, &ids, &mut |id, labels| {
                assert_eq!(labels, borrowed(&series[id as usize]));
            })
            .expect("it was written");
    }
}
