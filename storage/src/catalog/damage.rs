//! What is known to be damaged: blocks that were found so, and times of which something is missing.

use ephemeris_model::{TimeRange, TimestampMs};
use hashbrown::HashSet;

use super::{BlockId, Catalog};
use crate::encoding::{Damage, Input, put_bytes, put_zigzag};
use crate::error::Result;
use crate::rocks::{CatalogBatch, keys};

/// Longest text kept, in bytes.
const TEXT_BYTES_MAX: usize = 1024;
/// Notes kept at most; a disk that damages more has been noticed.
const NOTES_MAX: usize = 1000;
/// Damaged places told one by one; further ones are told only to the answers they touch.
const TOLD_MAX: usize = 1000;
/// Version of a note's encoding.
const VERSION: u8 = 1;

/// Damaged places that were told to the log.
pub(super) type Told = HashSet<(BlockId, String)>;

/// Something that is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    /// Times the missing samples have, as a rule.
    pub(super) range: TimeRange,
    pub(super) text: String,
}

impl Note {
    fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        put_zigzag(&mut out, self.range.start.0);
        put_zigzag(&mut out, self.range.end.0);
        put_bytes(&mut out, self.text.as_bytes());
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Damage> {
        let mut input = Input::new(bytes);
        if input.u8()? != VERSION {
            return Err(Damage("the version is not known"));
        }
        let range = TimeRange::new(TimestampMs(input.zigzag()?), TimestampMs(input.zigzag()?));
        let text = input.text()?.to_owned();
        input.end()?;
        Ok(Self { range, text })
    }
}

impl Catalog {
    /// Tells that a block was found damaged, and notes it, so that the block is not merged. Each
    /// place is told once; the first note of a block stays.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn note_damage(&self, block: BlockId, text: &str) -> Result<()> {
        let text = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
        {
            let mut told = self.told.lock();
            if told.len() < TOLD_MAX && told.insert((block, text.to_owned())) {
                tracing::error!(block = block.0, "{text}");
                // Answers lack something from now on, and say so.
                self.changes.all();
            }
        }
        let mut journal = self.journal.lock();
        {
            let state = self.state.read();
            if state.damage.contains_key(&block) || !state.blocks.contains_key(&block) {
                return Ok(());
            }
        }
        let mut batch = CatalogBatch::default();
        batch.put(keys::numbered_key(keys::row::DAMAGE, block), text);
        self.write(&mut journal, batch)?;
        self.state.write().damage.insert(block, text.to_owned());
        Ok(())
    }

    /// Blocks that were found damaged, with what was found first.
    #[must_use]
    pub fn damaged_blocks(&self) -> Vec<(BlockId, String)> {
        self.state.read().damage.iter().map(|(&id, text)| (id, text.clone())).collect()
    }

    /// Number of damaged places told since the catalog was opened.
    #[must_use]
    pub fn damages_told(&self) -> u64 {
        self.told.lock().len() as u64
    }

    /// Notes that samples of these times are missing, for all answers over them.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn note_missing(&self, range: TimeRange, text: &str) -> Result<()> {
        let text = text[..text.floor_char_boundary(TEXT_BYTES_MAX)].to_owned();
        let note = Note { range, text };
        let mut journal = self.journal.lock();
        let number = {
            let state = self.state.read();
            let known = state.notes.values().any(|one| *one == note);
            if known || state.notes.len() >= NOTES_MAX {
                return Ok(());
            }
            state.notes.last_key_value().map_or(0, |(number, _)| number.saturating_add(1))
        };
        let mut batch = CatalogBatch::default();
        batch.put(keys::numbered_key(keys::row::NOTE, BlockId(number)), note.encode());
        self.write(&mut journal, batch)?;
        self.state.write().notes.insert(number, note);
        self.changes.all();
        Ok(())
    }

    /// What is missing of `range`, in words.
    #[must_use]
    pub fn missing(&self, range: TimeRange) -> Vec<String> {
        let state = self.state.read();
        let notes = state.notes.values().filter(|note| note.range.overlaps(&range));
        notes.map(|note| note.text.clone()).collect()
    }

    /// Forgets what is missing of times before `oldest`.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn forget_missing(&self, oldest: TimestampMs) -> Result<()> {
        let mut journal = self.journal.lock();
        let old = |note: &Note| note.range.end <= oldest;
        let numbers: Vec<u32> = {
            let state = self.state.read();
            state.notes.iter().filter(|(_, note)| old(note)).map(|(number, _)| *number).collect()
        };
        if numbers.is_empty() {
            return Ok(());
        }
        let mut batch = CatalogBatch::default();
        let key = |&number: &u32| keys::numbered_key(keys::row::NOTE, BlockId(number));
        numbers.iter().map(key).for_each(|key| batch.delete(key));
        self.write(&mut journal, batch)?;
        self.state.write().notes.retain(|_, note| !old(note));
        self.changes.all();
        Ok(())
    }
}
