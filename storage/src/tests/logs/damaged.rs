//! Values of log blocks that are damaged: told where they are needed, and read nowhere else.

use ephemeris_model::SourceError;
use ephemeris_model::log_batch::DETECTED_LEVEL;

use super::tally::tallied;
use super::*;
use crate::catalog::BlockId;
use crate::envelope::{self, Zip, section};
use crate::rocks::Rocks;

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
        let chosen = LogSelect { filters: holding(&[needle]), ..select(Direction::Forward, ALL) };
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
    let chosen = LogSelect { filters: holding(&["line 007"]), ..select(Direction::Forward, ALL) };
    let before = read_all(&fixture.reader("t"), &chosen);
    fixture.store().seal().expect("it is sealed");
    for (section, number) in
        [(section::GRAMS, 0), (section::GRAMS, 1 << 31), (section::DIRECTORY, 1 << 31)]
    {
        fixture.store = None;
        damage_value(&fixture, section, number);
        fixture.reopen();
        let found = read_all(&fixture.reader("t"), &chosen);
        assert_eq!(found, before, "value {section}/{number}");
        assert_eq!(answer(&fixture.reader("t"), &select(Direction::Forward, ALL)).len(), 1);
    }
}

#[test]
fn a_list_of_streams_tells_what_it_lacks() {
    let mut fixture = Fixture::new();
    push(&fixture, &Push::of("a", &[(NOON_NS, "line")]));
    let listed = |fixture: &Fixture| {
        let list = fixture.reader("t").streams(&[], ALL).expect("it is answered");
        (list.streams.len(), list.warnings.len())
    };
    fixture.store().seal().expect("it is sealed");
    assert_eq!(listed(&fixture), (1, 0));
    fixture.store = None;
    damage(&fixture, section::LABELS);
    fixture.reopen();
    assert_eq!(listed(&fixture), (0, 1));
}

/// Changes a bit of the first value of a section of the only block.
fn damage(fixture: &Fixture, damaged: u8) {
    damage_value(fixture, damaged, 0);
}

/// Changes a bit of a value of the only block.
fn damage_value(fixture: &Fixture, damaged: u8, damaged_number: u32) {
    change_value(fixture, |key, value| {
        if key == (damaged, damaged_number) {
            value[7] ^= 1;
        }
    });
}

/// Makes the first page of the first block one of a version that is not known, under a checksum
/// that is right; answers the block.
pub(super) fn break_page(fixture: &Fixture) -> BlockId {
    change_value(fixture, |(section, number), value| {
        if (section, number) == (section::LOG_PAGES, 0) {
            let mut body =
                envelope::open(section, number, value).expect("it is whole").into_owned();
            body[0] = 77;
            *value = envelope::seal(section, number, &body, Zip::No).expect("it is small");
        }
    })
}

/// Changes values of the first block, which is answered.
fn change_value(fixture: &Fixture, change: impl Fn((u8, u32), &mut Vec<u8>)) -> BlockId {
    let rocks = Rocks::open(&fixture.dir.path().join("data/db")).expect("it opens");
    let block = rocks.block_ids().expect("ids")[0];
    let mut values = Vec::new();
    for section in section::VALUES..=section::MANIFEST {
        for number in (0..1 << 10).chain((1 << 31)..(1 << 31) + 2) {
            let Some(value) = rocks.get(block, section, number).expect("it is read") else {
                continue;
            };
            let mut value = value.to_vec();
            change((section, number), &mut value);
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
    block
}
