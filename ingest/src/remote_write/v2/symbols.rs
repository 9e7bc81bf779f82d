//! The symbol table of a request, and label sets written as references to it.

use crate::error::IngestError;

use super::super::labels::{Pair, append_label};
use super::super::parts::Budget;

/// Bytes of tags and lengths a label may take beside its name and value.
const LABEL_OVERHEAD_BYTES: usize = 18;

/// The symbols of one request, as received.
#[derive(Default)]
pub(super) struct Symbols<'a> {
    symbols: Vec<&'a [u8]>,
}

impl<'a> Symbols<'a> {
    pub(super) fn push(&mut self, symbol: &'a [u8]) {
        self.symbols.push(symbol);
    }

    pub(super) const fn len(&self) -> usize {
        self.symbols.len()
    }

    /// Checks the table as a whole: reference 0 means "nothing", so symbol 0 must be empty.
    pub(super) fn check(&self) -> Result<(), IngestError> {
        match self.symbols.first() {
            Some(first) if !first.is_empty() => {
                let first = String::from_utf8_lossy(&first[..first.len().min(100)]);
                Err(IngestError::BadMessage(format!("symbol 0 is {first:?}, must be empty")))
            }
            _ => Ok(()),
        }
    }

    /// The symbol with number `reference`.
    pub(super) fn get(&self, reference: u32) -> Option<&'a [u8]> {
        self.symbols.get(reference as usize).copied()
    }

    /// Names and values of a label set, or what is wrong with a reference.
    pub(super) fn pairs(&self, refs: &[u32]) -> impl Iterator<Item = Result<Pair<'a>, String>> {
        refs.chunks(2).map(|pair| match *pair {
            [name, value] => match (self.get(name), self.get(value)) {
                (Some(name), Some(value)) => Ok((name, value)),
                (None, _) => Err(self.no_symbol(name)),
                (_, None) => Err(self.no_symbol(value)),
            },
            _ => Err(format!("{} references are no pairs of name and value", refs.len())),
        })
    }

    /// Writes a label set out. The inner error is what is wrong with a reference; then part of the
    /// label set may have been written.
    pub(super) fn write_labels(
        &self,
        refs: &[u32],
        raw: &mut Vec<u8>,
        budget: &mut Budget,
    ) -> Result<Result<(), String>, IngestError> {
        for pair in self.pairs(refs) {
            match pair {
                Ok((name, value)) => {
                    budget.take(LABEL_OVERHEAD_BYTES + name.len() + value.len())?;
                    append_label(raw, name, value);
                }
                Err(text) => return Ok(Err(text)),
            }
        }
        Ok(Ok(()))
    }

    fn no_symbol(&self, reference: u32) -> String {
        format!("reference to symbol {reference} of {}", self.symbols.len())
    }
}
