//! Parts of label sets: raw label bytes that are kept from request to request and get a number in
//! each request that uses them.

use crate::error::IngestError;
use crate::output::{Output, Symbol};
use crate::remote_write::push_raw;

/// Bytes a part costs beside its texts.
const PART_BYTES: usize = size_of::<Part>() + 96;

/// A part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PartId(u32);

#[derive(Clone, Copy, Debug)]
struct Part {
    start: usize,
    end: usize,
    /// The request that used it last, and its number there.
    request: u32,
    number: Symbol,
}

/// All parts.
#[derive(Debug, Default)]
pub(super) struct Parts {
    raw: Vec<u8>,
    all: Vec<Part>,
    /// The request that is being translated; the first is 1.
    request: u32,
}

impl Parts {
    /// Begins a request. False, if there were so many that their numbers would repeat.
    pub(super) fn begin(&mut self) -> bool {
        self.request = self.request.wrapping_add(1);
        self.request != 0
    }

    /// Which request it is.
    pub(super) const fn request(&self) -> u32 {
        self.request
    }

    /// Bytes they take.
    pub(super) const fn bytes(&self) -> usize {
        self.raw.len() + self.all.len() * PART_BYTES
    }

    /// Adds a part with these labels.
    pub(super) fn add<'p>(&mut self, labels: impl Iterator<Item = (&'p str, &'p str)>) -> PartId {
        let start = self.raw.len();
        labels.for_each(|(name, value)| push_raw(&mut self.raw, name.as_bytes(), value.as_bytes()));
        let end = self.raw.len();
        self.all.push(Part { start, end, request: 0, number: 0 });
        // There are fewer than the bytes they take, which a request's limits bound.
        PartId(u32::try_from(self.all.len() - 1).unwrap_or(u32::MAX))
    }

    /// The number of a part in the message, to which it is added if it is not there yet.
    ///
    /// # Errors
    /// If the message becomes too large.
    #[inline]
    pub(super) fn number(&mut self, id: PartId, out: &mut Output) -> Result<Symbol, IngestError> {
        let Self { raw, all, request } = self;
        let lost = || IngestError::BadMessage("a part of a label set is not known".to_owned());
        let part = all.get_mut(id.0 as usize).ok_or_else(lost)?;
        if part.request != *request {
            part.number = out.part(raw.get(part.start..part.end).unwrap_or_default())?;
            part.request = *request;
        }
        Ok(part.number)
    }
}
