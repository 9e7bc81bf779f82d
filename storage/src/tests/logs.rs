//! Log entries: random work on the store and on a model, crashes, damage.

use std::collections::BTreeMap;
use std::io::ErrorKind as IoKind;
use std::ops::ControlFlow;

use ephemeris_model::log_batch::DETECTED_LEVEL;
use ephemeris_model::{
    BatchEntry, BatchStream, BodyKind, CountBy, Direction, EntryBuffer, EntryCount, Labels,
    LogBatch, LogColumns, LogOutcome, LogSelect, LogSource, MatchOp, Matcher, NanoRange,
    RejectReason, SourceError, StreamSet, Tally, TallyBy, TimestampMs,
};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::{DAY, Fixture, NOON};
use crate::Reader;
use crate::envelope::section;
use crate::faults::Place;
use crate::rocks::Rocks;

pub(super) const NOON_NS: i64 = NOON * 1_000_000;
const DAY_NS: i64 = DAY * 1_000_000;
const MINUTE_NS: i64 = 60_000_000_000;
pub(super) const ALL: NanoRange = NanoRange { start: i64::MIN, end: i64::MAX };

/// An entry: time, line, metadata sorted by name.
pub(super) type Entry = (i64, String, Vec<(String, String)>);

/// A label set with entries.
pub(super) type Stream = (Vec<(String, String)>, Vec<Entry>);

/// A push of the tests: label sets with entries, as JSON.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Push(pub(super) Vec<Stream>);

impl Push {
    pub(super) fn of(name: &str, entries: &[(i64, &str)]) -> Self {
        let entry = |(time, line): &(i64, &str)| (*time, (*line).to_owned(), Vec::new());
        let labels = vec![("app".to_owned(), name.to_owned())];
        Self(vec![(labels, entries.iter().map(entry).collect())])
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("it has a JSON form")
    }

