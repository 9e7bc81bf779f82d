//! A copy of the catalog beside RocksDB: a file of what was written, in order.
//!
//! A row of the catalog is all that makes a block exist, so one damaged byte in RocksDB's own files
//! must not cost them. RocksDB is written first; the copy is what rows are taken from when it turns
//! out to be damaged, or to have lost a write that was synced.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::encoding::{Damage, Input, put_bytes, put_varint};
use crate::error::Result;
use crate::wal::{io_error, sync_dir};

const MAGIC: [u8; 8] = *b"EPHCAT\x01\0";
/// Bytes before the payload of a frame: length and checksum.
const FRAME_BYTES: usize = 8;
/// A file that grew by this much is written anew.
const GROWTH_BYTES_MAX: u64 = 8 << 20;

/// Rows by key.
pub(super) type Rows = BTreeMap<Vec<u8>, Vec<u8>>;
/// Changed rows: a key, and its value unless it was removed.
pub(super) type Changes = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// What a journal says.
#[derive(Default)]
pub(super) struct Found {
    /// Number of the last write.
    pub(super) sequence: u64,
    pub(super) rows: Rows,
    /// Whether all of the file could be read.
    pub(super) whole: bool,
}

/// The file.
pub(super) struct Journal {
    path: PathBuf,
    file: Option<File>,
    length: u64,
    base: u64,
    /// Number of the last write.
    pub(super) sequence: u64,
}

impl Journal {
    /// Reads the journal in `path`; nothing if there is none.
    pub(super) fn read(path: &Path) -> Result<Option<Found>> {
        match fs::read(path) {
            Ok(bytes) => Ok(Some(parse(&bytes))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error("reading", path, error)),
        }
    }

    /// A journal in `path` with nothing in it yet: [`Journal::rewrite`] comes first.
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), file: None, length: 0, base: 0, sequence: 0 }
    }

    /// Puts a file with these rows in place of the one that is there.
    pub(super) fn rewrite(&mut self, sequence: u64, rows: Rows) -> Result<()> {
        self.file = None;
        let mut bytes = MAGIC.to_vec();
        let changes = rows.into_iter().map(|(key, value)| (key, Some(value))).collect();
        put_frame(sequence, &changes, &mut bytes);
        let new = self.path.with_extension("new");
        let written = File::create(&new).and_then(|file| {
            file.write_all_at(&bytes, 0)?;
            file.sync_all()?;
            fs::rename(&new, &self.path)?;
            Ok(file)
        });
        let file = written.map_err(|e| io_error("writing", &self.path, e))?;
        sync_dir(self.path.parent().unwrap_or(Path::new(".")))?;
        self.file = Some(file);
        self.length = bytes.len() as u64;
        self.base = self.length;
        self.sequence = sequence;
        Ok(())
    }

    /// Whether the next write should be a [`Journal::rewrite`].
    pub(super) fn is_overdue(&self) -> bool {
        self.file.is_none() || self.length > self.base.saturating_mul(2) + GROWTH_BYTES_MAX
    }

    /// Appends what RocksDB has written already.
    pub(super) fn append(&mut self, sequence: u64, changes: &Changes) -> Result<()> {
        let mut bytes = Vec::new();
        put_frame(sequence, changes, &mut bytes);
        self.sequence = sequence;
        let Some(file) = &self.file else { return Ok(()) };
        let written = file.write_all_at(&bytes, self.length).and_then(|()| file.sync_data());
        if let Err(error) = written {
            // What lies behind the length may be anything, so the file is given up.
            self.file = None;
            return Err(io_error("writing", &self.path, error));
        }
        self.length += bytes.len() as u64;
        Ok(())
    }
}

fn put_frame(sequence: u64, changes: &Changes, out: &mut Vec<u8>) {
    let mut payload = sequence.to_le_bytes().to_vec();
    put_varint(&mut payload, changes.len() as u64);
    for (key, value) in changes {
        put_bytes(&mut payload, key);
        payload.push(u8::from(value.is_some()));
        if let Some(value) = value {
            put_bytes(&mut payload, value);
        }
    }
    // The rows of a catalog are far below 4 GiB.
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes();
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&length), &payload);
    out.extend_from_slice(&length);
    out.extend_from_slice(&checksum.to_le_bytes());
    out.extend_from_slice(&payload);
}

fn parse(bytes: &[u8]) -> Found {
    let mut found = Found::default();
    let Some(mut rest) = bytes.strip_prefix(&MAGIC) else { return found };
    while !rest.is_empty() {
        let Ok((payload, behind)) = take_frame(rest) else { return found };
        if apply(payload, &mut found).is_err() {
            return found;
        }
        rest = behind;
    }
    // A file without a frame was never put in place.
    found.whole = found.sequence > 0;
    found
}

fn take_frame(bytes: &[u8]) -> Result<(&[u8], &[u8]), Damage> {
    const WRONG: Damage = Damage("no valid frame");
    let (head, rest) = bytes.split_at_checked(FRAME_BYTES).ok_or(WRONG)?;
    let mut input = Input::new(head);
    let (length, checksum) = (input.u32()?, input.u32()?);
    let (payload, behind) = rest.split_at_checked(length as usize).ok_or(WRONG)?;
    let expected = crc32c::crc32c_append(crc32c::crc32c(&length.to_le_bytes()), payload);
    if checksum == expected { Ok((payload, behind)) } else { Err(WRONG) }
}

fn apply(payload: &[u8], found: &mut Found) -> Result<(), Damage> {
    let mut input = Input::new(payload);
    let sequence = input.u64()?;
    for _ in 0..input.count()? {
        let key = input.bytes()?.to_vec();
        match input.u8()? {
            0 => drop(found.rows.remove(&key)),
            _ => drop(found.rows.insert(key, input.bytes()?.to_vec())),
        }
    }
    input.end()?;
    found.sequence = sequence;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_comes_back_and_a_damaged_one_is_not_whole() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("catalog");
        assert!(Journal::read(&path).expect("there is none").is_none());
        let mut journal = Journal::new(&path);
        let row = |n: u8| (vec![3, n], vec![n; 3]);
        journal.rewrite(4, [row(1), row(2)].into()).expect("it is written");
        let (key, value) = row(5);
        journal.append(5, &vec![(key, Some(value)), (vec![3, 1], None)]).expect("it is written");
        let found = Journal::read(&path).expect("it is read").expect("it is there");
        assert!(found.whole);
        assert_eq!((found.sequence, found.rows), (5, [row(2), row(5)].into()));
        let bytes = fs::read(&path).expect("it is there");
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x20;
            assert!(!parse(&damaged).whole, "byte {at}");
            let cut = parse(&bytes[..at]);
            assert!(!cut.whole || cut.sequence == 4, "cut at {at}");
        }
    }
}
