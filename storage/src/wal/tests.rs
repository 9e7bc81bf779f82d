//! WAL files: cut, damaged, written by many, failing.

use std::io::ErrorKind;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use ephemeris_model::{BodyKind, TimestampMs};

use super::record::{HEADER_BYTES, Record, Verdicts};
use super::replay::{WalDamage, replay};
use super::{Wal, WalContext};
use crate::config::Durability;
use crate::faults::{Faults, Place};

struct Dir {
    context: Arc<WalContext>,
    faults: Arc<Faults>,
    _dir: tempfile::TempDir,
}

fn dir() -> Dir {
    let dir = tempfile::tempdir().expect("a directory");
    let faults = Arc::new(Faults::default());
    let context = WalContext::new(dir.path().join("wal"), Durability::Sync, Arc::clone(&faults));
    Dir { context: Arc::new(context.expect("it is made")), faults, _dir: dir }
}

fn record(n: i64, body: &[u8]) -> Record<'_> {
    Record {
        kind: BodyKind::RemoteWrite1Plain,
        received_at: TimestampMs(n),
        tenant: "t",
        verdicts: Verdicts(&[]),
        body,
    }
}

/// Bodies and damages found in a file.
fn read(dir: &Dir, generation: u64) -> (Vec<Vec<u8>>, Vec<WalDamage>) {
    let mut bodies = Vec::new();
    let path = dir.context.path(generation);
    let damage = replay(&path, &mut |record| {
        bodies.push(record.body.to_vec());
        Ok(())
    });
    (bodies, damage.expect("the file can be read"))
}

/// A file of three records, and where each ends.
fn three_records(dir: &Dir) -> (Vec<u8>, Vec<usize>) {
    let wal = Wal::create(&dir.context, 1).expect("it is made");
    let mut ends = Vec::new();
    for (n, body) in [(10, &b"one"[..]), (20, b"two-two"), (30, b"")] {
        wal.append(&record(n, body)).expect("it is written");
        ends.push(usize::try_from(wal.bytes()).expect("small"));
    }
    (std::fs::read(dir.context.path(1)).expect("it is there"), ends)
}

#[test]
fn a_file_cut_anywhere_gives_the_records_before_the_cut() {
    let dir = dir();
    let (bytes, ends) = three_records(&dir);
    for cut in 0..=bytes.len() {
        std::fs::write(dir.context.path(2), &bytes[..cut]).expect("it is written");
        let (bodies, damage) = read(&dir, 2);
        assert_eq!(bodies.len(), ends.iter().filter(|&&end| end <= cut).count(), "cut at {cut}");
        assert!(damage.iter().all(|d| d.at_end), "cut at {cut}: {damage:?}");
        let whole = ends.contains(&cut) || cut == HEADER_BYTES;
        assert_eq!(damage.is_empty(), whole, "cut at {cut}");
    }
}

#[test]
fn damage_in_the_middle_costs_one_record_and_is_reported() {
    let dir = dir();
    let (bytes, ends) = three_records(&dir);
    for at in ends[0]..ends[1] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x40;
        std::fs::write(dir.context.path(2), &damaged).expect("it is written");
        let (bodies, damage) = read(&dir, 2);
        assert_eq!(bodies, [b"one".to_vec(), b"".to_vec()], "byte {at}");
        assert_eq!(damage.len(), 1);
        assert_eq!(damage[0].received, (Some(TimestampMs(10)), Some(TimestampMs(30))));
        assert!(!damage[0].at_end);
        assert_eq!(damage[0].offset, ends[0] as u64);
        assert_eq!(damage[0].bytes, (ends[1] - ends[0]) as u64);
    }
}

