//! Each step of sealing, merging, dropping and deleting is cut ten times; after each cut the store is
//! opened again and holds all that was acknowledged, once.

use std::io::ErrorKind;
use std::sync::Arc;

use ephemeris_model::{Matcher, TimeRange, TimestampMs};

use super::body::Request;
use super::plain::PlainHead;
use super::{DAY, Fixture, NOON, everything};
use crate::faults::Place;

const ROUNDS: i64 = 10;
const RETENTION_MS: i64 = 10 * DAY;

struct Cut {
    fixture: Fixture,
    model: PlainHead,
    now: i64,
}

impl Cut {
    fn new() -> Self {
        let fixture = Fixture::with(|config| config.retention_ms = RETENTION_MS);
        let clock = Arc::clone(&fixture.clock);
        let model = PlainHead::new(RETENTION_MS, fixture.config().limits, clock);
        Self { fixture, model, now: NOON }
    }

    /// Samples of `round`, some of them of the day before.
    fn request(&self, round: i64) -> Request {
        let mut request = Request::default();
        for n in 0..12 {
            let series = (round * 5 + n).rem_euclid(20).to_string();
            let labels = [("__name__", "m"), ("n", series.as_str())];
            let time = self.now - n % 3 * DAY / 2 + round;
            let value = f64::from(i32::try_from(round * 100 + n).expect("small"));
            request.series.extend(Request::of(&labels, time, value).series);
        }
        request
    }

    /// As a client that writes until it is told that it is stored.
    fn write(&mut self, round: i64) {
        let request = self.request(round);
        if self.fixture.try_write("t", &request).is_err() {
            self.fixture.reopen();
            self.fixture.write("t", &request);
        }
        request.with_batch(&request.encode(), |batch| self.model.write("t", batch));
    }

    fn pass(&mut self, ms: i64) {
        self.now += ms;
        self.fixture.clock.move_to(TimestampMs(self.now));
    }

    fn delete(&mut self, round: i64) {
        let gone = vec![Matcher::equal("n", (round % 20).to_string())];
        let mut done = self.fixture.store().delete_series("t", vec![gone.clone()], TimeRange::ALL);
        if done.is_err() {
            self.fixture.reopen();
            done = self.fixture.store().delete_series("t", vec![gone.clone()], TimeRange::ALL);
        }
        done.expect("nothing is in the way of the second try");
        self.model.delete("t", &gone, TimeRange::ALL);
    }

    /// All there is to do once; what fails is left to the next start.
    fn work(&mut self, place: Place, round: i64) {
        let name = format!("{place:?}");
        if name.starts_with("Drop") {
            self.pass(RETENTION_MS + DAY);
        }
        if name.starts_with("Delete") {
            self.delete(round);
        }
        let store = self.fixture.store();
        // What is cut answers with an error; what comes after it may as well.
        let _ = store.seal();
        let _ = store.maintain();
    }

    fn compare(&self, what: &str) {
        let wanted = everything(&self.model.reader("t"));
        assert_eq!(everything(&self.fixture.reader("t")), wanted, "{what}");
    }
}

fn run(place: Place) {
    let mut cut = Cut::new();
    for round in 0..ROUNDS {
        // Enough blocks of a day for a merge.
        for part in 0..5 {
            cut.write(round * 10 + part);
            cut.fixture.store().seal().expect("nothing is in its way");
        }
        let before = cut.fixture.faults.hits();
        cut.fixture.faults.arm(place, ErrorKind::Other);
        cut.write(round * 10 + 5);
        cut.work(place, round);
        let hits = cut.fixture.faults.hits() - before;
        assert!(hits > 0, "{place:?} was not met in round {round}");
        cut.fixture.reopen();
        cut.compare(&format!("{place:?}, round {round}, after the start"));
        cut.fixture.store().maintain().expect("nothing is in its way");
        cut.fixture.store().seal().expect("nothing is in its way");
        cut.compare(&format!("{place:?}, round {round}, after sealing"));
        cut.pass(60_000);
    }
}

#[test]
fn a_cut_at_any_step_loses_nothing_and_doubles_nothing() {
    std::thread::scope(|scope| {
        for places in Place::ALL.chunks(Place::ALL.len().div_ceil(4)) {
            scope.spawn(move || places.iter().for_each(|&place| run(place)));
        }
    });
}
