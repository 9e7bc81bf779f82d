//! Writes series as a remote-write 2.0 message, not compressed: the form in which the WAL keeps
//! what was translated. Series refer to names and values, or to parts of label sets; in one message
//! all of them to the same.

use hashbrown::HashMap;

use crate::error::IngestError;

/// Bytes a symbol costs beside its text.
const SYMBOL_BYTES: usize = 80;
/// Bytes that noting the origin of an item costs.
const ORIGIN_BYTES: usize = 4;

/// References of a series that is written in one go; it stays below 128 bytes.
pub(crate) const PLAIN_REFERENCES_MAX: usize = 12;

/// The origin of items that come from no data point.
pub const NO_POINT: u32 = u32::MAX;

/// Number of a text of the message.
pub(crate) type Symbol = u32;

/// What a family says of itself, as symbols.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FamilyInfo {
    pub(crate) metric_type: u8,
    pub(crate) help: Symbol,
    pub(crate) unit: Symbol,
}

/// A message being written.
#[derive(Debug)]
pub(crate) struct Output {
    symbols: HashMap<Box<str>, Symbol>,
    /// Fields 4: the texts.
    texts: Vec<u8>,
    /// How many there are.
    text_count: u32,
    /// Fields 5: the series.
    series: Vec<u8>,
    /// The series being written.
    open: Vec<u8>,
    nested: Vec<u8>,
    /// For each float sample, the data point it is from.
    pub(crate) sample_points: Vec<u32>,
    /// For each histogram, the data point it is from.
    pub(crate) histogram_points: Vec<u32>,
    left: usize,
    limit: usize,
}

/// Bytes of the parts of a message.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sizes {
    texts: usize,
    series: usize,
    samples: usize,
}

impl Output {
    /// A message that will be about as large as one that had these sizes.
    pub(crate) fn sized(limit: usize, sizes: Sizes) -> Self {
        let mut output = Self::new(limit);
        // All of it is put together behind the texts.
        output.texts.reserve((sizes.texts + sizes.series).min(limit));
        output.series.reserve(sizes.series.min(limit));
        output.sample_points.reserve(sizes.samples.min(limit / ORIGIN_BYTES));
        output
    }

    /// Its sizes so far.
    pub(crate) const fn sizes(&self) -> Sizes {
        Sizes {
            texts: self.texts.len(),
            series: self.series.len(),
            samples: self.sample_points.len(),
        }
    }

    pub(crate) fn new(limit: usize) -> Self {
        let mut output = Self {
            symbols: HashMap::new(),
            texts: Vec::new(),
            text_count: 0,
            series: Vec::new(),
            open: Vec::new(),
            nested: Vec::new(),
            sample_points: Vec::new(),
            histogram_points: Vec::new(),
            left: limit,
            limit,
        };
        // The first text is the empty one; a few bytes are always allowed.
        let _ = output.symbol("");
        output
    }

    /// Takes `bytes` of the memory that the request may use.
    pub(crate) fn take(&mut self, bytes: usize) -> Result<(), IngestError> {
        let too_large = IngestError::BatchTooLarge { limit: self.limit };
        self.left = self.left.checked_sub(bytes).ok_or(too_large)?;
        Ok(())
    }

    /// The number of a text, given now if it has none yet.
    pub(crate) fn symbol(&mut self, text: &str) -> Result<Symbol, IngestError> {
        if let Some(&number) = self.symbols.get(text) {
            return Ok(number);
        }
        self.take(SYMBOL_BYTES + text.len())?;
        let number = self.part(text.as_bytes())?;
        self.symbols.insert(text.into(), number);
        Ok(number)
    }

    /// Adds bytes to what series may refer to, also if they are there already; gives their number.
    pub(crate) fn part(&mut self, content: &[u8]) -> Result<Symbol, IngestError> {
        self.take(content.len() + 6)?;
        let too_large = IngestError::BatchTooLarge { limit: self.limit };
        let number = self.text_count;
        self.text_count = number.checked_add(1).ok_or(too_large)?;
        bytes(&mut self.texts, 4, content);
        Ok(number)
    }

