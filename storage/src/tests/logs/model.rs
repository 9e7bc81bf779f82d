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

/// Texts that are patterns for themselves.
fn a_condition() -> impl Strategy<Value = (LineMatch, Vec<String>)> {
    let op = proptest::sample::select(vec![
        LineMatch::Contains,
        LineMatch::NotContains,
        LineMatch::Regex,
        LineMatch::NotRegex,
    ]);
    (op, proptest::collection::vec("[ab]{1,6}", 1..3))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn the_store_answers_as_the_model(
        steps in steps(),
        from in -30i64..30,
        len in 0i64..40,
        conditions in proptest::collection::vec(a_condition(), 1..3),
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
                let search = |(op, texts): &(LineMatch, Vec<String>)| {
                    LineSearch::new(*op, texts).expect("it is valid")
                };
                let filters = LineSearches::new(conditions.iter().map(search).collect());
                let chosen = LogSelect { filters, ..select(direction, part) };
                let mut found = read_all(&fixture.reader("t"), &chosen);
                found.retain(|_, entries| !entries.is_empty());
                let mut wanted = model.answer(direction, part);
                for entries in wanted.values_mut() {
                    entries.retain(|(_, line, _)| conditions.iter().all(|(op, texts)| {
                        let found = texts.iter().any(|text| line.contains(text));
                        found == matches!(op, LineMatch::Contains | LineMatch::Regex)
                    }));
                }
                wanted.retain(|_, entries| !entries.is_empty());
                prop_assert_eq!(&found, &wanted);
                // Counted, they are as many.
                let reader = fixture.reader("t");
                let set = reader.select_streams(&chosen).expect("it is answered");
                let counted: u64 = (0..set.len())
                    .flat_map(|at| tallied(&*set, (at, part), CountBy::Stream, i64::MAX).into_values())
                    .map(|count| count.entries)
                    .sum();
                prop_assert_eq!(counted, wanted.values().map(Vec::len).sum::<usize>() as u64);
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
