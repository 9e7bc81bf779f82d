//! `logproto.PushRequest`: streams with their entries, decoded in place.

use std::borrow::Cow;
use std::mem::size_of;

use ephemeris_model::log_batch::{DETECTED_LEVEL, Pair};
use ephemeris_model::{BatchEntry, BatchStream, BodyKind, LogBatch};

use super::{labels, level};
use crate::body::Limits;
use crate::error::IngestError;
use crate::wire::{Reader, WireType, malformed};

/// Message bytes an entry takes at least, as a rule; for the first guess at their number.
const ENTRY_BYTES_GUESS: usize = 128;
const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// Decodes a decompressed `message`; `body` is what is logged, and `kind` how it is encoded.
///
/// # Errors
/// If the message is not well-formed or passes `limits.batch_bytes_max`.
pub fn decode<'a>(
    kind: BodyKind,
    body: &'a [u8],
    message: &'a [u8],
    limits: &Limits,
) -> Result<LogBatch<'a>, IngestError> {
    let mut decoder = Decoder {
        streams: Vec::new(),
        entries: Vec::with_capacity(message.len() / ENTRY_BYTES_GUESS),
        metadata: Vec::new(),
        bytes_left: limits.batch_bytes_max,
        limits: *limits,
    };
    let mut reader = Reader::new(message);
    while let Some(field) = reader.field()? {
        if field.number == 1 {
            field.expect(WireType::Length, "stream")?;
            decoder.read_stream(reader.message("stream")?)?;
        } else {
            reader.skip(field)?;
        }
    }
    let Decoder { streams, entries, metadata, .. } = decoder;
    Ok(LogBatch { kind, body, streams, entries, metadata })
}

struct Decoder<'a> {
    streams: Vec<BatchStream<'a>>,
    entries: Vec<BatchEntry<'a>>,
    metadata: Vec<Pair<'a>>,
    bytes_left: usize,
    limits: Limits,
}

impl<'a> Decoder<'a> {
    fn read_stream(&mut self, mut reader: Reader<'a>) -> Result<(), IngestError> {
        self.take::<BatchStream<'_>>(1)?;
        let first = self.entries.len();
        let mut raw: &[u8] = b"";
        while let Some(field) = reader.field()? {
            match field.number {
                1 => {
                    field.expect(WireType::Length, "labels")?;
                    raw = reader.bytes("labels")?;
                }
                2 => {
                    field.expect(WireType::Length, "entry")?;
                    self.read_entry(reader.message("entry")?)?;
                }
                // A hash of the labels, which nobody needs.
                3 => {
                    field.expect(WireType::Varint, "hash")?;
                    reader.varint("hash")?;
                }
                _ => reader.skip(field)?,
            }
        }
        let labels = labels::read(raw);
        if let Ok(pairs) = &labels {
            self.take::<Pair<'_>>(pairs.len())?;
        }
        self.add_levels(first, labels.as_ref().ok().and_then(|pairs| level::of_labels(pairs)));
        let entries = index(first)?..index(self.entries.len())?;
        self.streams.push(BatchStream { raw: Cow::Borrowed(raw), labels, entries });
        Ok(())
    }

    fn read_entry(&mut self, mut reader: Reader<'a>) -> Result<(), IngestError> {
        // Room for the level as well.
        self.take::<BatchEntry<'_>>(1)?;
        self.take::<Pair<'_>>(1)?;
        let first = index(self.metadata.len())?;
        let (mut timestamp_ns, mut line): (i64, &[u8]) = (0, b"");
        while let Some(field) = reader.field()? {
            match field.number {
                1 => {
                    field.expect(WireType::Length, "timestamp")?;
                    timestamp_ns = read_timestamp(reader.message("timestamp")?)?;
                }
                2 => {
                    field.expect(WireType::Length, "line")?;
                    line = reader.bytes("line")?;
                }
                3 => {
                    field.expect(WireType::Length, "structured metadata")?;
                    self.take::<Pair<'_>>(1)?;
                    let pair = read_pair(reader.message("structured metadata")?)?;
                    self.metadata.push(pair);
                }
                _ => reader.skip(field)?,
            }
        }
        let metadata = first..index(self.metadata.len())?;
        self.entries.push(BatchEntry { timestamp_ns, line, metadata });
        Ok(())
    }

