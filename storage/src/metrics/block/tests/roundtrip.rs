//! What was written is what is read.

use std::cell::Cell;

use ephemeris_model::{MatchOp, Matcher};

use super::*;

/// One database for all cases of a property; each case has its own block.
struct Blocks {
    rocks: Arc<Rocks>,
    next: Cell<u32>,
    _dir: tempfile::TempDir,
}

impl Blocks {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let rocks = Arc::new(Rocks::open(dir.path()).expect("it opens"));
        Self { rocks, next: Cell::new(0), _dir: dir }
    }

    fn write(&self, all: &[Series]) -> Arc<Block> {
        self.next.set(self.next.get() + 1);
        write(&self.rocks, self.next.get(), u8::try_from(self.next.get() % 2).unwrap_or(0), all)
    }
}

/// A series with neither samples nor exemplars is left out.
fn is_stored(series: &Series) -> bool {
    !(series.samples.is_empty() && series.exemplars.is_empty())
}

#[test]
fn a_block_answers_what_was_written() {
    let blocks = Blocks::new();
    proptest!(ProptestConfig::with_cases(150), |(all in series_list())| {
        let block = blocks.write(&all);
        let mut damage = Vec::new();
        for tenant in (0..4).map(TenantId) {
            prop_assert_eq!(everything(&block, tenant, &mut damage), expected(&all, tenant));
        }
        prop_assert!(damage.is_empty(), "{:?}", damage);
        let samples: usize = all.iter().map(|s| s.samples.len()).sum();
        prop_assert_eq!(block.row().sample_count, samples as u64);
    });
}

#[test]
fn a_range_of_some_series_is_what_lies_inside() {
    let blocks = Blocks::new();
    let cases = (series_list(), 0i64..60_000, 0i64..60_000, any::<u64>());
    proptest!(ProptestConfig::with_cases(150), |((all, start, length, mask) in cases)| {
        let block = blocks.write(&all);
        let range = TimeRange::new(time(start), time(start + length));
        let stored: Vec<&Series> = all.iter().filter(|s| is_stored(s)).collect();
        let ids: Vec<u32> =
            (0..).take(stored.len()).filter(|id| mask >> (id % 64) & 1 == 1).collect();
        let (mut damage, mut found) = (Vec::new(), Vec::new());
        block.read(&ids, range, &mut damage, &mut |id, samples| {
            found.push((id, bits(samples)));
            Ok(())
        }).expect("it was written");
        prop_assert!(damage.is_empty(), "{:?}", damage);
        let mut wanted = Vec::new();
        for id in ids {
            let mut samples = stored[id as usize].samples.clone();
            samples.retain_range(range);
            if !samples.is_empty() {
                wanted.push((id, bits(&samples)));
            }
        }
        prop_assert_eq!(found, wanted);
    });
}

#[test]
fn select_and_label_values_keep_to_the_tenant() {
    let blocks = Blocks::new();
    let case = (series_list(), proptest::sample::select(vec!["a", "", "m1", "7"]), 0u32..4);
    proptest!(ProptestConfig::with_cases(100), |((all, value, tenant) in case)| {
        let block = blocks.write(&all);
        let tenant = TenantId(tenant);
        let stored: Vec<&Series> = all.iter().filter(|s| is_stored(s)).collect();
        for name in ["__name__", "job", "instance", "missing"] {
            for op in [MatchOp::Equal, MatchOp::NotEqual, MatchOp::Regex, MatchOp::NotRegex] {
                let matcher = Matcher::new(op, name, value).expect("it is valid");
                let ids = block.select(tenant, std::slice::from_ref(&matcher)).expect("whole");
                let hit = |s: &Series| {
                    let found = s.labels.iter().find(|(n, _)| n == name);
                    s.tenant == tenant && matcher.matches(found.map_or("", |(_, v)| v))
                };
                let wanted: Vec<u32> =
                    (0..).zip(&stored).filter(|(_, s)| hit(s)).map(|(id, _)| id).collect();
                prop_assert_eq!(ids.iter().collect::<Vec<u32>>(), wanted, "{}", matcher);
            }
            let mine = stored.iter().filter(|s| s.tenant == tenant);
            let mut values: Vec<&String> =
                mine.flat_map(|s| &s.labels).filter(|(n, _)| n == name).map(|(_, v)| v).collect();
            values.sort_unstable();
            values.dedup();
            let found = block.label_values(tenant, name, None).expect("whole");
            prop_assert!(found.iter().eq(values.iter().copied()));
        }
    });
}

