//! Writes label sets in the form [`RawLabels`] reads, many of them from the same few texts.
//!
//! [`RawLabels`]: super::labels::RawLabels

use crate::error::IngestError;

use super::labels::{TAG_LABEL, TAG_NAME, TAG_VALUE};
use super::parts::Budget;

/// A short text as part of a label: room for the tag, its length, the text, and what fills up.
/// Copying all of it takes a few instructions, whatever the length. The slot of a longer text has
/// nothing but [`TOO_LONG`] as length.
type Slot = [u8; 64];

/// The longest text a slot holds: a label of two such texts is just below 128 bytes.
const SLOT_TEXT_BYTES: usize = 61;
const TOO_LONG: u8 = 0x80;
/// Room a label may need while it is written: its head and two slots.
const LABEL_ROOM_BYTES: usize = 2 + 2 * size_of::<Slot>();

/// Writes labels whose names and values are given by numbers, many labels with the same texts.
#[derive(Default)]
pub(super) struct LabelWriter<'a> {
    texts: Vec<&'a [u8]>,
    slots: Vec<Slot>,
}

impl<'a> LabelWriter<'a> {
    /// For labels from these texts; a text has its place as number.
    pub(super) fn new(texts: Vec<&'a [u8]>) -> Self {
        let slots = texts.iter().map(|text| {
            let mut slot = [0; size_of::<Slot>()];
            match (u8::try_from(text.len()), slot[2..2 + SLOT_TEXT_BYTES].get_mut(..text.len())) {
                (Ok(length), Some(room)) => {
                    room.copy_from_slice(text);
                    slot[1] = length;
                }
                _ => slot[1] = TOO_LONG,
            }
            slot
        });
        Self { slots: slots.collect(), texts }
    }

    /// Memory that slots for so many texts take.
    pub(super) const fn bytes_for(text_count: usize) -> usize {
        text_count.saturating_mul(size_of::<Slot>())
    }

    /// All texts.
    pub(super) fn texts(&self) -> &[&'a [u8]] {
        &self.texts
    }

    /// Appends a label set, given as numbers of name and value, in the form `RawLabels` reads.
    /// Nothing, and false, if a number has no text.
    pub(super) fn append(
        &self,
        raw: &mut Vec<u8>,
        numbers: &[[u32; 2]],
        budget: &mut Budget,
    ) -> Result<bool, IngestError> {
        let (mut length, mut lengths) = (0, 0);
        for &[name, value] in numbers {
            let (Some(name), Some(value)) = (self.slot(name), self.slot(value)) else {
                return Ok(false);
            };
            lengths |= name[1] | value[1];
            length += 6 + usize::from(name[1]) + usize::from(value[1]);
        }
        if lengths >= TOO_LONG {
            return self.append_long(raw, numbers, budget).map(|()| true);
        }
        budget.take(length)?;
        let start = raw.len();
        raw.resize(start + length + LABEL_ROOM_BYTES, 0);
        let mut out = raw.get_mut(start..).unwrap_or_default();
        for &[name, value] in numbers {
            if let (Some(name), Some(value), Some(room)) =
                (self.slot(name), self.slot(value), out.first_chunk_mut())
            {
                let written = write_label(room, name, value);
                out = out.get_mut(written..).unwrap_or_default();
            }
        }
        raw.truncate(start + length);
        Ok(true)
    }

    #[inline]
    fn slot(&self, number: u32) -> Option<&Slot> {
        self.slots.get(number as usize)
    }

    /// Appends a label set that has long texts. All numbers have a text.
    #[cold]
    fn append_long(
        &self,
        raw: &mut Vec<u8>,
        numbers: &[[u32; 2]],
        budget: &mut Budget,
    ) -> Result<(), IngestError> {
        for &[name, value] in numbers {
            let text = |number: u32| self.texts.get(number as usize).copied().unwrap_or_default();
            let (name, value) = (text(name), text(value));
            let mut parts = [Vec::new(), Vec::new()];
            for (part, (tag, text)) in parts.iter_mut().zip([(TAG_NAME, name), (TAG_VALUE, value)])
            {
                part.push(tag);
                append_varint(part, text.len());
            }
            let [name_head, value_head] = parts;
            let length = name_head.len() + name.len() + value_head.len() + value.len();
            budget.take(LABEL_ROOM_BYTES + length)?;
            raw.push(TAG_LABEL);
            append_varint(raw, length);
            for part in [&name_head, name, &value_head, value] {
                raw.extend_from_slice(part);
            }
        }
        Ok(())
    }
}

/// Writes a label of short texts, and perhaps more behind it; gives its length.
#[inline]
fn write_label(room: &mut [u8; LABEL_ROOM_BYTES], name: &Slot, value: &Slot) -> usize {
    let (name_end, length) = (4 + usize::from(name[1]), 4 + name[1] + value[1]);
    room[2..2 + size_of::<Slot>()].copy_from_slice(name);
    if let Some(room) = room.get_mut(name_end..).and_then(<[u8]>::first_chunk_mut) {
        *room = *value;
        room[0] = TAG_VALUE;
    }
    (room[0], room[1], room[2]) = (TAG_LABEL, length, TAG_NAME);
    2 + usize::from(length)
}

#[expect(clippy::cast_possible_truncation, reason = "seven bits at a time")]
fn append_varint(raw: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        raw.push(value as u8 | 0x80);
        value >>= 7;
    }
    raw.push(value as u8);
}

/// Raw label bytes of these labels.
#[cfg(test)]
pub(super) fn encode(labels: &[super::labels::Pair<'_>]) -> Vec<u8> {
    let texts = labels.iter().flat_map(|(name, value)| [*name, *value]).collect();
    let writer = LabelWriter::new(texts);
    let count = u32::try_from(labels.len()).expect("few");
    let numbers: Vec<[u32; 2]> = (0..count).map(|i| [2 * i, 2 * i + 1]).collect();
    let mut raw = vec![7];
    let mut budget = Budget::new(1 << 20);
    assert!(writer.append(&mut raw, &numbers, &mut budget).expect("small"));
    let [7, raw @ ..] = &raw[..] else { panic!("what was there is overwritten") };
    raw.to_vec()
}

#[cfg(test)]
mod tests {
    use ephemeris_model::LabelSource as _;

    use super::super::labels::{Pair, RawLabels, metric_name, plain_labels_length};
    use super::*;

    #[test]
    fn labels_appended_are_read_again() {
        let long = vec![b'x'; 20_000];
        let labels: [Pair<'_>; 7] = [
            (b"__name__", b"up"),
            (b"", b""),
            (b"a", &long),
            (&long, &[0xff; 127]),
            (&[b'a'; 29], &[b'b'; 30]),
            (&[b'c'; 31], &[b'd'; 92]),
            (&[b'e'; 31], &[b'f'; 93]),
        ];
        let raw = encode(&labels);
        let short: Vec<Pair<'_>> =
            (0..=SLOT_TEXT_BYTES).map(|n| (&long[..n], &long[..SLOT_TEXT_BYTES])).collect();
        let all_short = encode(&short);
        assert_eq!(plain_labels_length(&all_short, all_short.len()), all_short.len());
        let mut pairs = Vec::new();
        RawLabels.read(&all_short, &mut pairs).expect("well-formed");
        assert_eq!(pairs, short);
        let mut pairs = Vec::new();
        RawLabels.read(&raw, &mut pairs).expect("well-formed");
        assert_eq!(pairs, labels);
        assert_eq!(metric_name(&raw), "up");
    }
}
