//! Crashes and faults at chosen places: nothing that was acknowledged is lost, nothing comes twice.

use std::io::ErrorKind as IoKind;

use ephemeris_model::{Matcher, Select, Source, TimeRange};

use super::body::Request;
use super::{Answer, DAY, Fixture, NOON, everything};
use crate::faults::Place;

fn fill(fixture: &Fixture, count: i32) {
    for n in 0..count {
        let series = n.to_string();
        let labels = [("__name__", "m"), ("n", series.as_str())];
        fixture.write("t", &Request::of(&labels, NOON - i64::from(n % 3) * DAY, f64::from(n)));
    }
}

fn found(fixture: &Fixture) -> Answer {
    everything(&fixture.reader("t"))
}

#[test]
fn a_seal_cut_at_any_step_is_made_good_by_the_next_start() {
    for place in [Place::SealWritten, Place::SealIngested, Place::SealCommitted] {
        let mut fixture = Fixture::new();
        fill(&fixture, 20);
        let before = found(&fixture);
        fixture.faults.arm(place, IoKind::Other);
        fixture.store().seal().expect_err("the seal is cut");
        assert_eq!(found(&fixture), before, "{place:?}: the head still has all");
        fixture.write("t", &Request::of(&[("__name__", "later")], NOON, 1.0));
        fixture.reopen();
        assert_eq!(found(&fixture).len(), before.len() + 1, "{place:?}");
        fixture.store().seal().expect("the seal succeeds");
        fixture.reopen();
        assert_eq!(found(&fixture).len(), before.len() + 1, "{place:?}");
        let stats = fixture.store().stats();
        assert_eq!(stats.block_samples, 21, "{place:?}: nothing is stored twice");
        assert_eq!(stats.wal_records_replayed, 0, "{place:?}");
    }
}

#[test]
fn a_failed_seal_is_tried_again() {
    let fixture = Fixture::new();
    fill(&fixture, 5);
    let before = found(&fixture);
    fixture.faults.arm(Place::SealWritten, IoKind::Other);
    fixture.store().seal().expect_err("the seal fails");
    fixture.store().seal().expect_err("it fails again");
    fixture.faults.disarm();
    fixture.store().maintain().expect("what was left is sealed");
    assert_eq!(found(&fixture), before);
    assert_eq!(fixture.store().stats().head_generations, 1);
    assert_eq!(fixture.store().stats().block_samples, 5);
}

#[test]
fn a_rotation_that_fails_is_tried_again() {
    let fixture = Fixture::new();
    fill(&fixture, 5);
    let before = found(&fixture);
    fixture.faults.arm(Place::WalCreate, IoKind::StorageFull);
    for _ in 0..2 {
        let error = fixture.store().seal().expect_err("there is no space");
        assert_eq!(error.kind(), crate::ErrorKind::Busy, "{error}");
        assert!(error.to_string().contains("injected"), "{error}");
    }
    fixture.faults.disarm();
    fixture.store().seal().expect("there is space again");
    assert_eq!(found(&fixture), before);
    assert_eq!(fixture.store().stats().block_samples, 5);
}

#[test]
fn after_a_failed_sync_reads_go_on_and_writes_end() {
    let mut fixture = Fixture::new();
    fill(&fixture, 3);
    fixture.faults.arm(Place::WalSync, IoKind::Other);
    let request = Request::of(&[("__name__", "lost")], NOON, 1.0);
    let error = fixture.try_write("t", &request).expect_err("the sync fails");
    assert_eq!(error.kind(), crate::ErrorKind::Closed);
    fixture.faults.disarm();
    assert!(fixture.try_write("t", &request).is_err());
    assert_eq!(found(&fixture).len(), 3);
    assert_eq!(fixture.store().stats().wal_poisoned, 1);
    fixture.reopen();
    fixture.write("t", &request);
    assert_eq!(found(&fixture).len(), 4);
}

#[test]
fn a_torn_end_of_the_wal_loses_only_what_was_not_acknowledged() {
    let mut fixture = Fixture::new();
    fill(&fixture, 4);
    let path = newest_wal(&fixture);
    let whole = std::fs::read(&path).expect("it is there");
    fixture.store = None;
    for cut in [0, 5, 27, 28, 40, whole.len() - 1, whole.len()] {
        let dir = fixture.dir.path().join("data");
        std::fs::remove_dir_all(&dir).expect("it is removed");
        std::fs::create_dir_all(dir.join("wal")).expect("it is made");
        std::fs::write(&path, &whole[..cut]).expect("it is written");
        fixture.reopen();
        let records = fixture.store().stats().wal_records_replayed;
        assert_eq!(found(&fixture).len() as u64, records, "cut at {cut}");
        assert_eq!(records == 4, cut == whole.len());
        assert_eq!(fixture.store().stats().wal_damages, 0);
        // The next crash finds the torn file behind a newer one.
        fixture.reopen();
        assert_eq!(fixture.store().stats().wal_records_replayed, records, "cut at {cut}");
        assert_eq!(fixture.store().stats().wal_damages, 0, "cut at {cut}");
        fixture.store = None;
    }
}

#[test]
fn damage_in_the_wal_is_told_in_answers_even_after_a_seal() {
    let mut fixture = Fixture::new();
    fill(&fixture, 4);
    let path = newest_wal(&fixture);
    fixture.store = None;
    let mut bytes = std::fs::read(&path).expect("it is there");
    bytes[60] ^= 1;
    std::fs::write(&path, bytes).expect("it is written");
    for _ in 0..2 {
        fixture.reopen();
        let reader = fixture.reader("t");
        let matchers = vec![Matcher::equal("__name__", "m")];
        let select = Select { matchers, range: TimeRange::ALL };
        let set = reader.select(&select).expect("an answer");
        assert_eq!(set.len(), 3);
        let warnings = set.warnings();
        assert!(warnings[0].contains("bytes of the WAL could not be read"), "{warnings:?}");
        drop(set);
        drop(reader);
        fixture.store().seal().expect("it is sealed");
    }
}

fn newest_wal(fixture: &Fixture) -> std::path::PathBuf {
    let files = std::fs::read_dir(fixture.dir.path().join("data/wal")).expect("a directory");
    files.map(|entry| entry.expect("an entry").path()).max().expect("a file")
}