/// More than one page, group of the directory and value of time vectors.
#[test]
fn a_block_of_many_series_comes_back() {
    let blocks = Blocks::new();
    let mut all = Vec::new();
    for i in 0..9000u32 {
        let mut samples = SeriesSamples::default();
        let count = if i % 1000 == 7 { 1000 } else { 3 };
        for at in 0..count {
            let when = i64::from(at * 1000 + i % 300);
            if i % 10 == 3 {
                samples.push_histogram(when, histogram(at, false));
            } else {
                samples.push(when, f64::from(at) * 0.1 + f64::from(i));
            }
        }
        let labels = vec![
            ("__name__".to_owned(), format!("m{}", i % 5)),
            ("instance".to_owned(), format!("host-{}", i / 5)),
        ];
        let exemplar = Exemplar { labels: Labels::empty(), timestamp_ms: 1, value: f64::from(i) };
        let exemplars = if i % 7 == 0 { vec![exemplar] } else { Vec::new() };
        all.push(Series { tenant: TenantId(i / 8000), labels, samples, exemplars });
    }
    let all = in_order(all);
    let block = blocks.write(&all);
    assert!(block.manifest().value_page_count > 3 && block.manifest().time_vector_count > 300);
    for tenant in [TenantId(0), TenantId(1)] {
        let mut damage = Vec::new();
        assert!(everything(&block, tenant, &mut damage) == expected(&all, tenant));
        assert!(damage.is_empty());
    }
    let mut covered = 0;
    while u64::from(covered) < block.row().series_count {
        let page = block.page_of(covered).expect("whole");
        assert_eq!(page.start, covered);
        covered = page.end;
    }
    assert!(block.page_of(covered).is_err());
}

#[test]
fn a_writer_refuses_what_is_out_of_order() {
    let blocks = Blocks::new();
    let push = |names: &[(u32, &str)], times: &[i64]| {
        let sink = blocks.rocks.block_sink(BlockId(99)).expect("the file is created");
        let mut writer = BlockWriter::new(sink, TimeRange::of_day(0), 0);
        let mut samples = SeriesSamples::default();
        times.iter().for_each(|&at| samples.push(at, 1.0));
        let pushed = names.iter().try_for_each(|(t, name)| {
            writer.push(TenantId(*t), &[("__name__", name)], &samples, &[])
        });
        pushed.is_ok()
    };
    assert!(push(&[(0, "a"), (0, "b"), (1, "a")], &[1, 2]));
    assert!(!push(&[(0, "a"), (0, "a")], &[1]));
    assert!(!push(&[(0, "b"), (0, "a")], &[1]));
    assert!(!push(&[(1, "a"), (0, "b")], &[1]));
    assert!(!push(&[(0, "a")], &[2, 2]));
    assert!(!push(&[(0, "a")], &[-1]));
    assert!(!push(&[(0, "a")], &[86_400_000]));
}

#[test]
fn what_the_visitor_says_ends_the_reading() {
    let blocks = Blocks::new();
    let mut samples = SeriesSamples::default();
    samples.push(1, 1.0);
    let one = |name: &str| Series {
        tenant: TenantId(0),
        labels: vec![("__name__".to_owned(), name.to_owned())],
        samples: samples.clone(),
        exemplars: Vec::new(),
    };
    let block = blocks.write(&[one("a"), one("b")]);
    let (mut damage, mut visits) = (Vec::new(), 0);
    let read = block.read(&[0, 1], TimeRange::ALL, &mut damage, &mut |_, _| {
        visits += 1;
        Err(crate::Error::corrupt("elsewhere", "of the visitor's own"))
    });
    assert!(read.is_err() && damage.is_empty() && visits == 1);
}

#[test]
fn labels_of_many_series_lie_all_over_the_dictionary_and_are_found() {
    let blocks = Blocks::new();
    let mut samples = SeriesSamples::default();
    samples.push(1, 1.0);
    let one = |n: u32| Series {
        tenant: TenantId(0),
        labels: vec![
            ("__name__".to_owned(), "m".to_owned()),
            ("instance".to_owned(), format!("{n:05}")),
            // In another order than the series: more values than two frames have.
            ("terminal".to_owned(), format!("t{:05}", n * 2_689 % 9_973)),
        ],
        samples: samples.clone(),
        exemplars: Vec::new(),
    };
    let all: Vec<Series> = (0..5_000).map(one).collect();
    let block = blocks.write(&all);
    let ids = block.select(TenantId(0), &[]).expect("it is whole");
    let mut wanted = Vec::new();
    let mut see = |id: u32, labels: &[(&str, &str)]| wanted.push((id, format!("{labels:?}")));
    block.series_labels(&ids, &mut see).expect("it is whole");
    let labels = (0..).zip(&all).map(|(id, series)| (id, format!("{:?}", series.labels())));
    assert_eq!(wanted, labels.collect::<Vec<_>>());
    // All of them, or some of each page.
    for ids in [ids.clone(), ids.into_iter().filter(|id| id % 7 == 3).collect()] {
        let mut found = Vec::new();
        let mut see = |id: u32, labels: &[(&str, &str)]| found.push((id, format!("{labels:?}")));
        block.labels_of_many(&ids, &mut see).expect("it is whole");
        let wanted = wanted.iter().filter(|(id, _)| ids.contains(*id));
        assert_eq!(found, wanted.cloned().collect::<Vec<_>>());
    }
}
