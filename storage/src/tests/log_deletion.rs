//! Deletion of log entries: against a plain model, through merges, crashes and restarts.

use std::collections::BTreeMap;
use std::io::ErrorKind as IoKind;

use ephemeris_model::{
    Direction, Labels, LineFilter, LineMatch, LogSource, Matcher, NanoRange, PatternBudget,
    TimestampMs,
};
use proptest::prelude::*;

use super::logs::{ALL, Entry, NOON_NS, Push, answer, push, pushes, select};
use super::{DAY, Fixture, HOUR, NOON};
use crate::faults::Place;
use crate::{ErrorKind, LogDeletion};

/// An entry with the deletions it is hidden by.
struct Kept {
    labels: Labels,
    entry: Entry,
    hidden: Vec<u64>,
}

/// What the store must answer.
#[derive(Default)]
struct Model {
    /// In order of arrival, repeats included.
    entries: Vec<Kept>,
    /// Deletions that are not done on disk, with the time they were asked for.
    open: Vec<(u64, i64)>,
}

impl Model {
    fn push(&mut self, push: &Push) {
        for (labels, entries) in &push.0 {
            for entry in entries {
                let labels = Labels::from_pairs(labels.iter().cloned());
                self.entries.push(Kept { labels, entry: entry.clone(), hidden: Vec::new() });
            }
        }
    }

    fn delete(&mut self, id: u64, now: i64, deletion: &LogDeletion) {
        for kept in &mut self.entries {
            let (time, line, _) = &kept.entry;
            let of =
                |matcher: &Matcher| matcher.matches(kept.labels.get(&matcher.name).unwrap_or(""));
            let goes = deletion.range.start <= *time
                && *time < deletion.range.end
                && deletion.matchers.iter().all(of)
                && deletion.filters.iter().all(|filter| filter.matches(line.as_bytes()));
            if goes {
                kept.hidden.push(id);
            }
        }
        self.open.push((id, now));
    }

    fn cancel(&mut self, id: u64) {
        self.entries.iter_mut().for_each(|kept| kept.hidden.retain(|by| *by != id));
        self.open.retain(|(open, _)| *open != id);
    }

    /// What is asked for up to `until` is done on disk.
    fn finish(&mut self, until: i64) {
        let due: Vec<u64> =
            self.open.iter().filter(|(_, at)| *at <= until).map(|(id, _)| *id).collect();
        self.entries.retain(|kept| !kept.hidden.iter().any(|by| due.contains(by)));
        self.open.retain(|(id, _)| !due.contains(id));
    }

    fn answer(&self, direction: Direction) -> BTreeMap<Labels, Vec<Entry>> {
        let mut found: BTreeMap<Labels, Vec<Entry>> = BTreeMap::new();
        for kept in self.entries.iter().filter(|kept| kept.hidden.is_empty()) {
            let stream = found.entry(kept.labels.clone()).or_default();
            if !stream.contains(&kept.entry) {
                stream.push(kept.entry.clone());
            }
        }
        for entries in found.values_mut() {
            entries.sort_by_key(|entry| entry.0);
            if direction == Direction::Backward {
                entries.reverse();
            }
        }
        found
    }
}

#[derive(Clone, Debug)]
enum Step {
    Push(Push),
    Delete(LogDeletion),
    /// Of one of those asked for.
    Cancel(usize),
    Seal,
    /// After so many hours.
    Maintain(i64),
    Clean,
    Reopen,
}

pub(super) fn filter(op: LineMatch, text: &str) -> LineFilter {
    LineFilter::within(&mut PatternBudget::default(), op, vec![text.to_owned()]).expect("valid")
}