    /// Hands the batch of a body to `visit`.
    pub(super) fn with_batch<T>(body: &[u8], visit: impl FnOnce(&LogBatch<'_>) -> T) -> T {
        let push: Self = serde_json::from_slice(body).expect("a push");
        let raws: Vec<Vec<u8>> =
            push.0.iter().map(|(labels, _)| serde_json::to_vec(labels).expect("labels")).collect();
        let mut batch = LogBatch {
            kind: BodyKind::LokiPushPlain,
            body,
            streams: Vec::new(),
            entries: Vec::new(),
            metadata: Vec::new(),
        };
        let place = |n: usize| u32::try_from(n).expect("it is small");
        for ((labels, entries), raw) in push.0.iter().zip(&raws) {
            let first = place(batch.entries.len());
            for (timestamp_ns, line, metadata) in entries {
                let start = place(batch.metadata.len());
                let pairs = metadata.iter().map(|(n, v)| (n.as_str().into(), v.as_str().into()));
                batch.metadata.extend(pairs);
                let metadata = start..place(batch.metadata.len());
                let (timestamp_ns, line) = (*timestamp_ns, line.as_bytes());
                batch.entries.push(BatchEntry { timestamp_ns, line, metadata });
            }
            let labels = labels.iter().map(|(n, v)| (n.as_str().into(), v.as_str().into()));
            let labels = match labels.len() {
                0 => Err((RejectReason::NoLabels, "no labels".to_owned())),
                _ => Ok(labels.collect()),
            };
            let entries = first..place(batch.entries.len());
            batch.streams.push(BatchStream { raw: raw.into(), labels, entries });
        }
        visit(&batch)
    }
}

pub(super) fn push(fixture: &Fixture, push: &Push) -> LogOutcome {
    let written = Push::with_batch(&push.encode(), |batch| fixture.store().write_logs("t", batch));
    written.expect("it is written")
}

#[test]
fn a_disk_that_is_nearly_full_refuses_entries_until_there_is_room() {
    let fixture = Fixture::with(|config| config.disk_reserve = crate::DiskReserve::Bytes(1000));
    let space = |free_bytes| {
        let space = crate::disk::Space { free_bytes, total_bytes: 1 << 40 };
        fixture.faults.set_space(space);
        fixture.store().maintain().expect("the disk is measured");
    };
    let body = Push::of("a", &[(NOON * 1_000_000, "line")]).encode();
    let write = || Push::with_batch(&body, |batch| fixture.store().write_logs("t", batch));
    space(999);
    assert_eq!(write().expect_err("there is no room").kind(), crate::ErrorKind::Busy);
    space(1000);
    assert!(write().is_ok());
}

pub(super) fn select(direction: Direction, range: NanoRange) -> LogSelect {
    let columns = LogColumns { lines: true, metadata: true };
    LogSelect { matchers: Vec::new(), range, direction, columns, needles: Vec::new() }
}

/// All entries by stream, in the order they are handed out.
pub(super) fn answer(reader: &Reader, select: &LogSelect) -> BTreeMap<Labels, Vec<Entry>> {
    let (found, warnings) = answer_and_warnings(reader, select);
    assert_eq!(warnings, Vec::<String>::new());
    found
}

pub(super) fn answer_and_warnings(
    reader: &Reader,
    select: &LogSelect,
) -> (BTreeMap<Labels, Vec<Entry>>, Vec<String>) {
    let set = reader.select_streams(select).expect("it is answered");
    let mut found: BTreeMap<Labels, Vec<Entry>> = BTreeMap::new();
    for index in 0..set.len() {
        let entries = read_stream(&*set, index, select);
        let bytes = entries.iter().map(|(_, line, _)| line.len() as u64).sum();
        let counted = EntryCount { entries: entries.len() as u64, bytes };
        for (by, width) in [
            (CountBy::Level, MINUTE_NS),
            (CountBy::Level, 3 * MINUTE_NS),
            (CountBy::Level, 25_000_000_007),
            (CountBy::Level, i64::MAX),
            (CountBy::Stream, MINUTE_NS),
            (CountBy::Stream, i64::MAX),
        ] {
            let found = tallied(&*set, (index, select.range), by, width);
            assert_eq!(found, tally_of(&entries, by, width), "{by:?} {width}");
        }
        assert_eq!(set.count(index, select.range).expect("it is counted"), counted);
        if !entries.is_empty() {
            assert!(found.insert(set.labels(index), entries).is_none(), "a stream comes twice");
        }
    }
    (found, set.warnings())
}

/// The entries whose lines hold all needles; a source may have left out others.
fn with_needles(
    mut all: BTreeMap<Labels, Vec<Entry>>,
    needles: &[Vec<u8>],
) -> BTreeMap<Labels, Vec<Entry>> {
    let holds = |line: &str, needle: &[u8]| memchr::memmem::find(line.as_bytes(), needle).is_some();
    for entries in all.values_mut() {
        entries.retain(|(_, line, _)| needles.iter().all(|needle| holds(line, needle)));
    }
    all.retain(|_, entries| !entries.is_empty());
    all
}

/// All entries by stream, in the order they are handed out, without a look at counts.
fn read_all(reader: &Reader, select: &LogSelect) -> BTreeMap<Labels, Vec<Entry>> {
    read_with_warnings(reader, select).0
}

/// The same with what is told of damage.
pub(super) fn read_with_warnings(
    reader: &Reader,
    select: &LogSelect,
) -> (BTreeMap<Labels, Vec<Entry>>, Vec<String>) {
    let set = reader.select_streams(select).expect("it is answered");
    let found = (0..set.len()).map(|index| (set.labels(index), read_stream(&*set, index, select)));
    (found.collect(), set.warnings())
}

fn read_stream(set: &dyn StreamSet, index: usize, select: &LogSelect) -> Vec<Entry> {
    let (mut entries, mut buffer) = (Vec::new(), EntryBuffer::default());
    set.read(index, select.range, &mut buffer, &mut |run| {
        for i in 0..run.len() {
            let line = String::from_utf8_lossy(run.line(i)).into_owned();
            let pairs = run.metadata(i).map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
            entries.push((run.timestamps()[i], line, pairs));
        }
        Ok(ControlFlow::Continue(()))
    })
    .expect("it is read");
    entries
}

/// Counts by bucket of time and level.
type Tallied = BTreeMap<(i64, String), EntryCount>;

/// Buckets of windows that exclude their start and include their end.
fn bucket(time: i64, width: i64) -> i64 {
    (time - 1).div_euclid(width)
}

fn add_to(found: &mut Tallied, key: (i64, String), count: EntryCount) {
    let total = found.entry(key).or_default();
    total.entries += count.entries;
    total.bytes += count.bytes;
}

/// What the store tallies.
fn tallied(
    set: &dyn StreamSet,
    (index, range): (usize, NanoRange),
    by: CountBy,
    width: i64,
) -> Tallied {
    let mut found = Tallied::new();
    let is_whole = |range: NanoRange| bucket(range.start, width) == bucket(range.end - 1, width);
    let how = TallyBy { by, is_whole: &is_whole };
    let mut buffer = EntryBuffer::default();
    set.tally(index, range, how, &mut buffer, &mut |tally| {
        match tally {
            Tally::Counted { range, level, count } => {
                assert!(is_whole(range));
                add_to(&mut found, (bucket(range.start, width), level.to_owned()), count);
            }
            Tally::Entries(run) => {
                for i in 0..run.len() {
                    let level = run.metadata(i).find(|(name, _)| *name == DETECTED_LEVEL);
                    let level = level.filter(|_| by == CountBy::Level).map_or("", |(_, l)| l);
                    let count = EntryCount { entries: 1, bytes: run.line(i).len() as u64 };
                    let key = (bucket(run.timestamps()[i], width), level.to_owned());
                    add_to(&mut found, key, count);
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    })
    .expect("it is tallied");
    found
}

/// The same from entries that were read.
fn tally_of(entries: &[Entry], by: CountBy, width: i64) -> Tallied {
    let mut found = Tallied::new();
    for (time, line, metadata) in entries {
        let level = metadata.iter().find(|(name, _)| name == DETECTED_LEVEL);
        let level = level.filter(|_| by == CountBy::Level).map_or("", |(_, level)| level);
        let count = EntryCount { entries: 1, bytes: line.len() as u64 };
        add_to(&mut found, (bucket(*time, width), level.to_owned()), count);
    }
    found
}

/// What the store must answer.
#[derive(Default)]
struct Model(BTreeMap<Labels, Vec<Entry>>);

impl Model {
    fn push(&mut self, push: &Push) {
        for (labels, entries) in &push.0 {
            let stream = self.0.entry(Labels::from_pairs(labels.iter().cloned())).or_default();
            for entry in entries {
                if !stream.contains(entry) {
                    stream.push(entry.clone());
                }
            }
        }
    }

    fn answer(&self, direction: Direction, range: NanoRange) -> BTreeMap<Labels, Vec<Entry>> {
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

pub(super) fn pushes() -> impl Strategy<Value = Push> {
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

#[test]
fn what_is_pushed_is_in_the_next_answer_of_its_tenant_only() {
    let fixture = Fixture::new();
    let outcome = push(&fixture, &Push::of("a", &[(NOON_NS, "one"), (NOON_NS + 1, "two")]));
    assert_eq!((outcome.entries_written, outcome.line_bytes_written), (2, 6));
    assert!(outcome.rejects.is_empty());
    assert_eq!(answer(&fixture.reader("t"), &select(Direction::Forward, ALL)).len(), 1);
    assert!(answer(&fixture.reader("other"), &select(Direction::Forward, ALL)).is_empty());
    let stats = fixture.store().stats();
    assert_eq!((stats.head_streams, stats.head_entries, stats.entries_written_total), (1, 2, 2));
}

#[test]
fn streams_are_selected_by_matchers_in_head_and_blocks() {
    let fixture = Fixture::new();
    for (i, name) in ["a", "b", "ab"].into_iter().enumerate() {
        push(&fixture, &Push::of(name, &[(NOON_NS, "x")]));
        if i == 1 {
            fixture.store().seal().expect("it is sealed");
        }
    }
    let matcher = Matcher::new(MatchOp::Regex, "app", "a.*").expect("a matcher");
    let reader = fixture.reader("t");
    let chosen = LogSelect { matchers: vec![matcher.clone()], ..select(Direction::Forward, ALL) };
    let names = |labels: Vec<Labels>| -> Vec<String> {
        labels.iter().filter_map(|l| l.get("app").map(str::to_owned)).collect()
    };
    assert_eq!(names(answer(&reader, &chosen).into_keys().collect()), ["a", "ab"]);
    assert_eq!(names(reader.streams(&[vec![matcher]], ALL).expect("streams")), ["a", "ab"]);
    assert_eq!(reader.streams(&[], ALL).expect("streams").len(), 3);
    let before = NanoRange { start: NOON_NS - DAY_NS, end: NOON_NS };
    assert_eq!(reader.streams(&[], before).expect("streams").len(), 0);
}

#[test]
fn lines_without_a_needle_are_left_out_and_no_other() {
    let fixture = Fixture::new();
    let lines: Vec<String> = (0..60).map(|n| format!("line {n} of some")).collect();
    let entries: Vec<(i64, &str)> =
        lines.iter().zip(0..).map(|(line, n)| (NOON_NS + n, line.as_str())).collect();
    push(&fixture, &Push::of("a", &entries));
    for direction in [Direction::Forward, Direction::Backward] {
        for (needles, want) in [
            (vec!["line 42"], vec!["line 42 of some"]),
            (vec!["of", "ne 7 "], vec!["line 7 of some"]),
            // It lies across two lines only.
            (vec!["someline"], vec![]),
            (vec!["nowhere"], vec![]),
        ] {
            let needles = needles.iter().map(|needle| needle.as_bytes().to_vec()).collect();
            let chosen = LogSelect { needles, ..select(direction, ALL) };
            let reader = fixture.reader("t");
            let set = reader.select_streams(&chosen).expect("it is answered");
            let (mut buffer, mut found) = (EntryBuffer::default(), Vec::new());
            set.read(0, ALL, &mut buffer, &mut |run| {
                found.extend((0..run.len()).map(|i| run.line(i).to_vec()));
                Ok(ControlFlow::Continue(()))
            })
            .expect("it is read");
            let want: Vec<Vec<u8>> = want.iter().map(|line| line.as_bytes().to_vec()).collect();
            assert_eq!(found, want);
        }
        fixture.store().seal().expect("it is sealed");
    }
}

#[test]
fn what_is_past_the_retention_is_refused_hidden_and_deleted() {
    let fixture = Fixture::with(|config| config.retention_ms = 2 * DAY);
    let old = NOON_NS - 2 * DAY_NS;
    let entries = [(old - 1, "too old"), (old, "just"), (NOON_NS + DAY_NS, "too new")];
    let outcome = push(&fixture, &Push::of("a", &entries));
    assert_eq!(outcome.entries_written, 1);
    let reasons: Vec<RejectReason> = outcome.rejects.iter().map(|(reason, ..)| reason).collect();
    assert_eq!(reasons, [RejectReason::TooOld, RejectReason::TooFarInFuture]);
    assert!(outcome.rejects.summary().contains("has timestamp too old: 2026-05-30T11:59:59Z"));
    fixture.store().seal().expect("it is sealed");
    let all = select(Direction::Forward, ALL);
    assert_eq!(answer(&fixture.reader("t"), &all).len(), 1);
    fixture.clock.move_to(TimestampMs(NOON + 1));
    assert!(answer(&fixture.reader("t"), &all).is_empty(), "hidden at once");
    fixture.clock.move_to(TimestampMs(NOON + DAY));
    fixture.store().maintain().expect("it is maintained");
    assert_eq!(fixture.store().stats().log_blocks, 0);
}

#[test]
fn what_breaks_a_limit_is_refused_and_the_rest_is_stored() {
    let mut fixture = Fixture::with(|config| config.limits.line_bytes_max = 5);
    let outcome = push(&fixture, &Push::of("a", &[(NOON_NS, "short"), (NOON_NS, "longer")]));
    assert_eq!(outcome.entries_written, 1);
    assert_eq!(
        outcome.rejects.summary(),
        "1 rejected (line_too_long): max entry size '5' bytes exceeded for stream \
         '[[\"app\",\"a\"]]' while adding an entry with length '6' bytes (limits.line_bytes_max)"
    );
    let refused = push(&fixture, &Push(vec![(vec![], vec![(NOON_NS, "x".to_owned(), vec![])])]));
    assert_eq!((refused.entries_written, refused.rejects.total()), (0, 1));
    let all = select(Direction::Forward, ALL);
    let before = answer(&fixture.reader("t"), &all);
    fixture.reopen();
    assert_eq!(answer(&fixture.reader("t"), &all), before, "replay obeys the verdicts");
    assert_eq!(fixture.store().stats().wal_records_replayed, 1);
}

#[test]
fn a_seal_cut_at_any_step_is_made_good_by_the_next_start() {
    for place in [Place::SealWritten, Place::SealIngested, Place::SealCommitted] {
        let mut fixture = Fixture::new();
        let entries: Vec<(i64, &str)> =
            (0..50).map(|n| (NOON_NS + n * DAY_NS / -30, "x")).collect();
        push(&fixture, &Push::of("a", &entries));
        let all = select(Direction::Backward, ALL);
        let before = answer(&fixture.reader("t"), &all);
        fixture.faults.arm(place, IoKind::Other);
        fixture.store().seal().expect_err("the seal is cut");
        assert_eq!(answer(&fixture.reader("t"), &all), before, "{place:?}: the head has all");
        fixture.reopen();
        assert_eq!(answer(&fixture.reader("t"), &all), before, "{place:?}");
        fixture.store().seal().expect("the seal succeeds");
        fixture.reopen();
        assert_eq!(answer(&fixture.reader("t"), &all), before, "{place:?}");
        let stats = fixture.store().stats();
        assert_eq!(stats.log_block_entries, 50, "{place:?}: nothing is stored twice");
        assert_eq!((stats.log_blocks, stats.wal_records_replayed), (3, 0), "{place:?}");
    }
}

#[test]
fn a_damaged_page_is_left_out_and_told() {
    let mut fixture = Fixture::new();
    let lines: Vec<String> = (0..9).map(|n| format!("{n}-{}", "x".repeat(40_000))).collect();
    let entries: Vec<(i64, &str)> =
        lines.iter().zip(0..).map(|(line, n)| (NOON_NS + n, line.as_str())).collect();
    push(&fixture, &Push::of("a", &entries));
    push(&fixture, &Push::of("b", &[(NOON_NS, "whole")]));
    fixture.store().seal().expect("it is sealed");
    fixture.store = None;
    damage(&fixture, section::LOG_PAGES);
    fixture.reopen();
    let select = select(Direction::Forward, ALL);
    let set = fixture.reader("t");
    let set = set.select_streams(&select).expect("it is answered");
    let mut buffer = EntryBuffer::default();
    for index in 0..set.len() {
        set.read(index, ALL, &mut buffer, &mut |_| Ok::<_, SourceError>(ControlFlow::Continue(())))
            .expect("damage is no error");
    }
    let warnings = set.warnings();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("checksum"), "{warnings:?}");
}

#[test]
fn counts_by_level_and_minute_need_no_page() {
    let mut fixture = Fixture::new();
    let entry = |n: i64| {
        let level = if n % 3 == 0 { "error" } else { "info" };
        let metadata = vec![(DETECTED_LEVEL.to_owned(), level.to_owned())];
        (NOON_NS + 1 + n * MINUTE_NS / 20, "some line".to_owned(), metadata)
    };
    let labels = vec![("app".to_owned(), "a".to_owned())];
    push(&fixture, &Push(vec![(labels, (0..60).map(entry).collect())]));
    fixture.store().seal().expect("it is sealed");
    fixture.store = None;
    // Every page is damaged, so that reading one would be told.
    damage(&fixture, section::LOG_PAGES);
    fixture.reopen();
    let reader = fixture.reader("t");
    let set = reader.select_streams(&select(Direction::Forward, ALL)).expect("it is answered");
    let found = tallied(&*set, (0, ALL), CountBy::Level, MINUTE_NS);
    let entries: Vec<u64> = found.values().map(|count| count.entries).collect();
    assert_eq!((entries, set.warnings()), (vec![7, 13, 7, 13, 6, 14], Vec::new()));
    // Windows that cut minutes read pages.
    tallied(&*set, (0, ALL), CountBy::Level, 1_000_000_007);
    assert_eq!(set.warnings().len(), 1);
}

#[test]
fn a_page_without_the_needle_is_not_read() {
    let mut fixture = Fixture::new();
    let lines: Vec<String> = (0..40).map(|n| format!("line {n:03} of some")).collect();
    let entries: Vec<(i64, &str)> =
        lines.iter().zip(0..).map(|(line, n)| (NOON_NS + n, line.as_str())).collect();
    push(&fixture, &Push::of("a", &entries));
    fixture.store().seal().expect("it is sealed");
    fixture.store = None;
    damage(&fixture, section::LOG_PAGES);
    fixture.reopen();
    let warnings = |needle: &str| {
        let needles = vec![needle.as_bytes().to_vec()];
        let chosen = LogSelect { needles, ..select(Direction::Forward, ALL) };
        let reader = fixture.reader("t");
        let set = reader.select_streams(&chosen).expect("it is answered");
        read_stream(&*set, 0, &chosen);
        set.warnings().len()
    };
    assert_eq!((warnings("line 007"), warnings("nowhere"), warnings("no ")), (1, 0, 1));
}

#[test]
fn damaged_rows_and_counts_cost_time_and_no_answer() {
    let mut fixture = Fixture::new();
    let lines: Vec<String> = (0..40).map(|n| format!("line {n:03} of some")).collect();
    let entries: Vec<(i64, &str)> =
        lines.iter().zip(0..).map(|(line, n)| (NOON_NS + n, line.as_str())).collect();
    push(&fixture, &Push::of("a", &entries));
    let needles = vec![b"line 007".to_vec()];
    let chosen = LogSelect { needles, ..select(Direction::Forward, ALL) };
    let before = with_needles(read_all(&fixture.reader("t"), &chosen), &chosen.needles);
    fixture.store().seal().expect("it is sealed");
    for (section, number) in
        [(section::GRAMS, 0), (section::GRAMS, 1 << 31), (section::DIRECTORY, 1 << 31)]
    {
        fixture.store = None;
        damage_value(&fixture, section, number);
        fixture.reopen();
        let found = with_needles(read_all(&fixture.reader("t"), &chosen), &chosen.needles);
        assert_eq!(found, before, "value {section}/{number}");
        assert_eq!(answer(&fixture.reader("t"), &select(Direction::Forward, ALL)).len(), 1);
    }
}

/// Changes a bit of the first value of a section of the only block.
fn damage(fixture: &Fixture, damaged: u8) {
    damage_value(fixture, damaged, 0);
}

/// Changes a bit of a value of the only block.
fn damage_value(fixture: &Fixture, damaged: u8, damaged_number: u32) {
    let rocks = Rocks::open(&fixture.dir.path().join("data/db")).expect("it opens");
    let block = rocks.block_ids().expect("ids")[0];
    let mut values = Vec::new();
    for section in section::VALUES..=section::MANIFEST {
        for number in (0..1 << 10).chain((1 << 31)..(1 << 31) + 2) {
            let Some(value) = rocks.get(block, section, number).expect("it is read") else {
                continue;
            };
            let mut value = value.to_vec();
            if (section, number) == (damaged, damaged_number) {
                value[7] ^= 1;
            }
            values.push((section, number, value));
        }
    }
    rocks.delete_block(block).expect("it is deleted");
    let mut sink = rocks.block_sink(block).expect("a sink");
    for (section, number, value) in values {
        sink.put(section, number, &value).expect("it is written");
    }
    sink.finish().expect("it is finished");
    rocks.ingest(block).expect("it is ingested");
}
