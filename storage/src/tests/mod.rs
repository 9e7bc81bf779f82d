//! The whole store: against a model, through crashes, with faults.

mod body;
mod concurrent;
mod crash;
mod deletion;
mod failpoints;
mod fixture;
mod flips;
mod log_deletion;
mod logs;
mod long;
mod model;
mod offline;
mod plain;
pub(crate) mod random;
mod room;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ephemeris_model::{
    Labels, Matcher, SampleBuffer, Select, Source, TimeRange, TimestampMs, WriteOutcome,
};

use crate::faults::Faults;
use crate::{Background, Error, ManualClock, ReadLimits, Reader, Store, StoreConfig};
use body::{Decoder, Request, rows};

/// 2026-06-01T12:00:00Z.
const NOON: i64 = 1_780_315_200_000;
const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// A store in a directory of its own that can be closed and opened again.
struct Fixture {
    dir: tempfile::TempDir,
    clock: Arc<ManualClock>,
    faults: Arc<Faults>,
    change: fn(&mut StoreConfig),
    store: Option<Store>,
}

impl Fixture {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: fn(&mut StoreConfig)) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let clock = Arc::new(ManualClock::new(TimestampMs(NOON)));
        let mut fixture = Self { dir, clock, faults: Arc::default(), change, store: None };
        fixture.reopen();
        fixture
    }

    fn config(&self) -> StoreConfig {
        let mut config = StoreConfig::new(self.dir.path().join("data"));
        config.background = Background::Caller;
        (self.change)(&mut config);
        config
    }

    /// Drops the store as a crash does, and opens it again.
    fn reopen(&mut self) {
        self.store = None;
        self.faults.disarm();
        let clock: Arc<ManualClock> = Arc::clone(&self.clock);
        let faults = Arc::clone(&self.faults);
        let store = Store::open_with(self.config(), &Decoder, clock, faults);
        self.store = Some(store.expect("the store opens"));
    }

    fn store(&self) -> &Store {
        self.store.as_ref().expect("the store is open")
    }

    fn reader(&self, tenant: &str) -> Reader {
        self.store().reader(tenant).expect("a reader")
    }

    fn try_write(&self, tenant: &str, request: &Request) -> Result<WriteOutcome, Error> {
        request.with_batch(&request.encode(), |batch| self.store().write(tenant, batch))
    }

    fn write(&self, tenant: &str, request: &Request) -> WriteOutcome {
        self.try_write(tenant, request).expect("it is written")
    }
}

/// Series with samples, as rows that can be compared.
type Answer = BTreeMap<Labels, Vec<(i64, String, i64)>>;

/// All samples of the series that satisfy `matchers`.
fn answer(source: &dyn Source, matchers: Vec<Matcher>, range: TimeRange) -> Answer {
    let set = source.select(&Select { matchers, range }).expect("it is answered");
    assert_eq!(set.warnings(), Vec::<String>::new());
    let mut found = BTreeMap::new();
    let mut buffer = SampleBuffer::default();
    set.read(0..set.len(), &mut buffer, &mut |index, samples| {
        if !samples.is_empty() {
            let before = found.insert(set.labels(index), rows(samples));
            assert!(before.is_none(), "{} comes twice", set.labels(index));
        }
        Ok(())
    })
    .expect("it is read");
    assert_eq!(set.warnings(), Vec::<String>::new());
    found
}

fn everything(source: &dyn Source) -> Answer {
    answer(source, Vec::new(), TimeRange::ALL)
}

#[test]
fn what_is_written_is_in_the_next_answer() {
    let fixture = Fixture::new();
    let outcome = fixture.write("t", &Request::of(&[("__name__", "up"), ("job", "a")], NOON, 1.0));
    assert_eq!(outcome.samples_written, 1);
    let found = everything(&fixture.reader("t"));
    assert_eq!(found.len(), 1);
    assert_eq!(everything(&fixture.reader("other")).len(), 0);
}

#[test]
fn bounds_of_time_refuse_single_samples_with_words() {
    let fixture = Fixture::new();
    let mut request = Request::of(&[("__name__", "up")], NOON, 1.0);
    let value = 2f64.to_bits();
    request.series[0].floats.push((NOON - 401 * DAY, value, 0));
    request.series[0].floats.push((NOON + 600_001, value, 0));
    request.series[0].floats.push((NOON + 600_000, value, 0));
    let outcome = fixture.write("t", &request);
    assert_eq!(outcome.samples_written, 2);
    let summary = outcome.rejects.summary();
    assert!(summary.contains("1 rejected (too_old): timestamp"), "{summary}");
    assert!(summary.contains("which is 600000 ms after now; no sample may lie"), "{summary}");
    assert!(!summary.contains("limits."), "there is no such setting: {summary}");
    let times: Vec<i64> =
        everything(&fixture.reader("t")).into_values().flatten().map(|row| row.0).collect();
    assert_eq!(times, [NOON, NOON + 600_000]);
}