fn deletions() -> impl Strategy<Value = LogDeletion> {
    let matcher = proptest::sample::select(vec![
        Matcher::equal("app", "a"),
        Matcher::equal("job", "x"),
        Matcher::equal("host", "h"),
    ]);
    let filters = proptest::sample::select(vec![
        vec![],
        vec![],
        vec![filter(LineMatch::Contains, "a")],
        vec![filter(LineMatch::NotContains, "x"), filter(LineMatch::Regex, "^.[a-m]")],
        vec![filter(LineMatch::NotRegex, "b+$")],
    ]);
    let range = prop_oneof![
        Just(ALL),
        (-3i64..20, 0i64..10)
            .prop_map(|(from, len)| NanoRange { start: NOON_NS + from, end: NOON_NS + from + len }),
        (-3i64..2).prop_map(|days| {
            let start = NOON_NS + days * DAY * 1_000_000;
            NanoRange { start, end: start + DAY * 1_000_000 }
        }),
    ];
    (matcher, filters, range).prop_map(|(matcher, filters, range)| LogDeletion {
        query: format!("{matcher:?} {filters:?}"),
        matchers: vec![matcher],
        filters,
        range,
    })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => pushes().prop_map(Step::Push),
        3 => deletions().prop_map(Step::Delete),
        1 => (0usize..4).prop_map(Step::Cancel),
        2 => Just(Step::Seal),
        1 => (0i64..30).prop_map(Step::Maintain),
        1 => Just(Step::Clean),
        1 => Just(Step::Reopen),
    ];
    proptest::collection::vec(step, 1..24)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_store_answers_as_the_model(steps in steps()) {
        let mut fixture = Fixture::new();
        let (mut model, mut now) = (Model::default(), NOON);
        let cancel_ms = fixture.config().log_delete_cancel_ms;
        for step in &steps {
            match step {
                Step::Push(request) => {
                    push(&fixture, request);
                    model.push(request);
                }
                Step::Delete(deletion) => {
                    let id = fixture.store().delete_logs("t", deletion.clone()).expect("deleted");
                    model.delete(id, now, deletion);
                }
                Step::Cancel(n) => {
                    let all = fixture.store().log_deletions("t");
                    if let Some(one) = all.get(*n) {
                        fixture.store().cancel_log_deletion("t", one.id).expect("taken back");
                        model.cancel(one.id);
                    }
                }
                Step::Seal => fixture.store().seal().expect("it is sealed"),
                Step::Maintain(hours) => {
                    now += hours * HOUR;
                    fixture.clock.move_to(TimestampMs(now));
                    fixture.store().maintain().expect("it is maintained");
                    model.finish(now - cancel_ms);
                }
                Step::Clean => {
                    fixture.store().clean_tombstones().expect("it is cleaned");
                    model.finish(i64::MAX);
                }
                Step::Reopen => fixture.reopen(),
            }
            for direction in [Direction::Forward, Direction::Backward] {
                let found = answer(&fixture.reader("t"), &select(direction, ALL));
                prop_assert_eq!(&found, &model.answer(direction));
            }
            let listed = fixture.reader("t").streams(&[], ALL).expect("streams").streams;
            let shown = model.answer(Direction::Forward);
            prop_assert!(shown.keys().all(|labels| listed.contains(labels)));
        }
    }
}

fn of(name: &str, filters: Vec<LineFilter>, range: NanoRange) -> LogDeletion {
    let matchers = vec![Matcher::equal("app", name)];
    LogDeletion { query: format!("{{app={name:?}}}"), matchers, filters, range }
}

fn lines(fixture: &Fixture) -> Vec<String> {
    let found = answer(&fixture.reader("t"), &select(Direction::Forward, ALL));
    found.into_values().flatten().map(|entry| entry.1).collect()
}

