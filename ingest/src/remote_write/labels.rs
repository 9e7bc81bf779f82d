//! Raw label bytes of a series: the `labels` fields of a remote-write 1.0 series, tags included,
//! one after the other. Both versions of the protocol hand labels on in this form.

use std::borrow::Cow;

use ephemeris_model::{LabelSource, RejectReason};

use crate::error::IngestError;
use crate::output::varint;
use crate::wire::{Reader, WireType};

/// Tag of `TimeSeries.labels` in remote write 1.0.
const TAG_LABEL: u8 = 0x0a;
/// Tag of `Label.name`.
const TAG_NAME: u8 = 0x0a;
/// Tag of `Label.value`.
const TAG_VALUE: u8 = 0x12;

/// More labels than any setting allows; beyond it they are not even listed.
const LABELS_MAX: usize = 1 << 16;

/// Name and value as received.
pub(super) type Pair<'a> = (&'a [u8], &'a [u8]);

/// Reads the pairs of raw label bytes.
pub(super) struct RawLabels;

impl LabelSource for RawLabels {
    fn read<'a>(
        &'a self,
        raw: &'a [u8],
        _: &[&'a [u8]],
        pairs: &mut Vec<Pair<'a>>,
    ) -> Result<(), (RejectReason, String)> {
        read_pairs(raw, pairs)
    }
}

/// Appends the pairs of raw label bytes.
pub(super) fn read_pairs<'a>(
    raw: &'a [u8],
    pairs: &mut Vec<Pair<'a>>,
) -> Result<(), (RejectReason, String)> {
    let damaged = |e: IngestError| (RejectReason::InvalidUtf8, format!("labels: {e}"));
    let mut reader = Reader::new(raw);
    while !reader.is_at_end() {
        if pairs.len() >= LABELS_MAX {
            return Err(too_many());
        }
        if let Some((pair, length)) = plain_label(reader.rest()) {
            pairs.push(pair);
            reader.advance(length);
            continue;
        }
        reader.field().map_err(damaged)?;
        let label = reader.message("label").map_err(damaged)?;
        pairs.push(read_pair(label).map_err(damaged)?);
    }
    Ok(())
}

fn too_many() -> (RejectReason, String) {
    (RejectReason::TooManyLabels, format!("series has more than {LABELS_MAX} labels"))
}

/// Label bytes that are numbers of symbols, as the batch has them: four bytes each.
pub(super) fn push_numbers(raw: &mut Vec<u8>, numbers: &[u32]) {
    raw.reserve(size_of_val(numbers));
    numbers.iter().for_each(|number| raw.extend_from_slice(&number.to_le_bytes()));
}

/// The symbol with a number of four bytes. Numbers were checked when they were written.
fn symbol<'a>(number: [u8; 4], symbols: &[&'a [u8]]) -> &'a [u8] {
    symbols.get(u32::from_le_bytes(number) as usize).copied().unwrap_or_default()
}

/// Reads the pairs of label bytes that are numbers of names and values, in turn.
pub(super) struct SymbolLabels;

impl LabelSource for SymbolLabels {
    fn read<'a>(
        &'a self,
        raw: &'a [u8],
        symbols: &[&'a [u8]],
        pairs: &mut Vec<Pair<'a>>,
    ) -> Result<(), (RejectReason, String)> {
        let (labels, _) = raw.as_chunks::<8>();
        if labels.len() > LABELS_MAX {
            return Err(too_many());
        }
        pairs.extend(labels.iter().map(|label| {
            let [n0, n1, n2, n3, v0, v1, v2, v3] = *label;
            (symbol([n0, n1, n2, n3], symbols), symbol([v0, v1, v2, v3], symbols))
        }));
        Ok(())
    }
}

/// Reads the pairs of label bytes that are numbers of parts, each of which is raw label bytes.
pub(super) struct PartLabels;

impl LabelSource for PartLabels {
    fn read<'a>(
        &'a self,
        raw: &'a [u8],
        symbols: &[&'a [u8]],
        pairs: &mut Vec<Pair<'a>>,
    ) -> Result<(), (RejectReason, String)> {
        let (parts, _) = raw.as_chunks::<4>();
        parts.iter().try_for_each(|number| read_pairs(symbol(*number, symbols), pairs))
    }
}

/// Appends a label to raw label bytes.
pub(crate) fn push_raw(raw: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    let length = |text: &[u8]| 1 + varint_bytes(text.len()) + text.len();
    raw.push(TAG_LABEL);
    varint(raw, (length(name) + length(value)) as u64);
    for (tag, text) in [(TAG_NAME, name), (TAG_VALUE, value)] {
        raw.push(tag);
        varint(raw, text.len() as u64);
        raw.extend_from_slice(text);
    }
}

/// Bytes a varint takes.
const fn varint_bytes(value: usize) -> usize {
    (value | 1).ilog2() as usize / 7 + 1
}

