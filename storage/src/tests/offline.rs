//! Checking and looking at a data directory nobody has open.

use std::fs;
use std::path::PathBuf;

use ephemeris_model::{Matcher, TimeRange};

use super::body::{Decoder, Request};
use super::{DAY, Fixture, NOON, everything};
use crate::inspect::Inspected;
use crate::verify::{Verified, verify};

/// Two blocks, a deletion in one of them, and two records in the WAL.
fn filled() -> Fixture {
    let mut fixture = Fixture::new();
    for n in 0..20 {
        let series = n.to_string();
        let labels = [("__name__", "m"), ("n", series.as_str())];
        fixture.write("t", &Request::of(&labels, NOON - n % 2 * DAY, 1.0));
    }
    let gone = vec![vec![Matcher::equal("n", "4")]];
    fixture.store().delete_series("t", gone, TimeRange::ALL).expect("it is deleted");
    for n in 0..2 {
        fixture.write("t", &Request::of(&[("__name__", "up")], NOON + n, 1.0));
    }
    fixture.store = None;
    fixture
}

fn check(fixture: &Fixture) -> Verified {
    let dir = fixture.dir.path().join("data");
    verify(&dir, &Decoder, &mut |_| {}).expect("it can be looked at")
}

#[test]
fn a_whole_directory_is_whole_and_stays_as_it_is() {
    let mut fixture = filled();
    let found = check(&fixture);
    assert_eq!(found.problems, Vec::<String>::new());
    assert_eq!((found.blocks, found.series, found.samples, found.wal_records), (2, 20, 20, 2));
    fixture.reopen();
    assert_eq!(everything(&fixture.reader("t")).len(), 20);
    let dir = fixture.dir.path().join("data");
    let error = verify(&dir, &Decoder, &mut |_| {}).expect_err("it is open");
    assert!(error.to_string().contains("in use by another process"), "{error}");
    let error = verify(fixture.dir.path(), &Decoder, &mut |_| {}).expect_err("nothing is there");
    assert!(error.to_string().contains("is no data directory"), "{error}");
}

/// Files below `part` with this ending.
fn files(fixture: &Fixture, part: &str, end: &str) -> Vec<PathBuf> {
    let dir = fixture.dir.path().join("data").join(part);
    let all = fs::read_dir(dir).expect("a list").map(|entry| entry.expect("an entry").path());
    let mut found: Vec<PathBuf> =
        all.filter(|path| path.to_string_lossy().ends_with(end)).collect();
    found.sort();
    found
}

#[test]
fn damage_of_each_kind_is_found() {
    for (part, end, named) in [
        ("db", ".sst", "block "),
        ("wal", ".wal", ".wal"),
        ("db", ".log", "catalog"),
        ("", "catalog", "catalog"),
    ] {
        let fixture = filled();
        let path = files(&fixture, part, end).pop().expect("there is one");
        let mut bytes = fs::read(&path).expect("it is there");
        let at = if end == ".sst" { 60 } else { bytes.len() / 2 };
        bytes[at] ^= 4;
        fs::write(&path, bytes).expect("it is written");
        let found = check(&fixture);
        assert!(found.problems.iter().any(|text| text.contains(named)), "{end}: {found:?}");
    }
}

#[test]
fn blocks_and_their_parts_are_shown() {
    let fixture = filled();
    let dir = fixture.dir.path().join("data");
    let inspected = Inspected::open(&dir).expect("it can be looked at");
    let blocks = inspected.blocks();
    assert_eq!(blocks.len(), 2);
    let parts = inspected.block(blocks[1].id.0).expect("it is there");
    assert_eq!(parts.tenants, [("t".to_owned(), 10)]);
    assert_eq!((parts.row.sample_count, parts.tombstones, parts.damage), (10, 1, None));
    let bytes: u64 = parts.sections.values().map(|size| size.bytes).sum();
    assert!(bytes < parts.row.bytes && parts.sections.len() >= 6, "{:?}", parts.sections);
    let error = inspected.block(99).expect_err("there is none");
    assert_eq!(error.kind(), crate::ErrorKind::NotFound);
}
