//! Dictionaries: the sorted values of one label name, in frames of 1,024, front-coded in groups
//! of 32, zipped where that pays.
//!
//! ```text
//! frame  := packing (envelope), then: value count varint, group byte lengths varint ×, groups
//! group  := ( shared prefix varint, suffix length varint, suffix ) ×     first: no shared prefix
//! ```

use crate::encoding::{Damage, Input, put_varint};
use crate::envelope::{self, Zip};
use crate::error::Result;

/// Values in a frame.
pub(super) const FRAME_LEN: usize = 1024;
const GROUP_LEN: usize = 32;

/// Writes a frame of sorted, different values.
pub(super) fn put_frame(values: &[&str], out: &mut Vec<u8>) -> Result<()> {
    let mut body = Vec::new();
    put_varint(&mut body, values.len() as u64);
    let mut groups = Vec::new();
    for group in values.chunks(GROUP_LEN) {
        let start = groups.len();
        let mut previous: &[u8] = b"";
        for value in group {
            let value = value.as_bytes();
            let shared = previous.iter().zip(value).take_while(|(a, b)| a == b).count();
            put_varint(&mut groups, shared as u64);
            put_varint(&mut groups, (value.len() - shared) as u64);
            groups.extend_from_slice(&value[shared..]);
            previous = value;
        }
        put_varint(&mut body, (groups.len() - start) as u64);
    }
    body.extend_from_slice(&groups);
    envelope::put_packed(&body, Zip::IfSmaller, out)
}

/// Goes through a frame value by value without building the values: `visit` gets the length of
/// the prefix shared with the value before, and the bytes after it. Answers the number of values.
pub(super) fn walk_frame(
    bytes: &[u8],
    mut visit: impl FnMut(usize, &[u8]),
) -> Result<usize, Damage> {
    let body = envelope::read_packed(Input::new(bytes))?;
    let mut input = Input::new(&body);
    let count = input.count()?;
    for _ in 0..count.div_ceil(GROUP_LEN) {
        input.varint()?;
    }
    let mut last_len = 0;
    for i in 0..count {
        let shared = input.count_up_to(if i % GROUP_LEN == 0 { 0 } else { last_len })?;
        let suffix = input.bytes()?;
        visit(shared, suffix);
        last_len = shared + suffix.len();
    }
    input.end()?;
    Ok(count)
}

/// A decoded frame.
#[derive(Debug)]
pub(super) struct Frame {
    text: String,
    /// End of each value in `text`.
    ends: Vec<u32>,
}

impl Frame {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Damage> {
        let mut text = Vec::new();
        let mut ends: Vec<u32> = Vec::new();
        let mut start = 0;
        walk_frame(bytes, |shared, suffix| {
            let previous = start;
            start = text.len();
            text.extend_from_within(previous..previous + shared);
            text.extend_from_slice(suffix);
            ends.push(u32::try_from(text.len()).unwrap_or(u32::MAX));
        })?;
        let text = String::from_utf8(text).map_err(|_| Damage("a label value is not UTF-8"))?;
        let frame = Self { text, ends };
        let borders = frame.ends.iter().all(|&end| frame.text.is_char_boundary(end as usize));
        if !borders || !(1..frame.len()).all(|i| frame.get(i - 1) < frame.get(i)) {
            return Err(Damage("label values are out of order"));
        }
        Ok(frame)
    }

    /// Number of values.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        self.text.len() + 4 * self.ends.len() + 64
    }

    /// The value at `position`.
    pub(super) fn get(&self, position: usize) -> Option<&str> {
        let end = *self.ends.get(position)? as usize;
        let start = position.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        self.text.get(start..end)
    }

    /// The position of `value`.
    pub(super) fn find(&self, value: &str) -> Option<usize> {
        let (mut from, mut to) = (0, self.len());
        while from < to {
            let middle = from.midpoint(to);
            match self.get(middle)?.cmp(value) {
                std::cmp::Ordering::Equal => return Some(middle),
                std::cmp::Ordering::Less => from = middle + 1,
                std::cmp::Ordering::Greater => to = middle,
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn values_come_back(
            values in proptest::collection::btree_set("(node|sat-|é)?[a-c]{0,3}[0-9]{0,3}", 0..200)
        ) {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            let mut bytes = Vec::new();
            put_frame(&values, &mut bytes).expect("it is small");
            let frame = Frame::read(&bytes).expect("it was written");
            prop_assert_eq!(frame.len(), values.len());
            for (i, value) in values.iter().enumerate() {
                prop_assert_eq!(frame.get(i), Some(*value));
                prop_assert_eq!(frame.find(value), Some(i));
            }
            prop_assert_eq!(frame.find("zzz"), None);
        }

        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(0u8..8, 0..60)) {
            let _ = Frame::read(&bytes);
        }
    }
}
