//! Random work on the store and on the model; both must answer the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use ephemeris_model::{
    Exemplar, Labels, MatchOp, Matcher, SampleBuffer, Select, SeriesCount, Source, TimeRange,
    TimestampMs,
};
use proptest::prelude::*;

use super::body::{Request, RequestSeries, rows};
use super::plain::PlainHead;
use super::{DAY, Fixture, HOUR, NOON, answer, everything};
use crate::clock::Clock as _;

const RETENTION_MS: i64 = 10 * DAY;
const TENANTS: [&str; 2] = ["fleet", "ground"];

#[derive(Clone, Debug)]
enum Step {
    Write(usize, Request),
    Seal,
    Maintain,
    Reopen,
    Snapshot,
    Pass(i64),
    Delete(usize, Vec<Matcher>, TimeRange),
    Clean,
}

fn labels() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = proptest::sample::select(vec!["up", "load", "le\0"]);
    let pair = |n| {
        let value = proptest::sample::select(vec!["", "1", "2", "ab"]);
        value.prop_map(move |v: &str| (String::from(n), v.to_owned()))
    };
    let labels = (name, pair("job"), pair("instance"), pair("cpu"), any::<bool>());
    labels.prop_map(|(name, a, b, c, swapped)| {
        let mut all = vec![("__name__".to_owned(), name.to_owned()), c, b, a];
        if swapped {
            all.reverse();
        }
        all
    })
}

/// Times around now, and now and then days before.
fn time() -> impl Strategy<Value = i64> {
    prop_oneof![
        6 => (0i64..40).prop_map(|n| n * 15_000),
        2 => (0i64..4 * DAY).prop_map(|t| -t / HOUR * HOUR),
        1 => Just(-12 * DAY),
    ]
}

fn value() -> impl Strategy<Value = u64> {
    prop_oneof![
        (0i32..5).prop_map(|n| f64::from(n).to_bits()),
        Just(ephemeris_model::STALE_NAN_BITS),
        Just((-0.0f64).to_bits()),
        any::<u64>(),
    ]
}

fn series() -> impl Strategy<Value = RequestSeries> {
    let float = (time(), value(), prop_oneof![4 => Just(0), 1 => Just(NOON - DAY)]);
    let floats = proptest::collection::vec(float, 0..8);
    let histograms = proptest::collection::vec((time(), 1u64..9), 0..3);
    let start = prop_oneof![2 => Just(0), 1 => Just(NOON - DAY), 1 => Just(NOON - 2 * DAY)];
    let histogram_starts = proptest::collection::vec(start, 0..3);
    let exemplars = proptest::collection::vec((time(), "[ab]"), 0..2);
    (labels(), floats, histograms, histogram_starts, exemplars).prop_map(
        |(labels, floats, histograms, histogram_starts, exemplars)| RequestSeries {
            labels,
            floats,
            histograms,
            histogram_starts,
            exemplars,
        },
    )
}

/// Which series, and which of their time, counted from now.
fn deletion() -> impl Strategy<Value = (Vec<Matcher>, TimeRange)> {
    let matcher = |op, name: &str, value: &str| Matcher::new(op, name, value).expect("valid");
    let matchers = vec![
        vec![matcher(MatchOp::Equal, "__name__", "up")],
        vec![matcher(MatchOp::Regex, "job", "1|2"), matcher(MatchOp::NotEqual, "cpu", "ab")],
        vec![matcher(MatchOp::NotRegex, "instance", "|1")],
        Vec::new(),
    ];
    let range = prop_oneof![
        Just(TimeRange::ALL),
        (0i64..30, 1i64..20).prop_map(|(from, steps)| {
            let from = from * 15_000;
            TimeRange::new(TimestampMs(from), TimestampMs(from + steps * 15_000))
        }),
        (-4 * DAY..0).prop_map(|from| TimeRange::new(TimestampMs(from), TimestampMs(from + DAY))),
    ];
    (proptest::sample::select(matchers), range)
}

