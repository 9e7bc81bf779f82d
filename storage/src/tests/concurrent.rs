//! Many threads at once: writers, readers, seals and merges.

use std::sync::atomic::{AtomicBool, Ordering};

use ephemeris_model::{Matcher, TimeRange};

use super::body::Request;
use super::{Fixture, NOON, answer, everything};
use crate::{Background, ErrorKind};

const WRITERS: usize = 4;
const ROUNDS: i64 = 150;

/// A request of one scrape: a few series, one sample each. Every tenth comes out of order.
fn scrape(writer: usize, round: i64) -> Request {
    let mut request = Request::default();
    for n in 0..5 {
        let (writer, n) = (writer.to_string(), n.to_string());
        let labels = [("__name__", "m"), ("n", n.as_str()), ("writer", writer.as_str())];
        let time = if round % 10 == 9 { NOON - round * 1000 } else { NOON + round * 1000 };
        request.series.extend(Request::of(&labels, time, round as f64).series);
    }
    request
}

fn write_and_check(fixture: &Fixture, writer: usize) {
    let own = vec![Matcher::equal("writer", writer.to_string())];
    for round in 0..ROUNDS {
        let request = scrape(writer, round);
        loop {
            match fixture.try_write("t", &request) {
                Ok(outcome) => {
                    assert_eq!(outcome.samples_written, 5);
                    break;
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::Busy, "{error}"),
            }
            std::thread::yield_now();
        }
        let found = answer(&fixture.reader("t"), own.clone(), TimeRange::ALL);
        assert_eq!(found.len(), 5, "writer {writer}, round {round}");
        for (labels, rows) in found {
            assert_eq!(rows.len() as i64, round + 1, "{labels} in round {round}");
        }
    }
}

#[test]
fn what_is_acknowledged_is_in_every_answer_while_heads_are_sealed() {
    let mut fixture = Fixture::with(|config| {
        config.background = Background::Thread;
        config.head_wal_bytes_max = 60_000;
    });
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (fixture, done) = (&fixture, &done);
        scope.spawn(move || {
            while !done.load(Ordering::Relaxed) {
                fixture.store().maintain().expect("it is maintained");
            }
        });
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| scope.spawn(move || write_and_check(fixture, writer)))
            .collect();
        for writer in writers {
            writer.join().expect("the writer found what it wrote");
        }
        done.store(true, Ordering::Relaxed);
    });
    let stats = fixture.store().stats();
    assert!(stats.seals_total > 2, "{stats:?}");
    assert_eq!(stats.seals_failed_total, 0);
    let before = everything(&fixture.reader("t"));
    assert_eq!(before.values().map(Vec::len).sum::<usize>() as i64, 4 * 5 * ROUNDS);
    fixture.reopen();
    assert_eq!(everything(&fixture.reader("t")), before);
    fixture.store().close(std::time::Duration::from_secs(60)).expect("it closes in time");
    fixture.reopen();
    assert_eq!(fixture.store().stats().wal_records_replayed, 0);
    assert_eq!(everything(&fixture.reader("t")), before);
}

#[test]
fn new_series_of_many_threads_are_made_once() {
    let fixture = Fixture::new();
    std::thread::scope(|scope| {
        for thread in 0..4i64 {
            let fixture = &fixture;
            scope.spawn(move || {
                for n in 0..200 {
                    let n = n.to_string();
                    let labels = [("__name__", "m"), ("n", n.as_str())];
                    fixture.write("t", &Request::of(&labels, NOON + thread, thread as f64));
                }
            });
        }
    });
    let found = everything(&fixture.reader("t"));
    assert_eq!(found.len(), 200);
    assert!(found.values().all(|rows| rows.len() == 4));
    assert_eq!(fixture.store().stats().head_series, 200);
}
