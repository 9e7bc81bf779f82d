//! Which rows the catalog starts with: those of RocksDB, or those of the copy beside it.

use std::path::Path;

use super::journal::{Found, Journal, Rows};
use crate::error::{Error, ErrorKind, Result};
use crate::rocks::{CatalogBatch, Rocks, keys};

/// Brings RocksDB's rows and their copy in `path` to agree. The copy wins where RocksDB is damaged,
/// or lacks a write that was synced.
pub(super) fn recover(rocks: &mut Rocks, path: &Path) -> Result<Journal> {
    let copy = Journal::read(path)?;
    let rows = unless_damaged(rows_of(rocks))?;
    let metadata = unless_damaged(rocks.catalog_rows(keys::row::METADATA))?;
    let copied = copy.as_ref().map_or(0, |found| found.sequence);
    let sound = rows.filter(|rows| !rocks.is_salvaged() && sequence_of(rows) >= copied);
    let mut journal = Journal::new(path);
    let (sequence, rows) = match (sound, copy) {
        (Some(rows), copy) => {
            if copy.is_some_and(|found| !found.whole) {
                tracing::warn!(path = %path.display(), "the copy of the catalog is written anew");
            }
            if metadata.is_none() {
                tracing::error!("metadata in the catalog was damaged and is gone");
                replace(rocks, &rows)?;
            }
            (sequence_of(&rows), rows)
        }
        (None, Some(Found { sequence, rows, whole: true })) => {
            tracing::error!("the catalog was damaged; its rows are taken from the copy");
            replace(rocks, &rows)?;
            (sequence, rows)
        }
        (None, _) => return Err(both_damaged(path)),
    };
    if sequence > 0 {
        journal.rewrite(sequence, rows)?;
    }
    Ok(journal)
}

/// The rows a start would take; what is wrong goes to `problems`. Changes nothing.
pub(super) fn inspect(rocks: &Rocks, path: &Path, problems: &mut Vec<String>) -> Result<Rows> {
    let copy = Journal::read(path)?;
    match &copy {
        None => problems.push(format!("the copy of the catalog {} is missing", path.display())),
        Some(found) if !found.whole => {
            problems.push(format!("the copy of the catalog {} is damaged", path.display()));
        }
        Some(_) => {}
    }
    let mut readable = |kinds: Result<Rows>| match kinds {
        Ok(rows) => Ok(Some(rows)),
        Err(error) if error.kind() == ErrorKind::Corrupt => {
            problems.push(format!("the catalog: {error}"));
            Ok(None)
        }
        Err(error) => Err(error),
    };
    let rows = readable(rows_of(rocks))?;
    readable(rocks.catalog_rows(keys::row::METADATA).map(|rows| rows.into_iter().collect()))?;
    let copied = copy.as_ref().map_or(0, |found| found.sequence);
    let sound = rows.filter(|rows| !rocks.is_salvaged() && sequence_of(rows) >= copied);
    match (sound, copy) {
        (Some(rows), _) => Ok(rows),
        (None, Some(Found { rows, whole: true, .. })) => {
            problems.push("RocksDB lacks rows of the catalog; the copy has them".to_owned());
            Ok(rows)
        }
        (None, _) => Err(both_damaged(path)),
    }
}

fn both_damaged(path: &Path) -> Error {
    let detail = format!(
        "neither RocksDB's files nor the copy in {} can be read; without them blocks cannot be \
         told from what was replaced; move the data directory away and start on a snapshot",
        path.display()
    );
    Error::corrupt("the catalog", detail)
}

/// The rows that have a copy.
pub(super) fn rows_of(rocks: &Rocks) -> Result<Rows> {
    let mut rows = Rows::new();
    for kind in keys::row::COPIED {
        rows.extend(rocks.catalog_rows(kind)?);
    }
    Ok(rows)
}

fn sequence_of(rows: &Rows) -> u64 {
    let row = rows.get(&keys::single_key(keys::row::SEQUENCE)[..]);
    row.and_then(|bytes| bytes.as_slice().try_into().ok()).map_or(0, u64::from_le_bytes)
}

fn replace(rocks: &mut Rocks, rows: &Rows) -> Result<()> {
    let mut batch = CatalogBatch::default();
    rows.iter().for_each(|(key, value)| batch.put(key.clone(), value.clone()));
    rocks.replace_catalog(batch)
}

fn unless_damaged<T>(read: Result<T>) -> Result<Option<T>> {
    match read {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == ErrorKind::Corrupt => {
            tracing::error!(%error, "the catalog is damaged");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
