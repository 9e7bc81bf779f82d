//! Bits flipped and files cut at random, in all files of a data directory: the store opens, answers
//! nothing wrong, brings nothing deleted back, and tells what is missing; of samples and of entries.
//!
//! `EPHEMERIS_FLIPS` says how many; `make flips` runs many.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ephemeris_model::{
    Direction, Labels, LineMatch, Matcher, SampleBuffer, Select, Source, TimeRange, TimestampMs,
};

use super::body::{Decoder, Request, rows};
use super::log_deletion::filter;
use super::logs::{ALL, Entry, Push, push, read_with_warnings, select};
use super::random::Random;
use super::{Answer, DAY, Fixture, HOUR, NOON, everything};
use crate::{Background, LogDeletion, ManualClock, Store, StoreConfig};

const FLIPS: u64 = 150;

/// A directory with blocks of three days, a merged one among them, deletions, and a WAL.
fn fill() -> Fixture {
    let fixture = Fixture::new();
    for part in 0..6 {
        for n in 0..30 {
            let (job, series) = (format!("job-{}", n % 3), n.to_string());
            let labels = [("__name__", "m"), ("job", job.as_str()), ("n", series.as_str())];
            for at in 0..20 {
                let time = NOON - part % 3 * DAY - part * HOUR + at * 15_000;
                fixture.write("t", &Request::of(&labels, time, n as f64 + at as f64 / 7.0));
            }
        }
        push(&fixture, &lines(part));
        fixture.store().seal().expect("it is sealed");
    }
    let gone = vec![vec![Matcher::equal("n", "7")]];
    let range = TimeRange::new(TimestampMs(NOON - DAY), TimestampMs(NOON));
    fixture.store().delete_series("t", gone, range).expect("it is deleted");
    let deletion = |text: &str| LogDeletion {
        query: text.to_owned(),
        matchers: vec![Matcher::equal("app", "a")],
        filters: vec![filter(LineMatch::Contains, text)],
        range: ALL,
    };
    fixture.store().delete_logs("t", deletion("line 3")).expect("it is deleted");
    fixture.store().clean_tombstones().expect("it is done on disk");
    fixture.store().delete_logs("t", deletion("line 5")).expect("it is deleted");
    fixture.store().maintain().expect("it is maintained");
    push(&fixture, &lines(6));
    for n in 0..40 {
        let series = n.to_string();
        let labels = [("__name__", "open"), ("n", series.as_str())];
        fixture.write("t", &Request::of(&labels, NOON + n * 1000, n as f64));
    }
    fixture
}

/// Lines of three days.
fn lines(part: i64) -> Push {
    let lines: Vec<String> = (0..40).map(|n| format!("line {n} of {part}")).collect();
    let time = |n: i64| (NOON - part % 3 * DAY - part * HOUR) * 1_000_000 + n * 1_000_000_007;
    let entries: Vec<(i64, &str)> =
        lines.iter().zip(0..).map(|(line, n)| (time(n), line.as_str())).collect();
    Push::of(["a", "b"][usize::from(part % 2 == 1)], &entries)
}

/// What a reader answers of entries, and the warnings with it.
fn ask_logs(store: &Store) -> (BTreeMap<Labels, Vec<Entry>>, Vec<String>) {
    let reader = store.reader("t").expect("a reader");
    read_with_warnings(&reader, &select(Direction::Forward, ALL))
}

pub(super) fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("a list") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

pub(super) fn copy(from: &Path, to: &Path) {
    for path in files(from) {
        let target = to.join(path.strip_prefix(from).expect("it lies there"));
        fs::create_dir_all(target.parent().expect("it has one")).expect("it is made");
        fs::copy(&path, target).expect("it is copied");
    }
}

/// What a reader answers, and the warnings with it.
fn ask(store: &Store) -> (Answer, Vec<String>) {
    let reader = store.reader("t").expect("a reader");
    let set = reader.select(&Select { matchers: Vec::new(), range: TimeRange::ALL });
    let set = set.expect("damage is no error");
    let mut found = Answer::new();
    let mut buffer = SampleBuffer::default();
    set.read(0..set.len(), &mut buffer, &mut |index, samples| {
        if !samples.is_empty() {
            found.insert(set.labels(index), rows(samples));
        }
        Ok(())
    })
    .expect("damage is no error");
    let mut warnings = set.warnings();
    let names = reader.label_values("n", &[], TimeRange::ALL).expect("damage is no error");
    assert!(names.iter().all(|name| name.parse::<u32>().is_ok_and(|n| n < 40)));
    warnings.extend(reader.warnings());
    (found, warnings)
}

