//! Many random operations against the model, one after the other in one store.
//!
//! `EPHEMERIS_MODEL_OPERATIONS` says how many; `make model` runs a million.

use std::sync::Arc;

use ephemeris_model::{MatchOp, Matcher, TimeRange, TimestampMs};

use super::body::Request;
use super::plain::PlainHead;
use super::random::Random;
use super::{DAY, Fixture, HOUR, NOON, answer, everything};

const OPERATIONS: u64 = 4000;
const RETENTION_MS: i64 = DAY;
const SERIES: u64 = 60;
/// Time between two operations.
const STEP_MS: i64 = 400;

struct Long {
    fixture: Fixture,
    model: PlainHead,
    random: Random,
    now: i64,
    last: Option<Request>,
}

impl Long {
    fn labels(&mut self) -> Vec<(String, String)> {
        let n = self.random.below(SERIES);
        let pair = |name: &str, value: u64| (name.to_owned(), value.to_string());
        let name = if n.is_multiple_of(5) { "up" } else { "load" };
        vec![("__name__".to_owned(), name.to_owned()), pair("job", n % 4), pair("n", n)]
    }

    fn value(&mut self) -> f64 {
        match self.random.below(20) {
            0 => f64::from_bits(ephemeris_model::STALE_NAN_BITS),
            1 => f64::from_bits(self.random.next()),
            n => n as f64 / 4.0,
        }
    }

    fn request(&mut self, time: i64) -> Request {
        let mut request = Request::default();
        for _ in 0..=self.random.below(4) {
            let labels = self.labels();
            let labels: Vec<(&str, &str)> =
                labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let value = self.value();
            request.series.extend(Request::of(&labels, time, value).series);
        }
        request
    }

    fn write(&mut self, request: Request) {
        let real = self.fixture.write("t", &request);
        let plain = request.with_batch(&request.encode(), |batch| self.model.write("t", batch));
        assert_eq!(real.samples_written, plain.samples_written);
        self.last = Some(request);
    }

    fn matchers(&mut self) -> Vec<Matcher> {
        let value = self.random.below(SERIES).to_string();
        match self.random.below(4) {
            0 => vec![Matcher::equal("__name__", "up")],
            1 => vec![Matcher::equal("n", value)],
            2 => vec![Matcher::new(MatchOp::Regex, "n", "1.|2").expect("valid")],
            _ => vec![
                Matcher::equal("job", "3"),
                Matcher::new(MatchOp::NotEqual, "n", value).expect("valid"),
            ],
        }
    }

    fn range(&mut self) -> TimeRange {
        let start = self.now - self.random.below(2 * HOUR as u64) as i64;
        let end = start + self.random.below(HOUR as u64) as i64;
        TimeRange::new(TimestampMs(start), TimestampMs(end))
    }

    fn query(&mut self) {
        let (matchers, range) = (self.matchers(), self.range());
        let real = answer(&self.fixture.reader("t"), matchers.clone(), range);
        assert_eq!(real, answer(&self.model.reader("t"), matchers, range));
    }

    fn delete(&mut self) {
        let (matchers, range) = (self.matchers(), self.range());
        let store = self.fixture.store();
        store.delete_series("t", vec![matchers.clone()], range).expect("it is deleted");
        self.model.delete("t", &matchers, range);
    }

    fn compare(&self) {
        let wanted = everything(&self.model.reader("t"));
        assert_eq!(everything(&self.fixture.reader("t")), wanted);
    }

    fn step(&mut self) {
        self.now += STEP_MS;
        self.fixture.clock.move_to(TimestampMs(self.now));
        if self.random.chance(700) {
            self.fixture.store().seal().expect("it is sealed");
        } else if self.random.chance(1500) {
            self.fixture.store().maintain().expect("it is maintained");
        } else if self.random.chance(2000) {
            self.fixture.reopen();
        } else if self.random.chance(1200) {
            self.delete();
        } else if self.random.chance(20_000) {
            self.fixture.store().clean_tombstones().expect("it is cleaned");
        } else if self.random.chance(10) {
            self.query();
        } else if self.random.chance(10) {
            let repeated = self.last.clone().unwrap_or_default();
            self.write(repeated);
        } else {
            let late = self.random.chance(10);
            let by = if late { self.random.below(20 * HOUR as u64) as i64 } else { 0 };
            let request = self.request(self.now - by);
            self.write(request);
        }
    }
}

#[test]
fn many_operations_leave_the_store_as_the_model() {
    let fixture = Fixture::with(|config| {
        config.retention_ms = RETENTION_MS;
        config.durability = crate::Durability::Buffered;
    });
    let clock = Arc::clone(&fixture.clock);
    let model = PlainHead::new(RETENTION_MS, fixture.config().limits, clock);
    let mut long = Long { fixture, model, random: Random::new(7), now: NOON, last: None };
    let count = std::env::var("EPHEMERIS_MODEL_OPERATIONS").ok().and_then(|n| n.parse().ok());
    let count: u64 = count.unwrap_or(OPERATIONS);
    for n in 1..=count {
        long.step();
        if n.is_multiple_of((count / 20).max(1)) {
            long.compare();
            long.model.forget_old();
        }
    }
    long.fixture.reopen();
    long.compare();
}