#[test]
fn damage_of_the_last_record_is_no_torn_end() {
    let dir = dir();
    let (bytes, ends) = three_records(&dir);
    let wal = Wal::create(&dir.context, 3).expect("it is made");
    wal.append(&record(10, b"one")).expect("it is written");
    wal.append(&record(20, &[7; 300])).expect("it is written");
    let mut whole = std::fs::read(dir.context.path(3)).expect("it is there");
    let second = whole.len() - 300 - 16 - 16 - 1;
    for bit in second * 8..whole.len() * 8 {
        whole[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(dir.context.path(2), &whole).expect("it is written");
        let (bodies, damage) = read(&dir, 2);
        // A damaged length is made good; all else is told.
        let length = (second + 8..second + 12).contains(&(bit / 8));
        assert_eq!((bodies.len(), damage.len()), if length { (2, 0) } else { (1, 1) }, "{bit}");
        assert!(damage.iter().all(|d| !d.at_end), "bit {bit}");
        whole[bit / 8] ^= 1 << (bit % 8);
    }
    // Room that was never written is what a power cut leaves.
    let mut zeros = bytes.clone();
    zeros[ends[1]..].fill(0);
    std::fs::write(dir.context.path(2), &zeros).expect("it is written");
    let (bodies, damage) = read(&dir, 2);
    assert_eq!(bodies.len(), 2);
    assert!(damage[0].at_end);
}

#[test]
fn a_damaged_header_costs_no_record() {
    let dir = dir();
    let (bytes, _) = three_records(&dir);
    for bit in 0..HEADER_BYTES * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(dir.context.path(2), &damaged).expect("it is written");
        assert_eq!(read(&dir, 2).0.len(), 3, "bit {bit}");
    }
}

#[test]
fn a_body_that_looks_like_a_record_of_another_file_is_no_record() {
    let dir = dir();
    let (bytes, ends) = three_records(&dir);
    let wal = Wal::create(&dir.context, 3).expect("it is made");
    wal.append(&record(1, &bytes[HEADER_BYTES..ends[0]])).expect("it is written");
    let path = dir.context.path(3);
    let mut file = std::fs::read(&path).expect("it is there");
    file[HEADER_BYTES] ^= 1;
    std::fs::write(&path, file).expect("it is written");
    assert_eq!(read(&dir, 3).0.len(), 0);
}

#[test]
fn many_writers_share_syncs_and_lose_nothing() {
    let dir = dir();
    let wal = Wal::create(&dir.context, 1).expect("it is made");
    std::thread::scope(|scope| {
        for thread in 0..8u8 {
            let wal = &wal;
            scope.spawn(move || {
                for n in 0..50u8 {
                    wal.append(&record(0, &[thread, n])).expect("it is written");
                }
            });
        }
    });
    let (mut bodies, damage) = read(&dir, 1);
    bodies.sort();
    let wanted: Vec<Vec<u8>> = (0..8).flat_map(|t| (0..50).map(move |n| vec![t, n])).collect();
    assert_eq!(bodies, wanted);
    assert_eq!(damage, []);
}

#[test]
fn a_full_disk_refuses_and_then_goes_on() {
    let dir = dir();
    let wal = Wal::create(&dir.context, 1).expect("it is made");
    wal.append(&record(1, b"a")).expect("it is written");
    // What a write leaves that had begun.
    let path = dir.context.path(1);
    let file = std::fs::OpenOptions::new().write(true).open(&path).expect("the file is there");
    file.write_all_at(&[7; 100], wal.bytes()).expect("it is written");
    dir.faults.arm(Place::WalWrite, ErrorKind::StorageFull);
    let error = wal.append(&record(2, b"b")).expect_err("the disk is full");
    assert_eq!(error.kind(), crate::ErrorKind::Busy);
    assert_eq!(file.metadata().expect("the file is there").len(), wal.bytes(), "nothing is left");
    dir.faults.disarm();
    wal.append(&record(3, b"c")).expect("there is space again");
    assert_eq!(read(&dir, 1).0, [b"a".to_vec(), b"c".to_vec()]);
}

#[test]
fn a_failed_sync_ends_writing() {
    let dir = dir();
    let wal = Wal::create(&dir.context, 1).expect("it is made");
    dir.faults.arm(Place::WalSync, ErrorKind::Other);
    let error = wal.append(&record(1, b"a")).expect_err("the sync fails");
    assert_eq!(error.kind(), crate::ErrorKind::Closed);
    dir.faults.disarm();
    let error = wal.append(&record(2, b"b")).expect_err("nothing is known about the disk");
    assert_eq!(error.kind(), crate::ErrorKind::Closed);
    assert!(dir.context.is_poisoned());
    let next = Wal::create(&dir.context, 2).expect("it is made");
    assert!(next.append(&record(3, b"c")).is_err());
}