struct Flip<'a> {
    what: String,
    wanted: &'a Answer,
    wanted_logs: &'a BTreeMap<Labels, Vec<Entry>>,
    /// The end of the newest WAL file, cut off, cannot be told from a record that was never whole.
    may_be_silent: bool,
}

impl Flip<'_> {
    fn check(&self, store: &Store, when: &str) {
        let what = format!("{}, {when}", self.what);
        let (found, warnings) = ask(store);
        let none = Vec::new();
        for (labels, rows) in &found {
            let right = self.wanted.get(labels).unwrap_or(&none);
            assert!(rows.iter().all(|row| right.contains(row)), "{what}: {labels} is wrong");
        }
        let count = |answer: &Answer| answer.values().map(Vec::len).sum::<usize>();
        let lost = count(self.wanted) - count(&found);
        let told = lost == 0 || !warnings.is_empty() || self.may_be_silent;
        assert!(told, "{what}: {lost} samples are missing without a word");
        self.check_logs(store, &what);
    }

    fn check_logs(&self, store: &Store, what: &str) {
        let (found, warnings) = ask_logs(store);
        for (labels, entries) in &found {
            let right = self.wanted_logs.get(labels).map_or(&[][..], Vec::as_slice);
            assert!(entries.iter().all(|one| right.contains(one)), "{what}: {labels} is wrong");
        }
        let count = |all: &BTreeMap<_, Vec<_>>| all.values().map(Vec::len).sum::<usize>();
        let lost = count(self.wanted_logs) - count(&found);
        let told = lost == 0 || !warnings.is_empty() || self.may_be_silent;
        assert!(told, "{what}: {lost} entries are missing without a word");
    }
}

fn damage(path: &Path, random: &mut Random) -> (String, bool) {
    let mut bytes = fs::read(path).expect("it is there");
    let name = path.file_name().expect("it has a name").to_string_lossy().into_owned();
    let at = random.below(bytes.len() as u64) as usize;
    let cut = random.below(4) == 0;
    if cut {
        bytes.truncate(at);
    } else {
        bytes[at] ^= 1 << random.below(8);
    }
    fs::write(path, bytes).expect("it is written");
    (format!("{name} {} at {at}", if cut { "cut" } else { "changed" }), cut)
}

#[test]
fn random_damage_is_told_and_never_answered() {
    let mut whole = fill();
    let wanted = everything(&whole.reader("t"));
    assert!(wanted.contains_key(&Labels::from_pairs([("__name__", "open"), ("n", "3")])));
    let wanted_logs = ask_logs(whole.store()).0;
    assert_eq!(wanted_logs.values().map(Vec::len).sum::<usize>(), 7 * 40 - 3 * 11 - 3);
    whole.store = None;
    let template = whole.dir.path().join("data");
    let count = std::env::var("EPHEMERIS_FLIPS").ok().and_then(|text| text.parse().ok());
    let mut random = Random::new(count.unwrap_or(FLIPS));
    let mut refused = 0;
    for n in 0..count.unwrap_or(FLIPS) {
        let dir = tempfile::tempdir().expect("a directory");
        copy(&template, dir.path());
        let mut all = files(dir.path());
        all.retain(|path| path.metadata().is_ok_and(|data| data.len() > 0));
        let path = &all[random.below(all.len() as u64) as usize];
        let (text, cut) = damage(path, &mut random);
        let what = format!("number {n}: {text}");
        let mut config = StoreConfig::new(dir.path());
        config.background = Background::Caller;
        let clock = Arc::new(ManualClock::new(TimestampMs(NOON)));
        let open = || Store::open(config.clone(), Arc::new(Decoder), Arc::clone(&clock) as _);
        let store = match open() {
            Ok(store) => store,
            Err(error) => {
                assert!(
                    text.starts_with("MANIFEST") || text.starts_with("CURRENT"),
                    "{what}: {error}"
                );
                assert!(error.to_string().contains("start on a snapshot"), "{what}: {error}");
                refused += 1;
                continue;
            }
        };
        let may_be_silent = cut && text.contains(".wal");
        let wanted_logs = &wanted_logs;
        let flip = Flip { what, wanted: &wanted, wanted_logs, may_be_silent };
        flip.check(&store, "at first");
        store.seal().expect("what is whole is sealed");
        store.maintain().expect("damage is not in the way");
        flip.check(&store, "after a merge");
        drop(store);
        flip.check(&open().expect("it opens again"), "after a restart");
    }
    // Few files are lists of files; most of the time the store opens.
    assert!(refused * 2 < count.unwrap_or(FLIPS), "{refused} times the store did not open");
}