fn step() -> impl Strategy<Value = Step> {
    let request = proptest::collection::vec(series(), 0..6);
    let request = request.prop_map(|series| Request { series, metadata: Vec::new() });
    prop_oneof![
        12 => (0usize..TENANTS.len(), request).prop_map(|(tenant, r)| Step::Write(tenant, r)),
        3 => Just(Step::Seal),
        2 => Just(Step::Maintain),
        2 => Just(Step::Reopen),
        1 => Just(Step::Snapshot),
        2 => (0i64..3 * DAY).prop_map(Step::Pass),
        3 => (0usize..TENANTS.len(), deletion()).prop_map(|(t, (m, r))| Step::Delete(t, m, r)),
        1 => Just(Step::Clean),
    ]
}

/// Times of a request count from now.
fn at(mut request: Request, now: i64) -> Request {
    for series in &mut request.series {
        series.floats.iter_mut().for_each(|row| row.0 += now);
        series.histograms.iter_mut().for_each(|row| row.0 += now);
        series.exemplars.iter_mut().for_each(|row| row.0 += now);
    }
    request
}

fn exemplars(source: &dyn Source) -> Vec<(Labels, Vec<(i64, String)>)> {
    let found = source.exemplars(&[], TimeRange::ALL).expect("an answer");
    let mut found: Vec<_> = found
        .into_iter()
        .map(|(labels, exemplars)| {
            let row = |e: &Exemplar| (e.timestamp_ms, e.labels.to_string());
            let mut rows: Vec<_> = exemplars.iter().map(row).collect();
            rows.sort();
            (labels, rows)
        })
        .collect();
    found.sort();
    found
}

/// The newest sample of each series, asked for alone, is the last of all.
fn compare_newest(real: &dyn Source, plain: &dyn Source, now: TimestampMs) {
    for at in [now, now + 100_000, now + 585_000, now + -DAY] {
        for length_ms in [15_000, 300_000, 12 * DAY] {
            let range = SeriesCount::window_before(at, length_ms);
            let mut wanted = answer(plain, Vec::new(), range);
            wanted.values_mut().for_each(|rows| drop(rows.drain(..rows.len() - 1)));
            let set = real.select(&Select { matchers: Vec::new(), range }).expect("an answer");
            let (mut found, mut buffer) = (BTreeMap::new(), SampleBuffer::default());
            set.read_newest(0..set.len(), &mut buffer, &mut |index, samples| {
                if let Some(last) = rows(samples).pop() {
                    found.insert(set.labels(index), vec![last]);
                }
                Ok(())
            })
            .expect("it is read");
            assert_eq!(found, wanted, "{length_ms} ms before {at}");
        }
    }
}

/// Series counted without their samples are those that samples tell of.
fn compare_counts(real: &dyn Source, plain: &dyn Source, now: TimestampMs) {
    let stale = format!("{:x}", ephemeris_model::STALE_NAN_BITS);
    let all = [Vec::new(), vec![Matcher::new(MatchOp::Regex, "job", "1|").expect("valid")]];
    let ends = [0, 100_000, 300_001, 585_000].map(|ms| now + ms).into_iter();
    for at in ends.chain([now + -DAY, now + -10 * DAY]) {
        for (matchers, by) in all.iter().zip([&["cpu", "none", "__name__"][..], &[]]) {
            for length_ms in [15_000, 300_000, 12 * DAY] {
                let window = SeriesCount::window_before(at, length_ms);
                let mut wanted: BTreeMap<Labels, u64> = BTreeMap::new();
                for (labels, rows) in answer(plain, matchers.clone(), window) {
                    if rows.last().is_some_and(|(_, value, _)| *value != stale) {
                        *wanted.entry(labels.keep(by)).or_default() += 1;
                    }
                }
                let by = by.iter().map(|name| (*name).to_owned()).collect();
                let count = SeriesCount { matchers: matchers.clone(), window, by };
                let counts = real.count_series(&count).expect("an answer").expect("few series");
                let found: BTreeMap<Labels, u64> = counts.groups.iter().cloned().collect();
                assert_eq!(found.len(), counts.groups.len(), "a group comes twice");
                assert_eq!(found, wanted, "{length_ms} ms before {at}");
            }
        }
    }
}

