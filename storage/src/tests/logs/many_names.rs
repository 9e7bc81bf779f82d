//! Entries with so many names of metadata that they do not all fit one page: through the head, a
//! seal over midnight, merges and starts; and pages that do not decode all the same.

use proptest::prelude::*;

use super::model::Model;
use super::*;

/// First instant of a day, near which entries lie.
const MIDNIGHT_NS: i64 = NOON_NS - DAY_NS / 2;

/// An entry with `names` names from number `first` on.
fn entry(time: i64, line: &str, first: usize, names: usize) -> Entry {
    let pair = |name: usize| (format!("k{name:04}"), format!("v{}", name % 3));
    (time, line.to_owned(), (first..first + names).map(pair).collect())
}

fn of(entries: Vec<Entry>) -> Push {
    Push(vec![(vec![("app".to_owned(), "a".to_owned())], entries)])
}

fn pushes() -> impl Strategy<Value = Vec<Push>> {
    let entry =
        (-15i64..15, "[a-c]{0,3}", 0usize..200, prop_oneof![4 => 0usize..30, 1 => 30usize..60])
            .prop_map(|(time, line, first, names)| entry(MIDNIGHT_NS + time, &line, first, names));
    let push = proptest::collection::vec(entry, 1..16).prop_map(of);
    proptest::collection::vec(push, 1..7)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn the_store_answers_as_the_model(pushes in pushes()) {
        let mut fixture = Fixture::new();
        let mut model = Model::default();
        let compare = |fixture: &Fixture, model: &Model| {
            for direction in [Direction::Forward, Direction::Backward] {
                let found = read_all(&fixture.reader("t"), &select(direction, ALL));
                prop_assert_eq!(found, model.answer(direction, ALL));
            }
            Ok(())
        };
        for request in &pushes {
            push(&fixture, request);
            model.push(request);
            compare(&fixture, &model)?;
            fixture.store().seal().expect("it is sealed");
            compare(&fixture, &model)?;
        }
        fixture.clock.move_to(TimestampMs(NOON + 2 * DAY));
        fixture.store().maintain().expect("it is maintained");
        prop_assert!(fixture.store().stats().log_blocks <= 2, "one for each day");
        compare(&fixture, &model)?;
        fixture.reopen();
        compare(&fixture, &model)?;
        prop_assert_eq!(fixture.store().stats().blocks_damaged, 0);
    }
}

#[test]
fn a_page_of_the_head_that_does_not_decode_is_set_aside_and_told() {
    for time in [MIDNIGHT_NS - 4, MIDNIGHT_NS] {
        let fixture = Fixture::new();
        push(&fixture, &of((0..9).map(|n| entry(time + n, &format!("{n}"), 0, 1)).collect()));
        push(&fixture, &Push::of("b", &[(time, "whole")]));
        let open = fixture.store().inner.version().open.clone();
        open.logs().append(0, |stream| stream.damage_page(0));
        fixture.store().seal().expect("the others are sealed");
        let select = select(Direction::Forward, ALL);
        let (found, warnings) = answer_and_warnings(&fixture.reader("t"), &select);
        let entries: Vec<usize> = found.values().map(Vec::len).collect();
        assert_eq!(entries, [2, 1], "seven were in the page");
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains("could not be sealed"), "{warnings:?}");
    }
}

#[test]
fn a_merge_blames_the_block_of_the_damaged_page_and_merges_the_others() {
    let mut fixture = Fixture::new();
    for n in 0..4 {
        push(&fixture, &Push::of("a", &[(NOON_NS + n, &format!("line {n}"))]));
        fixture.store().seal().expect("it is sealed");
    }
    fixture.store = None;
    let block = damaged::break_page(&fixture);
    fixture.reopen();
    fixture.clock.move_to(TimestampMs(NOON + 2 * DAY));
    let written = fixture.store().stats().compaction_written_bytes_total;
    fixture.store().maintain().expect("it is maintained");
    let damaged = fixture.store().inner.catalog.damaged_blocks();
    assert_eq!(damaged.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [block]);
    assert_eq!(fixture.store().stats().log_blocks, 2, "the damaged one stays");
    assert!(
        fixture.store().stats().compaction_written_bytes_total > written,
        "what a merge writes is counted"
    );
    let found = read_all(&fixture.reader("t"), &select(Direction::Forward, ALL));
    assert_eq!(found.values().map(Vec::len).sum::<usize>(), 3);
}