    /// Sorts the metadata of the entries from `first` on and adds their level; `own` is what the
    /// labels of their stream tell.
    fn add_levels(&mut self, first: usize, own: Option<String>) {
        let Some(start) = self.entries.get(first).map(|entry| entry.metadata.start as usize) else {
            return;
        };
        let own: Option<Cow<'a, str>> = own.map(|level| match known(&level) {
            Some(known) => Cow::Borrowed(known),
            None => Cow::Owned(level),
        });
        let sent = self.metadata.split_off(start);
        let mut sent = sent.into_iter();
        self.metadata.reserve(sent.len() + self.entries.len() - first);
        for entry in &mut self.entries[first..] {
            let at = self.metadata.len();
            let count = (entry.metadata.end - entry.metadata.start) as usize;
            self.metadata.extend(
                sent.by_ref()
                    .take(count)
                    .filter(|(name, value)| !name.is_empty() && !value.is_empty()),
            );
            let pairs = &mut self.metadata[at..];
            if !pairs.is_sorted_by(|a, b| a.0 < b.0) {
                pairs.sort_by(|a, b| a.0.cmp(&b.0));
                dedup_from(&mut self.metadata, at);
            }
            put_level(&mut self.metadata, at, own.as_ref(), entry.line);
            // Counts only grew by one an entry, for which `read_entry` took room.
            let place = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
            entry.metadata = place(at)..place(self.metadata.len());
        }
    }

    fn take<T>(&mut self, count: usize) -> Result<(), IngestError> {
        let bytes = count * size_of::<T>();
        let limit = self.limits.batch_bytes_max;
        let left = self.bytes_left.checked_sub(bytes);
        self.bytes_left = left.ok_or(IngestError::BatchTooLarge { limit })?;
        Ok(())
    }
}

/// Keeps the first pair of each name of the sorted pairs from `at` on.
fn dedup_from(metadata: &mut Vec<Pair<'_>>, at: usize) {
    let mut pairs = metadata.split_off(at);
    pairs.dedup_by(|b, a| a.0 == b.0);
    metadata.append(&mut pairs);
}

/// Adds the level to the sorted pairs from `at` on, or brings the one that is there to its word.
fn put_level<'a>(metadata: &mut Vec<Pair<'a>>, at: usize, own: Option<&Cow<'a, str>>, line: &[u8]) {
    let pairs = &mut metadata[at..];
    match pairs.binary_search_by(|(name, _)| name.as_ref().cmp(DETECTED_LEVEL)) {
        Ok(found) => {
            let value = &mut pairs[found].1;
            let normal = level::normalize(value).into_owned();
            if **value != *normal {
                *value = normal.into();
            }
        }
        Err(place) => {
            let value = own.cloned().unwrap_or_else(|| level::of_entry(pairs, line));
            metadata.insert(at + place, (DETECTED_LEVEL.into(), value));
        }
    }
}

fn known(level: &str) -> Option<&'static str> {
    const LEVELS: [&str; 8] =
        ["trace", "debug", "info", "warn", "error", "critical", "fatal", "unknown"];
    LEVELS.into_iter().find(|known| *known == level)
}

/// A count of items as an index; a message this long does not pass the limits of a body.
fn index(count: usize) -> Result<u32, IngestError> {
    u32::try_from(count).map_err(|_| malformed(0, "more than 2^32 items"))
}

fn read_timestamp(mut reader: Reader<'_>) -> Result<i64, IngestError> {
    let (mut seconds, mut nanos) = (0_i64, 0_i32);
    while let Some(field) = reader.field()? {
        match field.number {
            1 => {
                field.expect(WireType::Varint, "seconds")?;
                seconds = reader.varint("seconds")?.cast_signed();
            }
            2 => {
                field.expect(WireType::Varint, "nanos")?;
                #[expect(clippy::cast_possible_truncation, reason = "as protobuf reads an int32")]
                let value = reader.varint("nanos")? as i32;
                nanos = value;
            }
            _ => reader.skip(field)?,
        }
    }
    Ok(seconds.saturating_mul(NANOS_PER_SECOND).saturating_add(i64::from(nanos)))
}

fn read_pair(mut reader: Reader<'_>) -> Result<Pair<'_>, IngestError> {
    let (mut name, mut value) = (Cow::Borrowed(""), Cow::Borrowed(""));
    while let Some(field) = reader.field()? {
        match field.number {
            1 => {
                field.expect(WireType::Length, "name of structured metadata")?;
                name = text(reader.bytes("name of structured metadata")?);
            }
            2 => {
                field.expect(WireType::Length, "value of structured metadata")?;
                value = text(reader.bytes("value of structured metadata")?);
            }
            _ => reader.skip(field)?,
        }
    }
    Ok((name, value))
}

/// Bytes as text; what is no UTF-8 becomes the replacement character.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    match simdutf8::basic::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}

#[cfg(test)]
mod tests;