fn compare(fixture: &Fixture, model: &PlainHead) {
    for tenant in TENANTS {
        let (real, plain) = (fixture.reader(tenant), model.reader(tenant));
        let wanted = everything(&plain);
        assert_eq!(everything(&real), wanted, "tenant {tenant}");
        let some = vec![
            Matcher::new(MatchOp::Regex, "job", "1|").expect("valid"),
            Matcher::new(MatchOp::NotEqual, "cpu", "2").expect("valid"),
        ];
        let range = TimeRange::new(TimestampMs(NOON - DAY), TimestampMs(NOON + 150_000));
        let wanted_some = answer(&plain, some.clone(), range);
        assert_eq!(answer(&real, some, range), wanted_some);
        assert_eq!(exemplars(&real), exemplars(&plain));
        compare_counts(&real, &plain, fixture.clock.now());
        compare_newest(&real, &plain, fixture.clock.now());
        for labels in wanted.keys() {
            for (name, value) in labels.iter() {
                let values = real.label_values(name, &[], TimeRange::ALL).expect("an answer");
                assert!(values.contains(&value.to_owned()));
                let names = real.label_names(&[vec![Matcher::equal(name, value)]], TimeRange::ALL);
                assert!(names.expect("an answer").contains(&name.to_owned()));
            }
        }
    }
}

fn run(steps: Vec<Step>) {
    let mut fixture = Fixture::with(|config| config.retention_ms = RETENTION_MS);
    let clock = Arc::clone(&fixture.clock);
    let model = PlainHead::new(RETENTION_MS, fixture.config().limits, clock);
    let mut now = NOON;
    for (n, step) in steps.into_iter().enumerate() {
        match step {
            Step::Write(tenant, request) => {
                let request = at(request, now);
                let real = fixture.write(TENANTS[tenant], &request);
                let plain = request
                    .with_batch(&request.encode(), |batch| model.write(TENANTS[tenant], batch));
                assert_eq!(real.samples_written, plain.samples_written);
                assert_eq!(real.histograms_written, plain.histograms_written);
                assert_eq!(real.rejects.total(), plain.rejects.total());
                let again = fixture.write(TENANTS[tenant], &request);
                assert_eq!(again.samples_written, plain.samples_written);
            }
            Step::Seal => fixture.store().seal().expect("it is sealed"),
            Step::Maintain => fixture.store().maintain().expect("it is maintained"),
            Step::Reopen => fixture.reopen(),
            Step::Snapshot => {
                let dir = fixture.dir.path().join(format!("copy{n}"));
                fixture.store().snapshot(&dir).expect("it is copied");
                fixture.store = None;
                std::fs::remove_dir_all(fixture.dir.path().join("data")).expect("it is removed");
                std::fs::rename(dir, fixture.dir.path().join("data")).expect("it is moved");
                fixture.reopen();
            }
            Step::Delete(tenant, matchers, range) => {
                let range = if range == TimeRange::ALL {
                    range
                } else {
                    TimeRange::new(range.start + now, range.end + now)
                };
                model.delete(TENANTS[tenant], &matchers, range);
                let done = fixture.store().delete_series(TENANTS[tenant], vec![matchers], range);
                done.expect("it is deleted");
            }
            Step::Clean => fixture.store().clean_tombstones().expect("it is cleaned"),
            Step::Pass(ms) => {
                now += ms;
                fixture.clock.move_to(TimestampMs(now));
            }
        }
        compare(&fixture, &model);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn the_store_answers_as_the_model(steps in proptest::collection::vec(step(), 1..14)) {
        run(steps);
    }
}