    /// Begins a series with the labels in these parts.
    #[inline]
    pub(crate) fn open_parts(&mut self, parts: &[Symbol]) {
        self.open.clear();
        let start = begin(&mut self.open, 1);
        parts.iter().for_each(|number| varint(&mut self.open, u64::from(*number)));
        end(&mut self.open, start);
    }

    /// Begins a series with these labels.
    pub(crate) fn open(&mut self, labels: &[[Symbol; 2]]) {
        self.open_parts(labels.as_flattened());
    }

    /// A float sample of the open series, from data point `point`.
    #[inline]
    pub(crate) fn sample(
        &mut self,
        point: u32,
        timestamp_ms: i64,
        value: f64,
        start_ms: i64,
    ) -> Result<(), IngestError> {
        self.take(ORIGIN_BYTES)?;
        self.sample_points.push(point);
        let start = begin(&mut self.open, 2);
        double(&mut self.open, 1, value);
        number(&mut self.open, 2, timestamp_ms.cast_unsigned());
        number(&mut self.open, 3, start_ms.cast_unsigned());
        end(&mut self.open, start);
        Ok(())
    }

    /// A series that has these references, of which there are [`PLAIN_REFERENCES_MAX`] at most, a
    /// float sample from data point `point`, at and since
    /// these times, and nothing else.
    #[inline]
    pub(crate) fn plain(
        &mut self,
        point: u32,
        references: &[Symbol],
        (timestamp_ms, start_ms): (i64, i64),
        value: f64,
    ) -> Result<(), IngestError> {
        self.sample_points.push(point);
        // Tags and lengths, which are below 128, come when what they are about is there.
        let mut room = Room { all: [0; 128], at: 4 };
        references.iter().for_each(|number| room.varint(u64::from(*number)));
        let sample = room.at;
        room.at += 3;
        room.bytes(&value.to_bits().to_le_bytes());
        for (tag, time) in [(2 << 3, timestamp_ms), (3 << 3, start_ms)] {
            if time != 0 {
                room.bytes(&[tag]);
                room.varint(time.cast_unsigned());
            }
        }
        let all = room.at;
        room.head(0, 5, all);
        room.head(2, 1, sample);
        room.head(sample, 2, all);
        room.set(sample + 2, 1 << 3 | 1);
        let written = room.all.get(..all).unwrap_or_default();
        self.take(ORIGIN_BYTES + written.len())?;
        self.series.extend_from_slice(written);
        Ok(())
    }

    /// A histogram of the open series, as an encoded message.
    pub(crate) fn histogram(&mut self, point: u32, message: &[u8]) -> Result<(), IngestError> {
        self.take(ORIGIN_BYTES)?;
        self.histogram_points.push(point);
        bytes(&mut self.open, 3, message);
        Ok(())
    }

    /// An exemplar of the open series.
    pub(crate) fn exemplar(&mut self, labels: &[[Symbol; 2]], value: f64, timestamp_ms: i64) {
        let mut refs = Vec::new();
        for number in labels.as_flattened() {
            varint(&mut refs, u64::from(*number));
        }
        self.nested.clear();
        bytes(&mut self.nested, 1, &refs);
        double(&mut self.nested, 2, value);
        number(&mut self.nested, 3, timestamp_ms.cast_unsigned());
        bytes(&mut self.open, 4, &self.nested);
    }

    /// Ends the open series.
    pub(crate) fn close(&mut self, info: FamilyInfo) -> Result<(), IngestError> {
        if info != FamilyInfo::default() {
            let start = begin(&mut self.open, 5);
            number(&mut self.open, 1, u64::from(info.metric_type));
            number(&mut self.open, 3, u64::from(info.help));
            number(&mut self.open, 4, u64::from(info.unit));
            end(&mut self.open, start);
        }
        self.take(self.open.len() + 6)?;
        bytes(&mut self.series, 5, &self.open);
        Ok(())
    }