#[test]
fn a_deletion_can_be_taken_back_until_it_is_done_and_is_listed_then() {
    let mut fixture = Fixture::new();
    let delete = |fixture: &Fixture, deletion| fixture.store().delete_logs("t", deletion);
    push(&fixture, &Push::of("a", &[(NOON_NS, "bad"), (NOON_NS + 1, "good")]));
    push(&fixture, &Push::of("b", &[(NOON_NS, "bad too")]));
    let bad = vec![filter(LineMatch::Contains, "bad")];
    let id = delete(&fixture, of("a", bad.clone(), ALL)).expect("it is deleted");
    for _ in 0..2 {
        assert_eq!(lines(&fixture), ["good", "bad too"], "at once, and after a crash");
        fixture.reopen();
    }
    push(&fixture, &Push::of("a", &[(NOON_NS, "bad")]));
    assert_eq!(lines(&fixture), ["bad", "good", "bad too"], "what is written later lives");
    let listed = fixture.store().log_deletions("t");
    assert_eq!((listed.len(), listed[0].id, listed[0].blocks_left), (1, id, 1));
    assert_eq!(fixture.store().log_deletions("other"), []);
    fixture.store().cancel_log_deletion("other", id).expect_err("it is not theirs");
    fixture.store().cancel_log_deletion("t", id).expect("it is taken back");
    assert_eq!(lines(&fixture), ["bad", "good", "bad too"]);
    let error = fixture.store().cancel_log_deletion("t", id).expect_err("it is gone");
    assert_eq!(error.kind(), ErrorKind::NotFound);

    let early = delete(&fixture, of("a", bad, ALL)).expect("it is deleted");
    fixture.clock.move_to(TimestampMs(NOON + 23 * HOUR));
    let late = delete(&fixture, of("b", vec![], ALL)).expect("it is deleted");
    fixture.store().maintain().expect("it is maintained");
    let entries = fixture.store().stats().log_block_entries;
    assert_eq!((lines(&fixture), entries), (vec!["good".to_owned()], 4));
    fixture.clock.move_to(TimestampMs(NOON + 24 * HOUR));
    fixture.store().maintain().expect("it is maintained");
    assert_eq!(fixture.store().stats().log_block_entries, 2, "the early one is done");
    fixture.reopen();
    let left: Vec<(u64, usize)> =
        fixture.store().log_deletions("t").iter().map(|one| (one.id, one.blocks_left)).collect();
    assert_eq!(left, [(early, 0), (late, 1)], "the late one went on to the new block");
    assert_eq!(lines(&fixture), ["good"]);
    fixture.store().cancel_log_deletion("t", late).expect("it is taken back");
    assert_eq!(lines(&fixture), ["good", "bad too"]);
}

#[test]
fn a_stream_that_is_deleted_as_a_whole_is_in_no_list() {
    let fixture = Fixture::new();
    push(&fixture, &Push::of("a", &[(NOON_NS, "x")]));
    push(&fixture, &Push::of("b", &[(NOON_NS, "x"), (NOON_NS + 9, "y")]));
    let until = NanoRange { start: 0, end: NOON_NS + 1 };
    for name in ["a", "b"] {
        fixture.store().delete_logs("t", of(name, vec![], until)).expect("it is deleted");
    }
    let listed = fixture.reader("t").streams(&[], ALL).expect("streams").streams;
    assert_eq!(listed, [Labels::from_pairs([("app", "b")])]);
}

#[test]
fn blocks_of_a_day_are_merged_and_entries_of_one_time_keep_their_order() {
    let mut fixture = Fixture::new();
    let names: Vec<String> = (0..21).map(|n| format!("line {n}")).collect();
    for name in &names {
        push(&fixture, &Push::of("a", &[(NOON_NS, name), (NOON_NS - 1, name)]));
        fixture.store().seal().expect("it is sealed");
        fixture.store().maintain().expect("it is maintained");
    }
    let wanted: Vec<String> = names.iter().chain(&names).cloned().collect();
    let stats = fixture.store().stats();
    assert!(stats.log_blocks < 8, "{} blocks are left", stats.log_blocks);
    assert_eq!(stats.log_block_entries, 42);
    for _ in 0..2 {
        assert_eq!(lines(&fixture), wanted);
        fixture.reopen();
    }
    fixture.clock.move_to(TimestampMs(NOON + 2 * DAY));
    fixture.store().maintain().expect("it is maintained");
    assert_eq!(fixture.store().stats().log_blocks, 1, "the day is over");
    assert_eq!(lines(&fixture), wanted);
}