#[test]
fn a_sample_long_after_the_one_before_is_in_answers_over_its_own_time() {
    let fixture = Fixture::new();
    for time in [NOON - 300 * DAY, NOON - 60 * DAY, NOON - 1000, NOON] {
        fixture.write("t", &Request::of(&[("__name__", "up")], time, 1.0));
        let range = TimeRange::inclusive(TimestampMs(time), TimestampMs(time));
        let found = answer(&fixture.reader("t"), Vec::new(), range);
        assert_eq!(found.len(), 1, "at {time}");
    }
    assert_eq!(fixture.store().stats().samples_late_total, 0);
    assert_eq!(everything(&fixture.reader("t")).into_values().flatten().count(), 4);
}

#[test]
fn a_bad_series_costs_only_itself() {
    let mut fixture = Fixture::new();
    let mut request = Request::of(&[("job", "nameless")], NOON, 1.0);
    request.series.extend(Request::of(&[("__name__", "good")], NOON, 1.0).series);
    let outcome = fixture.write("t", &request);
    assert_eq!((outcome.samples_written, outcome.rejects.total()), (1, 1));
    fixture.reopen();
    assert_eq!(everything(&fixture.reader("t")).len(), 1);
}

#[test]
fn a_selection_by_many_matchers_is_as_by_few_and_ends_when_it_is_told_to() {
    let fixture = Fixture::new();
    for sealed in [false, true] {
        for value in ["ax", "bx", "cy"] {
            fixture.write("t", &Request::of(&[("__name__", "m"), ("l", value)], NOON, 1.0));
        }
        if sealed {
            fixture.store().seal().expect("it seals");
        }
        let pattern = |text| Matcher::new(ephemeris_model::MatchOp::Regex, "l", text);
        let mut matchers = vec![pattern(".*x").expect("a pattern"); 30];
        matchers.push(pattern("[bc].*").expect("a pattern"));
        let range = TimeRange::inclusive(TimestampMs(NOON - HOUR), TimestampMs(NOON));
        let found = answer(&fixture.reader("t"), matchers.clone(), range);
        assert_eq!(found.len(), 1, "{found:?}");
        let stopped = fixture.reader("t").with_stop(Arc::new(|| true));
        let error = stopped.select(&Select { matchers: matchers.clone(), range }).err();
        assert!(matches!(error, Some(ephemeris_model::SourceError::Canceled)), "{error:?}");
        let few = stopped.select(&Select { matchers: matchers[28..].to_vec(), range });
        assert_eq!(few.map(|set| set.len()).ok(), Some(1));
    }
}

#[test]
fn a_selection_of_many_series_ends_when_it_is_told_to_or_finds_too_many() {
    let fixture = Fixture::new();
    let mut request = Request::default();
    for n in 0..300 {
        let labels = [("__name__", "m"), ("n", &*n.to_string())];
        request.series.extend(Request::of(&labels, NOON, 1.0).series);
    }
    fixture.write("t", &request);
    for sealed in [false, true] {
        if sealed {
            fixture.store().seal().expect("it seals");
            // Of two parts, which are joined by labels.
            fixture.write("t", &Request::of(&[("__name__", "m"), ("n", "0")], NOON + 1, 1.0));
        }
        let matcher = Matcher::new(ephemeris_model::MatchOp::Equal, "__name__", "m");
        let range = TimeRange::inclusive(TimestampMs(NOON - HOUR), TimestampMs(NOON + 1));
        let select = Select { matchers: vec![matcher.expect("valid")], range };
        let stopped = fixture.reader("t").with_stop(Arc::new(|| true));
        let error = stopped.select(&select).err();
        assert!(matches!(error, Some(ephemeris_model::SourceError::Canceled)), "{error:?}");
        let found = |max| {
            let limits = ReadLimits { series_max: max, ..ReadLimits::default() };
            let reader = fixture.reader("t").with_limits(limits);
            reader.select(&select).map(|set| set.len()).map_err(|error| error.to_string())
        };
        assert_eq!(found(300), Ok(300));
        let error = found(299).expect_err("one too many");
        assert!(error.contains("a selection finds 300 series; limit is 299"), "{error}");
        let loaded = |samples_max| {
            let reader = fixture.reader("t");
            let reader = reader.with_limits(ReadLimits { samples_max, ..ReadLimits::default() });
            let set = reader.select(&select).expect("it is found");
            let mut buffer = SampleBuffer::default();
            set.read(0..300, &mut buffer, &mut |_, _| Ok(())).map_err(|error| error.to_string())
        };
        assert_eq!(loaded(301), Ok(()));
        let error = loaded(9).expect_err("too many samples");
        assert!(error.contains("samples; limit is 9"), "{error}");
    }
}