/// Reads a `Label` message. Of a repeated field the last one counts.
pub(super) fn read_pair(mut label: Reader<'_>) -> Result<Pair<'_>, IngestError> {
    let (mut name, mut value) = (&[][..], &[][..]);
    while let Some(field) = label.field()? {
        match field.number {
            1 => {
                field.expect(WireType::Length, "label name")?;
                name = label.bytes("label name")?;
            }
            2 => {
                field.expect(WireType::Length, "label value")?;
                value = label.bytes("label value")?;
            }
            _ => label.skip(field)?,
        }
    }
    Ok((name, value))
}

/// Length of the plain labels, tags included, at the start of `rest`; `limit` is where the series
/// ends, and what lies behind it may be looked at.
///
/// From one label to the next only its length is needed, so that checks of several labels run at
/// the same time; this is most of what decoding costs.
#[inline]
pub(super) fn plain_labels_length(rest: &[u8], limit: usize) -> usize {
    let mut end = 0;
    while let Some(length) = rest.get(end..).and_then(plain_length_in_window)
        && end + length <= limit
    {
        end += length;
    }
    // Where less than a window is left.
    while let Some((_, length)) = rest.get(end..limit).and_then(plain_label) {
        end += length;
    }
    end
}

/// As many bytes as a plain label can have, and those that its lengths may point to if it is none.
type Window = [u8; 4 + 0x7f + 2];

/// The length of a plain label at the start of `labels`, where there is a window; the same checks
/// as in [`plain_label`], in one comparison.
#[inline]
fn plain_length_in_window(labels: &[u8]) -> Option<usize> {
    let window: &Window = labels.first_chunk()?;
    let [tag, length, name_tag, name_length] = [window[0], window[1], window[2], window[3]];
    let name_end = 4 + usize::from(name_length & 0x7f);
    let [value_tag, value_length] = [window[name_end], window[name_end + 1]];
    let expected = 4 + u32::from(name_length) + u32::from(value_length);
    let tags = (tag ^ TAG_LABEL) | (name_tag ^ TAG_NAME) | (value_tag ^ TAG_VALUE);
    let odd = u32::from(tags | (length & 0x80)) | (u32::from(length) ^ expected);
    (odd == 0).then_some(2 + usize::from(length))
}

/// A plain label at the start of `labels`, and its length with the tag. A plain label is a short
/// name, then a short value, in less than 128 bytes together; nearly all are.
#[inline]
fn plain_label(labels: &[u8]) -> Option<(Pair<'_>, usize)> {
    let &[TAG_LABEL, length @ 0..0x80, TAG_NAME, name_length] = labels.first_chunk()? else {
        return None;
    };
    let (end, name_end) = (2 + usize::from(length), 4 + usize::from(name_length));
    let &[TAG_VALUE, value_length] = labels.get(name_end..)?.first_chunk()? else { return None };
    // Both lengths are below 128 if this holds, so neither is the start of a longer varint.
    if end != name_end + 2 + usize::from(value_length) {
        return None;
    }
    Some(((labels.get(4..name_end)?, labels.get(name_end + 2..end)?), end))
}

/// Adds the label bytes `start..reader.at()` to those of the series so far, which lie in `run` of
/// the message: as long as labels lie together they are borrowed; if something lies between, they
/// are copied.
pub(super) fn extend_run<'a>(
    labels: &mut Cow<'a, [u8]>,
    run: &mut (usize, usize),
    reader: &Reader<'a>,
    start: usize,
) {
    if labels.is_empty() {
        *run = (start, start);
    }
    if run.1 == start && matches!(labels, Cow::Borrowed(_)) {
        *labels = Cow::Borrowed(reader.since(run.0));
        run.1 = reader.at();
    } else {
        labels.to_mut().extend_from_slice(reader.since(start));
    }
}

/// The metric name in raw label bytes, for texts; empty if there is none.
pub(super) fn metric_name(raw: &[u8]) -> String {
    let mut pairs = Vec::new();
    if read_pairs(raw, &mut pairs).is_err() {
        return String::new();
    }
    name_among(&pairs)
}

/// The metric name among labels, for texts; empty if there is none.
pub(super) fn name_among(pairs: &[Pair<'_>]) -> String {
    let found = pairs.iter().find(|(name, _)| *name == b"__name__");
    found.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Raw label bytes of these labels.
    pub(in crate::remote_write) fn encode(labels: &[Pair<'_>]) -> Vec<u8> {
        let mut raw = Vec::new();
        labels.iter().for_each(|(name, value)| push_raw(&mut raw, name, value));
        raw
    }

    #[test]
    fn the_short_cut_takes_plain_labels_only() {
        let plain = b"\x0a\x07\x0a\x01a\x12\x02bc";
        let empty = b"\x0a\x04\x0a\x00\x12\x00";
        let length = |parts: &[&[u8]]| {
            let series = parts.concat();
            let alone = plain_labels_length(&series, series.len());
            let message = [&series[..], &[0x0a; 200]].concat();
            assert_eq!(plain_labels_length(&message, series.len()), alone, "{series:?}");
            alone
        };
        assert_eq!(length(&[plain, empty, plain, b"\x12\x00"]), 24);
        for other in [
            &b""[..],
            b"\x12\x07\x0a\x01a\x12\x02bc",
            b"\x0a\x07\x0a\x01a\x12\x02b",
            b"\x0a\x08\x0a\x01a\x12\x02bcd",
            b"\x0a\x07\x12\x01a\x0a\x02bc",
            b"\x0a\x08\x0a\x81\x00a\x12\x02bc",
            b"\x0a\x87\x00\x0a\x01a\x12\x02bc",
            b"\x0a\x03\x0a\x01a",
        ] {
            assert_eq!(length(&[plain, other]), 9, "{other:?}");
            assert_eq!(length(&[other]), 0, "{other:?}");
        }
        let longest = encode(&[(&[b'n'; 100], &[b'v'; 23])]);
        assert_eq!(length(&[&longest]), longest.len());
        assert_eq!(length(&[&encode(&[(&[b'n'; 100], &[b'v'; 24])])]), 0);
    }

    #[test]
    fn a_count_of_labels_no_setting_allows_is_not_listed() {
        let raw = [TAG_LABEL, 0].repeat(LABELS_MAX + 1);
        let mut pairs = Vec::new();
        let (reason, text) = read_pairs(&raw, &mut pairs).expect_err("too many");
        assert_eq!(
            (reason, text.as_str()),
            (RejectReason::TooManyLabels, "series has more than 65536 labels")
        );
        assert_eq!(pairs.len(), LABELS_MAX);
    }
}