    /// The message.
    pub(crate) fn finish(mut self) -> (Vec<u8>, Vec<u32>, Vec<u32>) {
        self.texts.append(&mut self.series);
        (self.texts, self.sample_points, self.histogram_points)
    }
}

/// A series of few references and one sample, on the way to its message.
struct Room {
    all: [u8; 128],
    at: usize,
}

impl Room {
    #[inline]
    fn bytes(&mut self, bytes: &[u8]) {
        if let Some(room) = self.all.get_mut(self.at..self.at + bytes.len()) {
            room.copy_from_slice(bytes);
        }
        self.at += bytes.len();
    }

    #[inline]
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes(&[value.to_le_bytes()[0] | 0x80]);
            value >>= 7;
        }
        self.bytes(&[value.to_le_bytes()[0]]);
    }

    #[inline]
    fn set(&mut self, at: usize, byte: u8) {
        if let Some(room) = self.all.get_mut(at) {
            *room = byte;
        }
    }

    /// Tag and length, at `at`, of a field of bytes that ends at `end`.
    #[inline]
    fn head(&mut self, at: usize, field: u8, end: usize) {
        self.set(at, field << 3 | 2);
        self.set(at + 1, u8::try_from(end - at - 2).unwrap_or(0));
    }
}

/// Begins a field of bytes that are written in place; gives what [`end`] is to be told.
#[inline]
fn begin(out: &mut Vec<u8>, field: u32) -> usize {
    varint(out, u64::from(field) << 3 | 2);
    out.push(0);
    out.len()
}

/// Ends a field of bytes: writes its length, for which room is made if it needs more than a byte.
#[inline]
fn end(out: &mut Vec<u8>, start: usize) {
    let length = out.len() - start;
    if let (Some(room), Ok(short @ 0..0x80)) = (out.get_mut(start - 1), u8::try_from(length)) {
        *room = short;
    } else {
        let mut long = Vec::new();
        varint(&mut long, length as u64);
        out.splice(start - 1..start, long);
    }
}

/// Appends a varint.
#[inline]
pub(crate) fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// Appends a field of bytes.
pub(crate) fn bytes(out: &mut Vec<u8>, field: u32, content: &[u8]) {
    varint(out, u64::from(field) << 3 | 2);
    varint(out, content.len() as u64);
    out.extend_from_slice(content);
}

/// Appends a varint field, but not 0.
pub(crate) fn number(out: &mut Vec<u8>, field: u32, value: u64) {
    if value != 0 {
        varint(out, u64::from(field) << 3);
        varint(out, value);
    }
}

/// Appends a double field, also 0.
pub(crate) fn double(out: &mut Vec<u8>, field: u32, value: f64) {
    varint(out, u64::from(field) << 3 | 1);
    out.extend_from_slice(&value.to_bits().to_le_bytes());
}

/// Undoes [`crate::wire::zigzag`].
pub(crate) const fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63).cast_unsigned()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_plain_series_is_written_as_any_other(
            references in vec(any::<u32>(), 0..=PLAIN_REFERENCES_MAX),
            timestamp_ms in prop_oneof![Just(0), 0..i64::MAX, any::<i64>()],
            start_ms in prop_oneof![Just(0), any::<i64>()],
            bits in any::<u64>(),
        ) {
            let value = f64::from_bits(bits);
            let mut plain = Output::new(1 << 10);
            plain.plain(7, &references, (timestamp_ms, start_ms), value).expect("small");
            let mut other = Output::new(1 << 10);
            other.open_parts(&references);
            other.sample(7, timestamp_ms, value, start_ms).expect("small");
            other.close(FamilyInfo::default()).expect("small");
            prop_assert_eq!(plain.finish(), other.finish());
        }
    }
}
