//! The symbol table of a request, and label sets written as references to it.

use crate::error::IngestError;

use super::super::label_writer::LabelWriter;
use super::super::labels::Pair;
use super::super::parts::Budget;

/// The symbols of one request, as received.
#[derive(Default)]
pub(super) struct Symbols<'a> {
    /// Empty once all symbols are known and `writer` has them.
    unfinished: Vec<&'a [u8]>,
    writer: LabelWriter<'a>,
}

impl<'a> Symbols<'a> {
    pub(super) fn push(&mut self, symbol: &'a [u8]) {
        self.unfinished.push(symbol);
    }

    pub(super) fn len(&self) -> usize {
        self.writer.texts().len()
    }

    /// Checks the table once it is complete: reference 0 means "nothing", so symbol 0 must be empty.
    pub(super) fn finish(&mut self, budget: &mut Budget) -> Result<(), IngestError> {
        if let Some(first) = self.unfinished.first()
            && !first.is_empty()
        {
            let first = String::from_utf8_lossy(&first[..first.len().min(100)]);
            return Err(IngestError::BadMessage(format!("symbol 0 is {first:?}, must be empty")));
        }
        budget.take(LabelWriter::bytes_for(self.unfinished.len()))?;
        self.writer = LabelWriter::new(std::mem::take(&mut self.unfinished));
        Ok(())
    }

    /// The symbol with number `reference`.
    pub(super) fn get(&self, reference: u32) -> Option<&'a [u8]> {
        self.writer.texts().get(reference as usize).copied()
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

    /// Writes a label set out, or nothing and gives what is wrong with a reference.
    pub(super) fn write_labels(
        &self,
        refs: &[u32],
        raw: &mut Vec<u8>,
        budget: &mut Budget,
    ) -> Result<Result<(), String>, IngestError> {
        let (pairs, odd) = refs.as_chunks();
        if odd.is_empty() && self.writer.append(raw, pairs, budget)? {
            return Ok(Ok(()));
        }
        Ok(self.first_error(refs))
    }

    #[cold]
    fn first_error(&self, refs: &[u32]) -> Result<(), String> {
        self.pairs(refs).try_for_each(|pair| pair.map(drop))
    }

    fn no_symbol(&self, reference: u32) -> String {
        format!("reference to symbol {reference} of {}", self.len())
    }
}
