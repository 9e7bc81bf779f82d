//! What is known to be missing: parts of the WAL and blocks that could not be read. Answers over
//! such times carry a warning.
//!
//! It is kept in a file of its own, since the WAL file in question is deleted once the rest of it
//! is in blocks.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use ephemeris_model::{TimeRange, TimestampMs};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::wal::io_error;
use crate::wal::replay::WalDamage;

/// Samples may be this much older than their time of arrival, as a rule.
const DELAY_MS: i64 = 60 * 60 * 1000;
/// Notes kept at most; a disk that damages more has been noticed.
const NOTES_MAX: usize = 1000;

/// Something that is missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    /// Times the missing samples have, as a rule; both included.
    from_ms: i64,
    to_ms: i64,
    text: String,
}

/// All that is known to be missing.
pub(crate) struct DamageNotes {
    path: PathBuf,
    notes: RwLock<Vec<Note>>,
}

impl DamageNotes {
    /// Reads the notes in `path`, if there are any.
    pub(crate) fn open(path: PathBuf, oldest: TimestampMs) -> Result<Self> {
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(io_error("reading", &path, error)),
        };
        // A line cut by a crash says nothing; what it noted is found again.
        let notes = text.lines().filter_map(|line| serde_json::from_str(line).ok());
        let notes = notes.filter(|note: &Note| note.to_ms >= oldest.0).collect();
        Ok(Self { path, notes: RwLock::new(notes) })
    }

    /// Where the notes lie.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Notes a part of the WAL that could not be read.
    pub(crate) fn add_wal(&self, damage: &WalDamage) -> Result<()> {
        let (before, after) = match damage.received {
            (None, None) => (TimestampMs::MIN, TimestampMs::MAX),
            (Some(before), None) => (before, before + 2 * DELAY_MS),
            (None, Some(after)) => (after + -2 * DELAY_MS, after),
            (Some(before), Some(after)) => (before, after),
        };
        let text = format!(
            "{} bytes of the WAL could not be read ({} at byte {}: {}); samples received between \
             {before} and {after} (ms) may be missing",
            damage.bytes,
            damage.path.file_name().unwrap_or_default().display(),
            damage.offset,
            damage.cause,
        );
        self.add(TimeRange::inclusive(before + -DELAY_MS, after + DELAY_MS), text)
    }

    /// Notes that samples of these times are missing.
    pub(crate) fn add(&self, range: TimeRange, text: String) -> Result<()> {
        let note = Note { from_ms: range.start.0, to_ms: range.end.0.saturating_sub(1), text };
        let mut notes = self.notes.write();
        if notes.contains(&note) || notes.len() >= NOTES_MAX {
            return Ok(());
        }
        // Numbers and text always have a JSON form.
        let mut line = serde_json::to_string(&note).unwrap_or_default();
        line.push('\n');
        fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)
            .and_then(|mut file| file.write_all(line.as_bytes()).and_then(|()| file.sync_all()))
            .map_err(|error| io_error("writing", &self.path, error))?;
        notes.push(note);
        Ok(())
    }

    /// What is missing of `range`, in words.
    pub(crate) fn within(&self, range: TimeRange) -> Vec<String> {
        let noted =
            |note: &Note| TimeRange::inclusive(TimestampMs(note.from_ms), TimestampMs(note.to_ms));
        let notes = self.notes.read();
        notes.iter().filter(|n| noted(n).overlaps(&range)).map(|n| n.text.clone()).collect()
    }
}
