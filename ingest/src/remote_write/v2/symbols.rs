//! The symbol table of a request, and label sets written as references to it.

use crate::error::IngestError;

use super::super::labels::{LabelParts, Pair};
use super::super::parts::Budget;

/// Bytes of tag and length a label takes beside its parts, at most.
const LABEL_OVERHEAD_BYTES: usize = 6;

/// The symbols of one request, as received.
#[derive(Default)]
pub(super) struct Symbols<'a> {
    symbols: Vec<&'a [u8]>,
    /// The same as parts of labels, once all symbols are known.
    parts: LabelParts,
}

impl<'a> Symbols<'a> {
    pub(super) fn push(&mut self, symbol: &'a [u8]) {
        self.symbols.push(symbol);
    }

    pub(super) const fn len(&self) -> usize {
        self.symbols.len()
    }

    /// Checks the table once it is complete: reference 0 means "nothing", so symbol 0 must be empty.
    pub(super) fn finish(&mut self, budget: &mut Budget) -> Result<(), IngestError> {
        if let Some(first) = self.symbols.first()
            && !first.is_empty()
        {
            let first = String::from_utf8_lossy(&first[..first.len().min(100)]);
            return Err(IngestError::BadMessage(format!("symbol 0 is {first:?}, must be empty")));
        }
        budget.take(LabelParts::bytes(&self.symbols))?;
        self.parts = LabelParts::new(&self.symbols);
        Ok(())
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
        let (pairs, odd) = refs.as_chunks();
        for &[name_ref, value_ref] in pairs {
            let (Some(name), Some(value)) =
                (self.parts.place(name_ref), self.parts.place(value_ref))
            else {
                return Ok(self.first_error(refs));
            };
            budget.take(LABEL_OVERHEAD_BYTES + name.len() + value.len())?;
            self.parts.append_label(raw, name, value);
        }
        Ok(if odd.is_empty() { Ok(()) } else { self.first_error(refs) })
    }

    #[cold]
    fn first_error(&self, refs: &[u32]) -> Result<(), String> {
        self.pairs(refs).try_for_each(|pair| pair.map(drop))
    }

    fn no_symbol(&self, reference: u32) -> String {
        format!("reference to symbol {reference} of {}", self.symbols.len())
    }
}