#[test]
fn a_second_store_on_the_directory_is_refused() {
    let fixture = Fixture::new();
    let again = Store::open(fixture.config(), Arc::new(Decoder), Arc::new(crate::SystemClock));
    let text = again.err().expect("the directory is locked").to_string();
    assert!(text.contains("in use by another process"), "{text}");
}

#[test]
fn a_full_head_asks_to_come_again() {
    let fixture = Fixture::with(|config| config.head_late_bytes_max = 1000);
    for n in (0..100).rev() {
        fixture
            .try_write("t", &Request::of(&[("__name__", "up")], NOON - n % 7, f64::from(n as i32)))
            .map_or_else(|e| assert_eq!(e.kind(), crate::ErrorKind::Busy), |_| ());
    }
    assert!(fixture.store().stats().writes_busy_total > 0);
}

#[test]
fn a_head_above_its_memory_refuses_writes_until_it_is_sealed() {
    let fixture = Fixture::with(|config| config.memory_budget_bytes = 1 << 20);
    let request = |first: u32| {
        let mut request = Request::default();
        for n in first..first + 1000 {
            let series = n.to_string();
            let labels = [("__name__", "m"), ("n", series.as_str())];
            request.series.extend(Request::of(&labels, NOON, f64::from(n)).series);
        }
        request
    };
    let mut errors = (0..100).filter_map(|n| fixture.try_write("t", &request(n * 1000)).err());
    let error = errors.next().expect("a write is refused");
    assert_eq!(error.kind(), crate::ErrorKind::Busy);
    assert!(error.to_string().contains("limit is 1048576 (memory_budget)"), "{error}");
    // One round seals, a later one forgets the series.
    let again = (0..10).any(|_| {
        fixture.store().maintain().expect("the head is sealed");
        fixture.try_write("t", &request(0)).is_ok()
    });
    assert!(again, "there is room again");
}

#[test]
fn a_seal_leaves_the_wal_file_of_the_open_generation_only() {
    let fixture = Fixture::new();
    let files = || fixture.store().inner.wal.generations().expect("a directory");
    let before = files();
    assert_eq!(before.len(), 1);
    for n in 1..4 {
        fixture.write("t", &Request::of(&[("__name__", "up")], NOON + n, 1.0));
        fixture.store().seal().expect("it is sealed");
        assert_eq!(files(), [before[0] + n.unsigned_abs()]);
    }
    assert_eq!(everything(&fixture.reader("t")).len(), 1);
}

#[test]
fn more_series_than_memory_holds_are_taken_in_one_generation_after_another() {
    let mut fixture = Fixture::with(|config| config.memory_budget_bytes = 1 << 20);
    let mut busy = 0;
    for first in (0..20_000).step_by(1000) {
        let mut request = Request::default();
        for n in first..first + 1000 {
            let series = n.to_string();
            let labels = [("__name__", "m"), ("n", series.as_str())];
            request.series.extend(Request::of(&labels, NOON, f64::from(n)).series);
        }
        while fixture.try_write("t", &request).is_err() {
            busy += 1;
            assert!(busy < 100, "room is never made");
            fixture.store().maintain().expect("the head is sealed");
        }
        fixture.store().maintain().expect("memory is measured");
    }
    assert_eq!(everything(&fixture.reader("t")).len(), 20_000);
    fixture.reopen();
    assert_eq!(everything(&fixture.reader("t")).len(), 20_000);
}

#[test]
fn metadata_is_kept() {
    let mut fixture = Fixture::new();
    let metadata = vec![("up".to_owned(), "whether it is up".to_owned())];
    fixture.write("t", &Request { metadata, ..Request::default() });
    for _ in 0..2 {
        let found = fixture.reader("t").metadata(Some("up")).expect("an answer");
        assert_eq!(found[0].help, "whether it is up");
        fixture.reopen();
    }
}

