//! Log entries: what is pushed, what is asked for, limits, retention, crashes.

use std::collections::BTreeMap;
use std::io::ErrorKind as IoKind;
use std::ops::ControlFlow;

use ephemeris_model::{
    BatchEntry, BatchStream, BodyKind, CountBy, Direction, EntryBuffer, EntryCount, Labels,
    LineMatch, LineSearch, LineSearches, LogBatch, LogColumns, LogOutcome, LogSelect, LogSource,
    MatchOp, Matcher, NanoRange, RejectReason, StreamSet, TimestampMs,
};
use serde::{Deserialize, Serialize};

use super::{DAY, Fixture, NOON};
use crate::Reader;
use crate::faults::Place;
pub(super) use model::pushes;
use tally::{tallied, tally_of};

mod damaged;
mod many_names;
mod model;
mod tally;

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
    LogSelect {
        matchers: Vec::new(),
        range,
        direction,
        columns,
        filters: LineSearches::default(),
        hints: Vec::new(),
    }
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

/// The condition that lines hold all of these texts.
fn holding(needles: &[&str]) -> LineSearches {
    LineSearches::new(needles.iter().map(|needle| LineSearch::text(needle.as_bytes())).collect())
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
    assert_eq!(names(reader.streams(&[vec![matcher]], ALL).expect("streams").streams), ["a", "ab"]);
    assert_eq!(reader.streams(&[], ALL).expect("streams").streams.len(), 3);
    let before = NanoRange { start: NOON_NS - DAY_NS, end: NOON_NS };
    assert_eq!(reader.streams(&[], before).expect("streams").streams.len(), 0);
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
            let chosen = LogSelect { filters: holding(&needles), ..select(direction, ALL) };
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
