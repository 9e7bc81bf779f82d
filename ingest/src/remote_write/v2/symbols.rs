//! The symbol table of a request, and label sets written as references to it.

use ephemeris_model::{BodyKind, LabelSource};

use crate::error::IngestError;

use super::super::labels::{Pair, PartLabels, SymbolLabels, name_among, push_numbers, read_pairs};

/// What the references of a series mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Form {
    /// Name and value in turn.
    #[default]
    Pairs,
    /// Parts of label sets.
    Parts,
}

impl Form {
    pub(super) const fn of(kind: BodyKind) -> Self {
        if matches!(kind, BodyKind::LabelParts) { Self::Parts } else { Self::Pairs }
    }

    /// Reads the label bytes written by [`Symbols::write_labels`].
    pub(super) const fn source(self) -> &'static dyn LabelSource {
        match self {
            Self::Pairs => &SymbolLabels,
            Self::Parts => &PartLabels,
        }
    }
}

/// The symbols of one request, as received.
#[derive(Default)]
pub(super) struct Symbols<'a> {
    texts: Vec<&'a [u8]>,
    form: Form,
}

impl<'a> Symbols<'a> {
    pub(super) const fn new(form: Form) -> Self {
        Self { texts: Vec::new(), form }
    }

    pub(super) fn push(&mut self, symbol: &'a [u8]) {
        self.texts.push(symbol);
    }

    pub(super) const fn len(&self) -> usize {
        self.texts.len()
    }

    /// The texts.
    pub(super) fn into_texts(self) -> Vec<&'a [u8]> {
        self.texts
    }

    /// Checks the table once it is complete: reference 0 means "nothing", so symbol 0 must be empty.
    pub(super) fn check(&self) -> Result<(), IngestError> {
        if let Some(first) = self.texts.first()
            && !first.is_empty()
        {
            let first = String::from_utf8_lossy(&first[..first.len().min(100)]);
            return Err(IngestError::BadMessage(format!("symbol 0 is {first:?}, must be empty")));
        }
        Ok(())
    }

    /// The symbol with number `reference`.
    pub(super) fn get(&self, reference: u32) -> Option<&'a [u8]> {
        self.texts.get(reference as usize).copied()
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

    /// Writes the label bytes of a series, or nothing and gives what is wrong with a reference.
    #[inline]
    pub(super) fn write_labels(&self, refs: &[u32], raw: &mut Vec<u8>) -> Result<(), String> {
        let whole = self.form == Form::Parts || refs.len().is_multiple_of(2);
        if whole && refs.iter().fold(0, |max, n| max.max(*n)) < self.bound(refs) {
            push_numbers(raw, refs);
            return Ok(());
        }
        self.first_error(refs)
    }

    /// References are below it. A series without any is fine without symbols too.
    fn bound(&self, refs: &[u32]) -> u32 {
        u32::try_from(self.texts.len()).unwrap_or(u32::MAX).max(u32::from(refs.is_empty()))
    }

    #[cold]
    fn first_error(&self, refs: &[u32]) -> Result<(), String> {
        if self.form == Form::Parts {
            let missing = refs.iter().find(|number| self.get(**number).is_none());
            return missing.map_or(Ok(()), |number| Err(self.no_symbol(*number)));
        }
        self.pairs(refs).try_for_each(|pair| pair.map(drop))
    }

    fn no_symbol(&self, reference: u32) -> String {
        format!("reference to symbol {reference} of {}", self.len())
    }

    /// The name of the metric, and the number of the symbol it is in.
    pub(super) fn metric(&self, refs: &[u32]) -> Option<(u32, &'a [u8])> {
        let found = match self.form {
            Form::Pairs => {
                let is_name = |pair: &&[u32]| self.get(pair[0]) == Some(b"__name__");
                refs.chunks_exact(2).find(is_name).and_then(|p| Some((p[1], self.get(p[1])?)))
            }
            Form::Parts => refs.iter().rev().find_map(|number| {
                let mut pairs = Vec::new();
                read_pairs(self.get(*number)?, &mut pairs).ok()?;
                let (_, name) = pairs.into_iter().find(|(name, _)| *name == b"__name__")?;
                Some((*number, name))
            }),
        };
        found.filter(|(_, name)| !name.is_empty())
    }

    /// The name of the metric for texts; empty if there is none.
    pub(super) fn shown(&self, refs: &[u32]) -> String {
        self.metric(refs).map_or_else(String::new, |(_, name)| name_among(&[(b"__name__", name)]))
    }
}
