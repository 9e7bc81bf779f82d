//! Log entries: random work on the store and on a model, crashes, damage.

use std::collections::BTreeMap;
use std::io::ErrorKind as IoKind;
use std::ops::ControlFlow;

use ephemeris_model::{
    BatchEntry, BatchStream, BodyKind, Direction, EntryBuffer, EntryCount, Labels, LogBatch,
    LogColumns, LogOutcome, LogSelect, LogSource, MatchOp, Matcher, NanoRange, RejectReason,
    SourceError, TimestampMs,
};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::{DAY, Fixture, NOON};
use crate::Reader;
use crate::envelope::section;
use crate::faults::Place;
use crate::rocks::Rocks;

const NOON_NS: i64 = NOON * 1_000_000;
const DAY_NS: i64 = DAY * 1_000_000;
const ALL: NanoRange = NanoRange { start: i64::MIN, end: i64::MAX };

/// An entry: time, line, metadata sorted by name.
type Entry = (i64, String, Vec<(String, String)>);

/// A label set with entries.
type Stream = (Vec<(String, String)>, Vec<Entry>);

/// A push of the tests: label sets with entries, as JSON.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Push(Vec<Stream>);

impl Push {
    fn of(name: &str, entries: &[(i64, &str)]) -> Self {
        let entry = |(time, line): &(i64, &str)| (*time, (*line).to_owned(), Vec::new());
        let labels = vec![("app".to_owned(), name.to_owned())];
        Self(vec![(labels, entries.iter().map(entry).collect())])
    }

    fn encode(&self) -> Vec<u8> {
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

fn push(fixture: &Fixture, push: &Push) -> LogOutcome {
    let written = Push::with_batch(&push.encode(), |batch| fixture.store().write_logs("t", batch));
    written.expect("it is written")
}

fn select(direction: Direction, range: NanoRange) -> LogSelect {
    let columns = LogColumns { lines: true, metadata: true };
    LogSelect { matchers: Vec::new(), range, direction, columns, needles: Vec::new() }
}

/// All entries by stream, in the order they are handed out.
fn answer(reader: &Reader, select: &LogSelect) -> BTreeMap<Labels, Vec<Entry>> {
    let (found, warnings) = answer_and_warnings(reader, select);
    assert_eq!(warnings, Vec::<String>::new());
    found
}

fn answer_and_warnings(
    reader: &Reader,
    select: &LogSelect,
) -> (BTreeMap<Labels, Vec<Entry>>, Vec<String>) {
    let set = reader.select_streams(select).expect("it is answered");
    let mut found: BTreeMap<Labels, Vec<Entry>> = BTreeMap::new();
    let mut buffer = EntryBuffer::default();
    for index in 0..set.len() {
        let mut entries = Vec::new();
        set.read(index, select.range, &mut buffer, &mut |run| {
            for i in 0..run.len() {
                let line = String::from_utf8_lossy(run.line(i)).into_owned();
                let pairs = run.metadata(i).map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
                entries.push((run.timestamps()[i], line, pairs));
            }
            Ok(ControlFlow::Continue(()))
        })
        .expect("it is read");
        let bytes = entries.iter().map(|(_, line, _)| line.len() as u64).sum();
        let counted = EntryCount { entries: entries.len() as u64, bytes };
        assert_eq!(set.count(index, select.range).expect("it is counted"), counted);
        if !entries.is_empty() {
            assert!(found.insert(set.labels(index), entries).is_none(), "a stream comes twice");
        }
    }
    (found, set.warnings())
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

fn pushes() -> impl Strategy<Value = Push> {
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
        1 => (0i64..3).prop_map(|n| -n * DAY_NS / 2),
    ];
    let line = prop_oneof!["[a-z]{0,3}", Just("x".repeat(50_000)),];
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
    fn the_store_answers_as_the_model(steps in steps(), from in -30i64..30, len in 0i64..40) {
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

/// Changes a bit of the first value of a section of the only block.
fn damage(fixture: &Fixture, damaged: u8) {
    let rocks = Rocks::open(&fixture.dir.path().join("data/db")).expect("it opens");
    let block = rocks.block_ids().expect("ids")[0];
    let mut values = Vec::new();
    for section in section::VALUES..=section::MANIFEST {
        for number in 0.. {
            let Some(value) = rocks.get(block, section, number).expect("it is read") else { break };
            let mut value = value.to_vec();
            if (section, number) == (damaged, 0) {
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
