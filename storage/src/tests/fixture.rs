//! Data directories of format version 1, checked in: every later version opens them and answers as the
//! one that wrote them. `UPDATE_FIXTURE=NAME` writes one anew, which is for a new format only.

use std::fs;
use std::path::{Path, PathBuf};

use ephemeris_model::{Matcher, Source, TimeRange, TimestampMs};

use super::body::{Request, RequestSeries};
use super::flips::{copy, files};
use super::{Answer, DAY, Fixture, NOON, everything};

fn fixture_dir(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tests").join(name)
}

/// Two days sealed and merged, a deletion, and a WAL; floats with start times, histograms with
/// those given, exemplars.
fn fill(fixture: &Fixture, histogram_starts: &[i64]) {
    for part in 0..4i64 {
        for n in 0..6i64 {
            let label = |name: &str, value: String| (name.to_owned(), value);
            let time = |at: i64| NOON - n % 2 * DAY + (part * 10 + at) * 15_000;
            let float =
                |at: i64| (time(at), (n as f64 + at as f64 / 3.0).to_bits(), NOON - 2 * DAY);
            let series = RequestSeries {
                labels: vec![
                    label("__name__", format!("m{}", n % 3)),
                    label("instance", n.to_string()),
                ],
                floats: (0..8).map(float).collect(),
                histograms: vec![(time(8), 3 + n.unsigned_abs()), (time(9), 5)],
                histogram_starts: histogram_starts.to_vec(),
                exemplars: vec![(time(3), "a".to_owned())],
            };
            let request = Request { series: vec![series], ..Request::default() };
            fixture.write("fleet", &request);
        }
        if part < 3 {
            fixture.store().seal().expect("it is sealed");
        }
    }
    let gone = vec![vec![Matcher::equal("instance", "4")]];
    let range = TimeRange::new(TimestampMs(NOON), TimestampMs(NOON + 60_000));
    fixture.store().delete_series("fleet", gone, range).expect("it is deleted");
    let metadata = vec![("m0".to_owned(), "help".to_owned())];
    let request = Request { metadata, ..Request::of(&[("__name__", "up")], NOON, 1.0) };
    fixture.write("ground", &request);
}

/// All that both tenants have.
fn told(fixture: &Fixture) -> (Answer, Answer, String) {
    let (fleet, ground) = (fixture.reader("fleet"), fixture.reader("ground"));
    let exemplars = fleet.exemplars(&[], TimeRange::ALL).expect("an answer");
    (everything(&fleet), everything(&ground), format!("{exemplars:?}"))
}

#[test]
fn a_directory_of_format_1_is_opened_and_answers_as_then() {
    opens("data-v1", &[]);
}

#[test]
fn a_directory_of_format_1_with_starts_of_histograms_is_opened_and_answers_as_then() {
    let answered = opens("data-v1-starts", &[NOON - DAY, 0]);
    let starts = |start: i64| answered.values().flatten().filter(|row| row.2 == start).count();
    // A histogram of each pair has one; those of one series are deleted in part.
    assert!(starts(NOON - DAY) >= 20, "{}", starts(NOON - DAY));
}

/// Opens a directory that was filled with these start times, which must answer as one that is
/// filled now; gives the samples of a tenant.
fn opens(name: &str, histogram_starts: &[i64]) -> Answer {
    let mut fresh = Fixture::new();
    fill(&fresh, histogram_starts);
    let wanted = told(&fresh);
    assert_eq!((wanted.0.len(), wanted.1.len()), (6, 1));
    assert!(wanted.2.contains("trace_id"), "{}", wanted.2);
    fresh.store = None;
    let kept = fixture_dir(name);
    if std::env::var_os("UPDATE_FIXTURE").is_some_and(|wanted| wanted == name) {
        let _ = fs::remove_dir_all(&kept);
        copy(&fresh.dir.path().join("data"), &kept);
        for path in files(&kept) {
            let name = path.file_name().expect("it has a name").to_string_lossy().into_owned();
            // What RocksDB tells, not what it keeps.
            if name.starts_with("LOG") || name == "LOCK" || name == "lock" {
                fs::remove_file(path).expect("it is removed");
            }
        }
    }
    let mut old = Fixture::new();
    old.store = None;
    let data = old.dir.path().join("data");
    fs::remove_dir_all(&data).expect("it is removed");
    copy(&kept, &data);
    old.reopen();
    for _ in 0..2 {
        assert_eq!(told(&old), wanted);
        assert_eq!(old.reader("ground").metadata(Some("m0")).expect("an answer")[0].help, "help");
        old.store().seal().expect("it is sealed");
        old.store().maintain().expect("it is merged");
    }
    wanted.0
}