#[test]
fn series_that_fell_silent_make_room_for_new_ones() {
    let fixture = Fixture::with(|config| config.limits.active_series_max = 5);
    let write = |name: &str| fixture.write("t", &Request::of(&[("__name__", name)], NOON, 1.0));
    for name in ["a", "b", "c", "d", "e"] {
        assert_eq!(write(name).samples_written, 1);
    }
    let refused = write("f");
    assert_eq!(refused.samples_written, 0);
    assert!(refused.rejects.summary().contains("limit is 5 (limits.active_series_max)"));
    fixture.store().seal().expect("it is sealed");
    assert_eq!(write("a").samples_written, 1, "what is there goes on");
    assert_eq!(write("f").samples_written, 0);
    fixture.store().seal().expect("it is sealed");
    assert_eq!(write("f").samples_written, 1);
    assert_eq!(everything(&fixture.reader("t")).len(), 6);
}

#[test]
fn series_that_all_fell_silent_are_forgotten_though_nothing_is_written() {
    let fixture = Fixture::with(|config| config.durability = crate::Durability::Buffered);
    for at in 0..10_000 {
        let terminal = at.to_string();
        let labels = [("__name__", "up"), ("terminal", &*terminal)];
        fixture.write("t", &Request::of(&labels, NOON, 1.0));
    }
    let age = fixture.config().head_age_ms_max;
    let mut known = Vec::new();
    for rotation in 1..=3 {
        fixture.clock.move_to(TimestampMs(NOON + rotation * (age + 1)));
        fixture.store().maintain().expect("it is maintained");
        // Measured before it seals.
        known.push(fixture.store().stats().head_identity_bytes);
    }
    assert_eq!(known[0], known[1], "they outlive the seal");
    assert!(known[2] < known[1] / 4, "dropped after a silent life: {known:?}");
    assert_eq!(everything(&fixture.reader("t")).len(), 10_000);
}

#[test]
fn a_sealed_generation_is_freed_when_nobody_reads_it_and_that_is_told() {
    static TOLD: AtomicU64 = AtomicU64::new(0);
    let told = || TOLD.load(Ordering::Relaxed);
    let fixture = Fixture::new();
    fixture.store().when_freed(|| {
        TOLD.fetch_add(1, Ordering::Relaxed);
    });
    let write = |value| fixture.write("t", &Request::of(&[("__name__", "up")], NOON, value));
    write(1.0);
    fixture.store().seal().expect("it is sealed");
    assert_eq!(told(), 1);
    write(2.0);
    let reader = fixture.reader("t");
    fixture.store().seal().expect("it is sealed");
    fixture.store().maintain().expect("it is maintained");
    assert_eq!(told(), 1, "it is still read");
    assert_eq!(everything(&reader).len(), 1);
    drop(reader);
    fixture.store().maintain().expect("it is maintained");
    assert_eq!(told(), 2);
}

#[test]
fn buffered_writes_survive_the_end_of_the_process() {
    let mut fixture = Fixture::with(|config| config.durability = crate::Durability::Buffered);
    fixture.write("t", &Request::of(&[("__name__", "up")], NOON, 1.0));
    assert_eq!(fixture.store().stats().wal_syncs_total, 0);
    fixture.reopen();
    assert_eq!(everything(&fixture.reader("t")).len(), 1);
}

#[test]
fn a_shutdown_that_takes_too_long_says_so_and_loses_nothing() {
    let mut fixture = Fixture::with(|config| config.background = Background::Thread);
    fixture.write("t", &Request::of(&[("__name__", "up")], NOON, 1.0));
    if let Err(error) = fixture.store().close(std::time::Duration::ZERO) {
        assert_eq!(error.kind(), crate::ErrorKind::Timeout);
    }
    let refused = fixture.try_write("t", &Request::of(&[("__name__", "up")], NOON, 2.0));
    assert_eq!(refused.expect_err("it is closed").kind(), crate::ErrorKind::Closed);
    fixture.reopen();
    assert_eq!(everything(&fixture.reader("t")).len(), 1);
}

#[test]
fn a_series_whose_every_sample_is_refused_leaves_no_trace() {
    let mut fixture = Fixture::new();
    let labels = [("__name__", "refused")];
    let old = Request::of(&labels, NOON - 4_000 * DAY, 1.0);
    let outcome = fixture.write("a", &old);
    assert_eq!((outcome.samples_written, outcome.rejects.total()), (0, 1));
    let future = Request::of(&labels, NOON + DAY, 1.0);
    assert_eq!(fixture.write("a", &future).samples_written, 0);
    fixture.write("a", &Request::of(&[("__name__", "kept")], NOON, 1.0));
    for _ in 0..2 {
        let names = fixture.reader("a").label_values("__name__", &[], TimeRange::ALL);
        assert_eq!(names.expect("names are read"), ["kept"]);
        assert_eq!(fixture.store().stats().head_series, 1);
        fixture.reopen();
    }
}