/// The places that work on logs comes by.
fn places() -> impl Iterator<Item = Place> {
    let no = [Place::SealBlockWritten];
    Place::ALL.into_iter().filter(move |place| !no.contains(place))
}

struct Cut {
    fixture: Fixture,
    model: Model,
    now: i64,
}

impl Cut {
    fn push(&mut self, round: i64) {
        let lines: Vec<String> = (0..9).map(|n| format!("line {n} of {round}")).collect();
        let at = |n: i64| (self.now - n % 3 * DAY / 2) * 1_000_000 + n / 3;
        let entries: Vec<(i64, &str)> =
            lines.iter().zip(0..).map(|(line, n)| (at(n), line.as_str())).collect();
        let request = Push::of(["a", "b"][usize::from(round % 2 == 0)], &entries);
        let write = |fixture: &Fixture| {
            Push::with_batch(&request.encode(), |batch| fixture.store().write_logs("t", batch))
        };
        if write(&self.fixture).is_err() {
            self.fixture.reopen();
            write(&self.fixture).expect("nothing is in the way of the second try");
        }
        self.model.push(&request);
    }

    fn delete(&mut self, round: i64) {
        let text = format!("line {}", round % 9);
        let deletion = of("a", vec![filter(LineMatch::Contains, &text)], ALL);
        let mut done = self.fixture.store().delete_logs("t", deletion.clone());
        if done.is_err() {
            self.fixture.reopen();
            done = self.fixture.store().delete_logs("t", deletion.clone());
        }
        // A try that failed after it was written hides the same entries.
        for one in self.fixture.store().log_deletions("t") {
            if self.model.open.iter().all(|(id, _)| *id != one.id) && one.blocks_left > 0 {
                self.model.delete(one.id, one.created.0, &deletion);
            }
        }
        done.expect("nothing is in the way of the second try");
    }

    fn compare(&self, what: &str) {
        let found = answer(&self.fixture.reader("t"), &select(Direction::Forward, ALL));
        assert_eq!(found, self.model.answer(Direction::Forward), "{what}");
    }
}

fn run(place: Place) {
    let fixture = Fixture::with(|config| config.retention_ms = 10 * DAY);
    let mut cut = Cut { fixture, model: Model::default(), now: NOON };
    for round in 0..4 {
        for part in 0..5 {
            cut.push(round * 10 + part);
            cut.fixture.store().seal().expect("nothing is in its way");
        }
        cut.delete(round);
        let before = cut.fixture.faults.hits();
        cut.fixture.faults.arm(place, IoKind::Other);
        cut.push(round * 10 + 5);
        if format!("{place:?}").starts_with("Delete") || round == 2 {
            cut.delete(round + 1);
        }
        if format!("{place:?}").starts_with("Drop") {
            cut.now += 13 * DAY;
            cut.fixture.clock.move_to(TimestampMs(cut.now));
            let oldest = (cut.now - 10 * DAY) * 1_000_000;
            cut.model.entries.retain(|kept| kept.entry.0 >= oldest);
        }
        // What is cut answers with an error; what comes after it may as well.
        let _ = cut.fixture.store().seal();
        let _ = cut.fixture.store().clean_tombstones();
        let _ = cut.fixture.store().maintain();
        assert!(cut.fixture.faults.hits() > before, "{place:?} was not met in round {round}");
        cut.fixture.reopen();
        cut.compare(&format!("{place:?}, round {round}, after the start"));
        cut.fixture.store().clean_tombstones().expect("nothing is in its way");
        cut.fixture.store().maintain().expect("nothing is in its way");
        cut.model.finish(i64::MAX);
        cut.compare(&format!("{place:?}, round {round}, after the work"));
        cut.now += HOUR;
        cut.fixture.clock.move_to(TimestampMs(cut.now));
    }
}

#[test]
fn a_cut_at_any_step_loses_no_entry_and_brings_none_back() {
    let places: Vec<Place> = places().collect();
    std::thread::scope(|scope| {
        for places in places.chunks(places.len().div_ceil(3)) {
            scope.spawn(move || places.iter().for_each(|&place| run(place)));
        }
    });
}
