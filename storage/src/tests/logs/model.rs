//! Random work on the store and on a model of it.

use proptest::prelude::*;

use super::*;

/// What the store must answer.
#[derive(Default)]
pub(super) struct Model(BTreeMap<Labels, Vec<Entry>>);

impl Model {
    pub(super) fn push(&mut self, push: &Push) {
        for (labels, entries) in &push.0 {
            let stream = self.0.entry(Labels::from_pairs(labels.iter().cloned())).or_default();
            for entry in entries {
                if !stream.contains(entry) {
                    stream.push(entry.clone());
                }
            }
        }
    }

    pub(super) fn answer(
        &self,
        direction: Direction,
        range: NanoRange,
    ) -> BTreeMap<Labels, Vec<Entry>> {
        let mut found = BTreeMap::new();
        for (labels, entries) in &self.0 {
            let inside = |entry: &&Entry| range.start <= entry.0 && entry.0 < range.end;
            let mut entries: Vec<Entry> = entries.iter().filter(inside).cloned().collect();
            entries.sort_by_key(|entry| entry.0);
            if direction == Direction::Backward {
                entries.reverse();
            }
            if !entries.is_empty() {
                found.insert(labels.clone(), entries);
            }
        }
        found
    }
}

#[derive(Clone, Debug)]
enum Step {
    Push(Push),
    Seal,
    Maintain,
    Reopen,
}

pub(in crate::tests) fn pushes() -> impl Strategy<Value = Push> {
    let labels = proptest::sample::select(vec![
        vec![("app", "a")],
        vec![("app", "b"), ("job", "x")],
        vec![("host", "h"), ("instance", "1"), ("job", "x")],
    ]);
    let owned = |pairs: Vec<(&str, &str)>| -> Vec<(String, String)> {
        pairs.into_iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
    };
    let metadata = proptest::sample::select(vec![
        vec![],
        vec![("detected_level", "info")],
        vec![("detected_level", "error"), ("trace_id", "00ff00ff00ff00ff")],
        vec![("trace_id", "0123456789abcdef")],
        vec![("who", "\u{e4}")],
    ]);
    let time = prop_oneof![
        6 => 0i64..20,
        2 => (0i64..20).prop_map(|n| n * 1_000_000_007),
        2 => (0i64..20).prop_map(|n| n * MINUTE_NS / 2),
        1 => (0i64..3).prop_map(|n| -n * DAY_NS / 2),
    ];
    let line = prop_oneof!["[a-z]{0,3}", "[ab]{4,9}", Just("x".repeat(50_000)),];
    let entry = (time, line, metadata)
        .prop_map(move |(time, line, metadata)| (NOON_NS + time, line, owned(metadata)));
    let stream = (labels, proptest::collection::vec(entry, 1..12))
        .prop_map(move |(labels, entries)| (owned(labels), entries));
    proptest::collection::vec(stream, 1..3).prop_map(Push)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => pushes().prop_map(Step::Push),
        1 => Just(Step::Seal),
        1 => Just(Step::Maintain),
        1 => Just(Step::Reopen),
    ];
    proptest::collection::vec(step, 1..14)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn the_store_answers_as_the_model(
        steps in steps(),
        from in -30i64..30,
        len in 0i64..40,
        needles in proptest::collection::vec("[ab]{2,6}", 1..3),
    ) {
        let mut fixture = Fixture::new();
        let mut model = Model::default();
        for step in &steps {
            match step {
                Step::Push(request) => {
                    push(&fixture, request);
                    model.push(request);
                }
                Step::Seal => fixture.store().seal().expect("it is sealed"),
                Step::Maintain => fixture.store().maintain().expect("it is maintained"),
                Step::Reopen => fixture.reopen(),
            }
            let part = NanoRange { start: NOON_NS + from, end: NOON_NS + from + len };
            for direction in [Direction::Forward, Direction::Backward] {
                let needles: Vec<Vec<u8>> = needles.iter().map(|n| n.clone().into_bytes()).collect();
                let chosen = LogSelect { needles, ..select(direction, ALL) };
                let found = with_needles(read_all(&fixture.reader("t"), &chosen), &chosen.needles);
                let all = model.answer(direction, ALL);
                prop_assert_eq!(found, with_needles(all, &chosen.needles));
            }
            for direction in [Direction::Forward, Direction::Backward] {
                for range in [ALL, part] {
                    let found = answer(&fixture.reader("t"), &select(direction, range));
                    prop_assert_eq!(found, model.answer(direction, range));
                }
            }
        }
    }
}
