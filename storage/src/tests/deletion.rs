//! Deletion: what goes, what lives, and when it is gone from disk.

use ephemeris_model::{MatchOp, Matcher, Source, TimeRange, TimestampMs};

use super::body::Request;
use super::{DAY, Fixture, NOON, everything};

fn write(fixture: &Fixture, name: &str, instance: &str, time: i64) {
    let labels = [("__name__", name), ("instance", instance)];
    fixture.write("t", &Request::of(&labels, time, 1.0));
}

fn delete(fixture: &Fixture, name: &str, range: TimeRange) {
    let selectors = vec![vec![Matcher::equal("__name__", name)]];
    fixture.store().delete_series("t", selectors, range).expect("it is deleted");
}

fn values(fixture: &Fixture, name: &str) -> Vec<String> {
    fixture.reader("t").label_values(name, &[], TimeRange::ALL).expect("an answer")
}

fn times(fixture: &Fixture) -> Vec<i64> {
    everything(&fixture.reader("t")).into_values().flatten().map(|row| row.0).collect()
}

#[test]
fn a_deleted_series_is_gone_from_samples_and_labels_until_it_is_written_again() {
    let mut fixture = Fixture::new();
    write(&fixture, "gone", "a", NOON);
    write(&fixture, "kept", "b", NOON);
    delete(&fixture, "gone", TimeRange::ALL);
    for _ in 0..2 {
        assert_eq!(everything(&fixture.reader("t")).len(), 1);
        assert_eq!(values(&fixture, "__name__"), ["kept"]);
        assert_eq!(values(&fixture, "instance"), ["b"]);
        fixture.reopen();
    }
    write(&fixture, "gone", "a", NOON);
    assert_eq!(everything(&fixture.reader("t")).len(), 2);
    assert_eq!(values(&fixture, "__name__"), ["gone", "kept"]);
    fixture.store().seal().expect("it is sealed");
    assert_eq!(everything(&fixture.reader("t")).len(), 2);
}

#[test]
fn a_range_is_deleted_to_the_millisecond_and_from_disk_when_cleaned() {
    let mut fixture = Fixture::new();
    for n in 0..10 {
        write(&fixture, "m", "a", NOON - DAY + n);
        write(&fixture, "m", "a", NOON + n);
    }
    let range = TimeRange::inclusive(TimestampMs(NOON - DAY + 3), TimestampMs(NOON + 6));
    delete(&fixture, "m", range);
    let left: Vec<i64> = (0..3).map(|n| NOON - DAY + n).chain((7..10).map(|n| NOON + n)).collect();
    assert_eq!(times(&fixture), left);
    assert_eq!(fixture.store().stats().block_samples, 20);
    fixture.reopen();
    assert_eq!(times(&fixture), left);
    fixture.store().clean_tombstones().expect("it is cleaned");
    assert_eq!(times(&fixture), left);
    assert_eq!(fixture.store().stats().block_samples, 6);
    assert_eq!(fixture.store().stats().tombstones, 0);
    fixture.reopen();
    assert_eq!(times(&fixture), left);
}

#[test]
fn a_deletion_of_nothing_leaves_no_trace() {
    let fixture = Fixture::new();
    write(&fixture, "kept", "a", NOON);
    delete(&fixture, "other", TimeRange::ALL);
    delete(&fixture, "kept", TimeRange::new(TimestampMs(NOON + 1), TimestampMs::MAX));
    let not = Matcher::new(MatchOp::NotEqual, "__name__", "x").expect("valid");
    let gone = fixture.store().delete_series("nobody", vec![vec![not]], TimeRange::ALL);
    gone.expect("there is nothing to do");
    assert_eq!(times(&fixture), [NOON]);
    let stats = fixture.store().stats();
    assert_eq!((stats.tombstones, stats.blocks), (0, 0), "the head was not sealed for it");
}

#[test]
fn a_reader_that_was_there_before_goes_on_as_it_was() {
    let fixture = Fixture::new();
    write(&fixture, "m", "a", NOON);
    fixture.store().seal().expect("it is sealed");
    let before = fixture.reader("t");
    delete(&fixture, "m", TimeRange::ALL);
    let after = fixture.reader("t");
    fixture.store().clean_tombstones().expect("it is cleaned");
    assert_eq!(everything(&before).len(), 1);
    assert_eq!(everything(&after).len(), 0);
    assert_eq!(fixture.store().stats().blocks, 0);
}
