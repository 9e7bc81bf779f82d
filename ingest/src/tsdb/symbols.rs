//! The texts of an index. They stay in the file; every 32nd place is held, and what was read lately.

use std::collections::HashMap;
use std::sync::Arc;

use super::window::{Fields, ReadAt, Window};
use super::{TsdbError, damaged};

/// Texts that are read at once.
const GROUP: u32 = 32;
/// Longest text. Far more than a label may have.
const SYMBOL_BYTES_MAX: u64 = 1 << 20;
/// Bytes of texts held in memory.
const HELD_BYTES_MAX: usize = 64 << 20;
/// Bytes read at once for the checksum.
const PIECE_BYTES: u64 = 256 << 10;
/// Bytes of a number before a text.
const VARINT_BYTES_MAX: u64 = 10;

/// The symbol table of an index.
#[derive(Debug)]
pub(crate) struct Symbols<R> {
    window: Window<R>,
    count: u32,
    /// Where each group starts, and the end of the last one.
    groups: Vec<u64>,
    held: HashMap<u32, Box<[u8]>>,
    held_bytes: usize,
}

impl<R: ReadAt> Symbols<R> {
    /// Checks the table at `at` and finds its groups.
    pub(crate) fn open(file: Arc<R>, at: u64) -> Result<Self, TsdbError> {
        let mut window = Window::new(file)?;
        let mut fields = Fields::new(window.exactly(at, 8, "head of the symbols")?, at);
        let length = u64::from(fields.be32("length of the symbols")?);
        let count = fields.be32("number of symbols")?;
        let end = at + 4 + length;
        check_sum(&mut window, at + 4, end)?;
        let (mut groups, mut next) = (Vec::new(), at + 8);
        for number in 0..count {
            if number % GROUP == 0 {
                groups.push(next);
            }
            let mut fields = Fields::new(window.up_to(next, VARINT_BYTES_MAX)?, next);
            let length = fields.uvarint("length of a symbol")?;
            let after = fields.at().saturating_add(length);
            if length > SYMBOL_BYTES_MAX || after > end {
                let what = format!("symbol {number} has {length} bytes; limit {SYMBOL_BYTES_MAX}");
                return Err(damaged(next, what));
            }
            next = after;
        }
        groups.push(next);
        Ok(Self { window, count, groups, held: HashMap::new(), held_bytes: 0 })
    }

    /// The text with this number.
    pub(crate) fn get(&mut self, number: u64) -> Result<&str, TsdbError> {
        let known = u32::try_from(number).ok().filter(|number| *number < self.count);
        let Some(number) = known else {
            let what = format!("there is no symbol {number}, only {} of them", self.count);
            return Err(damaged(self.groups.first().copied().unwrap_or(0), what));
        };
        let group = number / GROUP;
        let start = self.groups.get(group as usize).copied().unwrap_or(0);
        self.hold(group, start)?;
        let bytes = self.held.get(&group).map(|bytes| &**bytes).unwrap_or_default();
        let mut fields = Fields::new(bytes, start);
        for _ in 0..number % GROUP {
            let length = fields.uvarint("length of a symbol")?;
            fields.bytes(length, "symbol")?;
        }
        let length = fields.uvarint("length of a symbol")?;
        let at = fields.at();
        let text = fields.bytes(length, "symbol")?;
        simdutf8::basic::from_utf8(text)
            .map_err(|_| damaged(at, format!("symbol {number} is not UTF-8")))
    }

    /// Reads a group, unless it is held.
    fn hold(&mut self, group: u32, start: u64) -> Result<(), TsdbError> {
        if self.held.contains_key(&group) {
            return Ok(());
        }
        let end = self.groups.get(group as usize + 1).copied().unwrap_or(start);
        let bytes = self.window.exactly(start, end - start, "group of symbols")?;
        if self.held_bytes + bytes.len() > HELD_BYTES_MAX {
            self.held.clear();
            self.held_bytes = 0;
        }
        self.held_bytes += bytes.len();
        self.held.insert(group, bytes.into());
        Ok(())
    }
}

/// Compares the bytes from `start` to `end` with the checksum behind them.
fn check_sum<R: ReadAt>(window: &mut Window<R>, start: u64, end: u64) -> Result<(), TsdbError> {
    let stated = window.exactly(end, 4, "checksum of the symbols")?;
    let stated = Fields::new(stated, end).be32("checksum")?;
    let (mut sum, mut at) = (0, start);
    while at < end {
        let piece = window.exactly(at, PIECE_BYTES.min(end - at), "symbols")?;
        sum = crc32c::crc32c_append(sum, piece);
        at += piece.len() as u64;
    }
    if sum != stated {
        let what = format!("checksum of the symbols is {sum:08x}, the file says {stated:08x}");
        return Err(damaged(end, what));
    }
    Ok(())
}
